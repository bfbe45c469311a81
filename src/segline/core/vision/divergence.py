"""How far two sets of images lie apart, and how far chance alone would put them.

A distance between two splits says little by itself: two random halves of one small dataset lie apart
too. So each distance comes with its permutation reference (Good, "Permutation, Parametric and Bootstrap
Tests of Hypotheses", 2005): the same distance after the images were dealt out again at random.
Images count as exchangeable one by one; where neighbours show one place, as in frames of a drive,
chance would in truth put splits further apart than is said here.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_AT_A_TIME = 64  # images in one product: memory stays at some MiB for any number of them
_DEALT_AT_A_TIME = 16  # dealings in one product; each is a number an image
_TIE = 1e-9  # distances closer than this are equal: sums of floats differ by their order


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A figure and what chance says of it.

    Args:
        value: as measured.
        chance_median: median of it by chance alone.
        chance_extreme: what chance alone passes in one of twenty cases.
        p: share of chance's cases at least as extreme as the value, the value's own counted in.
    """

    value: float
    chance_median: float
    chance_extreme: float
    p: float


def jensen_shannon(one: Floats, other: Floats) -> Floats:
    """Jensen-Shannon distance, 0 (alike) to 1 (disjoint): the root of the divergence in bits.

    Args:
        one: float64 (..., C) counts or shares, not all zero; each is normalised.
        other: the same shape.
    """
    first, second = (counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-300) for counts in (one, other))
    middle = (first + second) / 2
    return np.asarray(np.sqrt(np.maximum(_kullback(first, middle) + _kullback(second, middle), 0) / 2))


def _kullback(shares: Floats, of: Floats) -> Floats:
    ratio = np.divide(shares, of, out=np.ones_like(shares), where=shares > 0)
    return np.asarray((shares * np.log2(ratio)).sum(axis=-1))


def shifts(counts: Floats, features: Floats, second: npt.NDArray[np.bool_], *, dealings: int) -> list[Judged]:
    """Distances between two sets of images, with their permutation references.

    Args:
        counts: float64 (N, C), pixels a class an image: their sums are compared by `jensen_shannon`.
        features: float64 (N, F), figures of an image: their means are compared, in standard
            deviations of all N images.
        second: (N,) which images are of the second set; both sets hold some.
        dealings: how often chance deals.

    Returns:
        1 + F figures, the first of `counts`.
    """
    values = np.concatenate([counts, features], axis=1)
    deviation = features.std(axis=0)
    scale = np.where(deviation > _TIE, deviation, np.inf)  # what never varies is nowhere apart

    def apart(members: Floats) -> Floats:
        there = members @ values
        here = values.sum(axis=0) - there
        size = members.sum(axis=1, keepdims=True)
        classes = jensen_shannon(here[:, : counts.shape[1]], there[:, : counts.shape[1]])
        means = [sums[:, counts.shape[1] :] / number for sums, number in ((here, len(values) - size), (there, size))]
        return np.concatenate([classes[:, None], np.abs(means[0] - means[1]) / scale], axis=1)

    observed = apart(second[None].astype(np.float64))[0]
    generator = np.random.default_rng(0)
    dealt = []
    for begin in range(0, dealings, _DEALT_AT_A_TIME):
        members = np.tile(second.astype(np.float64), (min(_DEALT_AT_A_TIME, dealings - begin), 1))
        dealt.append(apart(generator.permuted(members, axis=1)))
    return [_judged(value, chance) for value, chance in zip(observed, np.concatenate(dealt).T, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Symmetry:
    """How much of a layout a mirror leaves in place.

    Args:
        overlap: of all classes together, 0 (nothing) to 1 (all), with what chance says: the same of a
            dataset each of whose images was mirrored by the toss of a coin, which has no preferred side.
        by_class: (C,) the same a class, without reference; NaN where a class is nowhere.
    """

    overlap: Judged
    by_class: Floats


def symmetry(layouts: npt.NDArray[np.uint8], *, classes: int, axis: int, tosses: int) -> Symmetry:
    """Whether classes lie where their mirror images lie.

    Args:
        layouts: uint8 (N, G, G), each image's train ids at a grid of points; others are left out.
        classes: how many train ids there are.
        axis: 2 mirrors left and right, 1 up and down.
        tosses: how often chance tosses a coin for every image.
    """
    generator = np.random.default_rng(0)
    cells = layouts[0].size if len(layouts) else 0
    differences = np.zeros((tosses + 1, classes, cells), dtype=np.float32)  # whole numbers below 2^24: exact
    total = np.zeros(classes)
    for begin in range(0, len(layouts), _AT_A_TIME):
        part = layouts[begin : begin + _AT_A_TIME]
        placed = part[:, None] == np.arange(classes, dtype=np.uint8)[:, None, None]
        total += placed.sum(axis=(0, 2, 3))
        lopsided = placed.astype(np.float32) - np.flip(placed, axis=axis + 1)
        signs = 2 * generator.integers(0, 2, (tosses + 1, len(part)), dtype=np.int8).astype(np.float32) - 1
        signs[0] = 1
        product = signs @ lopsided.reshape(len(part), -1)
        differences += product.reshape(differences.shape)
    moved = np.abs(differences).sum(axis=2, dtype=np.float64) / 2
    overlaps = 1 - moved.sum(axis=1) / max(total.sum(), 1)
    with np.errstate(invalid="ignore"):
        by_class = 1 - moved[0] / np.where(total > 0, total, np.nan)
    return Symmetry(overlap=_judged(overlaps[0], overlaps[1:], low=True), by_class=by_class)


def _judged(value: float, chance: Floats, *, low: bool = False) -> Judged:
    sign = -1 if low else 1
    extreme = np.count_nonzero(sign * chance >= sign * value - _TIE)
    return Judged(
        value=float(value),
        chance_median=float(np.median(chance)),
        chance_extreme=float(np.quantile(chance, 0.05 if low else 0.95)),
        p=float((1 + extreme) / (1 + len(chance))),
    )
