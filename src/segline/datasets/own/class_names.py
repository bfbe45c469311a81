"""Names of classes, from the files in which labelling tools and public datasets keep them."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segline.datasets.own.classes import Colour
from segline.errors import shown
from segline.formats import strict_json
from segline.reading import TEXT_BYTES, read_bytes, read_text

FILES = frozenset(
    {
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


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names of classes found in a file.

    Args:
        source: the file.
        names: in the file's order.
        colours: colour -> name, for classes that have a colour in the file.
    """

    source: str
    names: tuple[str, ...]
    colours: Mapping[Colour, str]


def names_classes(path: str) -> bool:
    """Return whether a file has one of the usual names of a list of classes."""
    return PurePosixPath(path).name.lower() in FILES


def find_names(folder: Path, paths: Sequence[str]) -> Names | None:
    """Read the class names from a file of `FILES`; of several, the one nearest to the top.

    If there is none, read nnU-Net's ``dataset.json``. Return None if there are no names.
    """
    found = [path for path in paths if names_classes(path)]
    for path in sorted(found, key=lambda path: (path.count("/"), path)):
        try:
            lines = read_text(folder / path).splitlines()
            names = _parse(path, [line.strip() for line in lines if line.strip() and not line.startswith("#")])
        except (OSError, ValueError, csv.Error):
            continue  # another kind of file that happens to have this name
        if names.names:
            return names
    return _read_nnunet_names(folder, paths)


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
        if sorted(map(str, labels.values())) == sorted(map(str, range(len(labels)))):
            ordered = sorted(labels, key=lambda name: int(labels[name]))
            return Names(source=path, names=tuple(shown(name) for name in ordered), colours={})
    return None


def _parse(path: str, lines: Sequence[str]) -> Names:
    colours: dict[Colour, str] = {}
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
            colours[rgb[0], rgb[1], rgb[2]] = name
    return Names(source=path, names=tuple(names), colours=colours)
