"""Read YOLO polygons: one text file for each image, one area a line: ``class x1 y1 x2 y2 ...``.

Coordinates are shares of the image's width and height. The class is a number, whose name is in ``data.yaml`` or
``classes.txt``. The format defines no order: larger areas are painted first, so that no small area is hidden. Pixels
that no area covers get id 0. An empty file is an image without objects.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from segline.core.vision.polygons import Points, Shape
from segline.datasets.own.class_names import find_names, names_classes
from segline.datasets.own.drawings import Drawing, find_id, is_painted
from segline.datasets.own.geometry import measure_area
from segline.datasets.own.polygon_rules import STRICT, PolygonRules
from segline.datasets.own.shapes import reporting
from segline.datasets.own.views import choose_size
from segline.errors import ConfigError, DataError, shortened
from segline.formats import strict_yaml
from segline.reading import read_text

_TOLERANCE = 0.01  # polygons may end a little outside the image
_REMEDY = "export YOLO segmentation again; boxes are no masks, so label areas, or paint masks as PNG"
_LISTS = frozenset({"train", "trainval", "val", "valid", "validation", "test"})
Names = Mapping[int, str]
"""Class number -> class name."""


def may_be_labels(path: str) -> bool:
    """Return whether a text file may hold areas, by its name: not a list of classes or of a split, and no readme."""
    stem = PurePosixPath(path).stem.lower()
    known = names_classes(path) or stem in _LISTS or stem.startswith(("readme", "license"))
    return path.lower().endswith(".txt") and not known


def is_yolo(path: Path) -> bool | None:
    """Return whether at least half of the lines of a text file are YOLO's; None if it is empty.

    A faulty line must not hide the format, because its own error says more.

    Raises:
        OSError, ValueError: it cannot be read, or is no UTF-8.
    """
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    return 2 * sum(_has_numbers(line.split()) for line in lines) >= len(lines) if lines else None


def _has_numbers(cells: Sequence[str]) -> bool:
    """Return whether a line is a class number and at least four numbers, as for polygons and boxes."""
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return False
    return len(values) >= 5 and values[0].is_integer()


def find_class_names(folder: Path, paths: Sequence[str]) -> Names:
    """Read the names of classes from ``data.yaml`` or another YAML file with `names`; else from ``classes.txt``.

    Return an empty mapping if there is no such file.

    Raises:
        DataError: a file states another number of classes (`nc`) than it names, or two files give a number to
            different classes.
    """
    chosen: tuple[str, Names] | None = None
    tables = [path for path in paths if PurePosixPath(path).suffix.lower() in (".yaml", ".yml")]
    for path in sorted(tables, key=lambda path: (path.count("/"), path)):
        try:
            content = strict_yaml.parse(read_text(folder / path), place=folder / path, number_keys=True).content
        except (OSError, ValueError, ConfigError):
            continue  # another program's file
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, list):
            names = dict(enumerate(names))
        if isinstance(names, dict) and names and all(str(key).isdecimal() for key in names):
            _check_count(content.get("nc"), names, folder / path)
            numbered = {int(key): str(name) for key, name in names.items()}
            chosen = chosen or (path, numbered)
            _refuse_contradiction(folder, chosen, (path, numbered))
    if chosen is not None:
        return chosen[1]
    found = find_names(folder, paths)
    return dict(enumerate(found.names)) if found is not None else {}


def _refuse_contradiction(folder: Path, first: tuple[str, Names], second: tuple[str, Names]) -> None:
    """Refuse two files that give a number to different classes."""
    (one, ones), (other, others) = first, second
    for number in sorted(ones.keys() & others.keys()):
        if ones[number] != others[number]:
            raise DataError(
                folder / other,
                found=f"class {number} is {others[number]!r}, but {one} has {ones[number]!r} for it",
                expected="the same names in both files",
                remedy=f"delete {other} or {one}, whichever does not belong to these text files",
            )


def _check_count(stated: Any, names: Mapping[Any, Any], place: Path) -> None:
    if stated is None or stated == len(names):
        return
    raise DataError(
        place,
        found=f"`nc: {shortened(str(stated))}`, but {len(names)} names",
        expected="one name for each class",
        remedy="correct `nc`, or complete `names` in the order of the class numbers",
    )


def refuse_unnamed(folder: Path, files: Iterable[str], names: Names) -> None:
    """Refuse a class number that a list of names does not have.

    Raises:
        DataError: a line has such a number.
    """
    if not names:
        return
    for path in files:
        for place, number, _ in read_lines(folder / path):
            if number not in names:
                raise DataError(
                    place,
                    found=f"class {number}, which the list of names does not have",
                    expected="one of " + ", ".join(f"{key} {name}" for key, name in list(names.items())[:8]),
                    remedy="add its name to the list (data.yaml or classes.txt), or correct the line",
                )


def name_class(number: int, names: Names) -> str:
    """Return the name of a class; ``class_3`` if no file names it."""
    return names.get(number, f"class_{number}")


def read_yolo(
    path: Path, image: Path, *, names: Names, ids: Mapping[str, int], rules: PolygonRules = STRICT
) -> Drawing:
    """Read the areas of one text file.

    Args:
        image: its image, whose size turns shares into pixels.
        ids: class name -> raw id.

    Raises:
        DataError: a line is no polygon, or names a class that is not in the class table.
    """
    height, width = choose_size(image, place=path, rules=rules)
    found: list[tuple[float, Shape]] = []
    left_out: list[str] = []
    for place, number, points in read_lines(path):
        name = name_class(number, names)
        outline = points * np.array([width, height], dtype=np.float64)
        shape = Shape(raw=find_id(name, ids, place), outlines=(outline,))
        with reporting(place):
            if is_painted(shape, f"a polygon of {name!r}", rules):
                found.append((measure_area(shape), shape))
            else:
                left_out.append(f"a polygon of {name!r} has no area")
    found.sort(key=lambda pair: -pair[0])
    shapes = tuple(shape for _, shape in found)
    return Drawing(place=str(path), height=height, width=width, shapes=shapes, left_out=tuple(left_out))


def read_lines(path: Path) -> list[tuple[str, int, Points]]:
    """Read place, class number and corners, (N, 2) shares of width and height, of each line.

    Raises:
        DataError: a line is no polygon: a box, an odd number of values, or coordinates in pixels.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, found=f"cannot be read ({error})", expected="a text file", remedy=_REMEDY) from error
    return [_parse_line(line.split(), f"{path}:{at}") for at, line in enumerate(lines, start=1) if line.strip()]


def _parse_line(cells: list[str], place: str) -> tuple[str, int, Points]:
    fault = ""
    try:
        number, values = float(cells[0]), np.array([float(cell) for cell in cells[1:]])
    except ValueError:
        raise _refuse(place, f"{' '.join(cells)[:60]!r}, which is no list of numbers") from None
    if len(values) in (4, 5):
        fault = "a box, not a polygon: 4 numbers after the class" + (", and a score" if len(values) == 5 else "")
    elif len(values) < 6 or len(values) % 2:
        fault = f"{len(values)} numbers after the class"
    elif number != int(number) or number < 0:
        fault = f"class {cells[0]}"
    elif not np.isfinite(values).all():
        fault = "a coordinate that is not a finite number"
    elif values.max() > 1 + _TOLERANCE or values.min() < -_TOLERANCE:
        fault = f"a coordinate of {values[np.argmax(np.abs(values - 0.5))]:g}: pixels, instead of shares of the image?"
    if fault:
        raise _refuse(place, fault)
    return place, int(number), values.reshape(-1, 2)


def _refuse(place: str, fault: str) -> DataError:
    expected = "class x1 y1 x2 y2 x3 y3 ..., each coordinate between 0 and 1"
    return DataError(place, found=fault, expected=expected, remedy=_REMEDY)
