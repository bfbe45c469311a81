"""The class table of the user's own data: ``classes.yaml``, read strictly.

classes:
  - {id: 0, name: background, colour: [0, 0, 0]}
  - {id: 1, name: road, colour: "#804080", merged: [7]}  # id 7 counts as road too
void: [255]  # neither trained on nor scored; for coloured masks: [{id: 255, colour: [224, 224, 192]}]
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from segline.config import Encoding, Source, Strict
from segline.config.fields import Byte, Name
from segline.core.coding import Colours
from segline.core.labels import VOID, LabelClass, LabelMap, alike
from segline.errors import ConfigError

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (148, 148, 148),
)
"""Colours that colour-blind people can tell apart (Okabe and Ito, 2008), black aside: it is the background's."""


def colour_of(place: int) -> Colour:
    """The colour of the class at `place`; from the second round of `PALETTE` on it gets darker."""
    turn, entry = divmod(place, len(PALETTE))
    red, green, blue = (round(value * 0.75**turn) for value in PALETTE[entry])
    return red, green, blue


def _colour(value: Any) -> Any:
    """``"#804080"`` or a list -> a tuple; anything else is left to be refused."""
    if isinstance(value, str) and len(value) == 7 and value.startswith("#"):
        try:
            return tuple(bytes.fromhex(value[1:]))
        except ValueError:
            return value
    return tuple(value) if isinstance(value, list) else value


def _list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _void(value: Any) -> Any:
    return (
        tuple({"id": item} if isinstance(item, int) else item for item in value) if isinstance(value, list) else value
    )


Id = Byte
_Colour = Annotated[tuple[Byte, Byte, Byte], BeforeValidator(_colour)]


class Row(Strict):
    """One class."""

    id: Id
    """What masks hold where this class is."""
    name: Name
    colour: _Colour | None = None
    """RGB; for masks that are coloured pictures, the colour that they hold."""
    merged: Annotated[tuple[Id, ...], BeforeValidator(_list)] = ()
    """Further ids that count as this class."""


class VoidRow(Strict):
    """An id that is neither trained on nor scored."""

    id: Id
    colour: _Colour | None = None


class ClassTable(Strict):
    """The whole of a class table."""

    classes: Annotated[tuple[Row, ...], BeforeValidator(_list), Field(min_length=1, max_length=VOID - 1)]
    void: Annotated[tuple[VoidRow, ...], BeforeValidator(_void)] = ()

    def label_map(self) -> LabelMap:
        """The classes in the order of the table; those without a colour get one from `PALETTE`."""
        classes = (
            LabelClass(raw=row.id, name=row.name, colour=row.colour or colour_of(place), merged=row.merged)
            for place, row in enumerate(self.classes)
        )
        # Void ids may be listed for several colours.
        return LabelMap(classes=tuple(classes), void=tuple(dict.fromkeys(row.id for row in self.void)))

    def colours(self) -> Colours:
        """Which colour stands for which id, for masks that are coloured pictures."""
        rows: list[Row | VoidRow] = [*self.classes, *self.void]
        return Colours(ids={row.colour: row.id for row in rows if row.colour is not None})

    def ids(self) -> dict[str, int]:
        """Give each class's raw id by its name, as polygons name it."""
        return {row.name: row.id for row in self.classes}


def read(path: Path, *, encoding: Encoding, remedy: str) -> ClassTable:
    """Read and check a class table.

    Args:
        encoding: how the masks are encoded: coloured ones need a colour a class, polygons the id 0.
        remedy: what to do where there is none.

    Raises:
        ConfigError: it is missing or holds something impossible; line, key and remedy are named.
    """
    source = Source(path, remedy=remedy)
    table = source.parse(ClassTable)
    _refuse_repeated(source, list(_ids(table)), "id", "give each id once, or merge it")
    _refuse_repeated(
        source,
        [(("classes", place, "name"), alike(row.name)) for place, row in enumerate(table.classes)],
        "name",
        "rename it",
    )
    if encoding == "rgb":
        _check_colours(source, table)
    if encoding in ("coco", "labelme") and not any(value == 0 for _, value in _ids(table)):
        raise ConfigError(
            source.place("classes"),
            found="no id 0, which pixels get that no polygon covers",
            expected="it among the classes or the void ids",
            remedy="add `- {id: 0, name: background}` to the classes, or `void: [0]`",
        )
    return table


Located = tuple[tuple[str | int, ...], Any]


def _ids(table: ClassTable) -> Iterator[Located]:
    for place, row in enumerate(table.classes):
        yield ("classes", place, "id"), row.id
        for number, value in enumerate(row.merged):
            yield ("classes", place, "merged", number), value
    seen: set[int] = set()
    for place, void in enumerate(table.void):
        if void.id not in seen or void.colour is None:
            yield ("void", place), void.id
        seen.add(void.id)


def _refuse_repeated(source: Source, located: list[Located], what: str, remedy: str) -> None:
    places: dict[Any, tuple[str | int, ...]] = {}
    for place, value in located:
        if value in places:
            raise ConfigError(
                source.place(*place),
                found=f"{what} {value!r}, which {source.place(*places[value])} has already",
                expected=f"each {what} once",
                remedy=remedy,
            )
        places[value] = place


def _check_colours(source: Source, table: ClassTable) -> None:
    located: list[Located] = []
    for place, row in enumerate(table.classes):
        if row.colour is None:
            raise ConfigError(
                source.place("classes", place),
                found=f"class {row.name!r} without a colour",
                expected="the colour that masks hold where it is, as `encoding: rgb` says that they are coloured",
                remedy="add `colour: [red, green, blue]`",
            )
        located.append((("classes", place, "colour"), row.colour))
    located += [(("void", place, "colour"), row.colour) for place, row in enumerate(table.void) if row.colour]
    _refuse_repeated(source, located, "colour", "give each class a colour of its own")
