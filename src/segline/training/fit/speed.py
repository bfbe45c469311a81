"""Measure how fast a network is trained on this machine: a short fit on noise."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from segline.training.fit.batch_sequence import Batch
from segline.training.fit.fit import fit
from segline.training.fit.job import Job

_STEPS = 4  # in each epoch
_EPOCHS = 3  # the first is not counted, because the network is traced in it


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Times of a fit, seconds.

    Args:
        step: of a training step.
        validation: of a validation batch of whole images.
    """

    step: float
    validation: float


def measure(job: Job, *, size: tuple[int, int], images: int) -> Speed:
    """Fit the network of `job` on a few batches of noise, and take the times of its steps.

    Noise is as much arithmetic as images. The time to read images is not counted: other processes do that meanwhile.

    Args:
        job: with the crop, the batch and all else of the training; its weights and epochs do not matter.
        size: height and width of a validation image, multiples of the network's stride.
        images: number of images in a validation batch.
    """
    training = job.training
    short = replace(
        job, training=training.model_copy(update={"steps": _STEPS, "patience": None}), epochs=_EPOCHS, seed=1
    )
    classes, clock = job.model_config.classes, _Clock()
    result = fit(
        short,
        train=_Noise(training.batch, training.crop, classes),
        validation=_Noise(images, size, classes),
        tracker=clock,
    )
    counted = result.history[1:]
    step = float(np.mean([training.batch / epoch["images_per_second"] for epoch in counted]))
    epochs = np.diff(clock.ends)
    return Speed(step=step, validation=max(0.0, float(np.mean(epochs)) - _STEPS * step) / len(_Noise.KEYS))


class _Noise:
    """Batches of random images and masks."""

    KEYS = range(2)

    def __init__(self, batch: int, size: tuple[int, int], classes: int) -> None:
        shape = (batch, *size)
        generator = np.random.default_rng(1)
        self._batch: Batch = (
            generator.integers(0, 256, (*shape, 3), np.uint8),
            generator.integers(0, classes, shape, np.uint8),
        )

    def __len__(self) -> int:
        return len(self.KEYS)

    def batch(self, _: int) -> Batch:
        return self._batch

    def ids(self, _: int) -> list[str]:
        return ["noise"] * len(self._batch[0])


class _Clock:
    """A tracker that notes when each epoch ends, its validation included."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def log_params(self, params: Mapping[str, object]) -> None:
        """Forget them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:  # noqa: ARG002
        self.ends.append(time.monotonic())

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Forget it."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Forget them."""

    @contextmanager
    def child(self, key: str, name: str) -> Iterator[Self]:  # noqa: ARG002
        yield self
