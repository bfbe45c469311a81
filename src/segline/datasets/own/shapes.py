"""Turn one annotation of a polygon file into an area, or say what is wrong with it."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from segline.core.vision.polygons import Area, Points, Shape, runs_of
from segline.errors import DataError
from segline.pictures import load_picture, open_picture


class FaultError(ValueError):
    """A fault in a polygon file: what was found, what was expected, and the remedy if it is a special one."""

    def __init__(self, found: str, expected: str, remedy: str = "") -> None:
        super().__init__(found)
        self.expected, self.remedy = expected, remedy


@contextmanager
def reporting(place: str) -> Iterator[None]:
    """Raise any fault of a part of a polygon file as a `DataError` at `place`."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OSError) as error:
        prefix = "" if isinstance(error, ValueError) else "an unknown structure: "
        raise DataError(
            place,
            found=f"no {error}" if isinstance(error, KeyError) else f"{prefix}{error}",
            expected=error.expected if isinstance(error, FaultError) else "the structure that COCO or LabelMe write",
            remedy=(error.remedy if isinstance(error, FaultError) else "")
            or "correct or delete it in the file, or export the file again",
        ) from error


def coco_shape(entry: Mapping[str, Any], raw: int, *, height: int, width: int) -> Shape:
    """Return the area of a COCO annotation.

    Raises:
        FaultError: its polygons are wrong, or its RLE counts do not fit the image's size.
    """
    outline = entry.get("segmentation") or []
    if isinstance(outline, dict):
        _check_rle_size(outline.get("size"), height=height, width=width)
        return Shape(raw=raw, runs=_parse_rle(outline.get("counts"), height=height, width=width))
    if not isinstance(outline, list):
        raise FaultError(f"segmentation {_shorten(outline)}", "a list of polygons, or RLE")
    return Shape(raw=raw, outlines=tuple(_parse_points(part) for part in outline))


def _check_rle_size(size: Any, *, height: int, width: int) -> None:
    if size is None or size == [height, width]:
        return
    swapped = "; height and width are swapped" if size == [width, height] else ""
    raise FaultError(
        f"RLE of the size {_shorten(size)} (height, width)",
        f"[{height}, {width}], the size of its image{swapped}",
        "export the annotations again at the size of the images; do not only change the numbers of `size`, because "
        "the counts are made for it",
    )


def _parse_rle(counts: Any, *, height: int, width: int) -> tuple[int, ...]:
    if isinstance(counts, str):
        runs = runs_of(counts)
    elif isinstance(counts, list) and all(isinstance(run, int | float) for run in counts):
        runs = tuple(int(run) for run in counts)
    else:
        raise FaultError(f"counts {_shorten(counts)}", "RLE counts: a list of numbers, or COCO's compressed string")
    if runs and (sum(runs) != height * width or min(runs) < 0):
        raise FaultError(
            f"RLE counts of {sum(runs)} pixels", f"{height} x {width} = {height * width}, the size of the image"
        )
    return runs


def labelme_shape(kind: str, entry: Mapping[str, Any], raw: int) -> Shape:
    """Return the area of a LabelMe shape of type `kind`.

    Raises:
        FaultError: its points or its mask are wrong, or its type is unknown.
    """
    match kind:
        case "polygon":
            return Shape(raw=raw, outlines=(_parse_points(entry["points"]),))
        case "rectangle" if len(entry["points"]) > 2:  # all corners, as X-AnyLabeling writes them
            return Shape(raw=raw, outlines=(_parse_points(entry["points"], kind),))
        case "rectangle":
            (left, top), (right, bottom) = _parse_points(entry["points"], kind, least=2)[:2]
            return Shape(raw=raw, outlines=(np.array([(left, top), (right, top), (right, bottom), (left, bottom)]),))
        case "circle":
            centre, rim = _parse_points(entry["points"], kind, least=2)[:2]
            angles = np.linspace(0, 2 * np.pi, 181)[:-1]
            circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
            return Shape(raw=raw, outlines=(centre + np.hypot(*(rim - centre)) * circle,))
        case "mask":
            column, row = np.floor(_parse_points(entry["points"], kind, least=1)[0]).astype(int).tolist()
            return Shape(raw=raw, stamp=(_decode_mask(entry["mask"]), row, column))
    raise FaultError(f"a shape of type {kind!r}", "polygon, rectangle, circle or mask")


def labelme_points(entry: Mapping[str, Any]) -> Points:
    """Return the points (N, 2) of a LabelMe shape that `labelme_shape` has read."""
    return np.asarray(entry["points"], dtype=np.float64).reshape(-1, 2)


def _decode_mask(text: Any) -> Area:
    try:
        data = base64.b64decode(text)
    except (TypeError, ValueError) as error:
        raise FaultError("a mask that is not an image", "a PNG in base64") from error
    place = Path("mask")
    try:
        with open_picture(data, place=place) as opened:
            return np.array(load_picture(opened, place=place)) > 0
    except DataError as error:
        raise FaultError(f"a mask that is not an image ({error.found})", "a PNG in base64") from error


def _parse_points(points: Any, kind: str = "polygon", *, least: int = 3) -> Points:
    """Return corners (N, 2), from pairs as in LabelMe or from one flat list as in COCO."""
    expected = f"x, y pairs of at least {('one point', 'two points', 'three points')[least - 1]}"
    try:
        found = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FaultError(f"a {kind} of {_shorten(points)}", expected) from error
    uneven = found.ndim not in (1, 2) or (found.ndim == 2 and found.shape[1] != 2 and found.size > 0)
    if uneven or found.size % 2 or found.size < 2 * least:
        size = "1 number" if found.size == 1 else f"{found.size} numbers"
        raise FaultError(f"a {kind} of {size}", expected)
    if not np.isfinite(found).all():
        raise FaultError(f"a {kind} with a coordinate that is not a finite number", expected)
    return found.reshape(-1, 2)


def _shorten(value: Any) -> str:
    return repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:40]}..."
