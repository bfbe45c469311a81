"""Read the user's masks, and guess which classes they hold and what they are called."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from segline.core.coding import Colours, unpack
from segline.core.labels import VOID
from segline.data.images.decode import decode_mask_and_palette
from segline.data.images.palettes import Comparison
from segline.data.look.answers import AnsweredEncoding, Answers
from segline.data.look.class_entries import BLACK, BORDER, ClassGuess
from segline.data.look.colour_classes import guess_from_colours
from segline.data.look.id_classes import guess_from_ids
from segline.data.look.interpolated_colours import count_values, read_colours, select_inner
from segline.data.look.named_classes import refuse_alike
from segline.data.look.survey import spread
from segline.datasets.own.class_names import Names
from segline.datasets.own.classes import Colour
from segline.errors import DataError
from segline.pictures import open_picture, read_bytes
from segline.progress import Report, showing, silent

_MAX_MASKS_READ = 300

# Pixels of all masks together; a tenth of it for coloured masks, because counting colours takes longer.
_MAX_PIXELS_READ = 200_000_000
_ASK_WHICH_IS_RIGHT = (
    "say which is right, in own/NAME.yaml: write `encoding: rgb` if the colours are, `encoding: indices` if the stored "
    "numbers are; then run segline init again"
)
_ASK_WHAT_255_IS = (
    "write `encoding: indices` in own/NAME.yaml, and run segline init again; if 255 is the class of 1, then "
    "write `merged: [255]` in the row of id 1 of the class table, and take 255 out of its `void`"
)


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
    held = _are_coloured(folder, masks)
    if held and answers.firm and answers.labels in ("ids", "palette"):
        raise _report_coloured(answers.labels, folder / masks[0])
    coloured = answers.encoding == "rgb" or (answers.encoding is None and held)
    looked = spread(masks, _count_affordable(folder, masks, coloured=coloured))
    read = _read_masks(folder, looked, names, answers, coloured=coloured, report=report)
    if not read.counts:
        raise read.faults[0]
    doubts = _list_doubts(read.faults, looked=len(looked), masks=len(masks))
    if coloured:
        return guess_from_colours(read.counts, read.areas, names, doubts, place=folder)
    settled = None
    if answers.encoding is None:
        settled = _settle_palettes(read.compared, names, answers, place=folder)
    if settled is not None:
        decides, reason = settled
        found = guess_classes(folder, masks, names, answers=replace(answers, encoding=decides), report=report)
        return replace(found, doubts=(reason, *found.doubts))
    return guess_from_ids(read.counts, read.palette, names, doubts, answers=answers, place=folder)


def _report_coloured(labels: str, example: Path) -> DataError:
    return DataError(
        "own/NAME.yaml encoding",
        found=f"{labels}, but most masks are coloured pictures, such as {example}",
        expected="`encoding: rgb`, where each colour is a class, or masks of one channel",
        remedy="write `encoding: rgb`, or delete `encoding`, to have it guessed; then run segline init again",
    )


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
    return Colours(ids={BLACK: 0, BORDER: VOID, **places}, indexed=True)


def _list_doubts(faults: Sequence[DataError], *, looked: int, masks: int) -> list[str]:
    doubts = []
    if faults:
        example = f"such as {faults[0].place}: {faults[0].found}"
        doubts.append(f"{len(faults)} of {looked} masks cannot be read, {example}")
    if looked < masks:
        doubts.append(f"only {looked} of {masks} masks were read; validation reports other classes in the rest")
    return doubts


def _settle_palettes(
    compared: Comparison, names: Names | None, answers: Answers, *, place: Path
) -> tuple[AnsweredEncoding, str] | None:
    """Return what decides where palettes differ, and the reason; None if nothing must be decided.

    Raises:
        DataError: palettes contradict each other, and nothing says which classes their colours are.
    """
    found = compared.contradiction()
    if compared.differ and answers.colours is None and compared.holds_grey:
        found = compared.difference  # masks without a palette have no colours to go by
    if found and not answers.firm and answers.labels in ("rgb", "indices"):
        reason = f"masks contradict each other, and `encoding: {answers.labels}` in own/NAME.yaml decides: {found}"
        return answers.labels, reason
    if found:
        raise DataError(
            place,
            found=f"masks contradict each other: {found}",
            expected="each index or grey level with one meaning in all masks",
            remedy=_ASK_WHAT_255_IS if found == compared.two_scales else _ASK_WHICH_IS_RIGHT,
        )
    if compared.differ and answers.colours is None and names is not None:
        return "rgb", f"palettes differ from mask to mask, so their colours are used: {compared.difference}"
    return None


def _count_affordable(folder: Path, masks: Sequence[str], *, coloured: bool) -> int:
    middle = folder / masks[len(masks) // 2]
    try:
        with open_picture(read_bytes(middle), place=middle) as opened:
            pixels = opened.width * opened.height
    except DataError:
        pixels = 1_000_000
    return min(len(masks), _MAX_MASKS_READ, max(8, _MAX_PIXELS_READ // (10 if coloured else 1) // pixels))
