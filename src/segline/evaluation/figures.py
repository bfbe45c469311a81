"""Compute every metric of the table from an evaluation's counts: values, intervals, and intervals of differences.

A score is computed for the whole split: counts are summed over the images first, and divided last. Each class has an
interval of its own; it is the more reliable, the more images show the class.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from segline.core.metrics import table
from segline.core.metrics.confusion import Counts, Ratios, category_counts
from segline.core.metrics.table import Axis, Metric, Source
from segline.core.statistics.bootstrap import Interval, bootstraps, of_few, shown_units
from segline.core.statistics.permutation import differences
from segline.evaluation.results import BOOTSTRAP_SEED, Evaluation

Value = TypeVar("Value")

Intervals = dict[str, Interval | dict[str, Interval]]
"""Key of a metric -> its interval; for metrics of classes and categories one interval for each, by name."""

Values = dict[str, float | dict[str, float | None] | None]
"""Key of a metric -> its value, by name for classes and categories; None where it is undefined."""

Read = Callable[[Counts], Ratios]


def metrics(evaluation: Evaluation) -> tuple[Metric, ...]:
    """Select the metrics that the evaluation has counts for and its dataset reports."""
    sources: list[Source] = ["confusion"]
    if evaluation.categories:
        sources.append("categories")
    if evaluation.boundary is not None:
        sources.append("boundary")
    if evaluation.road is not None:
        sources.append("road")
    return table.applicable(sources, evaluation.extra_scores)


def intervals(evaluation: Evaluation, *, resamples: int, confidence: float) -> Intervals:
    """Compute the interval of every metric that has one; equal counts give equal intervals.

    Images, or whole groups of them, are drawn: `core.statistics.bootstrap`. NaN where a metric is undefined.
    """
    found: Intervals = {}
    for kind, rows in _group_by_counts(evaluation).items():
        counts = getattr(evaluation, kind)
        drawn = bootstraps(
            counts,
            scores=partial(_flatten, reads=list(rows.values())),
            groups=evaluation.groups,
            resamples=resamples,
            confidence=confidence,
            seed=BOOTSTRAP_SEED,
        )
        total = counts.sum(axis=0)
        ratios = {row: read(total) for row, read in rows.items()}
        found |= _name_intervals(evaluation, ratios, drawn, limits=(0.0, 1.0))
    return _in_table_order(found)


def difference_intervals(first: Evaluation, second: Evaluation, *, resamples: int, confidence: float) -> Intervals:
    """Compute the interval of the difference of every metric, first minus second, if both were counted.

    Args:
        first: an evaluation; its groups are used.
        second: an evaluation of the same images in the same order.
    """
    found: Intervals = {}
    for kind, rows in _group_by_counts(first).items():
        ours, theirs = getattr(first, kind), getattr(second, kind)
        if theirs is None:
            continue
        drawn = differences(
            ours,
            theirs,
            scores=partial(_flatten, reads=list(rows.values())),
            groups=first.groups,
            resamples=resamples,
            confidence=confidence,
            seed=BOOTSTRAP_SEED,
        )
        total, other = ours.sum(axis=0), theirs.sum(axis=0)
        apart = {row: read(total) - read(other) for row, read in rows.items()}
        found |= _name_intervals(first, apart, drawn, limits=(-1.0, 1.0))
    return _in_table_order(found)


def values(evaluation: Evaluation) -> Values:
    """Compute the value of every metric, in the table's order."""
    found: Values = {}
    for row in metrics(evaluation):
        kind, read = _find_counts_and_function(evaluation, row)
        ratios = read(getattr(evaluation, kind).sum(axis=0))
        found[row.key] = plain(ratios) if row.axis == "all" else _name_values(evaluation, row.axis, map(plain, ratios))
    return found


def plain(value: float | Ratios) -> float | None:
    """Convert one number for JSON: None for NaN, which stands for an undefined score."""
    return None if np.isnan(value) else float(value)


def signed(value: float, digits: int) -> str:
    """Write a difference with its sign; without a sign if all digits are 0."""
    written = f"{value:z.{digits}f}"
    return f"+{written}" if float(written) > 0 else written


def _find_counts_and_function(evaluation: Evaluation, row: Metric) -> tuple[str, Read]:
    """Return the `Evaluation` field with the counts for a row, and the function that computes the row from them."""
    if row.source == "categories":
        return "per_image", lambda counts: row.function(category_counts(counts, evaluation.categories))
    return "per_image" if row.source == "confusion" else row.source, row.function


def _group_by_counts(evaluation: Evaluation) -> dict[str, dict[Metric, Read]]:
    """Group the metrics that get an interval by their counts, which are resampled once for all of them."""
    found: dict[str, dict[Metric, Read]] = {}
    for row in metrics(evaluation):
        if row.interval:
            kind, read = _find_counts_and_function(evaluation, row)
            found.setdefault(kind, {})[row] = read
    return found


def _flatten(counts: Counts, *, reads: Sequence[Read]) -> Ratios:
    """Put all ratios of counts (N, *shape) side by side, float64 (N, K)."""
    return np.concatenate([read(counts).reshape(len(counts), -1) for read in reads], axis=1)


def _name_intervals(
    evaluation: Evaluation, ratios: dict[Metric, Ratios], drawn: Sequence[Interval], *, limits: tuple[float, float]
) -> Intervals:
    """Give the intervals, in the order of `_flatten`, their names; widen those of classes that few images show."""
    left, shown = iter(drawn), _count_shown_units(evaluation)
    found: Intervals = {}
    for row, own in ratios.items():
        if row.axis == "all":
            found[row.key] = next(left)
            continue
        each = [next(left) for _ in own]
        if row.shown_by_truth:
            told = zip(each, own.tolist(), shown[row.axis], strict=True)
            each = [of_few(interval, value, units, limits=limits) for interval, value, units in told]
        found[row.key] = _name_values(evaluation, row.axis, each)
    return found


def _count_shown_units(evaluation: Evaluation) -> dict[Axis, list[int]]:
    """Count the drawn units (images or groups) that show each class, and each category."""
    by_axis: dict[Axis, Counts] = {"class": evaluation.per_image}
    if evaluation.categories:
        by_axis["category"] = category_counts(evaluation.per_image, evaluation.categories)
    return {axis: shown_units(counts.sum(axis=-1) > 0, evaluation.groups).tolist() for axis, counts in by_axis.items()}


def _name_values(evaluation: Evaluation, axis: Axis, own: Iterable[Value]) -> dict[str, Value]:
    names = evaluation.categories if axis == "category" else evaluation.names
    return dict(zip(names, own, strict=True))


def _in_table_order(found: Intervals) -> Intervals:
    return {row.key: found[row.key] for row in table.TABLE if row.key in found}
