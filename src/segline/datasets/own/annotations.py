"""Read the shapes of polygon files: COCO (one JSON for many images) and LabelMe (one JSON for each image).

Shapes are painted in order, and later ones cover earlier ones. LabelMe shapes keep the order of their file. COCO
defines no order: larger areas come first, so that no small area is hidden, and equal areas are ordered by id.
Pixels that no shape covers get id 0. Crowd annotations (``iscrowd``) are painted like others. The polygons of one
COCO annotation are united, as in the COCO API, so only run-length encoding (RLE) can describe holes.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segline.core.vision.polygons import Points, Shape
from segline.datasets.own.shapes import FaultError, coco_shape, labelme_shape, reporting
from segline.errors import DataError, name_fault, shown
from segline.formats import strict_json
from segline.pictures import refuse_large
from segline.reading import JSON_BYTES, read_bytes

BACKGROUND = 0
"""The id of pixels that no shape covers."""

_BACKGROUND_NAMES = frozenset({"_background_", "__background__"})
_MAX_CATEGORIES_SHOWN = 12
_NOT_AREAS = frozenset({"point", "points", "line", "linestrip"})


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The shapes of one image's mask.

    Args:
        place: names the file and the image in errors.
        shapes: in the order in which they are painted.
        left_out: one message for each shape that is not painted, because it has no area.
    """

    place: str
    height: int
    width: int
    shapes: tuple[Shape, ...]
    left_out: tuple[str, ...] = ()


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return strict_json.loads(read_bytes(path, limit=JSON_BYTES))
    except UnicodeDecodeError as error:
        found = f"is not UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start}"
        raise DataError(
            path,
            found=f"{found}, as in Latin-1 or Windows-1252",
            expected="JSON in UTF-8 (UTF-16 and UTF-32 with a byte order mark are read too)",
            remedy=f"convert it: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > new.json, then replace the file",
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(
            path, found=f"cannot be read ({error})", expected="a JSON file", remedy="export the file again"
        ) from error


def is_coco(content: Any) -> bool:
    """Return whether the content of a JSON file is a COCO data set."""
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()


def is_labelme(content: Any) -> bool:
    """Return whether the content of a JSON file is a LabelMe annotation."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read_coco(path: Path, *, ids: Mapping[str, int]) -> dict[str, Drawing]:
    """Read the shapes of every image of a COCO file.

    Args:
        ids: class name -> raw id; categories are looked up by name.

    Returns:
        ``file_name`` -> its shapes.

    Raises:
        DataError: it is not a COCO file, has a wrong annotation, or names a class that is not in the class table.
    """
    content, names = _read_coco(path)
    return _collect_shapes(content, names, ids, path)


def categories(path: Path) -> list[str]:
    """Read the classes of a COCO file in the order of their ids, and check every annotation.

    Raises:
        DataError: it is not a COCO file, or has a wrong annotation.
    """
    content, names = _read_coco(path)
    _collect_shapes(content, names, dict.fromkeys(names.values(), 0), path)
    return list(names.values())


def file_names(path: Path) -> list[str]:
    """List the images that a COCO file describes; none if it is another JSON file.

    Raises:
        DataError: it cannot be read, or has an image without a name.
    """
    content = read_json(path)
    with reporting(str(path)):
        return [str(image["file_name"]) for image in content["images"]] if is_coco(content) else []


def _read_coco(path: Path) -> tuple[Any, dict[Any, str]]:
    """Return the content, and category id -> name in the order of the ids."""
    content = read_json(path)
    if not is_coco(content):
        raise DataError(
            path,
            found=f"keys {', '.join(map(str, content))[:120]}" if isinstance(content, dict) else "no mapping",
            expected="images, annotations and categories, as in COCO",
            remedy="correct `encoding` under options.folder in params.yaml, or export COCO segmentation",
        )
    with reporting(f"{path} categories"):
        ordered = sorted(content["categories"], key=lambda entry: int(entry["id"]))
        return content, {entry["id"]: _check_name(entry["name"]) for entry in ordered}


def _check_name(name: Any) -> str:
    """Return a class's name as a polygon file has it.

    Raises:
        FaultError: it holds characters that cannot be shown. It is not corrected, because the class table must
            hold the same name.
    """
    if fault := name_fault(str(name)):
        raise FaultError(f"class {shown(repr(name))}", fault)
    return str(name)


def _collect_shapes(content: Any, names: Mapping[Any, str], ids: Mapping[str, int], path: Path) -> dict[str, Drawing]:
    of_image: dict[Any, list[dict[str, Any]]] = {}
    for number, entry in enumerate(content["annotations"], start=1):
        with reporting(f"{path} annotations, entry {number}"):
            of_image.setdefault(entry["image_id"], []).append(entry)
            entry["id"]  # must be there: equal areas are ordered by it
    drawings = {}
    for number, image in enumerate(content["images"], start=1):
        with reporting(f"{path} images, entry {number}"):
            name, height, width = str(image["file_name"]), int(image["height"]), int(image["width"])
            _check_size(height, width, place=f"{path} images, entry {number}")
            entries = of_image.get(image["id"], [])
        found: list[tuple[Shape, Any]] = []
        for entry in entries:
            place = f"{path} annotation {entry['id']} (image {name})"
            with reporting(place):
                raw = _find_id(_find_category(entry, names), ids, place)
                found.append((coco_shape(entry, raw, height=height, width=width), entry["id"]))
        found.sort(key=lambda pair: (-measure_area(pair[0]), pair[1]))
        empty = [number for shape, number in found if not shape.outlines and not shape.runs]
        drawings[name] = Drawing(
            place=f"{path} image {name}",
            height=height,
            width=width,
            shapes=tuple(shape for shape, _ in found),
            left_out=tuple(f"annotation {number} has no outline" for number in empty),
        )
    return drawings


def _check_size(height: int, width: int, *, place: str) -> None:
    """Refuse an image that is too large, or has a negative size."""
    if height < 0 or width < 0:
        raise FaultError(f"an image of {width} x {height} pixels", "its width and height")
    refuse_large(width, height, place=Path(place))


def _find_category(entry: Mapping[str, Any], names: Mapping[Any, str]) -> str:
    number = entry.get("category_id")
    if not isinstance(number, int | float | str) or number not in names:
        known = [f"{place} {name}" for place, name in names.items()]
        hidden = len(known) - _MAX_CATEGORIES_SHOWN
        more = f" and {hidden} more" if hidden > 0 else ""
        raise FaultError(f"category_id {number!r}", f"one of {', '.join(known[:_MAX_CATEGORIES_SHOWN])}{more}")
    return names[number]


def measure_area(shape: Shape) -> float:
    """Compute an area in square pixels, to order COCO's shapes: from RLE counts, or by the shoelace formula."""
    if shape.runs:
        return float(sum(shape.runs[1::2]))
    return sum(_apply_shoelace(part) for part in shape.outlines)


def _apply_shoelace(part: Points) -> float:
    following = np.roll(part, -1, axis=0)
    return abs(float((part[:, 0] * following[:, 1] - following[:, 0] * part[:, 1]).sum())) / 2


def read_labelme(path: Path, *, ids: Mapping[str, int], size: Callable[[], tuple[int, int]]) -> Drawing:
    """Read the shapes of one LabelMe file.

    Args:
        ids: class name -> raw id.
        size: returns height and width of the image; called if the file does not hold them.

    Raises:
        DataError: it is not a LabelMe file, has a wrong shape, or names a class that is not in the class table.
    """
    return _parse_labelme(read_json(path), path, ids=ids, size=size)


def _parse_labelme(content: Any, path: Path, *, ids: Mapping[str, int], size: Callable[[], tuple[int, int]]) -> Drawing:
    if not is_labelme(content):
        raise DataError(
            path,
            found="no keys `shapes` and `imagePath`",
            expected="a LabelMe file",
            remedy="correct `encoding` under options.folder in params.yaml",
        )
    with reporting(str(path)):
        height, width = content.get("imageHeight"), content.get("imageWidth")
        height, width = (int(height), int(width)) if height and width else size()
        _check_size(height, width, place=str(path))
    shapes: list[Shape] = []
    left_out: list[str] = []
    for number, entry in enumerate(content["shapes"], start=1):
        place = f"{path} shape {number}"
        with reporting(place):
            label, kind = _check_name(entry["label"]), entry.get("shape_type") or "polygon"
            if kind in _NOT_AREAS:
                left_out.append(f"a {kind} of {label!r} has no area")
                continue
            raw = BACKGROUND if label in _BACKGROUND_NAMES else _find_id(label, ids, place)
            shapes.append(labelme_shape(kind, entry, raw))
    return Drawing(place=str(path), height=height, width=width, shapes=tuple(shapes), left_out=tuple(left_out))


def _find_id(name: str, ids: Mapping[str, int], place: str) -> int:
    if name in ids:
        return ids[name]
    near = difflib.get_close_matches(name, ids, n=1)
    raise DataError(
        place,
        found=f"class {name!r}",
        expected=(f"{near[0]!r}? " if near else "") + f"one of the class table: {', '.join(ids)}",
        remedy="add the class to the class table, or correct its name in the polygon file or in the table",
    )


def labels(paths: Iterable[Path]) -> dict[str, int]:
    """Count the shapes of each class in LabelMe files, and check every shape.

    Returns:
        Class name -> number of shapes.

    Raises:
        DataError: a file is not a LabelMe file, or has a wrong shape.
    """
    counts: Counter[str] = Counter()
    for path in paths:
        content = read_json(path)
        shapes = content["shapes"] if is_labelme(content) else []
        names = [str(entry.get("label")) for entry in shapes if isinstance(entry, dict)]
        _parse_labelme(content, path, ids=dict.fromkeys(names, 0), size=lambda: (0, 0))  # only checks; paints nothing
        counts.update(names)
    return dict(counts)
