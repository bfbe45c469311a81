"""Resample images, or whole groups of them, and sum their counts with bounded memory.

Images that show the same place, drive or animal are not independent: where groups are named, whole groups are
drawn. `bootstrap` draws with replacement, `permutation` swaps the counts of two models.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from segline.core.metrics.confusion import Counts
from segline.core.statistics.trust import MIN_GROUPS_TO_DRAW

Floats = npt.NDArray[np.float64]

Score = Callable[[Counts], Floats]
"""Summed counts int64 (..., *shape) of one image's `shape` -> float64 (...), e.g. `mean_iou`."""

Scores = Callable[[Counts], Floats]
"""Summed counts, as for `Score` -> float64 (..., K), e.g. `iou`."""

MAX_NUMBERS_AT_ONCE = 1 << 20
"""Numbers of resampled counts held in memory, whatever the number of resamples."""


def group_places(groups: Sequence[str]) -> tuple[int, ...]:
    """Give each image the index of the first image of its group.

    Args:
        groups: one name an image. An image without a name ("") is a group of its own.
    """
    first: dict[str, int] = {}
    return tuple(first.setdefault(name, place) if name else place for place, name in enumerate(groups))


def sum_to_units(per_image: Counts, groups: Sequence[str] | None) -> tuple[Counts, int, int | None]:
    """Sum counts to the units that are drawn.

    Images without any count (all void) carry no information. They are left out, unless no image has counts.

    Returns:
        Counts of the units, the number of images, and the number of groups; None instead of groups if every image is
        a unit of its own.

    Raises:
        ValueError: there is no image, or the number of group names differs.
    """
    if not len(per_image):
        raise ValueError("an interval needs at least one image")
    if groups is not None and len(groups) != len(per_image):
        raise ValueError(f"found {len(groups)} group names for {len(per_image)} images, expected one for each")
    counted = np.asarray(per_image.reshape(len(per_image), -1).any(axis=1))
    if counted.any() and not counted.all():
        per_image = per_image[counted]
        groups = None if groups is None else [name for name, kept in zip(groups, counted.tolist(), strict=True) if kept]
    images = len(per_image)
    if groups is None:
        return per_image, images, None
    firsts, unit_of = np.unique(group_places(groups), return_inverse=True)
    if len(firsts) == images:
        return per_image, images, None
    if len(firsts) < MIN_GROUPS_TO_DRAW:
        return per_image, images, len(firsts)
    units = np.zeros((len(firsts), *per_image.shape[1:]), dtype=np.int64)
    np.add.at(units, unit_of, per_image)
    return units, images, len(firsts)


def split_resamples(resamples: int, units: Counts) -> Iterator[int]:
    """Split `resamples` into numbers that fit into memory at a time."""
    most = max(1, MAX_NUMBERS_AT_ONCE // max(len(units), math.prod(units.shape[1:])))
    for start in range(0, resamples, most):
        yield min(most, resamples - start)


def draw_weights(units: Counts, resamples: int, generator: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """Draw how often each unit occurs in each resample, int64 (r, N) a chunk."""
    even = np.full(len(units), 1 / len(units))
    for rows in split_resamples(resamples, units):
        yield generator.multinomial(len(units), even, size=rows)


def split_units(units: Counts) -> Iterator[slice]:
    """Yield slices over all units, each as long as fits into memory at a time."""
    start = 0
    for rows in split_resamples(len(units), units):
        yield slice(start, start + rows)
        start += rows


def sum_weighted(
    weights: Iterator[npt.NDArray[np.int64]], units: Counts, once: Counts | None = None
) -> Iterator[Counts]:
    """Sum units times their weights, plus `once` unweighted: counts (r, *shape) for each chunk of weights (r, N)."""
    # float64 products of integers are exact up to 2^53 pixels, and BLAS is far faster than int64.
    flat = units.reshape(len(units), -1).astype(np.float64)
    added = 0 if once is None else once.sum(axis=0)
    for chunk in weights:
        yield np.asarray(chunk.astype(np.float64) @ flat, dtype=np.int64).reshape(-1, *units.shape[1:]) + added
