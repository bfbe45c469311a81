"""Evaluations side by side: scores with intervals, differences a class, and the same images paired."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from segline.core.confusion import Counts, Ratios, iou, mean_iou, pixel_accuracy
from segline.core.statistics import Comparison, Interval, compare_mean_iou
from segline.errors import ComparisonError, DataError
from segline.evaluation import lock
from segline.evaluation.results import BOOTSTRAP_SEED, Evaluation, load

FEWEST = 2
COUNTS = "evaluation.npz"
"""What an evaluation's counts are called in its folder."""

_DIFFERING = 10  # images that are named


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One of the compared.

    Args:
        name: what a person calls it.
        interval: of its mean IoU.
        classes: its IoU of each class, float64 (C,); NaN where the class is absent.
        against: the first one's comparison with it, taken as this one's less the first's; None for the first.
    """

    name: str
    evaluation: Evaluation
    interval: Interval
    classes: Ratios
    against: Comparison | None

    @property
    def pixel_accuracy(self) -> float:
        """Share of the labelled pixels that are right."""
        return pixel_accuracy(self.evaluation.counts)


def read(path: Path) -> Evaluation | None:
    """The evaluation in a file, or in a folder's `COUNTS`; None where there is no such file.

    Raises:
        DataError: the file is no evaluation.
    """
    file = path / COUNTS if path.is_dir() else path
    if not file.is_file():
        return None
    try:
        return load(file)
    except (ValueError, KeyError, TypeError, OSError, BadZipFile) as error:
        raise DataError(
            file,
            found=f"no counts of an evaluation ({error})",
            expected="what segline evaluate, segline score --counts or a training run wrote",
            remedy="name one of those",
        ) from error


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path that tells something; the whole path where two would be called the same."""
    short = [(path.parent if path.name == COUNTS else path).absolute() for path in paths]
    names = [path.stem if path.suffix == ".npz" else path.name for path in short]
    return [str(path) if names.count(name) > 1 else name for path, name in zip(paths, names, strict=True)]


def compare(named: Sequence[tuple[str, Evaluation]], *, resamples: int, confidence: float) -> list[Entry]:
    """Put evaluations side by side, each against the first.

    Args:
        named: names and evaluations of one protocol, split and label map; at least two.

    Raises:
        ComparisonError: they are not of the same rules, split, classes and images; each difference is named.
        DataError: they are fewer than two, or two have one name.
    """
    if len(named) < FEWEST:
        raise DataError(
            "comparison", found=f"{len(named)} run", expected=f"{FEWEST} or more", remedy="name another run"
        )
    names = [name for name, _ in named]
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                name, found="named twice", expected="runs that differ", remedy="name each run once, or copy its file"
            )
    lock.refuse_differences({name: lock.lock_of(evaluation) for name, evaluation in named})
    first = named[0][1]
    rows = [_ordered_as(first, evaluation, name, named[0][0]) for name, evaluation in named]
    return [
        Entry(
            name=name,
            evaluation=evaluation,
            interval=evaluation.interval(resamples=resamples, confidence=confidence),
            classes=iou(evaluation.counts),
            against=compare_mean_iou(
                per_image, rows[0], resamples=resamples, confidence=confidence, seed=BOOTSTRAP_SEED
            )
            if place
            else None,
        )
        for place, ((name, evaluation), per_image) in enumerate(zip(named, rows, strict=True))
    ]


def _ordered_as(first: Evaluation, other: Evaluation, name: str, first_name: str) -> Counts:
    """The counts of `other`, image by image in the order of `first`."""
    places = {sample: place for place, sample in enumerate(other.ids)}
    lacking = [sample for sample in first.ids if sample not in places]
    if lacking or len(first.ids) != len(other.ids):
        raise ComparisonError(
            name,
            found=f"{len(other.ids)} images" + (f", without {lacking[0]}" if lacking else ""),
            expected=f"the {len(first.ids)} images of {first_name}",
            remedy="score both on the same split again",
        )
    per_image: Counts = other.per_image[[places[sample] for sample in first.ids]]
    if not np.array_equal(per_image.sum(axis=-1), first.per_image.sum(axis=-1)):
        raise ComparisonError(
            name,
            found="other labelled pixels in the same images",
            expected=f"the labels that {first_name} was scored by",
            remedy="score both on the same prepared data again",
        )
    return per_image


def image_scores(entries: Sequence[Entry]) -> npt.NDArray[np.float64]:
    """Mean IoU of each image (rows, in the order of the first) under each entry (columns); NaN for all void."""
    first = entries[0].evaluation
    rows = [_ordered_as(first, entry.evaluation, entry.name, entries[0].name) for entry in entries]
    return np.stack([mean_iou(per_image) for per_image in rows], axis=1)


def summary(entries: Sequence[Entry]) -> dict[str, Any]:
    """Plain values for JSON and the page."""
    first = entries[0].evaluation
    scores = image_scores(entries)
    spread = np.nan_to_num(np.ptp(scores, axis=1), nan=0.0)
    differing = np.argsort(-spread, kind="stable")[:_DIFFERING]
    return {
        "dataset": first.dataset,
        "split": first.split,
        "protocol": first.protocol,
        "split_digest": first.split_digest,
        "label_map_digest": first.label_map,
        "images": len(first.ids),
        "confidence": entries[0].interval.confidence,
        "caveat": entries[0].interval.caveat,
        "classes": list(first.names),
        "runs": [_row(entry, entries[0]) for entry in entries],
        "images_that_differ": [
            {"id": first.ids[place], "miou": scores[place].tolist(), "spread": float(spread[place])}
            for place in differing
            if spread[place] > 0
        ],
    }


def _row(entry: Entry, first: Entry) -> dict[str, Any]:
    against = entry.against
    return {
        "name": entry.name,
        "miou": entry.evaluation.miou,
        "miou_low": entry.interval.low,
        "miou_high": entry.interval.high,
        "pixel_accuracy": entry.pixel_accuracy,
        "per_class_iou": _plain(entry.classes),
        "counts_digest": entry.evaluation.digest,
        "against_first": against
        and {
            "difference": against.difference,
            "low": against.interval.low,
            "high": against.interval.high,
            "p": against.p,
            "per_class": _plain(entry.classes - first.classes),
        },
    }


def _plain(ratios: Ratios) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in ratios]
