"""Every figure that is read off an evaluation's counts: its name, its value, its interval.

A figure is of the whole split: counts are summed over the images first, and the ratio is taken last. A class's
own figures have intervals as their mean has; how far to trust one says the number of images that show the class.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import numpy as np

from segline.core.metrics.boundary import boundary_iou
from segline.core.metrics.confusion import Counts, Ratios, iou, mean_of_present, merged, outside_share
from segline.core.metrics.road import road_scores
from segline.core.metrics.scores import OVERALL, category_counts, per_class
from segline.core.statistics.bootstrap import Interval, bootstraps, of_few, shown_units
from segline.core.statistics.permutation import differences
from segline.evaluation.results import BOOTSTRAP_SEED, PETS, Evaluation

Value = TypeVar("Value")

Figures = Mapping[str, Ratios]
"""Name -> float64 (...), or (..., K) of what every class or category has its own."""

Intervals = dict[str, Interval | dict[str, Interval]]
"""Name of a figure -> its interval; of what every class or category has its own, by their names."""

TITLES = {
    "miou": "mIoU",
    "mean_category_iou": "mIoU of the categories",
    "boundary_miou": "boundary mIoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_class_accuracy": "mean class accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "macro_f1": "mean F1 (Dice)",
    "foreground_iou_border_rest": "foreground IoU, border as rest",
    "foreground_iou_border_void": "foreground IoU, border as void",
    "max_f": "MaxF in image space",
    "average_precision": "AP in image space",
}
"""What a table calls the figures over the whole split, in the order it lists them."""

_OVERALL = ("miou", "pixel_accuracy", "mean_class_accuracy", "frequency_weighted_iou", "macro_f1")
_PER_CLASS = ("iou", "precision", "recall", "f1")
_BY_CATEGORY = "per_category_"
_TOLD_BY_TRUTH = (
    *(f"per_class_{name}" for name in ("iou", "recall", "f1", "boundary_iou")),
    f"{_BY_CATEGORY}iou",
)
_PETS = {"foreground_iou_border_rest": [[0], [1, 2]], "foreground_iou_border_void": [[0], [1]]}
_ROAD = ("max_f", "average_precision")  # road's scores that intervals are of; the others are of MaxF's threshold


def intervals(evaluation: Evaluation, *, resamples: int, confidence: float) -> Intervals:
    """The interval of every figure of `summary` and of the road's MaxF and average precision; reproducible.

    Images are drawn, or whole groups of them: `core.statistics.bootstrap`. NaN where a figure is undefined.
    """
    found: Intervals = {}
    for kind, read in _readings(evaluation).items():
        counts = getattr(evaluation, kind)
        drawn = bootstraps(
            counts,
            scores=partial(_flat, read=read),
            groups=evaluation.groups,
            resamples=resamples,
            confidence=confidence,
            seed=BOOTSTRAP_SEED,
        )
        found |= _unfolded(evaluation, read(counts.sum(axis=0)), drawn, limits=(0.0, 1.0))
    return found


def difference_intervals(first: Evaluation, second: Evaluation, *, resamples: int, confidence: float) -> Intervals:
    """The interval of every figure of the first less the second's, as far as it was counted for both.

    Args:
        first: its groups are used.
        second: of the same images in the same order.
    """
    found: Intervals = {}
    for kind, read in _readings(first).items():
        ours, theirs = getattr(first, kind), getattr(second, kind)
        if theirs is None:
            continue
        drawn = differences(
            ours,
            theirs,
            scores=partial(_flat, read=read),
            groups=first.groups,
            resamples=resamples,
            confidence=confidence,
            seed=BOOTSTRAP_SEED,
        )
        own, other = read(ours.sum(axis=0)), read(theirs.sum(axis=0))
        apart = {name: own[name] - other[name] for name in own}
        found |= _unfolded(first, apart, drawn, limits=(-1.0, 1.0))
    return found


def values(evaluation: Evaluation) -> dict[str, Any]:
    """Plain values by the same names, None for what is undefined."""
    return {
        name: _by_name(evaluation, name, map(plain, ratios)) if ratios.ndim else plain(ratios)
        for kind, read in _readings(evaluation).items()
        for name, ratios in read(getattr(evaluation, kind).sum(axis=0)).items()
    }


def summary(
    evaluation: Evaluation, *, resamples: int, confidence: float, baseline: float | None = None
) -> dict[str, Any]:
    """Plain values for JSON: every figure with its protocol, digests and interval; None for what is undefined.

    Categories, boundary IoU and road scores are in it only where there are some.

    Args:
        resamples: of the intervals, as `confidence`.
        baseline: mean IoU of a constant answer; None where it is not known which would be fair.
    """
    counts, found = evaluation.counts, intervals(evaluation, resamples=resamples, confidence=confidence)
    miou = found["miou"]
    assert isinstance(miou, Interval)
    figures = values(evaluation)
    return {
        "dataset": evaluation.dataset,
        "split": evaluation.split,
        "protocol": evaluation.protocol,
        "split_digest": evaluation.split_digest,
        "label_map_digest": evaluation.label_map,
        "images": len(evaluation.ids),
        "groups": miou.groups,
        "labelled_pixels": int(counts.sum()),
        "void_pixels": evaluation.void_pixels,
        "outside_share": outside_share(counts),
        "miou": figures.pop("miou"),
        "miou_low": miou.low,
        "miou_high": miou.high,
        "confidence": confidence,
        "interval_method": miou.method,
        "caveat": miou.caveat,
        **({} if baseline is None else {"baseline_miou": baseline}),
        "intervals": plain_intervals(found),
        **{name: value for name, value in figures.items() if name not in _ROAD},
        **_road_scores(evaluation),
        "per_class_images": dict(
            zip(evaluation.names, (evaluation.per_image.sum(axis=-1) > 0).sum(axis=0).tolist(), strict=True)
        ),
        "confusion": counts.tolist(),
        "counts_digest": evaluation.digest,
    }


def extra_scores(evaluation: Evaluation) -> dict[str, float]:
    """Scores that a dataset's protocol always reports beside the mean IoU.

    Oxford Pets: foreground against the rest, and foreground IoU with the border as void.
    """
    return {name: float(ratio) for name, ratio in _extra(evaluation.counts, names=evaluation.names).items()}


def plain(value: float | Ratios) -> float | None:
    """One number for JSON, which has no word for what is undefined."""
    return None if np.isnan(value) else float(value)


def signed(value: float, digits: int) -> str:
    """A difference as it is written: with its sign, except where all digits are 0, which then say nothing of it."""
    written = f"{value:z.{digits}f}"
    return f"+{written}" if float(written) > 0 else written


def plain_intervals(found: Intervals) -> dict[str, Any]:
    """Intervals as ``{"low": .., "high": ..}``, for JSON; of classes and categories one each, by name."""

    def ends(interval: Interval) -> dict[str, float | None]:
        return {"low": plain(interval.low), "high": plain(interval.high)}

    return {
        name: ends(own) if isinstance(own, Interval) else {each: ends(interval) for each, interval in own.items()}
        for name, own in found.items()
    }


# --- what is read off each kind of counts ---


def _readings(evaluation: Evaluation) -> dict[str, Callable[[Counts], Figures]]:
    """The kinds of counts that there are, named as `Evaluation` does, and what is read off sums of them."""
    readings: dict[str, Callable[[Counts], Figures]] = {
        "per_image": partial(_of_confusion, names=evaluation.names, categories=evaluation.categories)
    }
    if evaluation.boundary is not None:
        readings["boundary"] = _of_boundaries
    if evaluation.road is not None:
        readings["road"] = _of_road
    return readings


def _of_confusion(counts: Counts, *, names: tuple[str, ...], categories: Mapping[str, Sequence[int]]) -> Figures:
    """Off confusion matrices (..., C, C + 1)."""
    shares = per_class(counts)
    found = {name: OVERALL[name](counts) for name in _OVERALL} | {
        f"per_class_{name}": shares[name] for name in _PER_CLASS
    }
    if categories:
        by_category = iou(category_counts(counts, categories))
        found |= {"mean_category_iou": mean_of_present(by_category), f"{_BY_CATEGORY}iou": by_category}
    return found | _extra(counts, names=names)


def _extra(counts: Counts, *, names: tuple[str, ...]) -> dict[str, Ratios]:
    return {name: iou(merged(counts, merges))[..., 0] for name, merges in _PETS.items()} if names == PETS else {}


def _of_boundaries(counts: Counts) -> Figures:
    """Off counts along boundaries (..., 3, C): the mean is over the classes that have one, as for the mean IoU."""
    ratios = boundary_iou(counts)
    return {"boundary_miou": mean_of_present(ratios), "per_class_boundary_iou": ratios}


def _of_road(counts: Counts) -> Figures:
    """Off pooled counts (..., 2, 256)."""
    scores = [road_scores(each) for each in counts.reshape(-1, *counts.shape[-2:])]
    return {name: np.array([getattr(each, name) for each in scores]).reshape(counts.shape[:-2]) for name in _ROAD}


def _road_scores(evaluation: Evaluation) -> dict[str, Any]:
    """Named after the view: the benchmark's table is of the bird's-eye view, and has other figures."""
    if evaluation.road is None:
        return {}
    pooled = road_scores(evaluation.road.sum(axis=0))
    return {"road_image_space": {name: plain(value) for name, value in asdict(pooled).items()}}


def _flat(counts: Counts, *, read: Callable[[Counts], Figures]) -> Ratios:
    """All that `read` reads off counts (N, *shape), one beside the other, float64 (N, K)."""
    return np.concatenate([ratios.reshape(len(counts), -1) for ratios in read(counts).values()], axis=1)


def _unfolded(
    evaluation: Evaluation, figures: Figures, drawn: Sequence[Interval], *, limits: tuple[float, float]
) -> Intervals:
    """Intervals in the order of `_flat`, by their figures' names; of a class, with regard to how many show it."""
    left, shown = iter(drawn), _shown(evaluation)
    found: Intervals = {}
    for name, ratios in figures.items():
        if not ratios.ndim:
            found[name] = next(left)
            continue
        own = [next(left) for _ in ratios]
        if name in _TOLD_BY_TRUTH:
            told = zip(own, ratios.tolist(), shown[name.startswith(_BY_CATEGORY)], strict=True)
            own = [of_few(interval, value, units, limits=limits) for interval, value, units in told]
        found[name] = _by_name(evaluation, name, own)
    return found


def _shown(evaluation: Evaluation) -> tuple[list[int], list[int]]:
    """How many of what is drawn show each class, and each category."""
    by_image = [evaluation.per_image]
    if evaluation.categories:
        by_image.append(category_counts(evaluation.per_image, evaluation.categories))
    classes, *categories = (shown_units(counts.sum(axis=-1) > 0, evaluation.groups).tolist() for counts in by_image)
    return classes, categories[0] if categories else []


def _by_name(evaluation: Evaluation, figure: str, own: Iterable[Value]) -> dict[str, Value]:
    names = evaluation.categories if figure.startswith(_BY_CATEGORY) else evaluation.names
    return dict(zip(names, own, strict=True))
