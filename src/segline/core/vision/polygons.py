"""Rasterise polygons and run lengths.

A pixel belongs to a polygon if its centre lies inside (even-odd rule), so areas have no bias: a square from 0 to 10
covers 10 pixels a side. OpenCV's ``fillPoly`` also paints the outline, which makes everything a pixel wider.

Coordinates are continuous, (x, y) from the image's upper left corner, as in COCO and LabelMe: pixel (row, column)
spans column..column+1 and row..row+1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segline.core.labels import Mask

Points = npt.NDArray[np.float64]
"""(N, 2) corners of a polygon, x and y; the last corner is joined to the first."""
Area = npt.NDArray[np.bool_]
"""(H, W), true inside the area."""

_TOLERANCE = 1.0  # pixels beyond the image that are not counted as cut off


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One labelled area.

    Args:
        raw: raw id that its pixels get.
        outlines: its polygons; a pixel inside any of them belongs to the area.
        runs: lengths of alternating runs, outside first, down the columns of the whole image (COCO's RLE). They can
            leave holes. Empty where there are outlines.
        stamp: a small area, and the row and column of its upper left pixel; None where there is none.
    """

    raw: int
    outlines: tuple[Points, ...] = ()
    runs: tuple[int, ...] = ()
    stamp: tuple[Area, int, int] | None = None


def draw(shapes: Sequence[Shape], *, height: int, width: int, background: int) -> Mask:
    """Paint `shapes` in their order, later ones over earlier ones.

    Returns:
        uint8 (height, width) raw ids; `background` where no shape is.

    Raises:
        ValueError: run lengths do not cover the image exactly.
    """
    mask = np.full((height, width), background, dtype=np.uint8)
    for shape in shapes:
        for outline in shape.outlines:
            part, area = _rasterise(outline, height=height, width=width)
            mask[part][area] = shape.raw
        if shape.runs:
            mask[_unroll(shape.runs, height=height, width=width)] = shape.raw
        if shape.stamp is not None:
            area, row, column = shape.stamp
            rows, columns = np.nonzero(area)
            kept = (rows + row >= 0) & (rows + row < height) & (columns + column >= 0) & (columns + column < width)
            mask[rows[kept] + row, columns[kept] + column] = shape.raw
    return mask


def leaves(shape: Shape, *, height: int, width: int) -> bool:
    """Return whether an outline reaches more than a pixel beyond the image, where it is cut off."""
    return any(
        bool((outline < -_TOLERANCE).any() or (outline > np.array([width, height]) + _TOLERANCE).any())
        for outline in shape.outlines
    )


def _rasterise(outline: Points, *, height: int, width: int) -> tuple[tuple[slice, slice], Area]:
    """Find the part of the image that contains all of an outline, and the area within that part."""
    start, end = outline, np.roll(outline, -1, axis=0)
    # Each edge goes downward: an edge that occurs in both directions is then crossed twice at the same place.
    down = (start[:, 1] <= end[:, 1])[:, None]
    start, end = np.where(down, start, end), np.where(down, end, start)
    lowest = np.clip(np.ceil(outline.min(axis=0) - 0.5), 0, (width, height)).astype(np.int64)
    highest = np.clip(np.ceil(outline.max(axis=0) - 0.5), 0, (width, height)).astype(np.int64)
    (left, top), (right, bottom) = lowest.tolist(), highest.tolist()
    first = np.clip(np.ceil(start[:, 1] - 0.5), top, bottom).astype(np.int64)
    after = np.clip(np.ceil(end[:, 1] - 0.5), top, bottom).astype(np.int64)
    # One entry for each row that an edge crosses. At the crossing, inside changes to outside or back.
    edge = np.repeat(np.arange(len(outline)), after - first)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(after - first) - after, after - first)
    slope = (end - start)[edge]
    crossing = start[edge, 0] + (row + 0.5 - start[edge, 1]) * slope[:, 0] / slope[:, 1]
    column = np.clip(np.ceil(crossing - 0.5), left, right).astype(np.int64)
    turns = np.zeros((bottom - top, right - left + 1), dtype=np.uint8)
    np.add.at(turns, (row - top, column - left), 1)
    area = np.cumsum(turns, axis=1, dtype=np.uint8)[:, : right - left] % 2 == 1
    return (slice(top, bottom), slice(left, right)), area


def _unroll(runs: Sequence[int], *, height: int, width: int) -> Area:
    """Turn run lengths down the columns into an area.

    Raises:
        ValueError: the runs do not cover the image exactly.
    """
    if sum(runs) != height * width or min(runs) < 0:
        raise ValueError(f"runs of {sum(runs)} pixels for an image of {height} x {width} = {height * width} pixels")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def runs_of(text: str) -> tuple[int, ...]:
    """Decode COCO's compressed run lengths (``rleFrString`` of the COCO API).

    Each number is written in groups of five bits, lowest first. A sixth bit says that more groups follow, and 48 is
    added to make a letter. From the fourth number on, the difference to the number two places before is written.

    Raises:
        ValueError: a letter is not allowed, or the text ends within a number.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"letter {letter!r} is not allowed in compressed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("compressed run lengths end within a number")
    return tuple(runs)
