"""What happens after each epoch of a fit: checks, the best weights, tracker, checkpoint, one line."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from segline.errors import TrainingError
from segline.training.batches import Sequence
from segline.training.checkpoint import Checkpoint, Progress, assign, values
from segline.training.metrics import MeanIoU, mean_iou
from segline.training.optimizers import averages
from segline.training.schedule import WarmUpDecay
from segline.training.tracker import Tracker

OBJECTIVE = "val_miou"
"""The metric that chooses: mean IoU over the whole validation split, on the prepared scale."""


class EpochEnd(keras.callbacks.Callback):
    """Follows a fit; `progress` says where it stands.

    The tracker comes before the checkpoint: a kill between the two makes it hear of the epoch
    twice, the other way round it would never hear of it.
    """

    async_safe = True
    """Keras may read a batch's loss in another thread: read in its own, it stalls a GPU at every step."""

    def __init__(
        self,
        progress: Progress,
        *,
        epochs: int,
        steps: int,
        batch: int,
        patience: int | None,
        schedule: WarmUpDecay,
        validation: Sequence,
        metric: MeanIoU,
        tracker: Tracker,
        keeper: Checkpoint | None,
        report: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.progress = progress
        self._epochs, self._steps, self._batch, self._schedule = epochs, steps, batch, schedule
        self._patience = patience
        self._validation, self._metric = validation, metric
        self._tracker, self._keeper, self._report = tracker, keeper, report
        self._losses: dict[int, float] = {}
        self._started = self._first = self._validated = time.monotonic()
        self._epochs_before = progress.epochs

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self._losses = {}
        self._started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Remember the loss so far."""
        self._losses[batch] = logs["loss"]  # the running mean: once no number, it stays none

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Check, validate, compare with the best, then tell the tracker, the file and the person."""
        self._check_loss()
        keras.ops.convert_to_numpy(self.model.metrics[0].result())  # waits for the device
        self._validated = time.monotonic()
        with self._averaged():
            metrics = self._metrics({**logs, **self._validate()})
            self.progress = self.progress.after(metrics, self.model, objective=OBJECTIVE)
        self._tracker.log_metrics(metrics, step=self.progress.epochs)
        if self._keeper:
            self._keeper.write(self.progress, self.model)
        self._report(self._line(metrics))
        if self.progress.is_stale(self._patience):
            self._report(f"no better epoch in {self._patience}: ended early")
            self.model.stop_training = True

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the moving averages in the weights' place, where they are kept, and the weights back."""
        moving = averages(self.model.optimizer)
        weights = self.model.trainable_variables if moving else []
        before = values(weights)
        assign(weights, values(moving))
        try:
            yield
        finally:
            assign(weights, before)

    def _validate(self) -> dict[str, float]:
        """The metrics of the validation split, by counts over all of it.

        Keras's own ``validation_data`` takes the first batches' sizes for those of all; whole images
        of other sizes follow. Its ``test_on_batch`` resets the metrics each time: counts are added here.
        """
        counts = np.zeros((2, self._metric.classes), np.int64)
        losses, sizes = [], []
        for images, masks in (self._validation[index] for index in range(len(self._validation))):
            losses.append(float(self.model.test_on_batch(images, masks, return_dict=True)["loss"]))
            sizes.append(len(images))
            counts += self._metric.counts()
        return {"val_loss": float(np.average(losses, weights=sizes)), OBJECTIVE: mean_iou(counts)}

    def _metrics(self, logs: Mapping[str, Any]) -> dict[str, float]:
        metrics = {name: float(value) for name, value in logs.items()}
        if not math.isfinite(metrics[OBJECTIVE]):
            raise TrainingError(
                f"epoch {self.progress.epochs + 1}",
                found="no labelled pixel in the validation split",
                expected="a split to choose weights by",
                remedy="look at the masks, or raise prepare.validation_share",
            )
        seconds = max(self._validated - self._started, 1e-9)
        metrics["learning_rate"] = self._learning_rate(self._steps - 1)
        metrics["images_per_second"] = self._steps * self._batch / seconds
        return metrics

    def _learning_rate(self, step: int) -> float:
        """The learning rate at `step` of the epoch under way."""
        done = self.progress.epochs * self._steps
        return float(keras.ops.convert_to_numpy(self._schedule(done + step)))

    def _check_loss(self) -> None:
        bad = [step for step, loss in self._losses.items() if not math.isfinite(loss)]
        if not bad:
            return
        step = min(bad)
        raise TrainingError(
            f"epoch {self.progress.epochs + 1}, step {step + 1} of {self._steps}",
            found=f"loss {self._losses[step]} at learning rate {self._learning_rate(step):.3g}",
            expected="a finite loss",
            remedy="lower search.learning_rate, or raise training.warm_up",
        )

    def _line(self, metrics: Mapping[str, float]) -> str:
        now = time.monotonic()
        done = self.progress.epochs - self._epochs_before
        left = (now - self._first) / done * (self._epochs - self.progress.epochs)
        best = " (best)" if self.progress.best_epoch == self.progress.epochs else ""
        return (
            f"epoch {self.progress.epochs}/{self._epochs}: loss {metrics['loss']:.4f}, "
            f"validation mIoU {metrics[OBJECTIVE]:.4f}{best}, {metrics['images_per_second']:.1f} images/s, "
            f"{_duration(left)} left"
        )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s"
