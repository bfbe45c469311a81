"""The guessed classes: rows of the class table, and its text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from segline.config import Encoding
from segline.config.fields import PAINTED
from segline.core.labels import alike
from segline.datasets.own.class_names import quote_name
from segline.datasets.own.classes import Colour

_MAX_CLASSES_DESCRIBED = 12
BLACK: Colour = (0, 0, 0)

BORDER: Colour = (224, 224, 192)  # around objects in Pascal VOC


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a class table.

    Args:
        share: share of the pixels that were read, 0..1; None if no pixels were counted.
    """

    id: int
    name: str
    colour: Colour | None
    void: bool = False
    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClassGuess:
    """The guessed classes and how the masks encode them.

    Args:
        what: the encoding in words.
        why: the reason for the guess.
        doubts: what a person should check.
        named_by: the file that the names are from; empty if there is none, or if it is not used.
    """

    encoding: Encoding
    entries: tuple[Entry, ...]
    what: str
    why: str
    doubts: tuple[str, ...] = ()
    named_by: str = ""


def format_table(guessed: ClassGuess) -> str:
    """Write the text of a class table, for a person to edit."""
    lines = [
        "# Classes in the masks, guessed by segline init. You may change names; ids and colours must fit the masks.",
        "classes:",
    ]
    if guessed.encoding in PAINTED:
        lines[0] = (
            "# Classes in the annotations, guessed by segline init. Names must be those of the annotations.\n"
            "# To rename a class, keep its old name under merged: {id: 1, name: street, merged: [road]}"
        )
    void: list[str] = []
    used = {alike(entry.name) for entry in guessed.entries if not entry.void}
    for entry in guessed.entries:
        share = "" if entry.share is None else f"  # {100 * entry.share:.3g} % of the pixels"
        colour = f", colour: {list(entry.colour)}" if entry.colour is not None else ""
        again = entry.void and alike(entry.name) in used  # such as two void colours of one name
        used.add(alike(entry.name))
        name = "" if again else f", name: {quote_name(entry.name)}"
        row = f"  - {{id: {entry.id}{name}{colour}}}{share}"
        (void if entry.void else lines).append(row)
    return "\n".join([*lines, *(["void:", *void] if void else ["void: []"])]) + "\n"


def describe_entries(entries: Sequence[Entry]) -> Iterator[str]:
    """Describe the first dozen classes in words."""
    for entry in entries[:_MAX_CLASSES_DESCRIBED]:
        share = "" if entry.share is None else f" {100 * entry.share:.3g} %"
        yield f"{entry.id} {entry.name}{' (void)' if entry.void else ''}{share}"
    if len(entries) > _MAX_CLASSES_DESCRIBED:
        yield f"and {len(entries) - _MAX_CLASSES_DESCRIBED} more"
