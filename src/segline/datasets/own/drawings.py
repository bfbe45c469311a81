"""The shapes that an annotation file describes for one image, and rules that all formats share.

Shapes are painted in order, and later ones cover earlier ones. Pixels that no shape covers get id 0.
"""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segline.core.vision.polygons import Shape
from segline.datasets.own import geometry
from segline.datasets.own.class_names import is_void_name, quote_name
from segline.datasets.own.classes import UNNAMED_VOID
from segline.datasets.own.polygon_rules import PolygonRules
from segline.datasets.own.shapes import FaultError
from segline.errors import DataError, name_fault, shown
from segline.pictures import refuse_large

BACKGROUND = 0
"""The id of pixels that no shape covers."""


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


@contextmanager
def keeping(faults: list[DataError]) -> Iterator[None]:
    """Add an error to `faults` instead of raising it."""
    try:
        yield
    except DataError as error:
        faults.append(error)


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


def check_size(height: int, width: int, *, place: str) -> None:
    """Refuse an image that is too large, or has a negative size."""
    if height < 0 or width < 0:
        raise FaultError(f"an image of {width} x {height} pixels", "its width and height")
    refuse_large(width, height, place=Path(place))


def check_name(name: Any) -> str:
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
    quoted = quote_name(name)
    near = difflib.get_close_matches(name, known, n=1)
    raise DataError(
        place,
        found=f"class {name!r}",
        expected=(f"{near[0]!r}? " if near else "") + f"one of the class table: {', '.join(known)}",
        remedy="add the class to the class table, or correct its name there or in the annotations; if a class of the "
        f"table means it, write `merged: [{quoted}]` into the row of that class; if it is not to be trained on and "
        f"scored, write `- {{id: 255, name: {quoted}}}` under `void` (an id has no name)",
    )
