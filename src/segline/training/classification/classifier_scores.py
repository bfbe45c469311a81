"""Scores of a classifier of whole images: counts over a split, and the figures computed from them."""

from dataclasses import dataclass

import keras
import numpy as np

from segline.config import Strict
from segline.core.metrics.confusion import Counts, Ratios, confusion, f1, macro_f1, pixel_accuracy, precision, recall
from segline.core.metrics.top_k import ranks, top_k_accuracy
from segline.training.fit.batch_sequence import ValidationBatches

_MAX_SHOWN = 3  # of the lowest scores and of the most frequent confusions


class ClassScores(Strict):
    """Scores of one class; None for a ratio that is undefined."""

    images: int
    precision: float | None
    recall: float | None
    f1: float | None


class ClassifierScores(Strict):
    """The content of ``<encoder>.json``: scores of an encoder that was trained to classify whole images.

    ``top_k`` is the k of ``top_k_accuracy``. Both are None for two classes, because the top 2 would always be
    right. ``confusion`` and ``places`` are those of `AnswerCounts`.
    """

    task: str
    encoder: str
    best_epoch: int
    images: int
    accuracy: float
    top_k: int | None
    top_k_accuracy: float | None
    macro_f1: float
    per_class: dict[str, ClassScores]
    confusion: tuple[tuple[int, ...], ...]
    places: tuple[int, ...]

    def metrics(self) -> dict[str, float]:
        """Return the metrics that are compared between runs. The name of top-k accuracy holds k: ``top_5_accuracy``."""
        ratios = {
            f"{key}/{name}": value
            for name, scores in self.per_class.items()
            for key, value in scores.model_dump(exclude={"images"}, exclude_none=True).items()
        }
        top_k = {} if self.top_k_accuracy is None else {f"top_{self.top_k}_accuracy": self.top_k_accuracy}
        return {"accuracy": self.accuracy, **top_k, "macro_f1": self.macro_f1, **ratios}

    def describe(self) -> list[str]:
        """Format the scores as lines of text: accuracy and F1, the worst classes, the most frequent confusions."""
        names = list(self.per_class)
        top_k = "" if self.top_k_accuracy is None else f"top-{self.top_k} accuracy {self.top_k_accuracy:.4f}, "
        lines = [
            f"accuracy {self.accuracy:.4f}, {top_k}macro-F1 {self.macro_f1:.4f} "
            f"of {len(names)} classes and {self.images} images"
        ]
        worst = sorted((scores.f1, name) for name, scores in self.per_class.items() if scores.f1 is not None)
        lines.append("lowest F1: " + ", ".join(f"{name} {value:.4f}" for value, name in worst[:_MAX_SHOWN]))
        wrong = np.array(self.confusion)[:, : len(names)]
        np.fill_diagonal(wrong, 0)
        places = [divmod(int(place), len(names)) for place in np.argsort(-wrong, axis=None, kind="stable")[:_MAX_SHOWN]]
        confused = [f"{names[true]} as {names[answer]} ({wrong[true, answer]})" for true, answer in places]
        shown = confused[: int(np.count_nonzero(wrong))]
        title = "most frequent confusions (true class as predicted class): "
        return [*lines, title + ", ".join(shown)] if shown else lines


@dataclass(frozen=True, kw_only=True)
class AnswerCounts:
    """A classifier's predictions on a split, as counts of images.

    Args:
        names: names of the classes, by train id.
        confusion: int64 (C, C + 1), a confusion matrix as in `segline.core.metrics.confusion`, of images.
        places: int64 (C,), entry i: number of images whose true class has the logit of rank i, 0 for the highest.
    """

    names: tuple[str, ...]
    confusion: Counts
    places: Counts

    def score(self, *, task: str, encoder: str, best_epoch: int) -> ClassifierScores:
        """Compute the scores."""
        k = choose_k(len(self.names))
        ratios = (_list_defined(ratio(self.confusion)) for ratio in (precision, recall, f1))
        rows = zip(self.names, self.confusion, *ratios, strict=True)
        return ClassifierScores(
            task=task,
            encoder=encoder,
            best_epoch=best_epoch,
            images=int(self.confusion.sum()),
            accuracy=pixel_accuracy(self.confusion),
            top_k=k,
            top_k_accuracy=None if k is None else top_k_accuracy(self.places, k),
            macro_f1=float(macro_f1(self.confusion)),
            per_class={
                name: ClassScores(images=int(row.sum()), precision=of_answers, recall=of_truth, f1=of_both)
                for name, row, of_answers, of_truth, of_both in rows
            },
            confusion=tuple(map(tuple, self.confusion.tolist())),
            places=tuple(self.places.tolist()),
        )


def _list_defined(ratios: Ratios) -> list[float | None]:
    """Replace NaN, an undefined ratio, by None."""
    return [None if np.isnan(value) else float(value) for value in ratios]


def choose_k(classes: int) -> int | None:
    """Choose the k of top-k accuracy: 5 for more than 5 classes, as in the ImageNet benchmark; else 2.

    Return None for two classes, because the top 2 would always be right.
    """
    return 5 if classes > 5 else 2 if classes > 2 else None


def count_answers(model: keras.Model, batches: ValidationBatches, *, names: tuple[str, ...]) -> AnswerCounts:
    """Classify every image of `batches` and count the answers.

    Args:
        model: images (N, H, W, 3) -> logits float32 (N, 1, 1, C).
        batches: images and the train ids of their classes, uint8 (N, 1, 1).
        names: of the classes, by train id.
    """
    classes = len(names)
    counts, places = np.zeros((classes, classes + 1), dtype=np.int64), np.zeros(classes, dtype=np.int64)
    for number in range(len(batches)):
        images, truth = batches.batch(number)
        logits = keras.ops.convert_to_numpy(model.predict_on_batch(images))
        counts += confusion(truth, logits.argmax(axis=-1).astype(np.uint8), classes=classes)
        places += ranks(truth, logits)
    return AnswerCounts(names=names, confusion=counts, places=places)
