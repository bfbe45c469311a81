"""The summary of a comparison: a frozen model for its JSON and its page."""

from collections.abc import Sequence

import numpy as np

from segline.core.metrics import table
from segline.core.statistics import permutation
from segline.core.statistics.bootstrap import Interval
from segline.core.statistics.trust import counted
from segline.evaluation import figures
from segline.evaluation.compare import MIN_EVALUATIONS, Entry, image_scores
from segline.evaluation.summary import Record

MAX_IMAGES_NAMED = 10
MIN_P_LIMIT_SHOWN = 0.001


class Difference(Record):
    """Difference of one score to the first run's, with its interval; None where either score is undefined.

    Args:
        leaves_out_0: whether the interval of this difference excludes 0 (without correction for many comparisons).
    """

    difference: float | None
    low: float | None
    high: float | None
    leaves_out_0: bool


class AgainstFirst(Record):
    """Paired comparison of a run with the first.

    Args:
        difference: difference of the mean IoU, with its interval `low` to `high`.
        p: p-value of this difference.
        p_corrected: `p`, corrected for all comparisons with the first.
        verdict: the result in words.
        figures: differences of the other metrics over the whole split, by the metric's name.
        per_class: differences of the IoU, in the order of the classes.
    """

    difference: float
    low: float
    high: float
    p: float
    p_corrected: float
    verdict: str
    figures: dict[str, Difference]
    per_class: list[Difference]


class ComparedRun(Record):
    """Scores of one run; `against_first` is None for the first run."""

    name: str
    miou: float
    miou_low: float
    miou_high: float
    figures: dict[str, float | None]
    per_class_iou: list[float | None]
    counts_digest: str
    against_first: AgainstFirst | None


class DifferingImage(Record):
    """An image whose mean IoU differs between the runs; `miou` in the runs' order, None if all pixels are void."""

    id: str
    miou: list[float | None]
    spread: float


class ComparisonSummary(Record):
    """All scores of a comparison, for its JSON and its page."""

    dataset: str
    split: str
    protocol: str
    split_digest: str
    label_map_digest: str
    images: int
    groups: int | None
    confidence: float
    interval_method: str
    caveat: str
    correction: str | None
    classes: list[str]
    runs: list[ComparedRun]
    images_that_differ: list[DifferingImage]


def summarise_comparison(entries: Sequence[Entry]) -> ComparisonSummary:
    """Convert the compared evaluations to plain values."""
    first = entries[0].evaluation
    scores = image_scores(entries)
    spread = np.nan_to_num(np.ptp(scores, axis=1), nan=0.0)
    differing = np.argsort(-spread, kind="stable")[:MAX_IMAGES_NAMED]
    return ComparisonSummary(
        dataset=first.dataset,
        split=first.split,
        protocol=first.protocol,
        split_digest=first.split_digest,
        label_map_digest=first.label_map,
        images=len(first.ids),
        groups=entries[0].interval.groups,
        confidence=entries[0].interval.confidence,
        interval_method=entries[0].interval.method,
        caveat=_write_caveat(entries),
        correction=f"Holm, {len(entries) - 1} comparisons" if len(entries) > MIN_EVALUATIONS else None,
        classes=list(first.names),
        runs=[_summarise_run(entry, entries[0]) for entry in entries],
        images_that_differ=[
            DifferingImage(
                id=first.ids[place],
                miou=[figures.plain(value) for value in scores[place].tolist()],
                spread=float(spread[place]),
            )
            for place in differing
            if spread[place] > 0
        ],
    )


def _write_caveat(entries: Sequence[Entry]) -> str:
    """Write the caution about the intervals, and the lowest possible p-value if there are few units."""
    interval, comparisons = entries[0].interval, len(entries) - 1
    least = min(1.0, comparisons * permutation.least_p(interval.units))
    if least < MIN_P_LIMIT_SHOWN:
        return interval.caveat
    units = counted(interval.units, "image" if interval.units == interval.images else "group")
    limit = f"with {units} no {'corrected p' if comparisons > 1 else 'p'} can be below about {least:.2g}"
    return "; ".join(filter(None, (interval.caveat, limit)))


def _summarise_run(entry: Entry, first: Entry) -> ComparedRun:
    own, theirs = figures.values(entry.evaluation), figures.values(first.evaluation)
    classes = list(_by_class(own).values())
    return ComparedRun(
        name=entry.name,
        miou=entry.evaluation.miou,
        miou_low=entry.interval.low,
        miou_high=entry.interval.high,
        figures={key: _single(own, key) for key in _list_keys() if key in own},
        per_class_iou=classes,
        counts_digest=entry.evaluation.digest,
        against_first=_compare_with_first(entry, first, own, theirs),
    )


def _compare_with_first(entry: Entry, first: Entry, own: figures.Values, theirs: figures.Values) -> AgainstFirst | None:
    """Summarise the paired comparison of the mean IoU, and the differences of all other scores."""
    against, differences, verdict = entry.against, entry.differences, _write_verdict(entry, first)
    if against is None or differences is None or verdict is None or entry.p_corrected is None:
        return None
    single = [key for key in _list_keys() if key in differences and key in theirs and key in own]
    classes, others = _by_class(own), _by_class(theirs)
    apart = differences[_class_key()]
    assert isinstance(apart, dict)
    return AgainstFirst(
        difference=against.difference,
        low=against.interval.low,
        high=against.interval.high,
        p=against.p,
        p_corrected=entry.p_corrected,
        verdict=verdict,
        figures={
            key: _summarise_difference(_single(own, key), _single(theirs, key), differences[key]) for key in single
        },
        per_class=[_summarise_difference(classes[name], others[name], interval) for name, interval in apart.items()],
    )


def _list_keys() -> list[str]:
    """List the metrics over the whole split that are compared beside the main one."""
    return [row.key for row in table.rows(axis="all", place="comparison")[1:]]


def _class_key() -> str:
    """Return the key of the metric by which classes are compared."""
    return table.rows(axis="class")[0].key


def _single(values: figures.Values, key: str) -> float | None:
    value = values[key]
    assert not isinstance(value, dict)
    return value


def _by_class(values: figures.Values) -> dict[str, float | None]:
    found = values[_class_key()]
    assert isinstance(found, dict)
    return found


def _write_verdict(entry: Entry, first: Entry) -> str | None:
    """Write the result of the paired comparison in words, for readers without statistics; None for the first."""
    against, p = entry.against, entry.p_corrected
    if against is None or p is None:
        return None
    if np.array_equal(entry.evaluation.per_image, first.evaluation.per_image):
        return "the same scores"
    interval = against.interval
    if interval.low <= 0 <= interval.high or p > 1 - interval.confidence:
        return "could be chance"
    return "better than the first" if against.difference > 0 else "worse than the first"


def _summarise_difference(
    own: float | None, other: float | None, interval: Interval | dict[str, Interval]
) -> Difference:
    assert isinstance(interval, Interval)
    low, high = figures.plain(interval.low), figures.plain(interval.high)
    return Difference(
        difference=None if own is None or other is None else own - other,
        low=low,
        high=high,
        leaves_out_0=low is not None and high is not None and (low > 0 or high < 0),
    )
