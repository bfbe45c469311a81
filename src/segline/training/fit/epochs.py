"""The work after each epoch of a fit: checks, validation, the best weights, tracker, checkpoint, one line."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from segline.progress import duration
from segline.training.fit.bar import EpochBars
from segline.training.fit.batch_sequence import Batches
from segline.training.fit.checkpoint import Checkpoint, Progress, assign, values
from segline.training.fit.failures import Divergence
from segline.training.fit.job import Job
from segline.training.fit.validation_score import OBJECTIVE
from segline.training.objective.optimizers import find_bad_step, list_averages
from segline.training.tracker import Tracker


class EpochEnd(keras.callbacks.Callback):
    """Keras callback that follows a fit and keeps its `progress`.

    Each epoch is tracked before its checkpoint is written. If the process is killed between the two, the tracker
    gets the epoch twice. In the other order, the tracker would never get it.
    """

    async_safe = True
    """Let Keras call this callback from another thread. In the main thread, reading the loss would stall a GPU."""

    def __init__(
        self,
        job: Job,
        progress: Progress,
        *,
        train: Batches,
        validate: Callable[[], dict[str, float]],
        bars: EpochBars,
        tracker: Tracker,
        keeper: Checkpoint | None,
        diverged: Path | None,
        report: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.progress = progress
        self._job, self._steps, self._schedule = job, job.training.steps, job.schedule()
        self._train, self._validate = train, validate
        self._bars, self._tracker, self._report = bars, tracker, report
        self._keeper, self._diverged = keeper, diverged
        self._losses: dict[int, float] = {}
        self._started = self._first = time.monotonic()
        self._epochs_before = progress.epochs

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Start the clock and the progress bar."""
        self._losses = {}
        self._started = time.monotonic()
        history = self.progress.history
        self._bars.begin(
            f"epoch {epoch + 1}/{self._job.epochs}",
            epochs_left=self._job.epochs - epoch,
            last=history[-1][OBJECTIVE] if history else None,
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Remember the loss so far, and end the epoch at once if it is not finite."""
        step = batch // self._job.training.accumulate
        self._losses[step] = logs["loss"]  # the running mean: it never becomes finite again
        if not math.isfinite(logs["loss"]):
            self.model.stop_training = True
        self._bars.step(step + 1, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Check the numbers, validate, compare with the best epoch; then track, save and report."""
        self._check_finite()
        keras.ops.convert_to_numpy(self.model.metrics[0].result())  # waits for the device
        seconds = time.monotonic() - self._started
        self._bars.validate()
        with self._averaged():
            metrics = self._collect_metrics({**logs, **self._validate()}, seconds)
            self.progress = self.progress.after(metrics, self.model, objective=OBJECTIVE)
        self._bars.end()
        self._tracker.log_metrics(metrics, step=self.progress.epochs)
        if self._keeper:
            self._keeper.write(self.progress, self.model)
        self._report(self._describe_epoch(metrics))
        if self.progress.is_stale(self._job.training.patience):
            self._report(f"stopped early: no better epoch in the last {self._job.training.patience}")
            self.model.stop_training = True

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Use the moving averages as weights inside the block, if they are kept; then restore the weights."""
        moving = list_averages(self.model.optimizer)
        weights = self.model.trainable_variables if moving else []
        before = values(weights)
        assign(weights, values(moving))
        try:
            yield
        finally:
            assign(weights, before)

    def _collect_metrics(self, logs: Mapping[str, Any], seconds: float) -> dict[str, float]:
        metrics = {name: float(value) for name, value in logs.items()}
        if not math.isfinite(metrics["val_loss"]):
            raise self._report_divergence(self._steps - 1, f"validation loss {metrics['val_loss']}")
        metrics["learning_rate"] = self._learning_rate(self._steps - 1)
        metrics["images_per_second"] = self._steps * self._job.training.batch / max(seconds, 1e-9)
        return metrics

    def _learning_rate(self, step: int) -> float:
        """Return the learning rate at `step` of the current epoch."""
        return float(keras.ops.convert_to_numpy(self._schedule(self._done + step)))

    @property
    def _done(self) -> int:
        """Count the steps of the epochs before."""
        return self.progress.epochs * self._steps

    def _check_finite(self) -> None:
        """Raise an error for the first step whose loss or gradient was not finite.

        A bad gradient comes one step before the bad loss that it causes.
        """
        bad = {step: f"loss {loss}" for step, loss in self._losses.items() if not math.isfinite(loss)}
        gradient = find_bad_step(self.model.optimizer)
        if gradient is not None:
            bad.setdefault(gradient - self._done, "a gradient that is NaN or infinite")
        if bad:
            raise self._report_divergence(min(bad), bad[min(bad)])

    def _report_divergence(self, step: int, what: str) -> Exception:
        error = Divergence(
            what=what,
            epoch=self.progress.epochs + 1,
            step=step + 1,
            steps=self._steps,
            learning_rate=self._learning_rate(step),
            ids=self._train.ids(self._done + step),
        ).error(self._diverged)
        if self._diverged is not None:
            self._tracker.log_artifact(self._diverged)
        return error

    def _describe_epoch(self, metrics: Mapping[str, float]) -> str:
        now = time.monotonic()
        done, epochs = self.progress.epochs - self._epochs_before, self._job.epochs
        left = (now - self._first) / done * (epochs - self.progress.epochs)
        best = " (best)" if self.progress.best_epoch == self.progress.epochs else ""
        return (
            f"epoch {self.progress.epochs}/{epochs}: loss {metrics['loss']:.4f}, "
            f"validation mIoU {metrics[OBJECTIVE]:.4f}{best}, {metrics['images_per_second']:.1f} images/s, "
            f"{duration(left)} left"
        )
