"""Find colours in masks that are no classes, but mixtures that interpolation leaves on borders between areas."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segline.data.images.decode import read_image

Packed = npt.NDArray[np.uint32]
"""(H, W): red, green and blue of each pixel in one number."""

_MIN_RATIO = 4  # both colours of a mixture are at least this many times as frequent
_MIN_PIXELS_PER_INNER_PIXEL = 10  # a mixture has more pixels for each inner pixel (see `select_inner`)
_MAX_COLOURS_MIXED = 32  # only this many of the most frequent colours are considered as parts of mixtures
_MAX_DISTANCE = 2.0  # levels between a mixture and the line between its two colours, due to rounding
_OVERSHOOT = 0.15  # cubic interpolation exceeds that line by this share of its length
_MIN_MIXTURES = 3  # with so many mixtures, the masks were certainly interpolated


def read_colours(path: Path) -> Packed:
    """Read the colours of a mask, packed into one number each.

    Raises:
        DataError: the file cannot be read.
    """
    pixels = read_image(path)
    packed: Packed = pixels[..., 0].astype(np.uint32)
    for channel in (1, 2):
        packed <<= 8
        packed |= pixels[..., channel]
    return packed


def count_values(values: Packed) -> dict[int, int]:
    """Count how often each value occurs."""
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def select_inner(packed: Packed) -> Packed:
    """Select inner pixels, (N,): all four neighbours have the same colour. Thin borders have hardly any."""
    middle = packed[1:-1, 1:-1]
    same = (middle == packed[:-2, 1:-1]) & (middle == packed[2:, 1:-1])
    same &= (middle == packed[1:-1, :-2]) & (middle == packed[1:-1, 2:])
    found: Packed = middle[same]
    return found


def find_mixtures(counts: Counter[int], areas: Counter[int], *, named: Collection[int]) -> set[int]:
    """Find mixtures: colours between two far more frequent colours, with hardly any inner pixels.

    Args:
        counts: colour -> pixels.
        areas: colour -> inner pixels, see `select_inner`.
        named: colours that are known to be classes.
    """
    real: list[int] = []
    found: set[int] = set()
    for value, pixels in counts.most_common():
        frequent = [other for other in real[:_MAX_COLOURS_MIXED] if counts[other] >= _MIN_RATIO * pixels]
        thin = value not in named and areas[value] * _MIN_PIXELS_PER_INNER_PIXEL < pixels
        if thin and (_lies_between(value, frequent) or _is_close(value, real[:_MAX_COLOURS_MIXED])):
            found.add(value)
        else:
            real.append(value)
    if len(found) >= _MIN_MIXTURES:
        # There are also mixtures of three areas, which are not on a line between two colours.
        least = min(
            (counts[value] for value in real if areas[value] * _MIN_PIXELS_PER_INNER_PIXEL >= counts[value]), default=0
        )
        found |= {
            value for value in real if value not in named and not areas[value] and counts[value] * _MIN_RATIO < least
        }
    return found


def _lies_between(value: int, others: Sequence[int]) -> bool:
    """Return whether a colour lies on the line between two of `others`."""
    if len(others) < 2:
        return False
    point, ends = _unpack([value])[0], _unpack(others)
    first, second = np.triu_indices(len(others), k=1)
    start, way = ends[first], ends[second] - ends[first]
    share = ((point - start) * way).sum(axis=1) / (way**2).sum(axis=1)
    distance = np.linalg.norm(start + share[:, None] * way - point, axis=1)
    return bool(((share > -_OVERSHOOT) & (share < 1 + _OVERSHOOT) & (distance <= _MAX_DISTANCE)).any())


def _is_close(value: int, others: Sequence[int]) -> bool:
    """Return whether a colour equals one of `others`, except for rounding."""
    return bool(others) and bool((np.abs(_unpack(others) - _unpack([value])).max(axis=1) <= _MAX_DISTANCE).any())


def _unpack(values: Sequence[int]) -> npt.NDArray[np.float64]:
    return np.asarray([tuple(value.to_bytes(3, "big")) for value in values], dtype=np.float64)
