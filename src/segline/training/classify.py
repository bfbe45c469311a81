"""Train an encoder on the classification task of the same data, for segmentation to begin with.

Girshick et al. 2014 (arXiv:1311.2524) and most since: what tells classes of whole images apart is a
better start than drawn weights. It is a fit like any other (`segline.training.fit`), whose masks have
one pixel an image: killed and called again, it goes on and ends with the same weights.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from segline.config import CLASSIFIER, Classification, Loss, ModelConfig, Training
from segline.core.confusion import Counts, confusion, f1, macro_f1, pixel_accuracy, precision, recall
from segline.errors import ConfigError
from segline.models import encoders
from segline.storage import atomic_file
from segline.training.batches import Batch, ValidationBatches
from segline.training.fit import fit
from segline.training.job import Job
from segline.training.memory import budget, by_batch
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


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How well whole images of the validation split are told apart.

    Args:
        counts: int64 (C, C + 1), a confusion matrix as `segline.core.confusion` has it, of images.
        best_epoch: the epoch whose weights they are of, counted from 1.
    """

    classes: ImageClasses
    encoder: str
    counts: Counts
    best_epoch: int

    def summary(self) -> dict[str, Any]:
        """Plain values for JSON; None where a ratio is undefined."""
        columns = {"precision": precision, "recall": recall, "f1": f1}
        ratios = {name: column(self.counts) for name, column in columns.items()}
        return {
            "task": self.classes.task,
            "encoder": self.encoder,
            "best_epoch": self.best_epoch,
            "images": int(self.counts.sum()),
            "accuracy": pixel_accuracy(self.counts),
            "macro_f1": float(macro_f1(self.counts)),
            "per_class": {
                name: {"images": int(self.counts[place].sum())}
                | {key: None if np.isnan(value[place]) else float(value[place]) for key, value in ratios.items()}
                for place, name in enumerate(self.classes.names)
            },
            "confusion": self.counts.tolist(),
        }


def metrics(summary: dict[str, Any]) -> dict[str, float]:
    """What of a summary is compared between runs."""
    of_classes = {
        f"{key}/{name}": row[key]
        for name, row in summary["per_class"].items()
        for key in ("precision", "recall", "f1")
        if row[key] is not None
    }
    return {"accuracy": summary["accuracy"], "macro_f1": summary["macro_f1"], **of_classes}


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
        The scores, as ``<folder>/<encoder>.json`` holds them: accuracy, macro-F1, and per class.

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
        counts = _counts(result.model, answers, classes=len(classes.names))
        scores = Scores(classes=classes, encoder=encoder, counts=counts, best_epoch=result.best_epoch)
        with atomic_file(stored) as partial:
            partial.write_text(json.dumps(scores.summary(), indent=2) + "\n", encoding="utf-8")
    summary: dict[str, Any] = json.loads(stored.read_text(encoding="utf-8"))
    tracker.log_metrics(metrics(summary), step=settings.epochs)  # again after a kill: it may have come before this
    for path in (weights, stored):
        tracker.log_artifact(path)
    report(f"accuracy {summary['accuracy']:.4f}, macro-F1 {summary['macro_f1']:.4f} of {len(classes.names)} classes")
    return summary


def _counts(model: keras.Model, batches: ValidationBatches, *, classes: int) -> Counts:
    """The confusion matrix of the split's images."""
    total = np.zeros((classes, classes + 1), dtype=np.int64)
    for number in range(len(batches)):
        images, truth = batches.batch(number)
        logits = keras.ops.convert_to_numpy(model.predict_on_batch(images))
        total += confusion(truth, logits.argmax(axis=-1).astype(np.uint8), classes=classes)
    return total
