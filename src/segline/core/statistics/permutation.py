"""Test whether two models differ on the same images by more than chance, and compute the difference's interval.

The p-value is that of Fisher's randomisation test (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 15): the two models' counts of an image, or of a whole group of images, are swapped at random. The interval
is `bootstrap`'s.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segline.core.metrics.confusion import Counts, mean_iou
from segline.core.statistics.bootstrap import Interval, interval_limits
from segline.core.statistics.resampling import Floats, Score, Scores, split_resamples, sum_to_units, sum_weighted


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Result of comparing two models on the same images.

    Args:
        difference: score of the first minus score of the second.
        interval: of the difference.
        p: how often chance alone gives a difference at least as large, in either direction.
    """

    difference: float
    interval: Interval
    p: float


def compare(
    first: Counts,
    second: Counts,
    *,
    score: Score = mean_iou,
    groups: Sequence[str] | None = None,
    resamples: int,
    confidence: float,
    seed: int,
) -> Comparison:
    """Compare two models on the same images; pairing removes the effect of images that are hard for both.

    The interval draws the same images for both models. For the p-value, the two models' counts of each image
    are swapped with probability 0.5. If the models are equally good, this changes the difference only by chance
    (Fisher's randomisation test; Good, Permutation, Parametric and Bootstrap Tests, 2005). Groups are drawn and
    swapped whole.

    Args:
        first: int64 (N, *shape), for the mean IoU (N, C, C + 1): one confusion matrix an image.
        second: the same for the other model, in the same order of images. Sums over the last axis depend on the
            truth alone: if they differ, the images differ.
        groups: as in `bootstrap`.

    Raises:
        ValueError: there is no image, the images differ, or the number of group names differs from N.
    """
    if not np.array_equal(first.sum(axis=-1), second.sum(axis=-1)):
        raise ValueError("a comparison needs counts of the same images, in the same order")
    both, images, grouped = _pair_units(first, second, groups)
    generator = np.random.default_rng(seed)
    ((low, high),) = _compute_difference_limits(
        both, lambda counts: score(counts)[..., np.newaxis], resamples, confidence, generator
    )
    ours, theirs = both[:, 0], both[:, 1]
    found = float(score(ours.sum(axis=0)) - score(theirs.sum(axis=0)))
    swaps = (generator.integers(0, 2, (rows, len(both))) for rows in split_resamples(resamples, both))
    swapped = sum_weighted(swaps, ours - theirs, once=theirs)
    total = both.sum(axis=(0, 1))
    differences = np.concatenate([score(counts) - score(total - counts) for counts in swapped])
    # Rounding must not make a model differ from itself.
    extreme = int(np.count_nonzero(np.abs(differences) >= abs(found) - 1e-12))
    p = math.nan if math.isnan(found) else (1 + extreme) / (1 + resamples)
    interval = Interval(low=low, high=high, confidence=confidence, images=images, groups=grouped)
    return Comparison(difference=found, interval=interval, p=p)


def differences(
    first: Counts,
    second: Counts,
    *,
    scores: Scores,
    groups: Sequence[str] | None = None,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Interval]:
    """Compute an interval for each difference of `scores`, first minus second, from one set of resamples.

    Each interval is for its difference alone, as in `bootstraps`. It is NaN where a score is undefined for either
    model. The caller must make sure that the images are the same: not every kind of counts shows it.
    """
    both, images, grouped = _pair_units(first, second, groups)
    ends = _compute_difference_limits(both, scores, resamples, confidence, np.random.default_rng(seed))
    return [Interval(low=low, high=high, confidence=confidence, images=images, groups=grouped) for low, high in ends]


def least_p(units: int) -> float:
    """Compute the lowest p-value that `compare` can give: swapping no unit, or all, gives the same difference again."""
    return 2.0 ** (1 - units)


def holm(ps: Sequence[float]) -> list[float]:
    """Correct the p-values of several comparisons for their number; the order stays.

    If no two models differ, the lowest corrected p is below 0.05 in at most 5 % of such families of comparisons,
    however the comparisons depend on each other (Holm, Scandinavian Journal of Statistics 1979). The lowest p is
    multiplied by the number of comparisons, the next by one less, and so on; none becomes lower than the one before.
    """
    corrected, highest = [1.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = highest
    return corrected


def _pair_units(first: Counts, second: Counts, groups: Sequence[str] | None) -> tuple[Counts, int, int | None]:
    """Stack both models' counts of the drawn units, (N, 2, *shape); images and groups are those of `sum_to_units`."""
    if first.shape != second.shape:
        raise ValueError(f"a comparison needs counts of the same images, found {first.shape} and {second.shape}")
    return sum_to_units(np.stack([first, second], axis=1), groups)


def _compute_difference_limits(
    both: Counts,
    scores: Scores,
    resamples: int,
    confidence: float,
    generator: np.random.Generator,
) -> list[tuple[float, float]]:
    """Compute `interval_limits` of the first model's scores minus the second's."""

    def difference(counts: Counts) -> Floats:
        return scores(counts[:, 0]) - scores(counts[:, 1])

    if np.array_equal(both[:, 0], both[:, 1]):  # also for a single image
        return [(value, value) for value in difference(both.sum(axis=0)[None])[0].tolist()]
    return interval_limits(both, difference, (-1.0, 1.0), resamples, confidence, generator)
