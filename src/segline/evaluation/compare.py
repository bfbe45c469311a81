"""Compare evaluations on the same images: scores with intervals, and paired differences, also of each class."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import is_zipfile

import numpy as np
import numpy.typing as npt

from segline.core.metrics import table
from segline.core.metrics.confusion import mean_iou
from segline.core.statistics import permutation
from segline.core.statistics.bootstrap import Interval
from segline.core.statistics.permutation import Comparison
from segline.core.statistics.resampling import group_places
from segline.core.statistics.trust import counted
from segline.errors import ComparisonError, DataError
from segline.evaluation import figures, lock
from segline.evaluation.figures import Intervals
from segline.evaluation.results import BOOTSTRAP_SEED, Evaluation, load
from segline.evaluation.summary import Record
from segline.formats import strict_json
from segline.project import Files

MIN_EVALUATIONS = 2
MAX_IMAGES_NAMED = 10
MIN_P_LIMIT_SHOWN = 0.001


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One of the compared evaluations.

    Args:
        name: name for a person to read.
        evaluation: its counts, with the images in the order of the first evaluation. It has the groups that are known
            from any of the compared evaluations.
        interval: interval of its mean IoU.
        against: comparison of its mean IoU with the first's (this one minus the first); None for the first.
        p_corrected: p-value of `against`, corrected for all comparisons with the first (Holm); None for the first.
        differences: intervals of the differences of all scores (this one minus the first); None for the first.
    """

    name: str
    evaluation: Evaluation
    interval: Interval
    against: Comparison | None
    p_corrected: float | None
    differences: Intervals | None


def read(path: Path) -> Evaluation | None:
    """Read the evaluation in a file, or in a folder's ``evaluation.npz``; None if there is no such file.

    Raises:
        DataError: the file is not an evaluation.
    """
    file = path / Files.COUNTS if path.is_dir() else path
    if not file.is_file():
        return None
    try:
        if is_zipfile(file):  # as all .npz are
            return load(file)
        scores = _holds_scores(file)
    except Exception as error:  # NumPy and zipfile do not document all errors that damaged bytes cause
        raise _make_no_counts_error(file, str(error)) from error
    raise _make_only_scores_error(file) if scores else _make_no_counts_error(file, "not an .npz file")


def _make_no_counts_error(file: Path, reason: str) -> DataError:
    return DataError(
        file,
        found=f"no counts of an evaluation ({reason})",
        expected="a file that segline evaluate, segline score --counts or a training run wrote",
        remedy="give such a file",
    )


def _make_only_scores_error(file: Path) -> DataError:
    return DataError(
        file,
        found="scores as JSON, without the counts of each image",
        expected=f"counts to draw intervals from (.npz, as {Files.COUNTS})",
        remedy="score again with `--counts FILE.npz` and compare that file; segline evaluate writes "
        f"{Files.COUNTS} beside its {Files.EVALUATION}",
    )


def _holds_scores(file: Path) -> bool:
    """Return whether a file is the JSON that `segline score --json` or `segline evaluate` writes."""
    with file.open("rb") as handle:
        if handle.read(64).lstrip()[:1] != b"{":  # other large files do not start with this
            return False
    try:
        content = strict_json.loads(file.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and "miou" in content


def short_names(paths: Sequence[Path]) -> list[str]:
    """Shorten each path to the name of its file or folder; keep the whole path if two names would be equal."""
    short = [(path.parent if path.name == Files.COUNTS else path).absolute() for path in paths]
    names = [path.stem if path.suffix == ".npz" else path.name for path in short]
    return [str(path) if names.count(name) > 1 else name for path, name in zip(paths, names, strict=True)]


def compare(named: Sequence[tuple[str, Evaluation]], *, resamples: int, confidence: float) -> list[Entry]:
    """Compare each evaluation with the first.

    Groups belong to the images. So groups that are known from any of the evaluations are used for all, also for one
    without groups (an older file, or a folder of another tool). Evaluations that group the same images differently
    are refused.

    Args:
        named: names and evaluations of one protocol, split and label map; at least two.

    Raises:
        ComparisonError: their scoring rules, splits, classes, images or groups differ; the error names each difference.
        DataError: there are fewer than two, or two have the same name.
    """
    if len(named) < MIN_EVALUATIONS:
        raise DataError(
            "comparison", found=f"{len(named)} run", expected=f"{MIN_EVALUATIONS} or more", remedy="give another run"
        )
    names = [name for name, _ in named]
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                name, found="given twice", expected="different runs", remedy="give each run once, or copy its file"
            )
    lock.refuse_differences({name: lock.lock_of(evaluation) for name, evaluation in named})
    ordered = [(name, _sort_images(named[0][1], evaluation, name, named[0][0])) for name, evaluation in named]
    first, *others = evaluations = _share_groups(ordered)
    against = [
        permutation.compare(
            other.per_image,
            first.per_image,
            groups=first.groups,
            seed=BOOTSTRAP_SEED,
            resamples=resamples,
            confidence=confidence,
        )
        for other in others
    ]
    differences = [
        figures.difference_intervals(other, first, resamples=resamples, confidence=confidence) for other in others
    ]
    corrected = permutation.holm([comparison.p for comparison in against])
    return [
        Entry(
            name=name,
            evaluation=evaluation,
            interval=evaluation.interval(resamples=resamples, confidence=confidence),
            against=comparison,
            p_corrected=p,
            differences=apart,
        )
        for name, evaluation, comparison, p, apart in zip(
            names, evaluations, [None, *against], [None, *corrected], [None, *differences], strict=True
        )
    ]


def _share_groups(named: Sequence[tuple[str, Evaluation]]) -> list[Evaluation]:
    """Give all evaluations of the same images the groups that are known from any of them.

    Raises:
        ComparisonError: two of them have different groups.
    """
    known = [(name, evaluation) for name, evaluation in named if evaluation.groups is not None]
    if not known:
        return [evaluation for _, evaluation in named]
    trusted, first = known[0]
    group_of = dict(zip(first.ids, first.groups or (), strict=True))
    with_groups = [replace(one, groups=tuple(group_of[image] for image in one.ids)) for _, one in named]
    for (name, own), shared in zip(named, with_groups, strict=True):
        if own.groups is None:
            continue
        places = zip(own.ids, _number_groups(own), _number_groups(shared), strict=True)
        if elsewhere := [image for image, mine, theirs in places if mine != theirs]:
            raise ComparisonError(
                name,
                found=f"other groups of the same images: for example, the group of {elsewhere[0]} has other images",
                expected=f"the groups of {trusted}",
                remedy="score both on the same prepared data again",
            )
    return with_groups


def _number_groups(evaluation: Evaluation) -> tuple[int, ...]:
    return group_places(evaluation.groups or ())


def _sort_images(first: Evaluation, other: Evaluation, name: str, first_name: str) -> Evaluation:
    """Sort the images of `other` into the order of `first`."""
    if other.names != first.names:  # although the digests of the label maps are equal: a file was changed
        raise ComparisonError(
            name,
            found=f"classes {', '.join(other.names)}",
            expected=f"{', '.join(first.names)}, those of {first_name}, which has the same label-map digest",
            remedy="score both again: one of the files was changed",
        )
    places = {sample: place for place, sample in enumerate(other.ids)}
    lacking = [sample for sample in first.ids if sample not in places]
    if lacking or len(first.ids) != len(other.ids):
        raise ComparisonError(
            name,
            found=f"{len(other.ids)} images" + (f", without {lacking[0]}" if lacking else ""),
            expected=f"the {len(first.ids)} images of {first_name}",
            remedy="score both on the same split again",
        )
    order = [places[sample] for sample in first.ids]
    per_image = other.per_image[order]
    if not np.array_equal(per_image.sum(axis=-1), first.per_image.sum(axis=-1)):
        raise ComparisonError(
            name,
            found="other labelled pixels in the same images",
            expected=f"the labels on which {first_name} was scored",
            remedy="score both on the same prepared data again",
        )
    return replace(
        other,
        ids=first.ids,
        groups=None if other.groups is None else tuple(other.groups[place] for place in order),
        per_image=per_image,
        boundary=None if other.boundary is None else other.boundary[order],
        road=None if other.road is None else other.road[order],
    )


def image_scores(entries: Sequence[Entry]) -> npt.NDArray[np.float64]:
    """Compute the mean IoU of each image for each entry, float64 (images, entries); NaN if all pixels are void."""
    return np.stack([mean_iou(entry.evaluation.per_image) for entry in entries], axis=1)


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


def summary(entries: Sequence[Entry]) -> ComparisonSummary:
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
