"""Fit one network, and end with the weights that were best on the validation split.

Killed at any moment and called again with the same arguments, a fit goes on after its last whole
epoch and ends with the same weights, bit for bit, as one that was left alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from segline import models
from segline.config import ModelConfig, Training
from segline.training import batches, optimizers
from segline.training.backend import jit_compile, precision
from segline.training.batches import TrainBatches, ValidationBatches
from segline.training.checkpoint import Checkpoint, History, Progress, assign
from segline.training.epochs import OBJECTIVE, EpochEnd
from segline.training.losses import SegmentationLoss
from segline.training.metrics import MeanIoU
from segline.training.schedule import WarmUpDecay
from segline.training.seeding import reseed
from segline.training.supervision import supervised
from segline.training.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """A fitted network, with its best weights.

    Args:
        model: its output is logits.
        best_epoch: the epoch its weights are from, counted from 1.
        best_miou: validation mIoU after that epoch.
        history: metric name to value for each epoch: loss, miou, val_loss, val_miou,
            learning_rate, images_per_second.
    """

    model: keras.Model
    best_epoch: int
    best_miou: float
    history: History


def fit(
    model_config: ModelConfig,
    training: Training,
    *,
    learning_rate: float,
    epochs: int,
    train: TrainBatches,
    validation: ValidationBatches,
    seed: int,
    tracker: Tracker,
    class_weights: Sequence[float] | None = None,
    checkpoint: Path | None = None,
    report: Callable[[str], None] = lambda _: None,
    bar: bool = False,
) -> FitResult:
    """Train the network of `model_config` from scratch on `train`, choosing by `validation`.

    `seed` alone decides the first weights and what dropout drops: what the process drew before does
    not matter. Call `backend.make_deterministic` at the start of the process for repeatable arithmetic.

    Args:
        model_config: the network; its own dropout holds, not that of `training`.
        training: batch, steps, weight decay and warm-up; `epochs` and `learning_rate` are given apart.
        learning_rate: the peak of the schedule.
        epochs: how many; the schedule spans them.
        train: training batches, from step 0 of the fit.
        validation: the split that chooses.
        seed: of first weights and dropout.
        tracker: hears of every epoch's metrics.
        class_weights: of the cross-entropies, by train id (`losses.balanced_weights`); none for equal ones.
        checkpoint: file that keeps the progress after each epoch; without it a kill loses all.
        report: takes one line of text an epoch.
        bar: show Keras's progress bar on standard output.

    Raises:
        TrainingError: the loss is no number any more, validation has no labelled pixel, or
            `checkpoint` belongs to another fit.
        StorageError: `checkpoint` cannot be written.
    """
    keras.utils.set_random_seed(seed)
    schedule = _schedule(training, learning_rate=learning_rate, epochs=epochs)
    metric = MeanIoU(model_config.classes)
    model = _compiled(model_config, training, schedule, metric, class_weights=class_weights, seed=seed)
    keeper = None
    if checkpoint is not None:
        keeper = Checkpoint(
            path=checkpoint, identity=_identity(model_config, training, learning_rate, epochs, seed, class_weights)
        )
    progress = keeper.restore(model) if keeper else Progress()
    if progress.epochs:
        report(f"going on after epoch {progress.epochs} of {epochs}")
    epoch_end = EpochEnd(
        progress,
        epochs=epochs,
        steps=training.steps,
        batch=training.batch,
        patience=training.patience,
        schedule=schedule,
        validation=batches.Sequence(validation, first=0, last=len(validation)),
        metric=metric,
        tracker=tracker,
        keeper=keeper,
        report=report,
    )
    if progress.epochs < epochs and not progress.is_stale(training.patience):
        model.fit(
            batches.Sequence(train, first=progress.epochs * training.steps, last=epochs * training.steps),
            initial_epoch=progress.epochs,
            epochs=epochs,
            steps_per_epoch=training.steps,
            shuffle=False,
            verbose=1 if bar else 0,
            callbacks=[epoch_end],
        )
    return _result(model, epoch_end.progress)


def _schedule(training: Training, *, learning_rate: float, epochs: int) -> WarmUpDecay:
    steps = epochs * training.steps
    return WarmUpDecay(learning_rate, steps=steps, warm_up=round(training.warm_up * steps), decay=training.schedule)


def _compiled(
    model_config: ModelConfig,
    training: Training,
    schedule: WarmUpDecay,
    metric: MeanIoU,
    *,
    class_weights: Sequence[float] | None,
    seed: int,
) -> keras.Model:
    """The network with its first weights, optimizer, loss and metric."""
    with precision(training.precision):
        model = supervised(models.build(model_config))
    reseed(model, seed)
    models.load_encoder(model, model_config)
    model.compile(
        optimizers.build(training, schedule, model),
        loss=SegmentationLoss(training.loss, class_weights=class_weights),
        metrics=[metric],
        jit_compile=jit_compile(),
        auto_scale_loss=False,  # `optimizers` says where it is
    )
    return model


def _identity(
    model_config: ModelConfig,
    training: Training,
    learning_rate: float,
    epochs: int,
    seed: int,
    class_weights: Sequence[float] | None,
) -> dict[str, Any]:
    return {
        "model": model_config.model_dump(mode="json", exclude={"weights"}),
        "weights": models.weights_digest(model_config.weights),
        "training": training.model_dump(mode="json"),
        "learning_rate": learning_rate,
        "epochs": epochs,
        "class_weights": None if class_weights is None else list(class_weights),
        "seed": seed,
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
    }


def _result(model: keras.Model, progress: Progress) -> FitResult:
    assign(model.variables, progress.best)
    return FitResult(
        model=models.deployed(model),
        best_epoch=progress.best_epoch,
        best_miou=progress.history[progress.best_epoch - 1][OBJECTIVE],
        history=progress.history,
    )
