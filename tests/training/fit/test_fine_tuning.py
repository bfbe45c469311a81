"""An encoder with initial weights is trained more carefully than the rest; batches in parts take less memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import ValidationError
from recording_tracker import RecordingTracker
from synthetic import CLASSES, Train, Validation

from segline import models
from segline.config import FineTuning, Loss, ModelConfig, Training
from segline.errors import ConfigError
from segline.models import encoders
from segline.training.fit.batch_sequence import Sequence
from segline.training.fit.checkpoint import values
from segline.training.fit.fine_tuning import list_phases
from segline.training.fit.fit import FitResult, fit
from segline.training.fit.job import Job
from segline.training.objective import optimizers
from segline.training.objective.schedule import WarmUpDecay

# Keras 3.15 writes variables in a way that NumPy 2.4 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TRAINING = Training(
    crop=(32, 64), batch=2, steps=2, epochs=4, weight_decay=0.01, warm_up=0.25, dropout=0.3, ema=0.8, threads=1
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "mini_xception.npz"
    encoders.save_weights(encoders.build("mini_xception", output_stride=8), path)
    return str(path)


def job(weights: str | None, *, epochs: int = 4, training: Training = TRAINING, **options: Any) -> Job:
    network: dict[str, Any] = {
        "network": "composed",
        "classes": CLASSES,
        "width": 2,
        "encoder": "mini_xception",
        "decoder": "linknet",
    }
    network["output_stride"] = 8  # a validation image is 24 pixels high
    config = ModelConfig.model_validate({**network, "dropout": 0.3, "weights": weights, **options})
    return Job(model_config=config, training=training, learning_rate=0.01, epochs=epochs, seed=5)


def tuned(**settings: Any) -> Training:
    return TRAINING.model_copy(update={"fine_tuning": FineTuning(**settings)})


class Stopped(RecordingTracker):
    """Ends a fit after it reported some epoch, before that is kept."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._epoch = epoch

    def log_metrics(self, metrics: Any, step: int) -> None:
        if step == self._epoch:
            raise KeyboardInterrupt
        super().log_metrics(metrics, step)


def run(wanted: Job, *, checkpoint: Path | None = None, stop: int | None = None, **options: Any) -> FitResult:
    if stop is not None:
        with pytest.raises(KeyboardInterrupt):
            fit(wanted, train=Train(), validation=Validation(), tracker=Stopped(stop), checkpoint=checkpoint)
    tracker = RecordingTracker()
    return fit(wanted, train=Train(), validation=Validation(), tracker=tracker, checkpoint=checkpoint, **options)


def encoder_weights(model: keras.Model) -> list[Any]:
    return list(values(model.get_layer(encoders.NAME).weights))


def test_an_encoder_is_frozen_first_then_thawed(weights: str) -> None:
    """Both its weights and its statistics. Before, it was either trained from the first step or never."""
    start = models.build(job(weights).model_config)
    models.load_encoder(start, job(weights).model_config)
    lines: list[str] = []
    wanted = job(weights, epochs=2, training=tuned(frozen_epochs=1))
    phases = list_phases(wanted)
    assert [(phase.first, phase.last, phase.frozen) for phase in phases] == [(0, 1, True), (1, 2, False)]
    result = run(wanted, report=lines.append)
    same = [np.array_equal(*both) for both in zip(encoder_weights(start), encoder_weights(result.model), strict=True)]
    assert all(same) == (result.best_epoch == 1)
    assert "epoch 2: the encoder is trained from here on" in lines


@pytest.mark.parametrize("stop", [2, 3, 4])
def test_a_killed_fine_tuning_resumes_to_the_same_weights(weights: str, tmp_path: Path, stop: int) -> None:
    """Killed in the first phase, between the two (after epoch 2 is kept), and in the second phase."""
    wanted = job(weights, training=tuned(frozen_epochs=2), encoder_rate=0.1)
    whole = run(wanted)
    resumed = run(wanted, checkpoint=tmp_path / "fit.npz", stop=stop)
    for one, other in zip(values(whole.model.variables), values(resumed.model.variables), strict=True):
        np.testing.assert_array_equal(one, other)
    drop = "images_per_second"
    assert [{**one, drop: 0} for one in whole.history] == [{**one, drop: 0} for one in resumed.history]


def test_frozen_norms_keep_statistics_scales_and_shifts(weights: str) -> None:
    wanted = job(weights, epochs=1, training=tuned(norms="frozen").model_copy(update={"ema": None}))
    start = models.build(wanted.model_config)
    models.load_encoder(start, wanted.model_config)
    result = run(wanted)
    changed = {
        layer.name: not all(map(np.array_equal, values(other.weights), values(layer.weights)))
        for layer, other in zip(
            result.model.get_layer(encoders.NAME).layers, start.get_layer(encoders.NAME).layers, strict=True
        )
        if layer.weights
    }
    assert {name for name, moved in changed.items() if not moved} == {name for name in changed if "norm" in name}


def test_nothing_is_tuned_without_initial_weights_or_with_frozen_ones(weights: str) -> None:
    settings = tuned(frozen_epochs=2, norms="frozen")
    assert len(list_phases(job(weights, training=settings))) == 2
    for wanted in (job(None, training=settings), job(weights, training=settings, freeze=True)):
        assert [phase.frozen for phase in list_phases(wanted)] == [False]
    assert job(weights, epochs=1, training=settings).frozen_epochs == 0  # at most half of a trial
    assert [phase.first for phase in list_phases(job(weights, training=settings), done=2)] == [0, 2]
    assert [phase.first for phase in list_phases(job(weights, training=settings), done=3)] == [2]


def test_the_rate_rises_again_when_the_encoder_thaws() -> None:
    schedule = WarmUpDecay(1.0, steps=10, warm_up=2, decay="constant", thaw=4)
    assert [float(schedule(step)) for step in range(8)] == [0.5, 1, 1, 1, 0.5, 1, 1, 1]
    later = WarmUpDecay(1.0, steps=10, warm_up=2, decay="constant", thaw=4, first=4)
    assert [float(later(step)) for step in range(3)] == [0.5, 1, 1]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_encoder_moves_by_its_share_of_the_rate(optimizer: str) -> None:
    """Both the step and the weight decay; the rest of the network moves as without a share."""
    model = models.build(job(None).model_config)
    inner = {id(variable) for variable in model.get_layer(encoders.NAME).trainable_variables}
    before = values(model.trainable_variables)
    gradients = [keras.ops.ones(variable.shape) for variable in model.trainable_variables]
    training = TRAINING.model_copy(update={"optimizer": optimizer, "ema": None})
    moved = {}
    for rate in (1.0, 0.1):
        for variable, value in zip(model.trainable_variables, before, strict=True):
            variable.assign(value)
        optimizers.build(training, WarmUpDecay(0.1, steps=9), model, encoder_rate=rate).apply(
            gradients, model.trainable_variables
        )
        moved[rate] = [now - then for now, then in zip(values(model.trainable_variables), before, strict=True)]
    for variable, one, other in zip(model.trainable_variables, moved[1.0], moved[0.1], strict=True):
        np.testing.assert_allclose(other, one * (0.1 if id(variable) in inner else 1.0), rtol=1e-2, atol=1e-6)


def test_weight_decay_leaves_every_vector_alone() -> None:
    """Biases, scales and shifts, by their shape: before, by the names that Keras gives them."""
    model = models.build(job(None).model_config)
    optimizer = optimizers.build(TRAINING, WarmUpDecay(0.1, steps=9), model)
    for variable in model.trainable_variables:
        assert optimizer._use_weight_decay(variable.value) == (len(variable.shape) > 1)


def test_parts_of_a_batch_add_up_to_its_gradient() -> None:
    """Without batch norm and dropout, with a loss that is a mean over equally many labelled pixels."""
    network = ModelConfig(network="unet", classes=CLASSES, width=2, depth=2, dropout=0.0, batch_norm=False)
    loss = Loss(cross_entropy=1.0, dice=0.0)
    found = []
    for parts in (1, 2):
        training = TRAINING.model_copy(update={"accumulate": parts, "loss": loss, "clip": 1.0, "optimizer": "sgd"})
        wanted = Job(model_config=network, training=training, learning_rate=0.05, epochs=2, seed=5)
        found.append(run(wanted))
    for one, other in zip(*(values(result.model.variables) for result in found), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    for one, other in zip(*(result.history for result in found), strict=True):
        assert one["learning_rate"] == other["learning_rate"]
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_a_fit_in_parts_resumes_to_the_same_weights(tmp_path: Path) -> None:
    network = ModelConfig(network="unet", classes=CLASSES, width=2, depth=2, dropout=0.3)
    training = TRAINING.model_copy(update={"accumulate": 2})
    wanted = Job(model_config=network, training=training, learning_rate=0.01, epochs=3, seed=5)
    whole, resumed = run(wanted), run(wanted, checkpoint=tmp_path / "fit.npz", stop=3)
    for one, other in zip(values(whole.model.variables), values(resumed.model.variables), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_batch_is_made_once_for_all_its_parts() -> None:
    made = []

    class Counting(Train):
        def batch(self, step: int) -> Any:
            made.append(step)
            return super().batch(step)

    parts = Sequence(Counting(), first=3, last=5, classes=CLASSES, parts=2)
    images = np.concatenate([parts[index][0] for index in range(len(parts))])
    np.testing.assert_array_equal(images, np.concatenate([Train().batch(number)[0] for number in (3, 4)]))
    assert made == [3, 4]


def test_parts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValidationError, match="to divide `batch` 3"):
        Training(batch=3, accumulate=2, threads=1)
    with pytest.raises(ValidationError, match="float16"):
        Training(batch=4, accumulate=2, precision="mixed_float16", threads=1)
    training = TRAINING.model_copy(update={"accumulate": 2})
    with pytest.raises(ConfigError, match="devices that share every batch"):
        run(replace(job(None), training=training), devices=["CPU:0", "CPU:1"])
