"""Compute the confidence interval of a score by resampling images.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 10, 11 and 13. Images are drawn
with replacement, their counts are summed, and the ratio is taken last, as for the score itself. Images that
show the same place, drive or animal are not independent: where groups are named, whole groups are drawn.

The plain percentile interval contains the true score too rarely where classes are rare: with 20 street scenes,
78 % of the 95 % intervals of the mean IoU contained it, with 50 scenes 90 % (`benchmarks/intervals.py`). There are
three causes. The jackknife, which computes one score for each left-out image, corrects all three:

- Resamples that miss a rare class score lower. So the centre is the score minus its bias.
- Resamples vary less than samples do. So the spread is the jackknife's.
- That spread is estimated from few images. So the tails are those of Student's t, with degrees of freedom estimated
  from the images' influences (Satterthwaite, Biometrics 1946).

The bootstrap gives the shape of the interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from segline.core.metrics.confusion import Counts, mean_iou
from segline.core.statistics.resampling import (
    Floats,
    Score,
    Scores,
    draw_weights,
    split_units,
    sum_to_units,
    sum_weighted,
)
from segline.core.statistics.trust import MIN_GROUPS_TO_DRAW, caveat, method

SCORE_LIMITS = (0.0, 1.0)
"""Lowest and highest value that a score can have."""

_ZERO_VARIANCE = 1e-18  # below this, a variance of scores is rounding error


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Interval of a score at `confidence`, over `images` images; images without labelled pixels are not counted.

    Args:
        groups: number of groups that the images are in. Whole groups were drawn if there are `MIN_GROUPS_TO_DRAW`.
            None where each image stands for itself.
    """

    low: float
    high: float
    confidence: float
    images: int
    groups: int | None = None

    @property
    def caveat(self) -> str:
        """Caution to print beside the interval; empty if none is needed."""
        return caveat(self.images, self.groups)

    @property
    def units(self) -> int:
        """Number of drawn units: images or groups."""
        return self.images if self.groups is None or self.groups < MIN_GROUPS_TO_DRAW else self.groups

    @property
    def method(self) -> str:
        """Name of the method, for a person to read."""
        return method(self.groups)


def bootstrap(
    per_image: Counts,
    *,
    score: Score = mean_iou,
    groups: Sequence[str] | None = None,
    resamples: int,
    confidence: float,
    seed: int,
) -> Interval:
    """Compute the interval of a score, 0..1, of summed counts.

    Args:
        per_image: int64 (N, *shape), for the mean IoU (N, C, C + 1): one confusion matrix an image.
        groups: N names. Images of one name are drawn together; an image without a name ("") is a group of its own.
        resamples: number of resamples. Each draws N images with replacement, or as many groups as there are (at least
            `MIN_GROUPS_TO_DRAW`).
        confidence: e.g. 0.95.

    Returns:
        The interval, which always contains the score; NaN where the score is NaN. A single image says nothing about
        others: its interval is 0 to 1.

    Raises:
        ValueError: there is no image, or the number of group names differs from N.
    """
    (interval,) = bootstraps(
        per_image,
        scores=lambda counts: score(counts)[..., np.newaxis],
        groups=groups,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )
    return interval


def bootstraps(
    per_image: Counts,
    *,
    scores: Scores,
    groups: Sequence[str] | None = None,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Interval]:
    """Compute an interval for each of `scores`, as `bootstrap` does for one, from one set of resamples.

    Each interval is for its score alone: the probability that all K intervals contain the true scores is below
    `confidence`.
    """
    units, images, grouped = sum_to_units(per_image, groups)
    ends = interval_limits(units, scores, SCORE_LIMITS, resamples, confidence, np.random.default_rng(seed))
    return [Interval(low=low, high=high, confidence=confidence, images=images, groups=grouped) for low, high in ends]


def of_few(interval: Interval, value: float, shown: int, *, limits: tuple[float, float] = SCORE_LIMITS) -> Interval:
    """Widen the interval of a score that depends on only `shown` of the units, such as the IoU of a rare class.

    The bootstrap uses all units, also those where the class was predicted but is not present. If one unit or none
    shows the class, the interval is `limits`, because nothing is known about other units.

    Args:
        interval: from the bootstrap.
        value: the score.
        shown: number of units that show the class.
    """
    if math.isnan(value):
        return interval
    if shown <= 1:
        return replace(interval, low=limits[0], high=limits[1])
    if value in limits:
        low, high = _limit_without_spread(value, shown, limits, interval.confidence)
        return replace(interval, low=low, high=high)
    return interval


def shown_units(shown: npt.NDArray[np.bool_], groups: Sequence[str] | None) -> npt.NDArray[np.int64]:
    """Count the drawn units that show each of K things, int64 (K,).

    Args:
        shown: bool (N, K), which images show them.
        groups: as in `bootstrap`.
    """
    units, _, _ = sum_to_units(shown.astype(np.int64), groups)
    return np.asarray((units > 0).sum(axis=0), dtype=np.int64)


def interval_limits(
    units: Counts,
    scores: Scores,
    limits: tuple[float, float],
    resamples: int,
    confidence: float,
    generator: np.random.Generator,
) -> list[tuple[float, float]]:
    """Compute low and high of the interval of each of `scores`, which lie within `limits`."""
    total = units.sum(axis=0)
    found = scores(total[None])[0]
    without = np.concatenate([scores(total - units[part]) for part in split_units(units)])
    weights = draw_weights(units, resamples, generator)
    drawn = np.concatenate([scores(counts) for counts in sum_weighted(weights, units)])
    return [
        _compute_limits(float(own), left, resampled, limits, confidence)
        for own, left, resampled in zip(found, without.T, drawn.T, strict=True)
    ]


def _compute_limits(
    found: float, without: Floats, drawn: Floats, limits: tuple[float, float], confidence: float
) -> tuple[float, float]:
    """Compute low and high of one score.

    Args:
        found: the score of all units.
        without: the scores of all units but one, (N,).
        drawn: the scores of the resamples, (R,).
    """
    from scipy.special import stdtrit  # the t distribution's quantile; slow to import, and `--help` needs none

    count = len(without)
    if math.isnan(found):
        return math.nan, math.nan
    if count == 1 or np.isnan(without).any():  # without one of the units, no score is defined
        return limits
    influences = (count - 1) * (without.mean() - without)
    variance = float((influences**2).mean())
    if variance < _ZERO_VARIANCE:
        return _limit_without_spread(found, count, limits, confidence)
    error = math.sqrt(variance / (count - 1))
    centre = count * found - (count - 1) * float(without.mean())
    drawn = drawn[~np.isnan(drawn)]
    tail = (1 + confidence) / 2
    ends = np.quantile(drawn, [1 - tail, tail]) - drawn.mean()
    spread = float(drawn.std())
    kurtosis = float((influences**4).mean()) / variance**2
    freedom = min(count - 1.0, max(3.0, 2 * count / max(kurtosis - 1, 1e-9)))
    scale = error * float(stdtrit(freedom, tail)) / (spread * NormalDist().inv_cdf(tail)) if spread else 0.0
    low, high = (centre + scale * ends).tolist()
    return max(min(low, found), limits[0]), min(max(high, found), limits[1])


def _limit_without_spread(
    found: float, count: int, limits: tuple[float, float], confidence: float
) -> tuple[float, float]:
    """Compute low and high of a score that all `count` units share, so that there is no spread.

    The next unit may differ in any way, with a chance of up to 1 - (1 - confidence)^(1 / count)
    (Hanley and Lippman-Hand, JAMA 1983: the rule of three).
    """
    room = 1 - (1 - confidence) ** (1 / count)
    return found - room * (found - limits[0]), found + room * (limits[1] - found)
