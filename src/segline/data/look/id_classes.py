"""Guess the classes of masks that hold ids: a name for each id."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from segline.core.labels import VOID, runs
from segline.data.look.answers import Answers
from segline.data.look.class_entries import BLACK, ClassGuess, Entry
from segline.data.look.colour_classes import refuse_shared_colours
from segline.datasets.own.class_names import BACKGROUND_NAMES, Names, is_void_name
from segline.datasets.own.classes import Colour, colour_of
from segline.errors import DataError


def guess_from_ids(
    counts: Counter[int],
    palette: Mapping[int, Colour],
    names: Names | None,
    doubts: list[str],
    *,
    answers: Answers,
    place: Path,
) -> ClassGuess:
    """Guess the classes from the ids that occur.

    Args:
        counts: id -> pixels.
        palette: id -> colour in the palettes.
        doubts: what a person should check, found so far.

    Raises:
        DataError: the colours of a palette are not those that the file of names has.
    """
    encoding = answers.encoding
    held, total = sorted(counts), counts.total()
    shares = {value: counts[value] / total for value in held}
    if set(held) <= {0, VOID} and len(held) == 2 and not (names and VOID in names.ids):
        doubts += [f"the names of {names.source} are not used"] if names else []
        entries = [
            Entry(id=0, name="background", colour=BLACK, share=shares[0]),
            Entry(id=VOID, name="foreground", colour=colour_of(0), share=shares[VOID]),
        ]
        doubt = "id 255 was named foreground: rename it in the class table"
        return ClassGuess(
            encoding=encoding or "ids",
            entries=tuple(entries),
            what="black and white, 0 and 255",
            why="the masks hold no other value",
            doubts=(*doubts, doubt),
        )
    named, note = _match_names(held, {} if encoding == "indices" else palette, names, place=place)
    doubts += [note] if note else []
    listed = named if names and names.ids else [value for value in named if value <= max(held)]
    entries = [
        Entry(
            id=value,
            name=named.get(value, {0: "background", VOID: "void"}.get(value, f"class_{value}")),
            colour=_choose_colour(value, place, palette),
            void=is_void_name(named.get(value, "")) or (value == VOID and value not in named),
            share=shares.get(value, 0.0),
        )
        for place, value in enumerate(sorted({*held, *listed}))
    ]
    if any(entry.id == VOID and entry.void for entry in entries):
        doubts.append(f"id 255 ({100 * shares.get(VOID, 0):.2g} % of the pixels) is treated as void, as is usual")
    if max(value for value in held) < VOID and len(held) > 64:
        doubts.append(f"the masks hold {len(held)} ids: were they resized with interpolation, or compressed?")
    kind = "palette" if palette else "ids"
    return ClassGuess(
        encoding=encoding or ("palette" if palette else "ids"),
        entries=tuple(entries),
        what="a palette, whose indices are ids" if palette else "ids, one channel",
        why="as own/NAME.yaml says" if encoding else f"stored in the files ({kind}); {len(held)} ids occur",
        doubts=tuple(doubts),
        named_by=names.source if names and named else "",
    )


def _choose_colour(value: int, place: int, palette: Mapping[int, Colour]) -> Colour:
    if value in palette:
        return palette[value]
    return BLACK if value == 0 else colour_of(max(0, place - 1))


def _match_names(
    held: Sequence[int], palette: Mapping[int, Colour], names: Names | None, *, place: Path
) -> tuple[dict[int, str], str]:
    """Return id -> name, and a doubt.

    Raises:
        DataError: the colours of a palette are not those that the file names.
    """
    if names is None:
        return {}, "no class names were found: write them into the class table"
    if names.ids:
        missing = [value for value in held if value not in names.ids and value != VOID]
        return dict(names.ids), f"{names.source} has no name for the ids {runs(missing)}" if missing else ""
    if palette and names.colours:
        return _match_colours(held, palette, names, place=place), ""
    highest = max([value for value in held if value != VOID], default=0)
    first, *rest = names.names
    labelme = first == "__ignore__" or (bool(rest) and rest[0].lower() in BACKGROUND_NAMES)
    if is_void_name(first) and labelme and highest < len(rest):
        note = f"{names.source} begins with {first!r}, which LabelMe writes as 255: the name after it is id 0"
        return {VOID: first, **dict(enumerate(rest))}, note
    if highest < len(names.names):
        note = "" if 0 in held or len(names.names) > highest + 1 else f"{names.source} names id 0 too"
        return dict(enumerate(names.names)), note
    if highest == len(names.names):
        return dict(enumerate(names.names, start=1)), f"{names.source} has no line for id 0: its names count from 1"
    note = f"{names.source} has {len(names.names)} names, but ids go up to {highest}: its names are not used"
    return {}, note


def _match_colours(held: Sequence[int], palette: Mapping[int, Colour], names: Names, *, place: Path) -> dict[int, str]:
    refuse_shared_colours([palette[value] for value in held if value in palette], names, place=place)
    strange = [
        value
        for value in held
        if value in palette
        and palette[value] not in names.colours
        and value != VOID
        and (value, palette[value]) != (0, BLACK)
    ]
    if strange:
        raise DataError(
            place / names.source,
            found=f"no class with the colour {palette[strange[0]]}, which palettes have at index {strange[0]}",
            expected="every colour of the palettes",
            remedy=f"correct {names.source}, or remove it; or, if the palettes are wrong and the lines of the file are "
            "in the order of the stored numbers, write `encoding: indices` in own/NAME.yaml, "
            "then run segline init again",
        )
    return {value: names.colours[colour] for value, colour in palette.items() if colour in names.colours}
