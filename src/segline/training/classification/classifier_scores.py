"""How well whole images are told apart: counts over a split, and the figures read off them."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from segline.core.metrics.confusion import Counts, confusion, f1, macro_f1, pixel_accuracy, precision, recall
from segline.core.metrics.top_k import ranks, top_k_accuracy
from segline.training.fit.batch_sequence import ValidationBatches

_SHOWN = 3  # of the worst, for a person


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a classifier answered on a split, image by image.

    Args:
        names: of the classes, by train id.
        counts: int64 (C, C + 1), a confusion matrix as `segline.core.metrics.confusion` has it, of images.
        places: int64 (C,), how many have their true class first, second .. among the answers.
    """

    names: tuple[str, ...]
    counts: Counts
    places: Counts

    def summary(self) -> dict[str, Any]:
        """Plain values for JSON; None where a ratio is undefined.

        ``top_k`` is how many answers ``top_k_accuracy`` allows: 5 where there are more classes than that, as
        ImageNet's benchmark has it, else 2. Of two classes both are None: any answer would be right.
        """
        columns = {"precision": precision, "recall": recall, "f1": f1}
        ratios = {name: column(self.counts) for name, column in columns.items()}
        k = allowed(len(self.names))
        return {
            "images": int(self.counts.sum()),
            "accuracy": pixel_accuracy(self.counts),
            "top_k": k,
            "top_k_accuracy": None if k is None else top_k_accuracy(self.places, k),
            "macro_f1": float(macro_f1(self.counts)),
            "per_class": {
                name: {"images": int(self.counts[place].sum())}
                | {key: None if np.isnan(value[place]) else float(value[place]) for key, value in ratios.items()}
                for place, name in enumerate(self.names)
            },
            "confusion": self.counts.tolist(),
            "places": self.places.tolist(),
        }


def allowed(classes: int) -> int | None:
    """How many answers top-k accuracy looks at; None where it would say nothing."""
    return 5 if classes > 5 else 2 if classes > 2 else None


def count(model: keras.Model, batches: ValidationBatches, *, names: tuple[str, ...]) -> Scores:
    """Ask `model` about every image of `batches`.

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
    return Scores(names=names, counts=counts, places=places)


def metrics(summary: dict[str, Any]) -> dict[str, float]:
    """What of a summary is compared between runs; top-k accuracy says its k: ``top_5_accuracy``."""
    of_classes = {
        f"{key}/{name}": row[key]
        for name, row in summary["per_class"].items()
        for key in ("precision", "recall", "f1")
        if row[key] is not None
    }
    k = summary["top_k"]
    top = {} if k is None else {f"top_{k}_accuracy": summary["top_k_accuracy"]}
    return {"accuracy": summary["accuracy"], **top, "macro_f1": summary["macro_f1"], **of_classes}


def said(summary: dict[str, Any]) -> list[str]:
    """A summary for a person: the scores, and what goes wrong most."""
    k, names = summary["top_k"], list(summary["per_class"])
    top = "" if k is None else f"top-{k} accuracy {summary['top_k_accuracy']:.4f}, "
    lines = [
        f"accuracy {summary['accuracy']:.4f}, {top}macro-F1 {summary['macro_f1']:.4f} "
        f"of {len(names)} classes and {summary['images']} images"
    ]
    worst = sorted((row["f1"], name) for name, row in summary["per_class"].items() if row["f1"] is not None)[:_SHOWN]
    lines.append("lowest F1: " + ", ".join(f"{name} {value:.4f}" for value, name in worst))
    wrong = np.array(summary["confusion"])[:, : len(names)]
    np.fill_diagonal(wrong, 0)
    most = [place for place in np.argsort(-wrong, axis=None, kind="stable")[:_SHOWN] if wrong.flat[place]]
    if most:
        pairs = (divmod(int(place), len(names)) for place in most)
        lines.append(
            "most often taken for another: "
            + ", ".join(f"{names[true]} for {names[taken]} ({wrong[true, taken]})" for true, taken in pairs)
        )
    return lines
