"""Names of classes, from the files in which labelling tools and public datasets keep them."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from segline.core.labels import alike
from segline.datasets.own.classes import Colour
from segline.errors import DataError, shown
from segline.formats import strict_json
from segline.reading import TEXT_BYTES, read_bytes, read_text

FILES = frozenset(
    {
        "_classes.csv",
        "class_dict.csv",
        "class_names.txt",
        "classes.txt",
        "label_colors.txt",
        "labelmap.txt",
        "labels.txt",
        "names.txt",
        "obj.names",
    }
)
"""File names, in lower case."""

_ROBOFLOW = "_classes.csv"
_MAX_ID = 255
_VOID_NAMES = frozenset(
    {
        "donotcare",
        "dontcare",
        "ignore",
        "ignored",
        "ignorelabel",
        "ignoreregion",
        "nolabel",
        "notlabeled",
        "notlabelled",
    }
    | {"undefined", "unlabeled", "unlabelled", "void"}
)
"""Without blanks, signs and capitals: LabelMe's ``__ignore__`` is ``ignore``."""

BACKGROUND_NAMES = frozenset({"background", "_background_", "__background__"})
"""In lower case."""

_YAML_KEYWORDS = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})


def is_void_name(name: str) -> bool:
    """Return whether a name says that pixels are not labelled: ``__ignore__``, ``Don't care``, ``void``."""
    return re.sub(r"[^a-z0-9]", "", name.lower()) in _VOID_NAMES


def quote_name(name: str) -> str:
    """Quote a name if YAML would not read it as text."""
    word = re.fullmatch(r"[A-Za-z_][\w-]*( [\w-]+)*", name) and name.lower() not in _YAML_KEYWORDS
    return name if word else json.dumps(name, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names of classes found in a file.

    Args:
        source: the file.
        names: in the file's order.
        colours: colour -> name, for classes that have a colour in the file.
        ids: id -> name, if the file gives the ids.
        shared: colour -> name of the second class that the file gives it to; `colours` has the first.
    """

    source: str
    names: tuple[str, ...]
    colours: Mapping[Colour, str]
    ids: Mapping[int, str] = field(default_factory=dict)
    shared: Mapping[Colour, str] = field(default_factory=dict)


def names_classes(path: str) -> bool:
    """Return whether a file has one of the usual names of a list of classes."""
    return PurePosixPath(path).name.lower() in FILES


def find_names(folder: Path, paths: Sequence[str]) -> Names | None:
    """Read the class names from a file of `FILES`; of several, the one nearest to the top.

    If there is none, read nnU-Net's ``dataset.json``. Return None if there are no names.

    Raises:
        DataError: two files of one name, such as those of two splits, contradict each other, or one file gives
            an id to two classes.
    """
    chosen: Names | None = None
    for path in sorted(filter(names_classes, paths), key=lambda path: (path.count("/"), path)):
        try:
            lines = read_text(folder / path).splitlines()
            lines = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
            names = _parse_roboflow(folder, path, lines) if _is_roboflow(path) else _parse(path, lines)
        except (OSError, ValueError, csv.Error):
            continue  # another kind of file that happens to have this name
        if not names.names:
            continue
        chosen = chosen or names
        first = PurePosixPath(chosen.source)
        if PurePosixPath(path).name == first.name and path.count("/") == chosen.source.count("/"):
            _refuse_contradiction(folder, chosen, names)
    return chosen or _read_nnunet_names(folder, paths)


def _is_roboflow(path: str) -> bool:
    return PurePosixPath(path).name.lower() == _ROBOFLOW


def _parse_roboflow(folder: Path, path: str, lines: Sequence[str]) -> Names:
    """Parse lines of id and name; Roboflow's files for other tasks have the same name, and other columns."""
    ids: dict[int, str] = {}
    header = bool(lines) and not lines[0].partition(",")[0].strip().isdecimal()
    for cells in csv.reader(lines[header:], skipinitialspace=True):
        if len(cells) != 2 or not cells[0].strip().isdecimal() or int(cells[0]) > _MAX_ID:
            return Names(source=path, names=(), colours={})
        value, name = int(cells[0]), shown(cells[1].strip())
        if ids.setdefault(value, name) != name:
            raise report_two_names(folder / path, f"id {value}", ids[value], name)
    return Names(source=path, names=tuple(ids.values()), colours={}, ids=ids)


def _read_nnunet_names(folder: Path, paths: Sequence[str]) -> Names | None:
    """Read `labels` of nnU-Net's ``dataset.json``: name -> id, or id -> name in its first version."""
    for path in (path for path in paths if PurePosixPath(path).name == "dataset.json"):
        try:
            content = strict_json.loads(read_bytes(folder / path, limit=TEXT_BYTES))
        except (OSError, ValueError):
            continue
        labels = content.get("labels") if isinstance(content, dict) else None
        if not isinstance(labels, dict) or not labels:
            continue
        if all(isinstance(value, str) and str(key).isdecimal() for key, value in labels.items()):
            labels = {name: int(value) for value, name in labels.items()}
        if all(isinstance(value, int) and 0 <= value <= _MAX_ID for value in labels.values()):
            ids = {int(value): shown(str(name)) for name, value in sorted(labels.items(), key=lambda item: item[1])}
            return Names(source=path, names=tuple(ids.values()), colours={}, ids=ids)
    return None


def _parse(path: str, lines: Sequence[str]) -> Names:
    colours: dict[Colour, str] = {}
    shared: dict[Colour, str] = {}
    names: list[str] = []
    for line in lines:
        cells = next(csv.reader(io.StringIO(line))) if path.lower().endswith(".csv") else re.split(r"[:\s]+", line)
        cvat = re.fullmatch(r"([^:]+):(\d+),(\d+),(\d+):.*", line)
        if cvat:
            name, rgb = cvat[1], [int(cvat[place]) for place in (2, 3, 4)]
        elif len(cells) >= 4 and all(cell.isdecimal() for cell in cells[:3]):
            name, rgb = cells[3], [int(cell) for cell in cells[:3]]
        elif len(cells) >= 4 and all(cell.strip().isdecimal() for cell in cells[1:4]):
            name, rgb = cells[0], [int(cell) for cell in cells[1:4]]
        elif path.lower().endswith(".csv"):
            continue  # its header
        else:
            name, rgb = line, []
        name = shown(name.strip())  # escapes control characters; the user can edit the name in the class table
        names.append(name)
        if rgb and max(rgb) < 256:
            colour = (rgb[0], rgb[1], rgb[2])
            if colours.setdefault(colour, name) != name:
                shared.setdefault(colour, name)
    return Names(source=path, names=tuple(names), colours=colours, shared=shared)


def find_alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that differ only by case, blanks, ``_``, ``-`` or Unicode form, or not at all."""
    seen: dict[str, str] = {}
    for name in names:
        key = re.sub(r"[\s_-]+", "", alike(name)).casefold() or name
        if key in seen:
            return seen[key], name
        seen[key] = name
    return None


def report_two_names(place: object, what: str, first: str, second: str) -> DataError:
    """Report that an id or a colour stands for two classes."""
    return DataError(
        place,
        found=f"{what} for {first!r} and for {second!r}",
        expected="one class for each id and each colour",
        remedy="correct the file; if both mean one class, keep one of the lines",
    )


def _refuse_contradiction(folder: Path, first: Names, second: Names) -> None:
    """Refuse two files of one name that give an id or a colour to different classes."""
    pairs: tuple[tuple[str, Mapping[Any, str], Mapping[Any, str]], ...] = (
        ("id", first.ids, second.ids),
        ("colour", first.colours, second.colours),
    )
    for what, one, other in pairs:
        for key in one.keys() & other.keys():
            if one[key] != other[key]:
                raise DataError(
                    folder / second.source,
                    found=f"{what} {key} for {other[key]!r}, but {first.source} has it for {one[key]!r}",
                    expected="the same classes in both files",
                    remedy="export all parts of the data set again with one list of classes, or use only one part",
                )
    if not first.ids and not first.colours and first.names != second.names:
        raise DataError(
            folder / second.source,
            found=f"the names {', '.join(second.names[:8])}, but {first.source} has {', '.join(first.names[:8])}",
            expected="the same classes in the same order in both files",
            remedy="delete or rename the file that does not belong to these masks",
        )
