"""Count the joint histogram of two byte maps, from which every pixel-level score is computed.

Label maps consist of runs of equal pixels: in KITTI, one pixel in forty ends a run of equal pairs. Where runs are few,
they are counted by their lengths. Where they are many (noise, confidence maps), OpenCV's histogram counts each pixel.
Both are exact; `benchmarks/scoring.py` measures their speed.
"""

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import Mask

Counts = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]

BYTES = 256
"""Number of values of a uint8."""

_MAX_EXACT_PIXELS = 1 << 24
"""Limit of one call of OpenCV's histogram, whose float32 bins are exact up to this count."""

_MIN_RUN_LENGTH = 16
"""Mean length, in pixels, from which counting runs is faster."""


def joint_histogram(first: Mask, second: Mask, *, width: int = BYTES) -> Counts:
    """Count how often each pair of values occurs at the same position.

    Args:
        first: uint8, any shape.
        second: uint8 of the same shape.
        width: number of columns; the last one counts all values of `second` from `width - 1` up.

    Returns:
        int64 (256, width): rows are values of `first`. The counts of several maps are added.

    Raises:
        ValueError: the shapes differ, or a map is not uint8.
    """
    return histogram_and_ends(first, second, width=width)[0]


def histogram_and_ends(first: Mask, second: Mask, *, width: int = BYTES) -> tuple[Counts, Places | None]:
    """Count as `joint_histogram` does, and also return where the runs end.

    Returns:
        The counts, and the position of each run's last pair in the flattened maps, ascending. None instead of
        positions where there were so many runs that pixels were counted.
    """
    if first.shape != second.shape:
        raise ValueError(f"the maps must have one shape, found {first.shape} and {second.shape}")
    if first.dtype != np.uint8 or second.dtype != np.uint8:
        raise ValueError(f"the maps must be uint8, found {first.dtype} and {second.dtype}")
    first, second = first.ravel(), second.ravel()
    ends = first[1:] != first[:-1]  # of all runs but the last
    ends |= second[1:] != second[:-1]
    if first.size and np.count_nonzero(ends) * _MIN_RUN_LENGTH <= first.size:
        last = np.append(np.flatnonzero(ends), first.size - 1)
        return _count_runs(first, second, last, width), last
    return _count_pixels(first, second, width), None


def _count_runs(first: Mask, second: Mask, last: Places, width: int) -> Counts:
    lengths = np.diff(last, prepend=-1)
    pairs = first[last].astype(np.intp) * width + np.minimum(second[last], width - 1)
    counts = np.bincount(pairs, weights=lengths, minlength=BYTES * width)  # float64: exact up to 2^53
    return counts.astype(np.int64).reshape(BYTES, width)


def _count_pixels(first: Mask, second: Mask, width: int) -> Counts:
    counts = np.zeros((BYTES, width), dtype=np.int64)
    for start in range(0, first.size, _MAX_EXACT_PIXELS):
        rows, columns = (values[np.newaxis, start : start + _MAX_EXACT_PIXELS] for values in (first, second))
        _, columns = cv2.threshold(columns, width - 1, 0, cv2.THRESH_TRUNC)  # a minimum, far faster than NumPy's
        part = cv2.calcHist([rows, columns], [0, 1], None, [BYTES, width], [0, BYTES, 0, width])
        counts += part.astype(np.int64)
    return counts
