"""Read the shapes of polygon files: COCO (one JSON for many images) and LabelMe (one JSON for each image).

Shapes are painted in order, and later ones cover earlier ones. LabelMe shapes keep the order of their file. COCO
defines no order: larger areas come first, so that no small area is hidden, and equal areas are ordered by id.
Pixels that no shape covers get id 0. A file is checked as a whole: ids and references (`coco_references`), and
coordinates and areas (`geometry`). Crowd annotations (``iscrowd``) are painted like others. The polygons of one
COCO annotation are united, as in the COCO API, so only run-length encoding (RLE) can describe holes.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segline.core.vision.polygons import Points, Shape
from segline.datasets.own import geometry
from segline.datasets.own.class_names import is_void_name
from segline.datasets.own.classes import UNNAMED_VOID
from segline.datasets.own.coco_references import check_images, check_references
from segline.datasets.own.polygon_rules import STRICT, PolygonRules
from segline.datasets.own.shapes import FaultError, coco_shape, labelme_points, labelme_shape, reporting
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
        labels: the name of the class of each shape.
        image: the image that the file names; empty if it names none.
        fault: the first fault of coordinates and areas. It is raised after the size has been compared with the
            image's, because polygons for another size have such faults too.
    """

    place: str
    height: int
    width: int
    shapes: tuple[Shape, ...]
    left_out: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    image: str = ""
    fault: DataError | None = None


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return strict_json.loads(read_bytes(path, limit=JSON_BYTES))
    except UnicodeDecodeError as error:
        found = f"cannot be read: it is not UTF-8 (byte 0x{error.object[error.start]:02x} at position {error.start})"
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


def read_coco(path: Path, *, ids: Mapping[str, int], rules: PolygonRules = STRICT) -> dict[str, Drawing]:
    """Read the shapes of every image of a COCO file, and check the whole file.

    Args:
        ids: class name -> raw id; categories are looked up by name.

    Returns:
        ``file_name`` -> its shapes.

    Raises:
        DataError: it is not a COCO file, contradicts itself, has a wrong annotation, or names a class that is not in
            the class table.
    """
    content, names = _read_coco(path)
    return _collect_shapes(content, names, ids, path, rules)


def explore_coco(path: Path, *, rules: PolygonRules = STRICT) -> tuple[list[str], dict[str, Drawing]]:
    """Read a COCO file as `read_coco` does, but without a class table.

    Returns:
        The classes in the order of their ids, and the drawings, whose shapes all have the raw id 0.

    Raises:
        DataError: it is not a COCO file, contradicts itself, or has a wrong annotation.
    """
    content, names = _read_coco(path)
    return list(names.values()), _collect_shapes(content, names, dict.fromkeys(names.values(), 0), path, rules)


def file_names(path: Path) -> list[str]:
    """List the images that a COCO file describes; none if it is another JSON file.

    Raises:
        DataError: it cannot be read, has an image without a name, or two of one name.
    """
    content = read_json(path)
    if not is_coco(content):
        return []
    check_images(content, path)
    return [str(image["file_name"]) for image in content["images"]]


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
        FaultError: it is no text and no number, or holds characters that cannot be shown. It is not corrected,
            because the class table must hold the same name.
    """
    if isinstance(name, bool) or not isinstance(name, str | int | float):
        raise FaultError(f"class {shown(repr(name)[:40])}", "the name of a class")
    if fault := name_fault(str(name)):
        raise FaultError(f"class {shown(repr(name))}", fault)
    return str(name)


def _collect_shapes(
    content: Any, names: Mapping[Any, str], ids: Mapping[str, int], path: Path, rules: PolygonRules
) -> dict[str, Drawing]:
    check_references(content, path, rules=rules)
    of_image: dict[Any, list[dict[str, Any]]] = {}
    for entry in content["annotations"]:
        of_image.setdefault(entry["image_id"], []).append(entry)
    drawings = {}
    for number, image in enumerate(content["images"], start=1):
        with reporting(f"{path} images, entry {number}"):
            name, height, width = str(image["file_name"]), int(image["height"]), int(image["width"])
            _check_size(height, width, place=f"{path} images, entry {number}")
        found: list[tuple[Shape, Any, str]] = []
        left_out: list[str] = []
        faults: list[DataError] = []
        for entry in of_image.get(image["id"], []):
            place = f"{path} annotation {entry['id']} (image {name})"
            with reporting(place):
                label = _find_category(entry, names)
                shape = coco_shape(entry, find_id(label, ids, place), height=height, width=width)
            with _keeping(faults), reporting(place):
                if _check_shape(shape, entry, label, height=height, width=width, rules=rules):
                    found.append((shape, entry["id"], label))
                else:
                    left_out.append(f"annotation {entry['id']} of {label!r} has no area")
        found.sort(key=lambda each: (-measure_area(each[0]), each[1]))
        drawings[name] = Drawing(
            place=f"{path} image {name}",
            height=height,
            width=width,
            shapes=tuple(shape for shape, _, _ in found),
            left_out=tuple(left_out),
            labels=tuple(label for _, _, label in found),
            image=name,
            fault=faults[0] if faults else None,
        )
    return drawings


@contextmanager
def _keeping(faults: list[DataError]) -> Iterator[None]:
    """Add an error to `faults` instead of raising it."""
    try:
        yield
    except DataError as error:
        faults.append(error)


def _check_shape(
    shape: Shape, entry: Mapping[str, Any], label: str, *, height: int, width: int, rules: PolygonRules
) -> bool:
    """Check the shape of a COCO annotation; return whether it is painted.

    Raises:
        FaultError: its geometry is wrong.
    """
    if shape.outlines:
        geometry.check_points(np.concatenate(shape.outlines), height=height, width=width, rules=rules)
    geometry.check_box(shape, entry.get("bbox"))
    return is_painted(shape, f"an annotation of {label!r}", rules)


def is_painted(shape: Shape | None, what: str, rules: PolygonRules) -> bool:
    """Return whether a shape has an area and is painted; None is a shape that never has one.

    Raises:
        FaultError: it has none, and the user has not said that such shapes are left out.
    """
    if shape is not None and geometry.has_area(shape):
        return True
    if rules.without_area == "stop":
        raise FaultError(
            f"{what}, which has no area",
            "an outline around an area",
            f"draw its outline, or delete it; or, to leave everything without an area out, {geometry.LEAVE_OUT}",
        )
    return False


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


def read_labelme(
    path: Path,
    *,
    ids: Mapping[str, int] | None,
    size: Callable[[], tuple[int, int]],
    rules: PolygonRules = STRICT,
) -> Drawing:
    """Read the shapes of one LabelMe file, and check them.

    Args:
        ids: class name -> raw id; None if there is no class table yet, so that all shapes get the raw id 0.
        size: returns height and width of the image; called if the file does not hold them.

    Raises:
        DataError: it is not a LabelMe file, has a wrong shape, or names a class that is not in the class table.
    """
    content = read_json(path)
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
    shapes, labels, left_out, fault = _read_shapes(content, path, ids, height=height, width=width, rules=rules)
    named = content["imagePath"]
    return Drawing(
        place=str(path),
        height=height,
        width=width,
        shapes=tuple(shapes),
        left_out=tuple(left_out),
        labels=tuple(labels),
        image=named if isinstance(named, str) else "",
        fault=fault,
    )


def _read_shapes(
    content: Any, path: Path, ids: Mapping[str, int] | None, *, height: int, width: int, rules: PolygonRules
) -> tuple[list[Shape], list[str], list[str], DataError | None]:
    """Return the shapes of a LabelMe file, their labels, messages on shapes that are left out, and the first fault."""
    shapes: list[Shape] = []
    labels: list[str] = []
    left_out: list[str] = []
    faults: list[DataError] = []
    for number, entry in enumerate(content["shapes"], start=1):
        place = f"{path} shape {number}"
        with reporting(place):
            label, kind = _check_name(entry["label"]), entry.get("shape_type") or "polygon"
            raw = BACKGROUND if ids is None or label in _BACKGROUND_NAMES else find_id(label, ids, place)
            shape = None if kind in _NOT_AREAS else labelme_shape(kind, entry, raw)
        with _keeping(faults), reporting(place):
            if shape is not None:
                _check_points(shape, labelme_points(entry), height=height, width=width, rules=rules)
            if is_painted(shape, f"a {kind} of {label!r}", rules) and shape is not None:
                shapes.append(shape)
                labels.append(label)
            else:
                left_out.append(f"a {kind} of {label!r} has no area")
    return shapes, labels, left_out, faults[0] if faults else None


def _check_points(shape: Shape, points: Points, *, height: int, width: int, rules: PolygonRules) -> None:
    """Check the points (N, 2) that a person set for a LabelMe shape; the rim of a circle may leave the image.

    Raises:
        FaultError: the geometry is wrong.
    """
    if shape.stamp is None:
        geometry.check_points(points, height=height, width=width, rules=rules)
    else:
        geometry.check_stamp(shape, points, height=height, width=width, rules=rules)


def find_id(name: str, ids: Mapping[str, int], place: str) -> int:
    """Return the raw id of a class by its name in an annotation file; names such as ``__ignore__`` may be void.

    Args:
        ids: class name -> raw id, see `segline.datasets.own.classes.ClassTable.ids`.
        place: names the annotation in errors.

    Raises:
        DataError: the class is not in the class table; the nearest name is suggested.
    """
    if name in ids:
        return ids[name]
    if is_void_name(name) and UNNAMED_VOID in ids:
        return ids[UNNAMED_VOID]
    known = [each for each in ids if each != UNNAMED_VOID]
    near = difflib.get_close_matches(name, known, n=1)
    raise DataError(
        place,
        found=f"class {name!r}",
        expected=(f"{near[0]!r}? " if near else "") + f"one of the class table: {', '.join(known)}",
        remedy="add the class to the class table, or correct its name in the annotations or in the table; if it is "
        f"not to be trained on and scored, write `- {{id: 255, name: {name}}}` under `void` (an id has no name)",
    )
