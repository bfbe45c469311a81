"""Guess which classes the user's masks hold and what they are called: the content of a class table."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segline.config import Encoding
from segline.core.labels import VOID, alike
from segline.data.look.interpolated_colours import count_values, find_mixtures, read_values, select_inner
from segline.data.look.survey import spread
from segline.datasets.own.class_names import Names, is_void_name
from segline.datasets.own.classes import Colour, colour_of
from segline.errors import DataError
from segline.pictures import open_picture, read_bytes
from segline.progress import Report, showing, silent

_MAX_MASKS_READ = 300
# Pixels of all masks together; a tenth of it for coloured masks, because counting colours takes longer.
_MAX_PIXELS_READ = 200_000_000
_MAX_CLASSES = 256  # void included
_MAX_CLASSES_DESCRIBED = 12
_MIN_SHARE_OF_CLASS = 0.0005  # of the pixels; rarer colours are dropped if there are more colours than classes allowed
_MIN_SHARE_FREQUENT = 0.8  # of the pixels; the remaining colours must cover at least this share

_YAML_KEYWORDS = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})
_BACKGROUND_NAMES = frozenset({"background", "_background_", "__background__"})
_BLACK: Colour = (0, 0, 0)
_BORDER: Colour = (224, 224, 192)  # around objects in Pascal VOC


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
    """

    encoding: Encoding
    entries: tuple[Entry, ...]
    what: str
    why: str
    doubts: tuple[str, ...] = ()


def guess_classes(folder: Path, masks: Sequence[str], names: Names | None, *, report: Report = silent) -> ClassGuess:
    """Guess the classes from the pixels of up to 300 masks.

    Raises:
        DataError: no mask can be read, or they hold more colours than there can be classes.
    """
    palette, coloured = _find_mask_kind(folder, masks)
    looked = spread(masks, _count_affordable(folder, masks, coloured=coloured))
    counts: Counter[int] = Counter()
    areas: Counter[int] = Counter()
    faults: list[DataError] = []
    with showing(report) as progress:
        advance = progress.start("masks read", len(looked))
        for path in looked:
            try:
                values = read_values(folder / path, coloured=coloured)
                counts.update(count_values(values))
                areas.update(count_values(select_inner(values)) if coloured else {})
            except DataError as error:
                faults.append(error)
            advance(1)
    if not counts:
        raise faults[0]
    doubts = (
        [f"{len(faults)} of {len(looked)} masks cannot be read, such as {faults[0].place}: {faults[0].found}"]
        if faults
        else []
    )
    if len(looked) < len(masks):
        doubts.append(
            f"only {len(looked)} of {len(masks)} masks were read; validation reports other classes in the rest"
        )
    return (
        _guess_from_colours(counts, areas, names, doubts)
        if coloured
        else _guess_from_ids(counts, palette, names, doubts)
    )


def _find_mask_kind(folder: Path, masks: Sequence[str]) -> tuple[list[Colour] | None, bool]:
    """Return the palette of the masks, or None, and whether they are coloured pictures."""
    modes: Counter[str] = Counter()
    palette: list[Colour] | None = None
    for path in spread(masks, min(9, len(masks))):
        try:
            with open_picture(read_bytes(folder / path), place=folder / path) as opened:
                modes[opened.mode] += 1
                if opened.mode == "P" and palette is None:
                    flat = opened.getpalette() or []
                    palette = [(flat[at], flat[at + 1], flat[at + 2]) for at in range(0, len(flat) - 2, 3)]
        except DataError:
            continue  # `guess_classes` reports unreadable masks
    mode = modes.most_common(1)[0][0] if modes else "L"
    return (palette if mode == "P" else None), mode in ("RGB", "RGBA")


def _count_affordable(folder: Path, masks: Sequence[str], *, coloured: bool) -> int:
    middle = folder / masks[len(masks) // 2]
    try:
        with open_picture(read_bytes(middle), place=middle) as opened:
            pixels = opened.width * opened.height
    except DataError:
        pixels = 1_000_000
    return min(len(masks), _MAX_MASKS_READ, max(8, _MAX_PIXELS_READ // (10 if coloured else 1) // pixels))


def _guess_from_ids(
    counts: Counter[int], palette: list[Colour] | None, names: Names | None, doubts: list[str]
) -> ClassGuess:
    held, total = sorted(counts), counts.total()
    shares = {value: counts[value] / total for value in held}
    if set(held) <= {0, VOID} and len(held) == 2:
        entries = [
            Entry(id=0, name="background", colour=_BLACK, share=shares[0]),
            Entry(id=VOID, name="foreground", colour=colour_of(0), share=shares[VOID]),
        ]
        doubt = "id 255 was named foreground: rename it in the class table"
        return ClassGuess(
            encoding="ids",
            entries=tuple(entries),
            what="black and white, 0 and 255",
            why="the masks hold no other value",
            doubts=(*doubts, doubt),
        )
    named, note = _match_names(held, palette, names)
    doubts += [note] if note else []
    entries = [
        Entry(
            id=value,
            name=named.get(value, {0: "background", VOID: "void"}.get(value, f"class_{value}")),
            colour=_choose_colour(value, place, palette),
            void=is_void_name(named.get(value, "")) or (value == VOID and value not in named),
            share=shares.get(value, 0.0),
        )
        for place, value in enumerate(sorted({*held, *(value for value in named if value <= max(held))}))
    ]
    if any(entry.id == VOID and entry.void for entry in entries):
        doubts.append(f"id 255 ({100 * shares.get(VOID, 0):.2g} % of the pixels) is treated as void, as is usual")
    if max(value for value in held) < VOID and len(held) > 64:
        doubts.append(f"the masks hold {len(held)} ids: were they resized with interpolation, or compressed?")
    kind = "palette" if palette is not None else "ids"
    return ClassGuess(
        encoding="palette" if palette is not None else "ids",
        entries=tuple(entries),
        what="a palette, whose indices are ids" if palette is not None else "ids, one channel",
        why=f"stored in the files ({kind}); {len(held)} ids occur",
        doubts=tuple(doubts),
    )


def _choose_colour(value: int, place: int, palette: list[Colour] | None) -> Colour:
    if palette is not None and value < len(palette):
        return palette[value]
    return _BLACK if value == 0 else colour_of(max(0, place - 1))


def _match_names(held: Sequence[int], palette: list[Colour] | None, names: Names | None) -> tuple[dict[int, str], str]:
    if names is None:
        return {}, "no class names were found: write them into the class table"
    if palette is not None and names.colours:
        by_colour = {value: names.colours[colour] for value, colour in enumerate(palette) if colour in names.colours}
        if set(held) - {VOID} <= by_colour.keys():
            return {value: by_colour[value] for value in by_colour if value in held}, ""
    highest = max([value for value in held if value != VOID], default=0)
    first, *rest = names.names
    labelme = first == "__ignore__" or (bool(rest) and rest[0].lower() in _BACKGROUND_NAMES)
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


def _guess_from_colours(
    counts: Counter[int], areas: Counter[int], names: Names | None, doubts: list[str]
) -> ClassGuess:
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
    rgb = [_unpack(value) for value, _ in frequent.most_common()]
    known = [colour for colour in named if colour in rgb or len(named) <= _MAX_CLASSES - 2]
    rest = sorted((colour for colour in rgb if colour not in named), key=lambda colour: colour != _BLACK)
    entries: list[Entry] = []
    for colour in [*known, *rest]:
        name = named.get(colour) or ("background" if colour == _BLACK else f"colour_{bytes(colour).hex()}")
        void = is_void_name(name) or (colour == _BORDER and colour not in named)
        share = counts[int.from_bytes(bytes(colour), "big")] / total
        free = sum(not entry.void for entry in entries)
        entries.append(Entry(id=VOID if void else free, name=name, colour=colour, void=void, share=share))
    if rest:
        doubts.append("classes without a known name are named after their colour: rename them in the class table")
    if _BLACK in rest:
        doubts.append("black is treated as the class background: move it to `void` if it means unlabelled")
    return ClassGuess(
        encoding="rgb",
        entries=tuple(entries),
        what="coloured pictures, one colour for each class",
        why=f"the files have three channels and only {len(frequent)} colours",
        doubts=tuple(doubts),
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


def _unpack(packed: int) -> Colour:
    red, green, blue = packed.to_bytes(3, "big")
    return red, green, blue


def guess_from_names(encoding: Encoding, counts: Mapping[str, int], *, what: str, why: str) -> ClassGuess:
    """Guess the classes of polygons by their names; pixels that no polygon covers are background, id 0."""
    first = next((name for name in counts if name.lower() in _BACKGROUND_NAMES), "background")
    void = [name for name in counts if is_void_name(name)]
    others = [name for name in counts if name != first and name not in void]
    entries = [Entry(id=0, name=first, colour=_BLACK)]
    entries += [Entry(id=place, name=name, colour=colour_of(place - 1)) for place, name in enumerate(others, start=1)]
    entries += [Entry(id=VOID, name=name, colour=_BORDER, void=True) for name in void]
    doubts = [f"the label {name!r} is treated as void: move it to `classes` if it is a class" for name in void]
    doubt = (
        "pixels outside all polygons are treated as the class background: move id 0 to `void` if they are unlabelled"
    )
    return ClassGuess(encoding=encoding, entries=tuple(entries), what=what, why=why, doubts=(doubt, *doubts))


def format_table(guessed: ClassGuess) -> str:
    """Write the text of a class table, for a person to edit."""
    lines = [
        "# Classes in the masks, guessed by segline init. You may change names; ids and colours must fit the masks.",
        "classes:",
    ]
    void: list[str] = []
    used = {alike(entry.name) for entry in guessed.entries if not entry.void}
    for entry in guessed.entries:
        share = "" if entry.share is None else f"  # {100 * entry.share:.3g} % of the pixels"
        colour = f", colour: {list(entry.colour)}" if entry.colour is not None else ""
        again = entry.void and alike(entry.name) in used  # such as two void colours of one name
        used.add(alike(entry.name))
        name = "" if again else f", name: {_quote(entry.name)}"
        row = f"  - {{id: {entry.id}{name}{colour}}}{share}"
        (void if entry.void else lines).append(row)
    return "\n".join([*lines, *(["void:", *void] if void else ["void: []"])]) + "\n"


def _quote(name: str) -> str:
    """Quote a name if YAML would not read it as text."""
    word = re.fullmatch(r"[A-Za-z_][\w-]*( [\w-]+)*", name) and name.lower() not in _YAML_KEYWORDS
    return name if word else json.dumps(name, ensure_ascii=False)


def describe_entries(entries: Sequence[Entry]) -> Iterator[str]:
    """Describe the first dozen classes in words."""
    for entry in entries[:_MAX_CLASSES_DESCRIBED]:
        share = "" if entry.share is None else f" {100 * entry.share:.3g} %"
        yield f"{entry.id} {entry.name}{' (void)' if entry.void else ''}{share}"
    if len(entries) > _MAX_CLASSES_DESCRIBED:
        yield f"and {len(entries) - _MAX_CLASSES_DESCRIBED} more"
