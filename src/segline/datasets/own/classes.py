"""The class table of the user's own data: ``classes.yaml``, read strictly.

classes:
  - {id: 0, name: background, colour: [0, 0, 0]}
  - {id: 1, name: road, colour: "#804080", merged: [7]}  # id 7 counts as road too; of coloured masks, write colours
void:
  - {id: 255, name: border, colour: [224, 224, 192]}  # not trained on and not scored; in short: `void: [255]`

Names and colours of void ids are for polygon files, which hold names, and for coloured masks.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from segline.config import Encoding, Source, Strict
from segline.config.fields import PAINTED, Byte, Name, sequence
from segline.core.coding import Colours
from segline.core.labels import VOID, LabelClass, LabelMap, alike
from segline.errors import ConfigError, name_fault

Colour = tuple[int, int, int]

UNNAMED_VOID = ""
"""Key of `ClassTable.ids`: the id of labels such as ``__ignore__`` that the table does not name."""

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


def _parse_merged(value: Any) -> Any:
    """Turn a list into a tuple, and its colours into tuples; leave anything but a list for the model to refuse."""
    if not isinstance(value, list):
        return value
    items = tuple(_parse_colour(item) for item in value)
    for item in items:
        numbers = item if isinstance(item, tuple) and len(item) == 3 else (item,)
        is_number = all(type(number) is int and 0 <= number <= 255 for number in numbers)
        if not is_number and (not isinstance(item, str) or name_fault(item)):
            raise PydanticCustomError(
                "merged", "ids 0..255, colours such as [0, 0, 142], or labels of polygon files", {}
            )
    return items


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
    merged: Annotated[tuple[Id | tuple[Byte, Byte, Byte] | Name, ...], BeforeValidator(_parse_merged)] = ()
    """What counts as this class, too: ids, colours of coloured masks, or names in polygon files."""

    @property
    def merged_ids(self) -> tuple[int, ...]:
        """Return the ids among `merged`."""
        return tuple(part for part in self.merged if isinstance(part, int))


class VoidRow(Strict):
    """An id that is not trained on and not scored."""

    id: Id
    name: Name | None = None
    """The label of such pixels in polygon files. Several names may have one id."""
    colour: _Colour | None = None


class ClassTable(Strict):
    """A whole class table."""

    classes: Annotated[tuple[Row, ...], BeforeValidator(sequence), Field(min_length=1, max_length=VOID - 1)]
    void: Annotated[tuple[VoidRow, ...], BeforeValidator(_parse_void)] = ()

    def label_map(self) -> LabelMap:
        """Return the classes in the order of their ids, so that sorting the rows changes no model.

        Classes without a colour get one from `PALETTE`.
        """
        classes = (
            LabelClass(raw=row.id, name=row.name, colour=row.colour or colour_of(place), merged=row.merged_ids)
            for place, row in enumerate(sorted(self.classes, key=lambda row: row.id))
        )
        # A void id may be listed once for each of several names or colours.
        return LabelMap(classes=tuple(classes), void=tuple(dict.fromkeys(row.id for row in self.void)))

    def colours(self) -> Colours:
        """Return the id of each colour, for masks that are coloured pictures."""
        return Colours(ids=dict(self._list_colours()))

    def palette_colours(self) -> Colours:
        """Return the id of each colour, for masks with a palette; a void id without a colour keeps its index."""
        void = {row.id for row in self.void}
        coloured = {row.id for row in self.void if row.colour is not None}
        given: defaultdict[Colour, set[int]] = defaultdict(set)
        for colour, value in self._list_colours():
            given[colour].add(value)
        return Colours(
            ids={colour: next(iter(values)) for colour, values in given.items() if len(values) == 1},
            indexed=True,
            colourless=frozenset(void - coloured),
            shared={colour: frozenset(values) for colour, values in given.items() if len(values) > 1},
        )

    def _list_colours(self) -> list[tuple[Colour, int]]:
        rows: list[Row | VoidRow] = [*self.classes, *self.void]
        found = [(row.colour, row.id) for row in rows if row.colour is not None]
        return found + [(part, row.id) for row in self.classes for part in row.merged if isinstance(part, tuple)]

    def ids(self) -> dict[str, int]:
        """Return the raw id of each class by its name, as polygon files name it; void ids by their names too.

        A void id without a name is under `UNNAMED_VOID`; of several, the first that is not the background's 0.
        """
        unnamed = sorted((row.id for row in self.void if row.name is None), key=lambda value: value == 0)
        merged = {part: row.id for row in self.classes for part in row.merged if isinstance(part, str)}
        void = {row.name: row.id for row in self.void if row.name is not None}
        names = {row.name: row.id for row in self.classes}
        return merged | names | void | ({UNNAMED_VOID: unnamed[0]} if unnamed else {})


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
    _refuse_repeated(source, list(_locate_names(table)), "name", "rename it")
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
    """Yield each id of the table with its place. A void id with several names or colours counts once."""
    for place, row in enumerate(table.classes):
        yield ("classes", place, "id"), row.id
        for number, value in enumerate(row.merged):
            if isinstance(value, int):
                yield ("classes", place, "merged", number), value
    seen: set[int] = set()
    for place, void in enumerate(table.void):
        if void.id not in seen or (void.colour is None and void.name is None):
            yield ("void", place), void.id
        seen.add(void.id)


def _locate_names(table: ClassTable) -> Iterator[Located]:
    for place, row in enumerate(table.classes):
        yield ("classes", place, "name"), alike(row.name)
        for number, part in enumerate(row.merged):
            if isinstance(part, str) and alike(part) != alike(row.name):
                yield ("classes", place, "merged", number), alike(part)
    for place, void in enumerate(table.void):
        if void.name is not None:
            yield ("void", place, "name"), alike(void.name)


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
        located += [
            (("classes", place, "merged", number), part)
            for number, part in enumerate(row.merged)
            if isinstance(part, tuple)
        ]
    located += [(("void", place, "colour"), row.colour) for place, row in enumerate(table.void) if row.colour]
    _refuse_repeated(source, located, "colour", "give each class a colour of its own")
