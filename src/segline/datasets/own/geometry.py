"""Check that the geometry of an annotation can be right: in pixels, inside the image, and with an area."""

from collections.abc import Sequence

import numpy as np

from segline.core.vision.polygons import Points, Shape
from segline.datasets.own.polygon_rules import PolygonRules
from segline.datasets.own.shapes import FaultError

LEAVE_OUT = "set `without_area: leave_out` in own/NAME.yaml"
_TOLERANCE = 1.0
"""Pixels by which a corner may lie beyond the image, because programs round."""

_MAX_NORMALISED = 1.01
_MAX_STAMP_DIFFERENCE = 2


def check_points(points: Points, *, height: int, width: int, rules: PolygonRules) -> None:
    """Refuse corners (N, 2) that cannot be pixels of an image of this size.

    Raises:
        FaultError: they are normalised to 0..1, or lie beyond the image.
    """
    if not points.size or not height or not width:
        return
    if max(height, width) > 2 and points.min() >= -_MAX_NORMALISED + 1 and points.max() <= _MAX_NORMALISED:
        raise FaultError(
            f"coordinates from {points.min():g} to {points.max():g}: they are normalised to 0..1",
            f"pixels: x from 0 to {width}, y from 0 to {height}",
            f"multiply each x by {width} and each y by {height}, or export the file with coordinates in pixels",
        )
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.array([width, height])
    if (high < 0).any() or (low > size).any():
        raise FaultError(
            f"an outline {_describe_span(low, high)}, wholly outside the image",
            f"x from 0 to {width}, y from 0 to {height}",
            "check that the polygons were drawn on this image; if they were, delete this one from the file",
        )
    if rules.beyond_image == "stop" and ((low < -_TOLERANCE).any() or (high > size + _TOLERANCE).any()):
        raise FaultError(
            f"an outline {_describe_span(low, high)}, which reaches beyond the image",
            f"x from 0 to {width}, y from 0 to {height}",
            "check that the polygons were drawn on this image at this size; if they were, and may reach beyond its "
            "border, set `beyond_image: clip` in own/NAME.yaml",
        )


def check_stamp(shape: Shape, points: Points, *, height: int, width: int, rules: PolygonRules) -> None:
    """Refuse a small mask that leaves the image, or that has another size than its two corners `points`.

    Raises:
        FaultError: it does.
    """
    if shape.stamp is None:
        return
    area, row, column = shape.stamp
    corners = np.array([(column, row), (column + area.shape[1], row + area.shape[0])], dtype=np.float64)
    if len(points) > 1:
        stated = points[1] - points[0]
        if (np.abs(stated - np.array(area.shape[::-1])) > _MAX_STAMP_DIFFERENCE).any():
            raise FaultError(
                f"a mask of {area.shape[1]} x {area.shape[0]} pixels for a box of {stated[0]:g} x {stated[1]:g}",
                "a mask as large as its box",
                "export the file again",
            )
    if max(area.shape) > 2:  # a smaller one at the corner of the image only looks normalised
        check_points(corners, height=height, width=width, rules=rules)


def has_area(shape: Shape) -> bool:
    """Return whether a shape encloses anything: its corners are not all on one line, or it has pixels."""
    if shape.stamp is not None:
        return bool(shape.stamp[0].any())
    return sum(shape.runs[1::2]) > 0 or any(_encloses(outline) for outline in shape.outlines)


def check_box(shape: Shape, box: object) -> None:
    """Refuse a COCO annotation whose outline lies nowhere in its own ``bbox`` (x, y, width, height).

    Raises:
        FaultError: outline and box are apart, for instance because x and y are swapped in one of them.
    """
    if not shape.outlines or not _is_box(box):
        return
    x, y, width, height = (float(side) for side in box)  # type: ignore[attr-defined]
    points = np.concatenate(shape.outlines)
    low, high = points.min(axis=0), points.max(axis=0)
    if width <= 0 or height <= 0:
        return
    if (low > np.array([x + width, y + height]) + _TOLERANCE).any() or (high < np.array([x, y]) - _TOLERANCE).any():
        raise FaultError(
            f"an outline {_describe_span(low, high)}, outside its own bbox x {x:g}..{x + width:g}, "
            f"y {y:g}..{y + height:g}",
            "an outline inside its bbox",
            "find out which of the two is wrong (are x and y swapped, or is one of them scaled?) and export it again",
        )


def _encloses(outline: Points) -> bool:
    """Return whether corners (N, 2) are not all on one line."""
    away = outline - outline[0]
    far = away[np.argmax((away**2).sum(axis=1))]
    beside = np.abs(away[:, 0] * far[1] - away[:, 1] * far[0])
    return bool(beside.max() > 1e-9 * max(1.0, float((far**2).sum())))


def _is_box(box: object) -> bool:
    return isinstance(box, Sequence) and len(box) == 4 and all(type(side) in (int, float) for side in box)


def _describe_span(low: Points, high: Points) -> str:
    return f"at x {low[0]:g}..{high[0]:g}, y {low[1]:g}..{high[1]:g}"


def measure_area(shape: Shape) -> float:
    """Compute an area in square pixels, by which shapes are ordered: from RLE counts, or by the shoelace formula."""
    if shape.runs:
        return float(sum(shape.runs[1::2]))
    return sum(_apply_shoelace(part) for part in shape.outlines)


def _apply_shoelace(part: Points) -> float:
    following = np.roll(part, -1, axis=0)
    return abs(float((part[:, 0] * following[:, 1] - following[:, 0] * part[:, 1]).sum())) / 2
