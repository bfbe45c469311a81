"""Read the shapes of LabelMe files: one JSON for each image. Shapes keep the order of their file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segline.core.vision.polygons import Points, Shape
from segline.datasets.own import geometry
from segline.datasets.own.annotation_files import is_labelme, read_json
from segline.datasets.own.drawings import BACKGROUND, Drawing, check_name, check_size, find_id, is_painted, keeping
from segline.datasets.own.polygon_rules import STRICT, PolygonRules
from segline.datasets.own.shapes import labelme_points, labelme_shape, reporting
from segline.errors import DataError

_BACKGROUND_LABELS = frozenset({"_background_", "__background__"})

_NOT_AREAS = frozenset({"point", "points", "line", "linestrip"})


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
            remedy="correct `encoding` in own/NAME.yaml",
        )
    with reporting(str(path)):
        height, width = content.get("imageHeight"), content.get("imageWidth")
        height, width = (int(height), int(width)) if height and width else size()
        check_size(height, width, place=str(path))
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
            label, kind = check_name(entry["label"]), entry.get("shape_type") or "polygon"
            raw = BACKGROUND if ids is None or label in _BACKGROUND_LABELS else find_id(label, ids, place)
            shape = None if kind in _NOT_AREAS else labelme_shape(kind, entry, raw)
        with keeping(faults), reporting(place):
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
