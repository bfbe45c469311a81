"""Fit one network, and return it with the weights that were best on the validation split.

A fit that is killed at any moment and called again with the same arguments resumes after its last complete
epoch. It ends with the same weights, bit for bit, as a fit that was not killed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras

from segline import models
from segline.errors import ConfigError
from segline.training import backend
from segline.training.fit import batch_sequence
from segline.training.fit.bar import EpochBars
from segline.training.fit.batch_sequence import Batches, ValidationBatches
from segline.training.fit.checkpoint import Checkpoint, History, Progress, assign
from segline.training.fit.epochs import EpochEnd
from segline.training.fit.failures import Memory, explain_failures
from segline.training.fit.fine_tuning import Phase, list_phases, set_trainable
from segline.training.fit.job import Job
from segline.training.fit.seeding import reseed
from segline.training.fit.validation_score import OBJECTIVE, validate
from segline.training.objective import optimizers
from segline.training.objective.deep_supervision import supervise
from segline.training.objective.losses import SegmentationLoss
from segline.training.objective.validation_metrics import MeanIoU
from segline.training.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """A fitted network, with its best weights.

    Args:
        model: its output is logits.
        best_epoch: the epoch of its weights, counted from 1.
        best_miou: validation mIoU after that epoch.
        history: metric name to value for each epoch: loss, miou, val_loss, val_miou,
            learning_rate, images_per_second.
    """

    model: keras.Model
    best_epoch: int
    best_miou: float
    history: History


def fit(
    job: Job,
    *,
    train: Batches,
    validation: ValidationBatches,
    tracker: Tracker,
    checkpoint: Path | None = None,
    diverged: Path | None = None,
    report: Callable[[str], None] = lambda _: None,
    memory: Memory | None = None,
    budget: float | None = None,
    devices: Sequence[str] | None = None,
    xla: bool | None = None,
    until: int | None = None,
) -> FitResult:
    """Train the network of `job` on `train`; choose the best epoch on `validation`.

    Initial weights and dropout depend only on the job's seed, not on random numbers drawn before. Call
    `backend.make_deterministic` at the start of the process for repeatable results. On a terminal a bar
    shows the progress of each epoch.

    Args:
        job: what to fit.
        train: training batches, from step 0 of the fit.
        validation: the split on which the best epoch is chosen.
        tracker: receives the metrics of every epoch.
        checkpoint: file that keeps the progress after each epoch; without it a killed fit starts again. A fit
            that diverges does not change the file.
        diverged: file for the samples of the batch at which the fit diverged, also given to `tracker`;
            default: ``<the checkpoint's name>.diverged.json``.
        report: receives one line of text for each epoch.
        memory: estimates bytes from a batch, to suggest a batch that fits if memory runs out.
        budget: bytes that the fit may take, for the same message.
        devices: devices that share every batch, which changes only the last digits; default: all GPUs that can.
        xla: whether to compile with XLA; default: only if it is faster.
        until: number of epochs after which the fit pauses. Call it again with the same `checkpoint` to go on: the
            weights are those of a fit without a pause. The schedule spans all epochs of `job`.

    Raises:
        ConfigError: the crop does not suit the network.
        DataError: a mask holds an id that is no class of the network.
        TrainingError: a loss or a gradient is NaN or infinite, memory ran out, validation has no labelled
            pixel, or `checkpoint` belongs to another fit or is damaged.
        StorageError: `checkpoint` cannot be written.
    """
    job.check()
    part = job.training.batch // job.training.accumulate
    shared = backend.list_accelerators(part) if devices is None else list(devices)
    _check_devices(job, len(shared))
    classes = job.model_config.classes
    validation_batches = batch_sequence.Sequence(validation, first=0, last=len(validation), classes=classes)
    keeper = None if checkpoint is None else Checkpoint(path=checkpoint, identity=job.identity())
    sources = [validation_batches]
    with (
        explain_failures(job.training, memory=memory, budget=budget, sources=sources),
        backend.spread(shared),
        EpochBars(steps=job.training.steps, batch=job.training.batch) as bars,
    ):
        metric = MeanIoU(classes)
        model = _initialise(job, devices=len(shared))
        phases = list_phases(job, done=keeper.count_epochs() if keeper else 0, until=until)
        _compile(model, job, phases[0], metric, xla=xla)
        epoch_end = EpochEnd(
            job,
            keeper.restore(model) if keeper else Progress(),
            train=train,
            validate=partial(validate, model, validation_batches, metric, devices=len(shared)),
            bars=bars,
            tracker=tracker,
            keeper=keeper,
            diverged=diverged or (checkpoint and checkpoint.with_suffix(".diverged.json")),
            report=report,
        )
        if epoch_end.progress.epochs:
            report(f"resuming after epoch {epoch_end.progress.epochs} of {job.epochs}")
        for phase in phases:
            if phase is not phases[0]:
                report(f"epoch {phase.first + 1}: the encoder is trained from here on")
                _compile(model, job, phase, metric, xla=xla)
            sources.append(_make_training_batches(train, job, phase, done=epoch_end.progress.epochs))
            _run_epochs(model, sources[-1], job, phase, epoch_end)
    # A model that was built for several devices stays bound to them.
    return _make_result(epoch_end.progress, model=model if len(shared) < 2 else _build(job))


def _check_devices(job: Job, count: int) -> None:
    """Refuse parts of batches on several devices, which Keras cannot average over both."""
    if count > 1 and job.training.accumulate > 1:
        raise ConfigError(
            "training.accumulate",
            found=f"{job.training.accumulate}, with {count} devices that share every batch",
            expected="1 with several devices",
            remedy="set training.accumulate to 1: each device already takes a part of the batch",
        )


def _build(job: Job) -> keras.Model:
    with backend.precision(job.training.precision):
        return supervise(models.build(job.model_config))


def _initialise(job: Job, *, devices: int) -> keras.Model:
    """Build the network with its initial weights."""
    keras.utils.set_random_seed(job.seed)
    model = _build(job)
    backend.synchronise(model, devices=devices)
    reseed(model, job.seed)
    models.load_encoder(model, job.model_config)
    return model


def _compile(model: keras.Model, job: Job, phase: Phase, metric: MeanIoU, *, xla: bool | None) -> None:
    """Give the network what trains it in `phase`: trainable weights, optimizer, loss and metric."""
    set_trainable(model, job, phase)
    metric.reset_state()  # Keras does not reset it before it has seen a batch of this phase
    schedule = job.schedule(first=phase.first * job.training.steps)
    rate = 1.0 if phase.frozen else job.model_config.encoder_rate
    model.compile(
        optimizers.build(job.training, schedule, model, encoder_rate=rate),
        loss=SegmentationLoss(job.training.loss, class_weights=job.class_weights),
        metrics=[metric],
        jit_compile=backend.jit_compile(xla),
        auto_scale_loss=False,  # `optimizers.build` scales it
    )


def _make_training_batches(train: Batches, job: Job, phase: Phase, *, done: int) -> batch_sequence.Sequence:
    """Make the batches of `phase` that are left after `done` epochs."""
    steps, parts = job.training.steps, job.training.accumulate
    classes = job.model_config.classes
    first, last = done * steps, max(done, phase.last) * steps
    return batch_sequence.Sequence(train, first=first, last=last, classes=classes, parts=parts)


def _run_epochs(
    model: keras.Model, training_batches: batch_sequence.Sequence, job: Job, phase: Phase, epoch_end: EpochEnd
) -> None:
    """Train from the progress of `epoch_end` to the last epoch of `phase`, if any is left."""
    progress = epoch_end.progress
    if progress.epochs >= phase.last or progress.is_stale(job.training.patience):
        return
    model.fit(
        training_batches,
        initial_epoch=progress.epochs,
        epochs=phase.last,
        steps_per_epoch=job.training.steps * job.training.accumulate,
        shuffle=False,
        verbose=0,
        callbacks=[epoch_end],
    )


def _make_result(progress: Progress, *, model: keras.Model) -> FitResult:
    """Put the best weights into `model`."""
    assign(model.variables, progress.best)
    return FitResult(
        model=models.deployed(model),
        best_epoch=progress.best_epoch,
        best_miou=progress.history[progress.best_epoch - 1][OBJECTIVE],
        history=progress.history,
    )
