"""Read the shapes of COCO files: one JSON for many images.

COCO defines no order of painting: larger areas come first, so that no small area is hidden, and equal areas are
ordered by id. A file is checked as a whole: ids and references (`coco_references`), and coordinates and areas
(`geometry`). Crowd annotations (``iscrowd``) are painted like others. The polygons of one COCO annotation are
united, as in the COCO API, so only run-length encoding (RLE) can describe holes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segline.core.vision.polygons import Shape
from segline.datasets.own import geometry
from segline.datasets.own.annotation_files import is_coco, read_json
from segline.datasets.own.coco_references import check_images, check_references
from segline.datasets.own.drawings import Drawing, check_name, check_size, find_id, is_painted, keeping
from segline.datasets.own.geometry import measure_area
from segline.datasets.own.polygon_rules import STRICT, PolygonRules
from segline.datasets.own.shapes import FaultError, coco_shape, reporting
from segline.errors import DataError

_MAX_CATEGORIES_SHOWN = 12


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


def list_images(path: Path) -> list[str]:
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
            remedy="correct `encoding` in own/NAME.yaml, or export COCO segmentation",
        )
    with reporting(f"{path} categories"):
        ordered = sorted(content["categories"], key=lambda entry: int(entry["id"]))
        return content, {entry["id"]: check_name(entry["name"]) for entry in ordered}


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
            check_size(height, width, place=f"{path} images, entry {number}")
        found: list[tuple[Shape, Any, str]] = []
        left_out: list[str] = []
        faults: list[DataError] = []
        for entry in of_image.get(image["id"], []):
            place = f"{path} annotation {entry['id']} (image {name})"
            with reporting(place):
                label = _find_category(entry, names)
                shape = coco_shape(entry, find_id(label, ids, place), height=height, width=width)
            with keeping(faults), reporting(place):
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


def _find_category(entry: Mapping[str, Any], names: Mapping[Any, str]) -> str:
    number = entry.get("category_id")
    if not isinstance(number, int | float | str) or number not in names:
        known = [f"{place} {name}" for place, name in names.items()]
        hidden = len(known) - _MAX_CATEGORIES_SHOWN
        more = f" and {hidden} more" if hidden > 0 else ""
        raise FaultError(f"category_id {number!r}", f"one of {', '.join(known[:_MAX_CATEGORIES_SHOWN])}{more}")
    return names[number]
