"""How far a score, or the difference of two, can be trusted: by resampling images.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 10, 11, 13 and 15. Images are drawn
with replacement, their counts are summed, and the ratio is taken last, as for the score itself. Images that
show the same place, drive or animal are no separate evidence: where groups are named, whole groups are drawn.

The percentile interval holds the truth too seldom where classes are rare: of 95 % intervals of the mean IoU of
20 street scenes 78 % did, of 50 90 % (`benchmarks/intervals.py`). Three things are amiss, and each is put right by the
jackknife, which costs one score an image: resamples that miss a rare class score lower (so the centre is the
score less its bias), they vary less than samples do (so the spread is the jackknife's), and that spread rests on
few images (so tails are Student's, with as many degrees of freedom as the images' influences are worth:
Satterthwaite, Biometrics 1946). The bootstrap gives the shape.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from segline.core.metrics.confusion import Counts, mean_iou
from segline.core.statistics.trust import FEWEST_GROUPS, caveat, method

Floats = npt.NDArray[np.float64]

Score = Callable[[Counts], Floats]
"""Summed counts int64 (..., *shape) of one image's `shape` -> float64 (...), e.g. `mean_iou`."""

Scores = Callable[[Counts], Floats]
"""The same -> float64 (..., K), e.g. `iou`."""

_ROUNDING = 1e-18  # a variance of scores that is none
_NUMBERS_AT_ONCE = 1 << 20  # of resampled counts: memory is this, whatever the resamples


def group_places(groups: Sequence[str]) -> tuple[int, ...]:
    """Which images belong together: of each, the place of the first of its group.

    Args:
        groups: names, one an image; an image without a name ("") is a group of its own.
    """
    first: dict[str, int] = {}
    return tuple(first.setdefault(name, place) if name else place for place, name in enumerate(groups))


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A score's interval at `confidence`, over `images` images, those without anything labelled aside.

    Args:
        groups: how many groups the images are in, which were drawn whole if there are `FEWEST_GROUPS`; None where
            each image stands for itself.
    """

    low: float
    high: float
    confidence: float
    images: int
    groups: int | None = None

    @property
    def caveat(self) -> str:
        """What must be said beside the interval; empty where it can be taken at its word."""
        return caveat(self.images, self.groups)

    @property
    def units(self) -> int:
        """How many of what was drawn there are."""
        return self.images if self.groups is None or self.groups < FEWEST_GROUPS else self.groups

    @property
    def method(self) -> str:
        """How it was made, for a person to read."""
        return method(self.groups)


def bootstrap(
    per_image: Counts,
    *,
    score: Score = mean_iou,
    groups: Sequence[str] | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    resamples: int,
    confidence: float,
    seed: int,
) -> Interval:
    """Interval of a score of summed counts.

    Args:
        per_image: int64 (N, *shape), for the mean IoU (N, C, C + 1): one confusion matrix an image.
        groups: N names; images of one name are drawn together, one without a name ("") is a group of its own.
        limits: the least and the highest that `score` can be. A single image, which says nothing of others,
            gets them as its interval.
        resamples: how often N images, or all the groups if there are `FEWEST_GROUPS`, are drawn with replacement.
        confidence: e.g. 0.95.

    Returns:
        The interval, which always holds the score; NaN where the score is.

    Raises:
        ValueError: no image, or not as many names of groups.
    """
    (interval,) = bootstraps(
        per_image,
        scores=lambda counts: score(counts)[..., np.newaxis],
        groups=groups,
        limits=limits,
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
    limits: tuple[float, float] = (0.0, 1.0),
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Interval]:
    """An interval of each of `scores`, as `bootstrap` makes one, of one set of resamples.

    They are of each score by itself: that all of K hold the truth at once is less sure than `confidence`.
    """
    units, images, grouped = _units(per_image, groups)
    ends = _limits(units, scores, limits, resamples, confidence, np.random.default_rng(seed))
    return [Interval(low=low, high=high, confidence=confidence, images=images, groups=grouped) for low, high in ends]


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
    swaps = (generator.integers(0, 2, (rows, len(both))) for rows in _chunks(resamples, both))
    swapped = _summed(swaps, ours - theirs, once=theirs)
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
    """An interval of each of `scores` of the first less the second's, as `compare` makes one, of one set of resamples.

    Each is of its score by itself, as in `bootstraps`. NaN where a score is undefined for either. That the images
    are the same is not seen from counts of every kind: callers see to it.
    """
    both, images, grouped = _paired(first, second, groups)
    ends = _difference_limits(both, scores, limits, resamples, confidence, np.random.default_rng(seed))
    return [Interval(low=low, high=high, confidence=confidence, images=images, groups=grouped) for low, high in ends]


def of_few(interval: Interval, value: float, shown: int, *, limits: tuple[float, float] = (0.0, 1.0)) -> Interval:
    """The interval of what only `shown` of the units tell of, as an IoU is told of by those that show the class.

    The bootstrap sees all units, and takes those where the class is claimed but not there for evidence too. Of one
    unit or none nothing follows: the limits are all that is known.

    Args:
        interval: of the bootstrap.
        value: that it is of.
    """
    if math.isnan(value):
        return interval
    if shown <= 1:
        return replace(interval, low=limits[0], high=limits[1])
    if value in limits:
        low, high = _alike(value, shown, limits, interval.confidence)
        return replace(interval, low=low, high=high)
    return interval


def shown_units(shown: npt.NDArray[np.bool_], groups: Sequence[str] | None) -> npt.NDArray[np.int64]:
    """In how many of the units that are drawn each of several things is, int64 (K,).

    Args:
        shown: bool (N, K), in which images.
        groups: as in `bootstrap`.
    """
    units, _, _ = _units(shown.astype(np.int64), groups)
    return np.asarray((units > 0).sum(axis=0), dtype=np.int64)


def least_p(units: int) -> float:
    """The lowest p-value that `compare` can give: of all ways to swap units, none and all leave the difference."""
    return 2.0 ** (1 - units)


def holm(ps: Sequence[float]) -> list[float]:
    """P-values of several comparisons -> those that hold for all of them at once, in the same order.

    Where no two models differ, the lowest of these is below 0.05 in at most 5 % of such families of comparisons,
    however they depend on each other (Holm, Scandinavian Journal of Statistics 1979): the lowest counts as many
    times as there are comparisons, the next one time less, and none is lower than one that was lower before.
    """
    corrected, highest = [1.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = highest
    return corrected


def _units(per_image: Counts, groups: Sequence[str] | None) -> tuple[Counts, int, int | None]:
    """Counts of what is drawn, of how many images, in how many groups: None where every image stands for itself.

    Images without anything counted (all void) tell nothing, and are not among them, unless all are such.
    """
    if not len(per_image):
        raise ValueError("an interval needs at least one image")
    if groups is not None and len(groups) != len(per_image):
        raise ValueError(f"{len(per_image)} images, but {len(groups)} names of groups")
    telling = np.asarray(per_image.reshape(len(per_image), -1).any(axis=1))
    if telling.any() and not telling.all():
        per_image = per_image[telling]
        groups = None if groups is None else [name for name, told in zip(groups, telling.tolist(), strict=True) if told]
    images = len(per_image)
    if groups is None:
        return per_image, images, None
    firsts, unit_of = np.unique(group_places(groups), return_inverse=True)
    if len(firsts) == images:
        return per_image, images, None
    if len(firsts) < FEWEST_GROUPS:
        return per_image, images, len(firsts)
    units = np.zeros((len(firsts), *per_image.shape[1:]), dtype=np.int64)
    np.add.at(units, unit_of, per_image)
    return units, images, len(firsts)


def _paired(first: Counts, second: Counts, groups: Sequence[str] | None) -> tuple[Counts, int, int | None]:
    """Both models' counts of what is drawn, (N, 2, *shape), and how many images and groups, as `_units` has it."""
    if first.shape != second.shape:
        raise ValueError(f"a comparison needs counts of the same images, found {first.shape} and {second.shape}")
    return _units(np.stack([first, second], axis=1), groups)


def _difference_limits(
    both: Counts,
    scores: Scores,
    limits: tuple[float, float],
    resamples: int,
    confidence: float,
    generator: np.random.Generator,
) -> list[tuple[float, float]]:
    """`_limits` of the first model's scores less the second's; `limits` are of the scores."""
    widest = limits[1] - limits[0]

    def difference(counts: Counts) -> Floats:
        return scores(counts[:, 0]) - scores(counts[:, 1])

    if np.array_equal(both[:, 0], both[:, 1]):  # even of a single image
        return [(value, value) for value in difference(both.sum(axis=0)[None])[0].tolist()]
    return _limits(both, difference, (-widest, widest), resamples, confidence, generator)


def _limits(
    units: Counts,
    scores: Scores,
    limits: tuple[float, float],
    resamples: int,
    confidence: float,
    generator: np.random.Generator,
) -> list[tuple[float, float]]:
    """Low and high of the interval of each of `scores`, as the module's docstring describes it."""
    total = units.sum(axis=0)
    found = scores(total[None])[0]
    without = np.concatenate([scores(total - units[part]) for part in _parts(units)])
    drawn = np.concatenate([scores(counts) for counts in _summed(_draws(units, resamples, generator), units)])
    return [
        _limit(float(own), left, resampled, limits, confidence)
        for own, left, resampled in zip(found, without.T, drawn.T, strict=True)
    ]


def _limit(
    found: float, without: Floats, drawn: Floats, limits: tuple[float, float], confidence: float
) -> tuple[float, float]:
    """Low and high of one score.

    Args:
        found: of all units.
        without: of all but one, (N,).
        drawn: of the resamples, (R,).
    """
    count = len(without)
    if math.isnan(found):
        return math.nan, math.nan
    if count == 1 or np.isnan(without).any():  # a single unit has all there is to score: it says nothing of others
        return limits
    influences = (count - 1) * (without.mean() - without)
    variance = float((influences**2).mean())
    if variance < _ROUNDING:
        return _alike(found, count, limits, confidence)
    error = math.sqrt(variance / (count - 1))
    centre = count * found - (count - 1) * float(without.mean())
    drawn = drawn[~np.isnan(drawn)]
    tail = (1 + confidence) / 2
    ends = np.quantile(drawn, [1 - tail, tail]) - drawn.mean()
    spread = float(drawn.std())
    kurtosis = float((influences**4).mean()) / variance**2
    freedom = min(count - 1.0, max(3.0, 2 * count / max(kurtosis - 1, 1e-9)))
    scale = error * student(tail, freedom) / (spread * NormalDist().inv_cdf(tail)) if spread else 0.0
    low, high = (centre + scale * ends).tolist()
    return max(min(low, found), limits[0]), min(max(high, found), limits[1])


def _alike(found: float, count: int, limits: tuple[float, float], confidence: float) -> tuple[float, float]:
    """Low and high of a score that all of `count` units have, so that they have no spread.

    The next may be otherwise, in any way, with a chance of up to 1 - (1 - confidence)^(1 / count)
    (Hanley and Lippman-Hand, JAMA 1983: the rule of three).
    """
    room = 1 - (1 - confidence) ** (1 / count)
    return found - room * (found - limits[0]), found + room * (limits[1] - found)


def student(tail: float, freedom: float) -> float:
    """Quantile `tail` (above 0.5) of Student's t distribution, within 1 % for 0.9 to 0.995.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5; exact for 1 and 2 degrees of freedom.
    """
    if freedom == 1:
        return math.tan(math.pi * (tail - 0.5))
    if freedom == 2:
        return (2 * tail - 1) / math.sqrt(2 * tail * (1 - tail))
    z = NormalDist().inv_cdf(tail)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def _chunks(resamples: int, units: Counts) -> Iterator[int]:
    """How many resamples to hold at a time, until there are `resamples`."""
    most = max(1, _NUMBERS_AT_ONCE // max(len(units), math.prod(units.shape[1:])))
    for start in range(0, resamples, most):
        yield min(most, resamples - start)


def _draws(units: Counts, resamples: int, generator: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """How often each unit is in each resample, (r, N) a chunk."""
    even = np.full(len(units), 1 / len(units))
    for rows in _chunks(resamples, units):
        yield generator.multinomial(len(units), even, size=rows)


def _parts(units: Counts) -> Iterator[slice]:
    start = 0
    for rows in _chunks(len(units), units):
        yield slice(start, start + rows)
        start += rows


def _summed(weights: Iterator[npt.NDArray[np.int64]], units: Counts, once: Counts | None = None) -> Iterator[Counts]:
    """Counts (r, *shape) of each chunk of weights (r, N): units times their weights, and `once` as it is."""
    # float64 products of integers are exact up to 2^53 pixels, and BLAS is far faster than int64.
    flat = units.reshape(len(units), -1).astype(np.float64)
    added = 0 if once is None else once.sum(axis=0)
    for chunk in weights:
        yield np.asarray(chunk.astype(np.float64) @ flat, dtype=np.int64).reshape(-1, *units.shape[1:]) + added
