"""Compare evaluations on the same images: scores with intervals, and paired differences, also of each class."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from segline.core.metrics.confusion import mean_iou
from segline.core.statistics import permutation
from segline.core.statistics.bootstrap import Interval
from segline.core.statistics.permutation import Comparison
from segline.core.statistics.resampling import group_places
from segline.errors import ComparisonError, DataError
from segline.evaluation import figures, lock
from segline.evaluation.figures import Intervals
from segline.evaluation.results import BOOTSTRAP_SEED, Evaluation

MIN_EVALUATIONS = 2


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


def compare(named: Sequence[tuple[str, Evaluation]], *, resamples: int, confidence: float) -> list[Entry]:
    """Compare each evaluation with the first.

    If a class was renamed, all results bear its name in the first evaluation.

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
    lock.refuse_differences(lock.locks_of(dict(named)))
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
    if other.label_map == first.label_map and other.names != first.names:  # a file was changed
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
        names=first.names,
        ids=first.ids,
        groups=None if other.groups is None else tuple(other.groups[place] for place in order),
        per_image=per_image,
        boundary=None if other.boundary is None else other.boundary[order],
        road=None if other.road is None else other.road[order],
    )


def image_scores(entries: Sequence[Entry]) -> npt.NDArray[np.float64]:
    """Compute the mean IoU of each image for each entry, float64 (images, entries); NaN if all pixels are void."""
    return np.stack([mean_iou(entry.evaluation.per_image) for entry in entries], axis=1)
