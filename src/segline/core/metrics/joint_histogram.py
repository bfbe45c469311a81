"""The joint histogram of two byte maps: what every pixel-level score is counted from.

Label maps are runs of equal pixels: of KITTI's pixels one in forty ends a run of equal pairs. So runs
are counted, each by its length, where there are few of them; where there are many (noise, confidence
maps) OpenCV's histogram takes each pixel. Both are exact; `benchmarks/scoring.py` says how fast.
"""

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import Mask

Counts = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]

BYTES = 256
"""Values of a uint8."""

_EXACT = 1 << 24
"""Pixels a call of OpenCV's histogram may count: its bins are float32, which are exact up to here."""

_FEW = 16
"""Pixels there must be for each run, on average, for runs to be faster."""


def joint_histogram(first: Mask, second: Mask, *, width: int = BYTES) -> Counts:
    """Count how often each pair of values lies on the same place.

    Args:
        first: uint8, any shape.
        second: uint8 of the same shape.
        width: columns; values of `second` from the last one up are counted in it together.

    Returns:
        int64 (256, width): rows are values of `first`. Sums over maps are sums of these.

    Raises:
        ValueError: the shapes differ, or a map is not uint8.
    """
    return histogram_and_ends(first, second, width=width)[0]


def histogram_and_ends(first: Mask, second: Mask, *, width: int = BYTES) -> tuple[Counts, Places | None]:
    """`joint_histogram`, and where the runs that it counted end.

    Returns:
        The counts, and the place of each run's last pair in the flattened maps, ascending; None where runs are so
        many that pixels were counted.
    """
    if first.shape != second.shape:
        raise ValueError(f"maps of one size are needed, found {first.shape} and {second.shape}")
    if first.dtype != np.uint8 or second.dtype != np.uint8:
        raise ValueError(f"maps of uint8 are needed, found {first.dtype} and {second.dtype}")
    first, second = first.ravel(), second.ravel()
    ends = first[1:] != first[:-1]  # but for the last run's, which is not among them
    ends |= second[1:] != second[:-1]
    if first.size and np.count_nonzero(ends) * _FEW <= first.size:
        last = np.append(np.flatnonzero(ends), first.size - 1)
        return _by_run(first, second, last, width), last
    return _by_pixel(first, second, width), None


def _by_run(first: Mask, second: Mask, last: Places, width: int) -> Counts:
    lengths = np.diff(last, prepend=-1)
    pairs = first[last].astype(np.intp) * width + np.minimum(second[last], width - 1)
    counts = np.bincount(pairs, weights=lengths, minlength=BYTES * width)  # float64: exact up to 2^53
    return counts.astype(np.int64).reshape(BYTES, width)


def _by_pixel(first: Mask, second: Mask, width: int) -> Counts:
    counts = np.zeros((BYTES, width), dtype=np.int64)
    for start in range(0, first.size, _EXACT):
        rows, columns = (values[np.newaxis, start : start + _EXACT] for values in (first, second))
        _, columns = cv2.threshold(columns, width - 1, 0, cv2.THRESH_TRUNC)  # a minimum, far faster than NumPy's
        part = cv2.calcHist([rows, columns], [0, 1], None, [BYTES, width], [0, BYTES, 0, width])
        counts += part.astype(np.int64)
    return counts
