"""A fit learns, chooses by validation, reports, and says what is wrong; killed, it goes on exactly."""

import random
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest
from recording_tracker import RecordingTracker
from synthetic import CLASSES, Train, Validation

from segline import models
from segline.config import Loss, ModelConfig, Training, network_names
from segline.core.labels import VOID, Image, Mask
from segline.errors import TrainingError
from segline.models import encoders
from segline.training import backend
from segline.training.fit import epochs
from segline.training.fit.checkpoint import assign, values
from segline.training.fit.fit import FitResult, fit
from segline.training.fit.job import Job
from segline.training.objective import optimizers
from segline.training.objective.deep_supervision import supervise
from segline.training.objective.losses import SegmentationLoss
from segline.training.objective.schedule import WarmUpDecay

CONFIG = ModelConfig(network="unet", classes=CLASSES, width=4, depth=2, dropout=0.3)
TRAINING = Training(crop=(32, 64), batch=2, steps=6, epochs=3, weight_decay=0.01, warm_up=0.1, dropout=0.3, threads=1)
LEARNING_RATE = 0.02


JOB = Job(model_config=CONFIG, training=TRAINING, learning_rate=LEARNING_RATE, epochs=TRAINING.epochs, seed=5)


def run(tracker: RecordingTracker | None = None, **options: object) -> FitResult:
    """`JOB`, where `options` say nothing else."""
    job = replace(JOB, **{name: options.pop(name) for name in vars(JOB) if name in options})  # type: ignore[arg-type]
    arguments: dict[str, object] = {"train": Train(), "validation": Validation(), **options}
    return fit(job, tracker=tracker or RecordingTracker(), **arguments)  # type: ignore[arg-type]


def numpy_miou(model: keras.Model) -> float:
    """Validation mIoU computed apart from Keras's loop and our metric."""
    shared, union = np.zeros(CLASSES), np.zeros(CLASSES)
    for image, mask in (Validation().batch(index) for index in range(3)):
        claimed = keras.ops.convert_to_numpy(model(image, training=False)).argmax(-1)
        for label in range(CLASSES):
            truth, answer = mask == label, (claimed == label) & (mask != VOID)
            shared[label] += (truth & answer).sum()
            union[label] += (truth | answer).sum()
    return float(np.mean(shared[union > 0] / union[union > 0]))


@pytest.fixture(scope="module")
def fitted() -> tuple[FitResult, RecordingTracker, list[str]]:
    lines: list[str] = []
    tracker = RecordingTracker()
    return run(tracker, report=lines.append), tracker, lines


def test_others_who_draw_from_pythons_generator_change_nothing(
    fitted: tuple[FitResult, RecordingTracker, list[str]],
) -> None:
    """Prefect's threads do, at any moment."""
    stop = threading.Event()

    def draw() -> None:
        while not stop.wait(0.0005):
            random.random()
            np.random.random()

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        again = run()
    finally:
        stop.set()
        thread.join()
    for first, second in zip(fitted[0].model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_it_learns(fitted: tuple[FitResult, RecordingTracker, list[str]]) -> None:
    history = fitted[0].history
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert fitted[0].best_miou > 0.35


def test_it_ends_with_the_weights_that_validation_scored_best(
    fitted: tuple[FitResult, RecordingTracker, list[str]],
) -> None:
    result = fitted[0]
    scores = [metrics["val_miou"] for metrics in result.history]
    assert result.best_miou == max(scores) == scores[result.best_epoch - 1]
    assert numpy_miou(result.model) == pytest.approx(result.best_miou, rel=1e-5)


def test_it_reports_every_epoch_once(fitted: tuple[FitResult, RecordingTracker, list[str]]) -> None:
    result, tracker, lines = fitted
    assert tracker.metrics == {epoch + 1: metrics for epoch, metrics in enumerate(result.history)}
    assert set(result.history[0]) == {
        "loss", "miou", "val_loss", "val_miou", "learning_rate", "images_per_second",
    }  # fmt: skip
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert "images/s" in lines[0]
    assert lines[2].endswith("0m00s left")
    assert result.history[-1]["learning_rate"] == pytest.approx(LEARNING_RATE * (1 / 16) ** 0.9)


OPTIONS = {
    "adam": {"optimizer": "adam", "weight_decay": 0.0},
    "rmsprop": {"optimizer": "rmsprop"},
    "sgd": {"optimizer": "sgd", "schedule": "cosine"},
    "clip": {"clip": 0.5},
    "ema": {"ema": 0.5},
    "bfloat16": {"precision": "mixed_bfloat16"},
    "float16": {"precision": "mixed_float16", "ema": 0.5},
    "lovasz": {"loss": Loss(dice=0.0, lovasz=1.0)},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_learns_and_ends_with_what_validation_saw(name: str) -> None:
    result = run(training=TRAINING.model_copy(update=OPTIONS[name]))
    assert result.history[-1]["loss"] < 0.9 * result.history[0]["loss"]
    assert numpy_miou(result.model) == pytest.approx(result.best_miou, rel=1e-2 if "float" in name else 1e-5)
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(("network", "heads"), [("unet", 2), ("unet_plus_plus", 2)])
def test_deep_supervision_trains_every_head_and_measures_the_first(network: str, heads: int) -> None:
    deep = ModelConfig(network=network, classes=CLASSES, width=4, depth=2, heads=heads)
    result = run(model_config=deep)
    assert len(result.model.outputs) == 1
    assert result.history[-1]["loss"] < 0.9 * result.history[0]["loss"]
    assert numpy_miou(result.model) == pytest.approx(result.best_miou, rel=1e-5)


def test_the_loss_of_several_heads_is_their_weighted_mean_on_masks_of_their_sides() -> None:
    model = supervise(models.build(ModelConfig(network="unet", classes=CLASSES, width=4, depth=3, heads=3)))
    model.compile("sgd", loss=SegmentationLoss())
    image, mask = Train().batch(0)
    found = model.test_on_batch(image, mask, return_dict=True)["loss"]
    heads = [keras.ops.convert_to_numpy(head) for head in model(image, training=False)]
    masks = [mask, mask[:, 1::2, 1::2], mask[:, 2::4, 2::4]]
    losses = [float(SegmentationLoss()(one, head)) for one, head in zip(masks, heads, strict=True)]
    assert float(found) == pytest.approx(np.average(losses, weights=[4, 2, 1]), rel=1e-5)


def test_averaged_weights_are_validated_and_the_others_trained_on() -> None:
    averaged, plain = (run(training=TRAINING.model_copy(update={"ema": ema})) for ema in (0.5, None))
    losses = [[metrics["loss"] for metrics in result.history] for result in (averaged, plain)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    scores = [[metrics["val_loss"] for metrics in result.history] for result in (averaged, plain)]
    assert min(abs(one - other) for one, other in zip(*scores, strict=True)) > 1e-3


def test_the_kept_weights_are_the_average_over_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[list[np.ndarray]] = []
    tell = epochs.EpochEnd.on_train_batch_end

    def remember(self: epochs.EpochEnd, batch: int, logs: object = None) -> None:
        steps.append(list(values(self.model.trainable_variables)))
        tell(self, batch, logs)

    monkeypatch.setattr(epochs.EpochEnd, "on_train_batch_end", remember)
    result = run(training=TRAINING.model_copy(update={"ema": 0.4, "optimizer": "sgd", "steps": 4}), epochs=2)
    assert len(steps) == 8
    average = steps[0]
    for step, weights in enumerate(steps[: 4 * result.best_epoch]):
        momentum = min(0.4, step / (9 + step))  # 0.4 from the seventh step on
        average = [momentum * before + (1 - momentum) * now for before, now in zip(average, weights, strict=True)]
    last = steps[4 * result.best_epoch - 1]
    for kept, expected, trained in zip(values(result.model.trainable_variables), average, last, strict=True):
        np.testing.assert_allclose(kept, expected, rtol=1e-5, atol=1e-6)
        assert np.abs(kept - trained).max() > 1e-5


NARROW = {network: {"encoder": "mini_xception", "width": 1} for network in ("deeplab_v3_plus", "composed")}
NARROW["fcn8s"] = {"width": 2}


@pytest.mark.parametrize("network", network_names())
def test_every_network_is_trained_in_half_precision(network: str) -> None:
    smallest = NARROW.get(network, {"width": 2, "depth": 2})
    with backend.precision("mixed_float16"):
        model = models.build(ModelConfig.model_validate({"network": network, "classes": CLASSES, **smallest}))
    training = TRAINING.model_copy(update={"precision": "mixed_float16"})
    optimizer = optimizers.build(training, WarmUpDecay(0.01, steps=4), model)
    model.compile(optimizer, loss=SegmentationLoss(), jit_compile=False, auto_scale_loss=False)
    before = values(model.trainable_variables)
    image, mask = Train().batch(0)
    # The first steps may only lower the scale of the loss, at which FCN-8s's gradients overflow.
    losses = [float(model.train_on_batch(image[:, :, :32], mask[:, :, :32])) for _ in range(6)]
    assert np.isfinite(losses).all()
    moved = [np.abs(new - old).max() for new, old in zip(values(model.trainable_variables), before, strict=True)]
    assert np.isfinite(moved).all()
    assert max(moved) > 0


def test_a_fit_in_half_precision_goes_on_with_the_losses_scale(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scale begins so high that it is still being found when the fit is interrupted."""

    class Interrupted(RecordingTracker):
        def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
            if step == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(optimizers, "_LossScale", partial(optimizers._LossScale, initial_scale=2.0**30))
    training = TRAINING.model_copy(update={"precision": "mixed_float16", "ema": 0.5})
    whole = run(training=training)
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(), training=training, checkpoint=tmp_path / "fit.npz")
    resumed = run(training=training, checkpoint=tmp_path / "fit.npz")
    for one, other in zip(values(whole.model.variables), values(resumed.model.variables), strict=True):
        np.testing.assert_array_equal(one, other)


def test_clipped_gradients_are_as_long_as_asked_for() -> None:
    schedule = WarmUpDecay(1.0, steps=2, decay="constant")
    model = models.build(CONFIG)
    optimizer = optimizers.build(
        TRAINING.model_copy(update={"optimizer": "sgd", "clip": 0.25, "weight_decay": 0.0}), schedule, model
    )
    before = values(model.trainable_variables)
    optimizer.apply([keras.ops.ones_like(variable) * 7 for variable in model.trainable_variables])
    moved = [new - old for new, old in zip(values(model.trainable_variables), before, strict=True)]
    # Nesterov's first step is 1 + momentum times the gradient.
    assert np.sqrt(sum((change**2).sum() for change in moved)) == pytest.approx(0.25 * 1.9, rel=1e-3)


def test_a_fit_without_progress_ends_early_and_stays_ended(tmp_path) -> None:
    class Standing(Validation):
        def batch(self, index: int) -> tuple[Image, Mask]:
            image, mask = super().batch(index)
            return image, np.where(mask == VOID, VOID, 0).astype(np.uint8)  # the first epoch is as good as any

    lines: list[str] = []
    training = TRAINING.model_copy(update={"patience": 1, "epochs": 9})
    arguments = {"training": training, "epochs": 9, "validation": Standing(), "checkpoint": tmp_path / "fit.npz"}
    result = run(**arguments, report=lines.append)
    assert len(result.history) < 9
    assert lines[-1] == "stopped early: no better epoch in the last 1"
    assert len(result.history) == result.best_epoch + 1
    assert run(**arguments).history == result.history


def test_the_encoders_weights_are_put_in_after_the_first_are_drawn(tmp_path) -> None:
    inner = encoders.build("mini_xception", output_stride=8)
    encoders.save_weights(inner, tmp_path / "encoder.npz")
    wanted = ModelConfig(
        network="deeplab_v3_plus",
        classes=CLASSES,
        width=2,
        encoder="mini_xception",
        weights=str(tmp_path / "encoder.npz"),
        freeze=True,
        output_stride=8,  # the last validation image is 24 pixels high
    )
    result = run(model_config=wanted, epochs=1)
    for one, other in zip(inner.weights, result.model.get_layer(encoders.NAME).weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_worse_than_an_earlier_epochs_are_not_kept() -> None:
    """From the last epoch on, the data say the opposite."""

    class Ruined(Train):
        def batch(self, step: int) -> tuple[Image, Mask]:
            image, mask = super().batch(step)
            late = step >= 2 * TRAINING.steps
            return image, np.where(mask == VOID, VOID, 2 - mask).astype(np.uint8) if late else mask

    training = TRAINING.model_copy(update={"warm_up": 0.9})  # the last epoch has the highest learning rate
    result = run(training=training, train=Ruined(), learning_rate=0.03)
    scores = [metrics["val_miou"] for metrics in result.history]
    assert result.best_epoch < 3
    assert result.best_miou == max(scores) > scores[-1]
    assert numpy_miou(result.model) == pytest.approx(max(scores), rel=1e-5)


def test_a_loss_that_is_no_number_names_its_step(tmp_path: object) -> None:
    with pytest.raises(TrainingError) as caught:
        run(learning_rate=1e30)
    text = str(caught.value)
    assert "epoch 1, step " in text
    assert "of 6: loss nan at learning rate 1e+30" in text or "of 6: loss inf" in text
    assert "remedy: lower search.learning_rate" in text


def test_a_validation_split_of_void_alone_is_refused() -> None:
    class Void(Validation):
        def batch(self, index: int) -> tuple[Image, Mask]:
            image, mask = super().batch(index)
            return image, np.full_like(mask, VOID)

    with pytest.raises(TrainingError, match="no labelled pixel"):
        run(validation=Void())


def test_a_finished_fit_is_not_repeated_and_another_ones_file_is_refused(tmp_path) -> None:
    path, lines = tmp_path / "fit.npz", []
    result = run(epochs=1, checkpoint=path)
    tracker = RecordingTracker()
    again = run(tracker, epochs=1, checkpoint=path, report=lines.append)
    assert lines == ["resuming after epoch 1 of 1"]
    assert not tracker.metrics
    assert again.history == result.history
    for old, new in zip(values(result.model.weights), values(again.model.weights), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(TrainingError, match=r"another fit \(different: seed\)"):
        run(epochs=1, checkpoint=path, seed=6)


def test_assign_is_the_inverse_of_values() -> None:
    variables = [keras.Variable(np.arange(3.0)), keras.Variable(np.array([1, 2], "int32"), trainable=False)]
    before = values(variables)
    assign(variables, tuple(value * 0 for value in before))
    assign(variables, before)
    np.testing.assert_array_equal(values(variables)[0], [0, 1, 2])
    assert values(variables)[1].dtype == np.int32


def test_threads_cannot_change_once_tensorflow_computes() -> None:
    keras.ops.convert_to_numpy(keras.ops.ones(1) + 1)
    with pytest.raises(TrainingError, match=r"expected 63 threads \(training\.threads\)"):
        backend.make_deterministic(seed=1, threads=63)


def test_a_cpu_gets_no_xla() -> None:
    if not keras.distribution.list_devices("gpu"):
        assert backend.jit_compile() is False
