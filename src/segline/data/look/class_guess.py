"""Guess which classes the user's masks hold and what they are called: the content of a class table."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from segline.config import Encoding
from segline.core.coding import Colours, unpack
from segline.core.labels import VOID, alike, runs
from segline.data.images.decode import decode_mask_and_palette
from segline.data.images.palettes import Comparison
from segline.data.look.answers import Answers
from segline.data.look.interpolated_colours import count_values, find_mixtures, read_colours, select_inner
from segline.data.look.survey import spread
from segline.datasets.own.class_names import Names, find_alike, is_void_name, report_two_names
from segline.datasets.own.classes import Colour, colour_of
from segline.errors import DataError
from segline.pictures import open_picture, read_bytes
from segline.progress import Report, showing, silent
from segline.project import Files

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
_ASK_WHICH_IS_RIGHT = (
    "say which is right, in the entry `folder` of `options` in params.yaml: `folder: {encoding: rgb}` if the colours "
    "are, `folder: {encoding: indices}` if the stored numbers are; then run segline init again"
)
_ASK_WHAT_255_IS = (
    "write `folder: {encoding: indices}` under `options` in params.yaml, and run segline init again; if 255 is the "
    "class of 1, then write `merged: [255]` in the row of id 1 of the class table, and take 255 out of its `void`"
)


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


@dataclass(kw_only=True)
class _Read:
    """What the masks that were read hold.

    Args:
        counts: id or packed colour -> pixels.
        areas: packed colour -> inner pixels.
        palette: id -> colour in the palettes.
        compared: the palettes, and the colours that a file or the class table names.
        faults: of the masks that cannot be read.
    """

    compared: Comparison
    counts: Counter[int] = field(default_factory=Counter)
    areas: Counter[int] = field(default_factory=Counter)
    palette: dict[int, Colour] = field(default_factory=dict)
    faults: list[DataError] = field(default_factory=list)


def guess_classes(
    folder: Path, masks: Sequence[str], names: Names | None, *, answers: Answers, report: Report = silent
) -> ClassGuess:
    """Guess the classes from the pixels of up to 300 masks.

    Raises:
        DataError: no mask can be read, they hold more colours than there can be classes, palettes contradict each
            other or the colours of `names`, or names are too similar.
    """
    if names is not None:
        refuse_alike(names.names, folder / names.source, answers, polygons=False)
    coloured = answers.encoding == "rgb" or (answers.encoding is None and _are_coloured(folder, masks))
    looked = spread(masks, _count_affordable(folder, masks, coloured=coloured))
    read = _read_masks(folder, looked, names, answers, coloured=coloured, report=report)
    if not read.counts:
        raise read.faults[0]
    doubts = _list_doubts(read.faults, looked=len(looked), masks=len(masks))
    if coloured:
        return _guess_from_colours(read.counts, read.areas, names, doubts, place=folder)
    if answers.encoding != "indices" and _must_go_by_colour(read.compared, names, answers, place=folder):
        found = guess_classes(folder, masks, names, answers=replace(answers, encoding="rgb"), report=report)
        doubt = f"palettes differ from mask to mask, so their colours are used: {read.compared.difference}"
        return replace(found, doubts=(doubt, *found.doubts))
    return _guess_from_ids(read, names, doubts, answers=answers, place=folder)


def _are_coloured(folder: Path, masks: Sequence[str]) -> bool:
    """Return whether most masks are coloured pictures, judging by a few of them."""
    modes: Counter[str] = Counter()
    for path in spread(masks, min(9, len(masks))):
        try:
            with open_picture(read_bytes(folder / path), place=folder / path) as opened:
                modes[opened.mode] += 1
        except DataError:
            continue  # `guess_classes` reports unreadable masks
    return bool(modes) and modes.most_common(1)[0][0] in ("RGB", "RGBA")


def _read_masks(
    folder: Path, masks: Sequence[str], names: Names | None, answers: Answers, *, coloured: bool, report: Report
) -> _Read:
    read = _Read(compared=Comparison(answers.colours or _collect_colours(names)))
    with showing(report) as progress:
        advance = progress.start("masks read", len(masks))
        for path in masks:
            try:
                if coloured:
                    values = read_colours(folder / path)
                    read.counts.update(count_values(values))
                    read.areas.update(count_values(select_inner(values)))
                else:
                    _add_mask(read, path, folder, answers)
            except DataError as error:
                read.faults.append(error)
            advance(1)
    return read


def _add_mask(read: _Read, path: str, folder: Path, answers: Answers) -> None:
    mask = decode_mask_and_palette(read_bytes(folder / path), place=folder / path)
    counts = count_values(mask.ids.astype(np.uint32))
    read.counts.update(counts)
    if not mask.palette:
        read.compared.add_grey(path, counts)
        return
    # The ids of a file of names are only positions in it, so no index contradicts them.
    read.compared.add(path, mask.palette, moved=None if answers.colours else False)
    if not mask.grey:
        for index, colour in mask.palette.items():
            if colour >= 0:
                read.palette.setdefault(index, unpack(colour))


def _collect_colours(names: Names | None) -> Colours | None:
    """Collect the colours that a file names; black and the border of Pascal VOC need no name."""
    if names is None or not names.colours:
        return None
    places = {colour: place for place, colour in enumerate(names.colours)}
    return Colours(ids={_BLACK: 0, _BORDER: VOID, **places}, indexed=True)


def _list_doubts(faults: Sequence[DataError], *, looked: int, masks: int) -> list[str]:
    doubts = []
    if faults:
        example = f"such as {faults[0].place}: {faults[0].found}"
        doubts.append(f"{len(faults)} of {looked} masks cannot be read, {example}")
    if looked < masks:
        doubts.append(f"only {looked} of {masks} masks were read; validation reports other classes in the rest")
    return doubts


def _must_go_by_colour(compared: Comparison, names: Names | None, answers: Answers, *, place: Path) -> bool:
    """Return whether palettes differ and a file names all their colours.

    Raises:
        DataError: palettes contradict each other, and nothing says which classes their colours are.
    """
    found = compared.contradiction()
    if compared.differ and answers.colours is None and compared.holds_grey:
        found = compared.difference  # masks without a palette have no colours to go by
    if found:
        raise DataError(
            place,
            found=f"masks contradict each other: {found}",
            expected="each index or grey level with one meaning in all masks",
            remedy=_ASK_WHAT_255_IS if found == compared.two_scales else _ASK_WHICH_IS_RIGHT,
        )
    return compared.differ and answers.colours is None and names is not None


def _count_affordable(folder: Path, masks: Sequence[str], *, coloured: bool) -> int:
    middle = folder / masks[len(masks) // 2]
    try:
        with open_picture(read_bytes(middle), place=middle) as opened:
            pixels = opened.width * opened.height
    except DataError:
        pixels = 1_000_000
    return min(len(masks), _MAX_MASKS_READ, max(8, _MAX_PIXELS_READ // (10 if coloured else 1) // pixels))


def _guess_from_ids(
    read: _Read, names: Names | None, doubts: list[str], *, answers: Answers, place: Path
) -> ClassGuess:
    counts, palette, encoding = read.counts, read.palette, answers.encoding
    held, total = sorted(counts), counts.total()
    shares = {value: counts[value] / total for value in held}
    if set(held) <= {0, VOID} and len(held) == 2 and not (names and VOID in names.ids):
        doubts += [f"the names of {names.source} are not used"] if names else []
        entries = [
            Entry(id=0, name="background", colour=_BLACK, share=shares[0]),
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
        why="as params.yaml says" if encoding else f"stored in the files ({kind}); {len(held)} ids occur",
        doubts=tuple(doubts),
        named_by=names.source if names and named else "",
    )


def _choose_colour(value: int, place: int, palette: Mapping[int, Colour]) -> Colour:
    if value in palette:
        return palette[value]
    return _BLACK if value == 0 else colour_of(max(0, place - 1))


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


def _match_colours(held: Sequence[int], palette: Mapping[int, Colour], names: Names, *, place: Path) -> dict[int, str]:
    _refuse_shared_colours([palette[value] for value in held if value in palette], names, place=place)
    strange = [
        value
        for value in held
        if value in palette
        and palette[value] not in names.colours
        and value != VOID
        and (value, palette[value]) != (0, _BLACK)
    ]
    if strange:
        raise DataError(
            place / names.source,
            found=f"no class with the colour {palette[strange[0]]}, which palettes have at index {strange[0]}",
            expected="every colour of the palettes",
            remedy=f"correct {names.source}, or remove it; or, if the palettes are wrong and the lines of the file are "
            "in the order of the stored numbers, set `folder: {encoding: indices}` under `options` in params.yaml, "
            "then run segline init again",
        )
    return {value: names.colours[colour] for value, colour in palette.items() if colour in names.colours}


def _refuse_shared_colours(held: Iterable[Colour], names: Names, *, place: Path) -> None:
    """Refuse a colour that occurs in masks and that a file gives to two classes."""
    for colour in held:
        if colour in names.shared:
            raise report_two_names(
                place / names.source, f"colour {colour}", names.colours[colour], names.shared[colour]
            )


def _guess_from_colours(
    counts: Counter[int], areas: Counter[int], names: Names | None, doubts: list[str], *, place: Path
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
    rgb = [unpack(value) for value, _ in frequent.most_common()]
    if names is not None:
        _refuse_shared_colours(rgb, names, place=place)
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
        why=f"the files have only {len(frequent)} colours",
        doubts=tuple(doubts),
        named_by=names.source if names is not None and known else "",
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
    if polygons:
        remedy = (
            f"if they are one class, use one spelling in the files, or write {place / Files.CLASSES} with "
            f"`{{id: 1, name: {_quote(first)}, merged: [{_quote(second)}]}}`; if they are two, give each a row there"
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
