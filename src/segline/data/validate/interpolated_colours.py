"""Colours in masks that are no classes: what interpolation leaves between two areas."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segline.data.images.decode import read_image, read_mask

Packed = npt.NDArray[np.uint32]
"""(H, W), the red, green and blue of each pixel in one number."""

_RARER = 4  # times, than both of the colours that are mixed
_SEAM = 10  # times as many pixels as lie within an area of that colour
_MIXED = 32  # frequent colours that are tried
_DISTANCE = 2.0  # from the line between two colours, which rounding makes
_BEYOND = 0.15  # of that line, where cubic interpolation overshoots
_SEVERAL = 3  # blends that show an interpolation


def read_values(path: Path, *, coloured: bool) -> Packed:
    """A mask's ids, or its colours packed into one number each.

    Raises:
        DataError: it cannot be read.
    """
    if not coloured:
        return read_mask(path).astype(np.uint32)
    pixels = read_image(path)
    packed: Packed = pixels[..., 0].astype(np.uint32)
    for channel in (1, 2):
        packed <<= 8
        packed |= pixels[..., channel]
    return packed


def count(values: Packed) -> dict[int, int]:
    """Value -> how often it occurs."""
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def inner(packed: Packed) -> Packed:
    """(N,) the pixels whose four neighbours have their colour: areas have such ones, seams between them hardly."""
    middle = packed[1:-1, 1:-1]
    same = (middle == packed[:-2, 1:-1]) & (middle == packed[2:, 1:-1])
    same &= (middle == packed[1:-1, :-2]) & (middle == packed[1:-1, 2:])
    found: Packed = middle[same]
    return found


def blends(counts: Counter[int], areas: Counter[int], *, named: Collection[int]) -> set[int]:
    """The colours that are mixed of others: between two far more frequent ones, and without an area of their own.

    Args:
        counts: colour -> pixels.
        areas: colour -> pixels that `inner` gives.
        named: colours that are known to be classes.
    """
    real: list[int] = []
    found: set[int] = set()
    for value, pixels in counts.most_common():
        frequent = [other for other in real[:_MIXED] if counts[other] >= _RARER * pixels]
        seam = value not in named and areas[value] * _SEAM < pixels
        if seam and (_between(value, frequent) or _close(value, real[:_MIXED])):
            found.add(value)
        else:
            real.append(value)
    if len(found) >= _SEVERAL:  # then where three areas meet there are mixtures too, on no line between two
        least = min((counts[value] for value in real if areas[value] * _SEAM >= counts[value]), default=0)
        found |= {value for value in real if value not in named and not areas[value] and counts[value] * _RARER < least}
    return found


def _between(value: int, others: Sequence[int]) -> bool:
    """Whether a colour lies on the line between two of `others`."""
    if len(others) < 2:
        return False
    point, ends = _rgb([value])[0], _rgb(others)
    first, second = np.triu_indices(len(others), k=1)
    start, way = ends[first], ends[second] - ends[first]
    share = ((point - start) * way).sum(axis=1) / (way**2).sum(axis=1)
    distance = np.linalg.norm(start + share[:, None] * way - point, axis=1)
    return bool(((share > -_BEYOND) & (share < 1 + _BEYOND) & (distance <= _DISTANCE)).any())


def _close(value: int, others: Sequence[int]) -> bool:
    """Whether a colour is one of `others` but for rounding."""
    return bool(others) and bool((np.abs(_rgb(others) - _rgb([value])).max(axis=1) <= _DISTANCE).any())


def _rgb(values: Sequence[int]) -> npt.NDArray[np.float64]:
    return np.asarray([tuple(value.to_bytes(3, "big")) for value in values], dtype=np.float64)
