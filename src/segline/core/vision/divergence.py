"""Measure how far two sets of images differ, and how far they would differ by chance.

A distance between two splits means little by itself: two random halves of a small dataset differ too. So each
distance comes with a permutation reference (Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses", 2005):
the same distance after the images were assigned to the two sets at random. Images are treated as exchangeable. Where
neighbouring images show one place, as frames of a drive do, this reference is too small: random splits by drive
would differ more.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_IMAGES_AT_A_TIME = 64  # in one matrix product: memory stays at a few MiB for any number of images
_PERMUTATIONS_AT_A_TIME = 16  # random assignments in one matrix product
_TOLERANCE = 1e-9  # closer distances are equal: sums of floats differ by their order


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A measured value, and its distribution by chance.

    Args:
        value: as measured.
        chance_median: median of the random cases.
        chance_extreme: the 95 % quantile of the random cases; the 5 % quantile where low values are the extreme ones.
        p: share of the random cases that are at least as extreme as the value; the value itself counts as one.
    """

    value: float
    chance_median: float
    chance_extreme: float
    p: float


def jensen_shannon(one: Floats, other: Floats) -> Floats:
    """Compute the Jensen-Shannon distance, 0 (equal) to 1 (disjoint): the root of the divergence in bits.

    Args:
        one: float64 (..., C) counts or shares, not all zero; they are normalised here.
        other: the same, of the same shape.
    """
    first, second = (counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-300) for counts in (one, other))
    middle = (first + second) / 2
    return np.asarray(
        np.sqrt(np.maximum(_compute_kullback_leibler(first, middle) + _compute_kullback_leibler(second, middle), 0) / 2)
    )


def _compute_kullback_leibler(shares: Floats, of: Floats) -> Floats:
    ratio = np.divide(shares, of, out=np.ones_like(shares), where=shares > 0)
    return np.asarray((shares * np.log2(ratio)).sum(axis=-1))


def shifts(counts: Floats, features: Floats, second: npt.NDArray[np.bool_], *, permutations: int) -> list[Judged]:
    """Measure distances between two sets of images, with their permutation references.

    Args:
        counts: float64 (N, C), pixels of each class in each image. Their sums are compared by `jensen_shannon`.
        features: float64 (N, F), features of each image. Their means are compared, in standard deviations of all
            N images.
        second: (N,) which images are of the second set; neither set is empty.
        permutations: how often images are assigned to the sets at random.

    Returns:
        1 + F distances, the first for `counts`.
    """
    values = np.concatenate([counts, features], axis=1)
    deviation = features.std(axis=0)
    scale = np.where(deviation > _TOLERANCE, deviation, np.inf)  # a constant feature has distance 0

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
    for begin in range(0, permutations, _PERMUTATIONS_AT_A_TIME):
        members = np.tile(second.astype(np.float64), (min(_PERMUTATIONS_AT_A_TIME, permutations - begin), 1))
        dealt.append(apart(generator.permuted(members, axis=1)))
    return [_judge(value, chance) for value, chance in zip(observed, np.concatenate(dealt).T, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Symmetry:
    """Overlap of a layout with its mirror image.

    Args:
        overlap: for all classes together, 0 (none) to 1 (full). Its reference is the same dataset with each image
            mirrored with probability 0.5, so that no side is preferred.
        by_class: (C,) overlap of each class, without a reference; NaN where a class does not occur.
    """

    overlap: Judged
    by_class: Floats


def symmetry(layouts: npt.NDArray[np.uint8], *, classes: int, axis: int, permutations: int) -> Symmetry:
    """Measure how far classes lie where their mirror images lie.

    Args:
        layouts: uint8 (N, G, G), each image's train ids at a grid of points; other ids are ignored.
        classes: number of train ids.
        axis: 2 mirrors left and right, 1 up and down.
        permutations: number of random references; each mirrors every image with probability 0.5.
    """
    generator = np.random.default_rng(0)
    cells = layouts[0].size if len(layouts) else 0
    differences = np.zeros((permutations + 1, classes, cells), dtype=np.float32)  # whole numbers below 2^24: exact
    total = np.zeros(classes)
    for begin in range(0, len(layouts), _IMAGES_AT_A_TIME):
        part = layouts[begin : begin + _IMAGES_AT_A_TIME]
        placed = part[:, None] == np.arange(classes, dtype=np.uint8)[:, None, None]
        total += placed.sum(axis=(0, 2, 3))
        lopsided = placed.astype(np.float32) - np.flip(placed, axis=axis + 1)
        signs = 2 * generator.integers(0, 2, (permutations + 1, len(part)), dtype=np.int8).astype(np.float32) - 1
        signs[0] = 1
        product = signs @ lopsided.reshape(len(part), -1)
        differences += product.reshape(differences.shape)
    moved = np.abs(differences).sum(axis=2, dtype=np.float64) / 2
    overlaps = 1 - moved.sum(axis=1) / max(total.sum(), 1)
    with np.errstate(invalid="ignore"):
        by_class = 1 - moved[0] / np.where(total > 0, total, np.nan)
    return Symmetry(overlap=_judge(overlaps[0], overlaps[1:], low=True), by_class=by_class)


def _judge(value: float, chance: Floats, *, low: bool = False) -> Judged:
    sign = -1 if low else 1
    extreme = np.count_nonzero(sign * chance >= sign * value - _TOLERANCE)
    return Judged(
        value=float(value),
        chance_median=float(np.median(chance)),
        chance_extreme=float(np.quantile(chance, 0.05 if low else 0.95)),
        p=float((1 + extreme) / (1 + len(chance))),
    )
