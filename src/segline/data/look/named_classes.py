"""Guess the classes of annotations, which hold their names."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from segline.config import Encoding
from segline.core.labels import VOID, alike
from segline.data.look.answers import Answers
from segline.data.look.class_entries import BLACK, BORDER, ClassGuess, Entry
from segline.datasets.own.class_names import BACKGROUND_NAMES, find_alike, is_void_name, quote_name
from segline.datasets.own.classes import colour_of
from segline.errors import DataError
from segline.project import Files


def refuse_alike(names: Iterable[str], place: Path, answers: Answers, *, polygons: bool) -> None:
    """Refuse two names that differ only by case or blanks, unless there is a class table, which tells them apart.

    Args:
        names: the names, in polygon files or in a file of names.
        polygons: whether they are in polygon files.
    """
    found = None if answers.table else find_alike(names)
    if found is None:
        return
    first, second = found
    remedy = f"correct {place.name}: one line if they are one class, two different names if they are two"
    if polygons and first == second:
        remedy = "correct the list of names: a name of its own for each class"
    elif polygons:
        remedy = (
            f"if they are one class, use one spelling in the files, or write {place / Files.CLASSES} with "
            f"`{{id: 1, name: {quote_name(first)}, merged: [{quote_name(second)}]}}`; if they are two, give each a row "
            "there"
        )
    raise DataError(
        place,
        found=f"the classes {first!r} and {second!r}"
        + ("" if first == second else f", which differ only by {_describe_difference(first, second)}"),
        expected="one spelling for each class",
        remedy=remedy,
    )


def _describe_difference(first: str, second: str) -> str:
    """Say how two names differ; names that look the same differ only by how their letters are stored."""
    return "the Unicode form of their letters" if alike(first) == alike(second) else "case or blanks"


def guess_from_names(encoding: Encoding, counts: Mapping[str, int], *, what: str, why: str) -> ClassGuess:
    """Guess the classes of polygons by their names; pixels that no polygon covers are background, id 0."""
    first = next((name for name in counts if name.lower() in BACKGROUND_NAMES), "background")
    void = [name for name in counts if is_void_name(name)]
    others = [name for name in counts if name != first and name not in void]
    entries = [Entry(id=0, name=first, colour=BLACK)]
    entries += [Entry(id=place, name=name, colour=colour_of(place - 1)) for place, name in enumerate(others, start=1)]
    entries += [Entry(id=VOID, name=name, colour=BORDER, void=True) for name in void]
    doubts = [f"the label {name!r} is treated as void: move it to `classes` if it is a class" for name in void]
    doubt = (
        "pixels outside all polygons are treated as the class background: move id 0 to `void` if they are unlabelled"
    )
    return ClassGuess(encoding=encoding, entries=tuple(entries), what=what, why=why, doubts=(doubt, *doubts))
