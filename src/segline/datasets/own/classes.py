"""The class table of the user's own data: ``classes.yaml``, read strictly.

classes:
  - {id: 0, name: background, colour: [0, 0, 0]}
  - {id: 1, name: road, colour: "#804080", merged: [7]}  # id 7 counts as road too
void: [255]  # not trained on and not scored; for coloured masks: [{id: 255, colour: [224, 224, 192]}]
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from segline.config import Encoding, Source, Strict
from segline.config.fields import PAINTED, Byte, Name, sequence
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
"""Colours that colour-blind people can tell apart (Okabe and Ito, 2008), without black, which is the background's."""


def colour_of(place: int) -> Colour:
    """Choose the colour of the class at `place`. Beyond `PALETTE` its colours repeat, darker each time."""
    turn, entry = divmod(place, len(PALETTE))
    red, green, blue = (round(value * 0.75**turn) for value in PALETTE[entry])
    return red, green, blue


def _parse_colour(value: Any) -> Any:
    """Turn ``"#804080"`` or a list into a tuple; leave anything else for the model to refuse."""
    if isinstance(value, str) and len(value) == 7 and value.startswith("#"):
        try:
            return tuple(bytes.fromhex(value[1:]))
        except ValueError:
            return value
    return sequence(value)


def _parse_void(value: Any) -> Any:
    """Turn a list of ids, or of mappings, into a tuple of mappings; leave anything else for the model to refuse."""
    if not isinstance(value, list):
        return value
    return tuple({"id": item} if isinstance(item, int) else item for item in value)


Id = Byte
_Colour = Annotated[tuple[Byte, Byte, Byte], BeforeValidator(_parse_colour)]


class Row(Strict):
    """One class."""

    id: Id
    """The value of this class in masks."""
    name: Name
    colour: _Colour | None = None
    """RGB. If masks are coloured pictures, the colour of this class in them."""
    merged: Annotated[tuple[Id, ...], BeforeValidator(sequence)] = ()
    """Further ids that count as this class."""


class VoidRow(Strict):
    """An id that is not trained on and not scored."""

    id: Id
    colour: _Colour | None = None


class ClassTable(Strict):
    """A whole class table."""

    classes: Annotated[tuple[Row, ...], BeforeValidator(sequence), Field(min_length=1, max_length=VOID - 1)]
    void: Annotated[tuple[VoidRow, ...], BeforeValidator(_parse_void)] = ()

    def label_map(self) -> LabelMap:
        """Return the classes in the order of the table. Classes without a colour get one from `PALETTE`."""
        classes = (
            LabelClass(raw=row.id, name=row.name, colour=row.colour or colour_of(place), merged=row.merged)
            for place, row in enumerate(self.classes)
        )
        # A void id may be listed once for each of several colours.
        return LabelMap(classes=tuple(classes), void=tuple(dict.fromkeys(row.id for row in self.void)))

    def colours(self) -> Colours:
        """Return the id of each colour, for masks that are coloured pictures."""
        rows: list[Row | VoidRow] = [*self.classes, *self.void]
        return Colours(ids={row.colour: row.id for row in rows if row.colour is not None})

    def ids(self) -> dict[str, int]:
        """Return the raw id of each class by its name, as polygon files name it."""
        return {row.name: row.id for row in self.classes}


def read(path: Path, *, encoding: Encoding, remedy: str) -> ClassTable:
    """Read and check a class table.

    Args:
        encoding: how masks are encoded. Coloured masks need a colour for each class; polygons need the id 0.
        remedy: what the user should do if the file is missing.

    Raises:
        ConfigError: it is missing, or holds an invalid value; the message names line, key and remedy.
    """
    source = Source(path, remedy=remedy)
    table = source.parse(ClassTable)
    _refuse_repeated(source, list(_locate_ids(table)), "id", "give each id once, or merge it")
    _refuse_repeated(
        source,
        [(("classes", place, "name"), alike(row.name)) for place, row in enumerate(table.classes)],
        "name",
        "rename it",
    )
    if encoding == "rgb":
        _check_colours(source, table)
    if encoding in PAINTED and not any(value == 0 for _, value in _locate_ids(table)):
        raise ConfigError(
            source.place("classes"),
            found="no id 0, which pixels outside all polygons get",
            expected="the id 0 among the classes or the void ids",
            remedy="add `- {id: 0, name: background}` to the classes, or `void: [0]`",
        )
    return table


Located = tuple[tuple[str | int, ...], Any]


def _locate_ids(table: ClassTable) -> Iterator[Located]:
    """Yield each id of the table with its place. A void id with several colours counts once."""
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
                found=f"{what} {value!r}, which {source.place(*places[value])} already has",
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
                expected="its colour in the masks, because `encoding: rgb` says that masks are coloured",
                remedy="add `colour: [red, green, blue]`",
            )
        located.append((("classes", place, "colour"), row.colour))
    located += [(("void", place, "colour"), row.colour) for place, row in enumerate(table.void) if row.colour]
    _refuse_repeated(source, located, "colour", "give each class a colour of its own")
