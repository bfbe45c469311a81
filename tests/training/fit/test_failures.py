"""What stops a fit says so at once, names who is to be looked at, and leaves the last good epoch as it was."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from recording_tracker import RecordingTracker
from synthetic import CLASSES, Train, Validation

from segline import models
from segline.config import ModelConfig, Training
from segline.core.labels import Image, Mask
from segline.errors import ConfigError, DataError, SourceError, TrainingError
from segline.training.fit import failures
from segline.training.fit.fit import FitResult, fit
from segline.training.fit.job import Job

TRAINING = Training(crop=(32, 64), batch=2, steps=4, epochs=3, weight_decay=0.0, warm_up=0.0, dropout=0.0, threads=1)
JOB = Job(
    model_config=ModelConfig(network="encoder_decoder", classes=CLASSES, width=2, depth=2, dropout=0.0),
    training=TRAINING,
    learning_rate=0.02,
    epochs=3,
    seed=5,
)


def run(job: Job = JOB, train: Train | None = None, **options: object) -> FitResult:
    arguments: dict[str, object] = {"validation": Validation(), "tracker": RecordingTracker(), **options}
    return fit(job, train=train or Train(), **arguments)  # type: ignore[arg-type]


class Asked(Train):
    """Remembers how far it was asked, and has one thing happen at one step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.last, self.step = -1, step

    def batch(self, step: int) -> tuple[Image, Mask]:
        self.last = max(self.last, step)
        return super().batch(step)


class Overflowing(Asked):
    """Has pixels at one step that are no numbers, as a broken loader may give."""

    def batch(self, step: int) -> tuple[Image, Mask]:
        image, mask = super().batch(step)
        return (np.full(image.shape, np.nan) if step == self.step else image.astype(float)), mask


@keras.saving.register_keras_serializable(package="tests")
class BadSlope(keras.layers.Layer):
    """Gives its input, and at its `step`-th training batch a gradient that is no number."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step
        self.scale = self.add_weight(shape=(), initializer="ones", name="gamma", trainable=True)
        self.scale_initializer = keras.initializers.Ones()
        self.seen = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False)

    def call(self, inputs: object, training: bool = False) -> object:
        if not training:
            return inputs
        self.seen.assign(self.seen + 1)
        # The root's slope at 0 is infinite, and its value 0.
        zero = keras.ops.where(keras.ops.equal(self.seen, self.step), 0.0, 1.0)
        root = keras.ops.sqrt(keras.ops.abs(zero * (self.scale + 1.0)))
        return inputs + root - keras.ops.stop_gradient(root)


@pytest.fixture
def with_layer(monkeypatch: pytest.MonkeyPatch):
    """Put a layer of one's own behind every network's last one."""
    build = models.build

    def put(layer: keras.Layer) -> None:
        def extended(config: ModelConfig) -> keras.Model:
            model = build(config)
            return keras.Model(model.inputs, layer(model.outputs[0]))

        monkeypatch.setattr(models, "build", extended)

    return put


def test_a_loss_that_is_no_number_stops_the_fit_within_the_epoch(tmp_path: Path) -> None:
    checkpoint = tmp_path / "fit.npz"
    train = Overflowing(step=5)  # the second of the second epoch
    with pytest.raises(TrainingError) as caught:
        run(train=train, checkpoint=checkpoint, tracker=RecordingTracker(artifacts=tmp_path / "logged"))
    assert "epoch 2, step 2 of 4: loss nan at learning rate" in str(caught.value)
    assert "with the samples band_5_0, band_5_1 (all in " in str(caught.value)
    assert "remedy: lower search.learning_rate" in str(caught.value)
    kept = json.loads((tmp_path / "fit.diverged.json").read_text())
    assert kept["ids"] == ["band_5_0", "band_5_1"]
    assert json.loads((tmp_path / "logged" / "fit.diverged.json").read_text()) == kept
    assert (kept["epoch"], kept["step"], kept["steps"]) == (2, 2, 4)
    assert kept["learning_rate"] == pytest.approx(float(JOB.schedule()(5)))
    lines: list[str] = []
    assert len(run(checkpoint=checkpoint, report=lines.append).history) == 3
    assert lines[0] == "resuming after epoch 1 of 3"


def test_a_gradient_that_is_no_number_names_its_own_step_not_the_next(with_layer, tmp_path: Path) -> None:
    with_layer(BadSlope(step=7))  # the third of the second epoch
    with pytest.raises(TrainingError, match=r"epoch 2, step 3 of 4: a gradient that is NaN or infinite"):
        run(checkpoint=tmp_path / "fit.npz", tracker=RecordingTracker(artifacts=tmp_path / "logged"))
    assert json.loads((tmp_path / "fit.diverged.json").read_text())["ids"] == ["band_6_0", "band_6_1"]


def test_a_gradient_that_is_no_number_in_an_epochs_last_step_stops_it(with_layer, tmp_path: Path) -> None:
    with_layer(BadSlope(step=4))
    with pytest.raises(TrainingError, match=r"epoch 1, step 4 of 4: a gradient that is NaN or infinite"):
        run(checkpoint=tmp_path / "fit.npz", tracker=RecordingTracker(artifacts=tmp_path / "logged"))
    assert not (tmp_path / "fit.npz").exists()


def test_an_exploding_learning_rate_ends_at_once_and_is_named() -> None:
    train = Asked(step=0)
    job = Job(**{**vars(JOB), "learning_rate": 1e30, "training": TRAINING.model_copy(update={"steps": 500})})
    with pytest.raises(
        TrainingError, match=r"epoch 1, step \d+ of 500: loss .* at learning rate 9\.99e\+29 with the samples"
    ):
        run(job, train=train)
    assert train.last < 250  # far from the epoch's end


@keras.saving.register_keras_serializable(package="tests")
class Huge(keras.layers.Layer):
    """Wants more memory than there is, in the middle of a training step."""

    def call(self, inputs: object, training: bool = False) -> object:
        if not training:
            return inputs
        side = 2**22 + keras.ops.cast(keras.ops.max(inputs) * 0, "int32")  # no constant: 64 TB at run time
        return inputs + 0 * keras.ops.mean(keras.ops.ones((side, side)))


def test_memory_that_runs_out_names_the_estimate_and_what_would_fit(with_layer) -> None:
    with_layer(Huge())
    with pytest.raises(TrainingError) as caught:
        run(memory=lambda batch: (1 + batch) * 2**30, budget=2.5 * 2**30)
    assert "none left for batches of 2 crops of 32x64 (estimate 3.00 GiB, budget 2.50 GiB)" in str(caught.value)
    assert "set training.batch to 1 (about 2.00 GiB) or set training.crop to [32, 32]" in str(caught.value)


def test_memory_that_runs_out_in_a_loader_keeps_the_checkpoint(tmp_path: Path) -> None:
    class Greedy(Asked):
        def batch(self, step: int) -> tuple[Image, Mask]:
            if step == self.step:
                np.empty(2**62, np.uint8)
            return super().batch(step)

    with pytest.raises(TrainingError, match="memory: none left for batches of 2"):
        run(train=Greedy(step=8), checkpoint=tmp_path / "fit.npz")
    lines: list[str] = []
    run(checkpoint=tmp_path / "fit.npz", report=lines.append)
    assert lines[0].startswith("resuming after epoch")


def remedies(training: Training, **options: object) -> str:
    with (
        pytest.raises(TrainingError) as caught,
        failures.explain_failures(training, sources=(), **{"memory": None, "budget": None, **options}),  # type: ignore[arg-type]
    ):
        raise MemoryError
    return caught.value.remedy


def test_what_would_fit_without_an_estimate_is_half() -> None:
    training = TRAINING.model_copy(update={"batch": 9, "crop": (256, 512)})
    assert remedies(training).startswith("set training.batch to 4 or set training.crop to [160, 352] or use a smaller")


def test_an_estimate_within_the_budget_was_too_low_and_what_would_fit_is_half_of_it() -> None:
    training = TRAINING.model_copy(update={"batch": 8, "crop": (256, 512)})
    found = remedies(training, memory=lambda batch: batch * 2**30, budget=100 * 2**30)
    assert found.startswith("set training.batch to 4 (about 4.00 GiB) or set training.crop to [160, 352]")


def test_a_smallest_batch_that_does_not_fit_leaves_the_crop_and_the_network() -> None:
    assert remedies(TRAINING.model_copy(update={"batch": 1, "crop": (32, 32)})) == (
        "use a smaller network (search.width)"
    )


def test_other_errors_of_a_loader_stay_what_they_are() -> None:
    class Gone(Asked):
        def batch(self, step: int) -> tuple[Image, Mask]:
            if step == self.step:
                raise SourceError("batches", found="gone", remedy="bring it back")
            return super().batch(step)

    with pytest.raises(SourceError, match="batches: gone"):
        run(train=Gone(step=6))


def test_a_mask_with_more_classes_than_the_network_is_refused_before_the_first_step() -> None:
    tracker = RecordingTracker()
    job = Job(**{**vars(JOB), "model_config": JOB.model_config.model_copy(update={"classes": 2})})
    with pytest.raises(
        DataError, match=r"batch 0: train id 2 in a mask, expected 0\.\.1 \(the network's classes\) or 255"
    ):
        run(job, tracker=tracker)
    assert not tracker.metrics


def test_a_crop_that_the_network_cannot_take_is_refused_with_the_nearest_that_it_can() -> None:
    deep = JOB.model_config.model_copy(update={"network": "unet", "depth": 5})
    job = Job(**{**vars(JOB), "model_config": deep, "training": TRAINING.model_copy(update={"crop": (48, 72)})})
    with pytest.raises(ConfigError) as caught:
        run(job)
    assert str(caught.value) == (
        "training.crop: [48, 72], expected multiples of 32, the stride of unet\n"
        "  remedy: take a height of 32 or 64 and a width of 64 or 96"
    )


def test_an_epoch_without_steps_is_refused() -> None:
    job = Job(**{**vars(JOB), "training": TRAINING.model_copy(update={"steps": 0})})
    with pytest.raises(ConfigError, match=r"training\.steps: 0, expected the batches of an epoch, at least 1"):
        run(job)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "array", "other network"])
def test_a_checkpoint_that_cannot_be_used_is_put_aside_and_the_next_fit_begins_anew(
    tmp_path: Path, damage: str, finished: Path
) -> None:
    checkpoint = tmp_path / "fit.npz"
    content = finished.read_bytes()
    match damage:
        case "truncated":
            checkpoint.write_bytes(content[: len(content) // 2])
        case "garbage":
            checkpoint.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 9)
        case "empty":
            checkpoint.touch()
        case "array":
            with checkpoint.open("wb") as handle:
                np.save(handle, np.ones(3))
        case "other network":  # the same settings, but the code that they build was another
            with np.load(finished) as arrays:
                changed = {name: array[:1] if array.ndim == 4 else array for name, array in arrays.items()}
            np.savez(checkpoint, **changed)
    before = checkpoint.read_bytes()
    job = Job(**{**vars(JOB), "epochs": 1})
    with pytest.raises(TrainingError, match=r"fit\.npz: a file that this network cannot resume from .*fit\.npz\.unus"):
        run(job, checkpoint=checkpoint)
    assert not checkpoint.exists()
    assert (tmp_path / "fit.npz.unusable").read_bytes() == before


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a whole fit of one epoch."""
    path = tmp_path_factory.mktemp("finished") / "fit.npz"
    run(Job(**{**vars(JOB), "epochs": 1}), checkpoint=path)
    return path
