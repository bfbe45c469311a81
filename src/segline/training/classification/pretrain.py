"""Train an encoder on the classification task of the same data, for segmentation to begin with.

Girshick et al. 2014 (arXiv:1311.2524) and most since: what tells classes of whole images apart is a
better start than drawn weights. It is a fit like any other (`segline.training.fit.fit`), whose masks have
one pixel an image: killed and called again, it goes on and ends with the same weights.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from segline.config import CLASSIFIER, Classification, Loss, ModelConfig, Training
from segline.errors import ConfigError
from segline.models import encoders
from segline.storage import atomic_file
from segline.training.classification.classifier_scores import count, metrics, said
from segline.training.fit.batch_sequence import Batch
from segline.training.fit.fit import fit
from segline.training.fit.job import Job
from segline.training.fit.memory_estimate import budget, by_batch
from segline.training.tracker import Tracker

_MOST = 254  # an image's class is a mask's pixel, whose highest id is void


class NamedBatches(Protocol):
    """Batches that know which samples are in them."""

    def batch(self, number: int, /) -> Batch:
        """Images and masks of batch `number`."""

    def ids(self, number: int, /) -> list[str]:
        """Names of its samples, in the same order."""


class CountedBatches(NamedBatches, Protocol):
    """The same, of a split."""

    def __len__(self) -> int:
        """How many batches there are."""


@dataclass(frozen=True, kw_only=True)
class ImageClasses:
    """What whole images are told apart by.

    Args:
        task: what it is called: breed.
        names: of the classes, by train id.
        label: a sample's id -> the name of its class.
    """

    task: str
    names: tuple[str, ...]
    label: Callable[[str], str]

    def masks(self, ids: Sequence[str]) -> Any:
        """Train ids of the samples' classes, uint8 (N, 1, 1): the truth of a classifier's logits."""
        return np.array([[[self.names.index(self.label(name))]] for name in ids], dtype=np.uint8)


def image_classes(task: str, label: Callable[[str], str], ids: Sequence[str]) -> ImageClasses:
    """The classes that occur among the samples `ids`, in the order of their names.

    Raises:
        ConfigError: fewer than two, or more than a mask can tell apart.
    """
    names = tuple(sorted({label(name) for name in ids}))
    if not 2 <= len(names) <= _MOST:
        raise ConfigError(
            "params.yaml classification.task",
            found=f"{task}, with {len(names)} classes in the data ({', '.join(names[:3])})",
            expected=f"2 to {_MOST} classes to tell apart",
            remedy="choose another task, or other search.weights",
        )
    return ImageClasses(task=task, names=names, label=label)


class Labelled:
    """Batches of a segmentation task, with what the whole images show instead of their masks."""

    def __init__(self, batches: NamedBatches, classes: ImageClasses) -> None:
        self._batches, self._classes = batches, classes

    def batch(self, number: int) -> Batch:
        """Images uint8 (N, H, W, 3) and their classes uint8 (N, 1, 1)."""
        images, _ = self._batches.batch(number)
        return images, self._classes.masks(self.ids(number))

    def ids(self, number: int) -> list[str]:
        """Names of the samples in batch `number`."""
        return self._batches.ids(number)


class LabelledSplit(Labelled):
    """The same of a split, once, in a fixed order."""

    def __init__(self, batches: CountedBatches, classes: ImageClasses) -> None:
        super().__init__(batches, classes)
        self._count = len(batches)

    def __len__(self) -> int:
        return self._count


def pretrain(
    encoder: str,
    training: Training,
    settings: Classification,
    *,
    classes: ImageClasses,
    train: NamedBatches,
    validation: CountedBatches,
    seed: int,
    tracker: Tracker,
    folder: Path,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Train `encoder` on whole images, and keep its best weights in ``<folder>/<encoder>.npz``.

    The epoch is chosen by the mean Jaccard index of the classes on validation: what ``miou`` is, where a
    mask is one pixel. Scores are those of that epoch.

    Args:
        training: crop, batch, steps, optimizer and all else that `settings` does not say; its loss but for
            the label smoothing is for masks.
        train: as for a segmentation fit.
        validation: the same.
        tracker: hears of every epoch, and of the scores; gets the two files.

    Returns:
        What ``<folder>/<encoder>.json`` holds: ``task``, ``encoder``, ``best_epoch``, counted from 1, and
        `segline.training.classification.classifier_scores.Scores.summary`.

    Raises:
        TrainingError: as for `fit`.
        StorageError: `folder` cannot be written.
    """
    weights, stored = folder / f"{encoder}.npz", folder / f"{encoder}.json"
    answers = LabelledSplit(validation, classes)
    if not stored.is_file():
        config = ModelConfig(network=CLASSIFIER, classes=len(classes.names), encoder=encoder, dropout=training.dropout)
        loss = Loss(dice=0.0, label_smoothing=training.loss.label_smoothing)
        job = Job(
            model_config=config,
            training=training.model_copy(update={"loss": loss}),
            learning_rate=settings.learning_rate,
            epochs=settings.epochs,
            seed=seed,
        )
        result = fit(
            job,
            train=Labelled(train, classes),
            validation=answers,
            tracker=tracker,
            checkpoint=folder / f"{encoder}.checkpoint.npz",
            report=report,
            memory=by_batch(job),
            budget=budget(training),
        )
        encoders.save_weights(result.model.get_layer(encoders.NAME), weights)
        found = count(result.model, answers, names=classes.names).summary()
        content = {"task": classes.task, "encoder": encoder, "best_epoch": result.best_epoch, **found}
        with atomic_file(stored) as partial:
            partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    summary: dict[str, Any] = json.loads(stored.read_text(encoding="utf-8"))
    tracker.log_metrics(metrics(summary), step=settings.epochs)  # again after a kill: it may have come before this
    for path in (weights, stored):
        tracker.log_artifact(path)
    for line in said(summary):
        report(line)
    return summary
