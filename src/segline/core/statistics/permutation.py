"""Tell whether two models differ by more than chance on the same images, and give the difference its interval.

The p-value is of Fisher's randomisation test (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter
15): the two models' counts of an image, or of a whole group of images, change places. The interval is `bootstrap`'s.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segline.core.metrics.confusion import Counts, mean_iou
from segline.core.statistics.bootstrap import Interval, interval_limits
from segline.core.statistics.resampling import Floats, Score, Scores, chunks, drawn_units, weighted_sums


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same images.

    Args:
        difference: score of the first less that of the second.
        interval: of the difference.
        p: how often chance alone makes a difference as large, in either direction.
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
    limits: tuple[float, float] = (0.0, 1.0),
    resamples: int,
    confidence: float,
    seed: int,
) -> Comparison:
    """Compare two models by the same images, which takes out that some images are hard for both.

    The interval draws images, the same for both models. The p-value swaps the two models' counts of
    each image by the toss of a coin, which changes nothing but chance where they are equally good
    (Fisher's randomisation test; Good, Permutation, Parametric and Bootstrap Tests, 2005). Groups are
    drawn, and swapped, whole.

    Args:
        first: int64 (N, *shape), for the mean IoU (N, C, C + 1): one confusion matrix an image.
        second: the same of the other model, in the same order of images. Where sums over the last axis, which
            are of the truth alone, differ, the images do.
        groups: as in `bootstrap`.
        limits: of `score`, as in `bootstrap`.

    Raises:
        ValueError: no image, not the same images, or not as many names of groups.
    """
    if not np.array_equal(first.sum(axis=-1), second.sum(axis=-1)):
        raise ValueError("a comparison needs counts of the same images, in the same order")
    both, images, grouped = _paired(first, second, groups)
    generator = np.random.default_rng(seed)
    ((low, high),) = _difference_limits(
        both, lambda counts: score(counts)[..., np.newaxis], limits, resamples, confidence, generator
    )
    ours, theirs = both[:, 0], both[:, 1]
    found = float(score(ours.sum(axis=0)) - score(theirs.sum(axis=0)))
    swaps = (generator.integers(0, 2, (rows, len(both))) for rows in chunks(resamples, both))
    swapped = weighted_sums(swaps, ours - theirs, once=theirs)
    total = both.sum(axis=(0, 1))
    differences = np.concatenate([score(counts) - score(total - counts) for counts in swapped])
    # Rounding must not tell a model from itself.
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
    limits: tuple[float, float] = (0.0, 1.0),
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Interval]:
    """Find an interval of each of `scores`, the first's less the second's, as `compare` does, of one set of resamples.

    Each is of its score by itself, as in `bootstraps`. NaN where a score is undefined for either. That the images
    are the same is not seen from counts of every kind: callers see to it.
    """
    both, images, grouped = _paired(first, second, groups)
    ends = _difference_limits(both, scores, limits, resamples, confidence, np.random.default_rng(seed))
    return [Interval(low=low, high=high, confidence=confidence, images=images, groups=grouped) for low, high in ends]


def least_p(units: int) -> float:
    """Find the lowest p-value that `compare` can give: of all ways to swap units, none and all leave the difference."""
    return 2.0 ** (1 - units)


def holm(ps: Sequence[float]) -> list[float]:
    """Correct p-values of several comparisons, so that they hold for all of them at once, in the same order.

    Where no two models differ, the lowest of these is below 0.05 in at most 5 % of such families of comparisons,
    however they depend on each other (Holm, Scandinavian Journal of Statistics 1979): the lowest counts as many
    times as there are comparisons, the next one time less, and none is lower than one that was lower before.
    """
    corrected, highest = [1.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = highest
    return corrected


def _paired(first: Counts, second: Counts, groups: Sequence[str] | None) -> tuple[Counts, int, int | None]:
    """Stack both models' counts of what is drawn, (N, 2, *shape); images and groups are as `drawn_units` has them."""
    if first.shape != second.shape:
        raise ValueError(f"a comparison needs counts of the same images, found {first.shape} and {second.shape}")
    return drawn_units(np.stack([first, second], axis=1), groups)


def _difference_limits(
    both: Counts,
    scores: Scores,
    limits: tuple[float, float],
    resamples: int,
    confidence: float,
    generator: np.random.Generator,
) -> list[tuple[float, float]]:
    """Find `interval_limits` of the first model's scores less the second's; `limits` are of the scores."""
    widest = limits[1] - limits[0]

    def difference(counts: Counts) -> Floats:
        return scores(counts[:, 0]) - scores(counts[:, 1])

    if np.array_equal(both[:, 0], both[:, 1]):  # even of a single image
        return [(value, value) for value in difference(both.sum(axis=0)[None])[0].tolist()]
    return interval_limits(both, difference, (-widest, widest), resamples, confidence, generator)
