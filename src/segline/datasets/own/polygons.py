"""Polygon files -> what is to be painted: COCO (one JSON for many images), LabelMe (one an image).

What is painted over what: in LabelMe, shapes in the order of the file; in COCO, which knows no order,
larger areas first, so that nothing small is hidden, equal ones by id. Pixels that no shape covers get
id 0. Crowds (``iscrowd``) are areas of their class like others. Parts of one COCO annotation are joined,
as the COCO API does; holes are what run lengths leave.
"""

import base64
import difflib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from segline.core.polygons import Points, Shape, runs_of
from segline.errors import DataError

BACKGROUND = 0
"""The id of pixels that no shape covers."""

_BACKGROUND_NAMES = frozenset({"_background_", "__background__"})
_NOT_AREAS = frozenset({"point", "points", "line", "linestrip"})


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What one image's mask is painted from.

    Args:
        place: where it is described, for errors.
        left_out: what is no area, in words.
    """

    place: str
    height: int
    width: int
    shapes: tuple[Shape, ...]
    left_out: tuple[str, ...] = ()


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            path, found=f"cannot be read ({error})", expected="a JSON file", remedy="export it anew"
        ) from error


def is_coco(content: Any) -> bool:
    """Whether a JSON file's content is a COCO data set's."""
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()


def is_labelme(content: Any) -> bool:
    """Whether a JSON file's content is a LabelMe annotation."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read_coco(path: Path, *, ids: Mapping[str, int]) -> dict[str, Drawing]:
    """Every image of a COCO file.

    Args:
        ids: class name -> raw id; categories are found in it by name.

    Returns:
        ``file_name`` -> what to paint.

    Raises:
        DataError: it is no COCO file, or names a class that is in no class table.
    """
    content = read_json(path)
    if not is_coco(content):
        raise DataError(
            path,
            found=f"keys {', '.join(map(str, content))[:120]}" if isinstance(content, dict) else "no mapping",
            expected="images, annotations and categories, as in COCO",
            remedy="correct `encoding` under options.folder in params.yaml, or export COCO segmentation",
        )
    with _reporting(path):
        names = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
        of_image: dict[Any, list[dict[str, Any]]] = {}
        for entry in content["annotations"]:
            of_image.setdefault(entry["image_id"], []).append(entry)
        drawings = {}
        for image in content["images"]:
            place = f"{path} image {image['file_name']}"
            entries = of_image.get(image["id"], [])
            found = [(_coco_shape(entry, names, ids, place), entry) for entry in entries]
            found.sort(key=lambda pair: (-_size(pair[0]), pair[1]["id"]))
            drawings[str(image["file_name"])] = Drawing(
                place=place,
                height=int(image["height"]),
                width=int(image["width"]),
                shapes=tuple(shape for shape, _ in found),
                left_out=tuple(
                    f"annotation {entry['id']} has no outline"
                    for shape, entry in found
                    if not shape.outlines and not shape.runs
                ),
            )
    return drawings


def _coco_shape(entry: Mapping[str, Any], names: Mapping[Any, str], ids: Mapping[str, int], place: str) -> Shape:
    raw = _id(names[entry["category_id"]], ids, place)
    outline = entry.get("segmentation") or ()
    if isinstance(outline, dict):
        counts = outline["counts"]
        return Shape(raw=raw, runs=runs_of(counts) if isinstance(counts, str) else tuple(int(run) for run in counts))
    return Shape(raw=raw, outlines=tuple(_points(np.reshape(part, (-1, 2))) for part in outline))


def _size(shape: Shape) -> float:
    """Square pixels, by which COCO's areas are ordered: the shoelace formula, or the runs inside."""
    if shape.runs:
        return float(sum(shape.runs[1::2]))
    return sum(_shoelace(part) for part in shape.outlines)


def _shoelace(part: Points) -> float:
    following = np.roll(part, -1, axis=0)
    return abs(float((part[:, 0] * following[:, 1] - following[:, 0] * part[:, 1]).sum())) / 2


def read_labelme(path: Path, *, ids: Mapping[str, int], size: Callable[[], tuple[int, int]]) -> Drawing:
    """One LabelMe file.

    Args:
        ids: class name -> raw id.
        size: gives height and width of the image, for files that do not say.

    Raises:
        DataError: it is no LabelMe file, or names a class that is in no class table.
    """
    content = read_json(path)
    if not is_labelme(content):
        raise DataError(
            path,
            found="no shapes and imagePath",
            expected="a LabelMe file",
            remedy="correct `encoding` under options.folder in params.yaml",
        )
    with _reporting(path):
        height, width = content.get("imageHeight"), content.get("imageWidth")
        if not height or not width:
            height, width = size()
        shapes: list[Shape] = []
        left_out: list[str] = []
        for entry in content["shapes"]:
            kind = entry.get("shape_type") or "polygon"
            if kind in _NOT_AREAS:
                left_out.append(f"a {kind} of {entry['label']!r} is no area")
                continue
            raw = BACKGROUND if entry["label"] in _BACKGROUND_NAMES else _id(str(entry["label"]), ids, str(path))
            shapes.append(_labelme_shape(kind, entry, raw))
    return Drawing(
        place=str(path), height=int(height), width=int(width), shapes=tuple(shapes), left_out=tuple(left_out)
    )


def _labelme_shape(kind: str, entry: Mapping[str, Any], raw: int) -> Shape:
    points = np.asarray(entry["points"], dtype=np.float64).reshape(-1, 2)
    match kind:
        case "polygon":
            return Shape(raw=raw, outlines=(_points(points),))
        case "rectangle":
            (left, top), (right, bottom) = points[:2]
            return Shape(raw=raw, outlines=(np.array([(left, top), (right, top), (right, bottom), (left, bottom)]),))
        case "circle":
            centre, rim = points[:2]
            angles = np.linspace(0, 2 * np.pi, 181)[:-1]
            circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
            return Shape(raw=raw, outlines=(centre + np.hypot(*(rim - centre)) * circle,))
        case "mask":
            area = np.array(Pillow.open(io.BytesIO(base64.b64decode(entry["mask"])))) > 0
            column, row = np.floor(points[0]).astype(int).tolist()
            return Shape(raw=raw, stamp=(area, row, column))
    raise ValueError(f"a shape of type {kind!r}; known are polygon, rectangle, circle and mask")


def _points(points: Any) -> Points:
    found = np.asarray(points, dtype=np.float64)
    if len(found) < 3 or not np.isfinite(found).all():
        raise ValueError(f"an outline of {len(found)} points: an area has at least 3")
    return found


def _id(name: str, ids: Mapping[str, int], place: str) -> int:
    if name in ids:
        return ids[name]
    near = difflib.get_close_matches(name, ids, n=1)
    raise DataError(
        place,
        found=f"class {name!r}",
        expected=(f"{near[0]!r}? " if near else "") + f"one of the class table: {', '.join(ids)}",
        remedy="add it to the class table, or correct its name in one of the two",
    )


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    """Tell what is wrong with a polygon file's structure as a `DataError` at its path."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OSError) as error:
        raise DataError(
            path,
            found=f"no {error}" if isinstance(error, KeyError) else str(error),
            expected="polygons as COCO or LabelMe write them",
            remedy="correct or export it anew",
        ) from error


def labels(paths: Iterator[Path]) -> dict[str, int]:
    """Class names in LabelMe files -> how many shapes have them."""
    counts: dict[str, int] = {}
    for path in paths:
        for entry in read_json(path).get("shapes", []):
            counts[str(entry["label"])] = counts.get(str(entry["label"]), 0) + 1
    return counts
