"""A fit learns, chooses by validation, reports, and says what is wrong; killed, it goes on exactly."""

import random
import threading

import keras
import numpy as np
import pytest
from recording_tracker import RecordingTracker
from synthetic import CLASSES, Train, Validation

from segline.config import ModelConfig, Training
from segline.core.labels import VOID, Image, Mask
from segline.errors import TrainingError
from segline.training import backend
from segline.training.checkpoint import assign, values
from segline.training.fit import FitResult, fit

CONFIG = ModelConfig(network="unet", classes=CLASSES, width=4, depth=2, dropout=0.3)
TRAINING = Training(crop=(32, 64), batch=2, steps=6, epochs=3, weight_decay=0.01, warm_up=0.1, dropout=0.3, threads=1)
LEARNING_RATE = 0.02


def run(tracker: RecordingTracker | None = None, **options: object) -> FitResult:
    arguments: dict[str, object] = {
        "learning_rate": LEARNING_RATE,
        "epochs": TRAINING.epochs,
        "train": Train(),
        "validation": Validation(),
        "seed": 5,
    }
    training = options.pop("training", TRAINING)
    return fit(CONFIG, training, tracker=tracker or RecordingTracker(), **{**arguments, **options})  # type: ignore[arg-type]


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
    assert lines == ["going on after epoch 1 of 1"]
    assert not tracker.metrics
    assert again.history == result.history
    for old, new in zip(values(result.model.weights), values(again.model.weights), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(TrainingError, match="another fit: seed differ"):
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
