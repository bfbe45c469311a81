"""Guess the classes of coloured masks: a name for each colour."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from segline.core.coding import unpack
from segline.core.labels import VOID
from segline.data.look.class_entries import BLACK, BORDER, ClassGuess, Entry
from segline.data.look.interpolated_colours import find_mixtures
from segline.datasets.own.class_names import Names, is_void_name, report_two_names
from segline.datasets.own.classes import Colour
from segline.errors import DataError

_MAX_CLASSES = 256  # void included
_MIN_SHARE_OF_CLASS = 0.0005  # of the pixels; rarer colours are dropped if there are more colours than classes allowed
_MIN_SHARE_FREQUENT = 0.8  # of the pixels; the remaining colours must cover at least this share


def guess_from_colours(
    counts: Counter[int], areas: Counter[int], names: Names | None, doubts: list[str], *, place: Path
) -> ClassGuess:
    """Guess the classes from the colours that occur.

    Args:
        counts: packed colour -> pixels.
        areas: packed colour -> inner pixels.
        doubts: what a person should check, found so far.

    Raises:
        DataError: there are too many colours, or the file of names gives one to two classes.
    """
    total = counts.total()
    frequent = _keep_frequent(counts)
    if len(frequent) < len(counts):
        left = 1 - frequent.total() / total
        doubts.append(
            f"{len(counts) - len(frequent)} rare colours ({100 * left:.1f} % of the pixels) are left out; the "
            "validate stage will report them: the masks may have been resized with interpolation, or compressed"
        )
    named = dict(names.colours) if names is not None else {}
    mixed = find_mixtures(frequent, areas, named={int.from_bytes(bytes(colour), "big") for colour in named})
    if mixed:
        share = sum(frequent.pop(value) for value in mixed) / total
        doubts.append(
            f"{len(mixed)} colours ({100 * share:.1f} % of the pixels) are left out: they are mixtures of others; "
            "the validate stage will report them: the masks may have been resized with interpolation"
        )
    rgb = [unpack(value) for value, _ in frequent.most_common()]
    if names is not None:
        refuse_shared_colours(rgb, names, place=place)
    known = [colour for colour in named if colour in rgb or len(named) <= _MAX_CLASSES - 2]
    rest = sorted((colour for colour in rgb if colour not in named), key=lambda colour: colour != BLACK)
    entries: list[Entry] = []
    for colour in [*known, *rest]:
        name = named.get(colour) or ("background" if colour == BLACK else f"colour_{bytes(colour).hex()}")
        void = is_void_name(name) or (colour == BORDER and colour not in named)
        share = counts[int.from_bytes(bytes(colour), "big")] / total
        free = sum(not entry.void for entry in entries)
        entries.append(Entry(id=VOID if void else free, name=name, colour=colour, void=void, share=share))
    if rest:
        doubts.append("classes without a known name are named after their colour: rename them in the class table")
    if BLACK in rest:
        doubts.append("black is treated as the class background: move it to `void` if it means unlabelled")
    return ClassGuess(
        encoding="rgb",
        entries=tuple(entries),
        what="coloured pictures, one colour for each class",
        why=f"the files have only {len(frequent)} colours",
        doubts=tuple(doubts),
        named_by=names.source if names is not None and known else "",
    )


def refuse_shared_colours(held: Iterable[Colour], names: Names, *, place: Path) -> None:
    """Refuse a colour that occurs in masks and that a file gives to two classes."""
    for colour in held:
        if colour in names.shared:
            raise report_two_names(
                place / names.source, f"colour {colour}", names.colours[colour], names.shared[colour]
            )


def _keep_frequent(counts: Counter[int]) -> Counter[int]:
    """Drop rare colours if there are more colours than classes are allowed; otherwise keep all.

    Raises:
        DataError: too many frequent colours remain, or they cover too few pixels.
    """
    if len(counts) <= _MAX_CLASSES - 2:
        return Counter(counts)
    total = counts.total()
    frequent = Counter({value: count for value, count in counts.items() if count >= _MIN_SHARE_OF_CLASS * total})
    if frequent.total() < _MIN_SHARE_FREQUENT * total or len(frequent) > _MAX_CLASSES - 2:
        raise DataError(
            "masks",
            found=f"{len(counts)} colours, and the frequent ones are too many or cover too few pixels",
            expected=f"masks with at most {_MAX_CLASSES - 2} colours, one for each class",
            remedy="these files look like photographs or overlays: check that images and masks are not swapped; "
            "if there are several kinds of masks, check that these are the right ones",
        )
    return frequent
