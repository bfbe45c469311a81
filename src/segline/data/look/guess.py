"""Guess how the user's own data are organised, from a survey: pairing, encoding, classes and splits.

A guess is tested before it is shown: images and masks are paired exactly as the download stage will pair them.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segline.config import Options
from segline.config.fields import PAINTED
from segline.data.images.decode import decode_image, is_deep
from segline.data.look.answers import Answers
from segline.data.look.class_entries import ClassGuess, describe_entries
from segline.data.look.class_guess import guess_classes
from segline.data.look.layout_guess import collect_pairs, collect_stated, find_options
from segline.data.look.painted_classes import guess_painted
from segline.data.look.split_guess import add_split_lists
from segline.data.look.survey import spread, survey
from segline.datasets.own.class_names import find_names
from segline.datasets.own.collect import Collection, count_splits
from segline.datasets.own.mask_views import find_turned
from segline.errors import DataError
from segline.pictures import read_bytes
from segline.progress import Report, silent

_NO_ANSWERS = Answers()

_MAX_IMAGES_CHECKED = 9
_MAX_PHOTOS_CHECKED = 500
_DEEP_SUFFIXES = (".png", ".tif", ".tiff")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One part of the guess, and the reason for it."""

    what: str
    guess: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Guess:
    """The whole guess.

    Args:
        options: the content of ``own/NAME.yaml``, still without the path.
        doubts: what a person should check.
    """

    options: Options
    classes: ClassGuess
    lines: tuple[Line, ...]
    doubts: tuple[str, ...]


def guess(
    folder: Path, *, follow_links: bool = False, answers: Answers = _NO_ANSWERS, report: Report = silent
) -> Guess:
    """Guess how the data in `folder` are organised.

    Args:
        follow_links: whether links in `folder` may lead out of it.
        answers: what the user has stated.

    Raises:
        DataError: no guess is possible; the error lists what was found and which layouts are supported.
        LinkError: a link leads out of `folder`, although `follow_links` is False.
    """
    seen = survey(folder, follow_links=follow_links, report=report)
    if answers.layout is None:
        options, why, unused = find_options(seen, answers)
        collection = collect_pairs(options, seen)
    else:
        options, why, unused = (
            answers.layout.model_copy(update={"follow_links": follow_links}),
            "as own/NAME.yaml says",
            [],
        )
        collection = collect_stated(options, folder)
    options, collection, split_why, doubts = add_split_lists(options, collection, seen)
    options = options.model_copy(update={"levels": answers.levels})
    _refuse_unknown_range(collection, seen.folder, answers.levels)
    names = find_names(folder, seen.paths)
    if options.encoding in PAINTED:
        classes, notes = guess_painted(options, folder, collection, answers=answers, report=report)
        doubts += notes
    else:
        masks = [pair.mask for pair in collection.pairs if pair.image is not None and pair.mask is not None]
        _ask_about_turned_photos(collection, folder, answers)
        classes = guess_classes(folder, masks, names, answers=answers, report=report)
        options = options.model_copy(update={"encoding": classes.encoding})
    paired = sum(pair.image is not None and pair.mask is not None for pair in collection.pairs)
    total = len(collection.pairs)
    doubts += [*unused, *collection.notes, *classes.doubts]
    where = f"images {options.images}, masks {options.masks}" if options.pairs is None else options.pairs
    lines = (
        Line(what="pairs", guess=where, why=f"{why}; {paired} of {total} samples have image and mask"),
        Line(what="encoding", guess=classes.what, why=classes.why),
        Line(
            what="classes",
            guess=", ".join(describe_entries(classes.entries)),
            why=f"names from {classes.named_by}" if classes.named_by else "",
        ),
        Line(what="split", guess=count_splits(collection.pairs), why=split_why),
    )
    return Guess(options=options, classes=classes, lines=lines, doubts=tuple(doubts))


def _ask_about_turned_photos(collection: Collection, folder: Path, answers: Answers) -> None:
    """Refuse masks of photos that their EXIF orientation turns, if nothing tells which view the masks fit."""
    chosen = {*spread([pair.id for pair in collection.pairs], _MAX_PHOTOS_CHECKED)}
    find_turned((pair for pair in collection.pairs if pair.id in chosen), folder, rules=answers.polygons)


def _refuse_unknown_range(collection: Collection, folder: Path, levels: tuple[int, int] | None) -> None:
    """Refuse 16-bit images of which some do not use all bits, unless their range is stated."""
    images = [pair.image for pair in collection.pairs if pair.image]
    for path in spread(images, _MAX_IMAGES_CHECKED):
        if PurePosixPath(path).suffix.lower() not in _DEEP_SUFFIXES:
            continue
        try:
            data = read_bytes(folder / path)
            deep = is_deep(data, place=folder / path)
        except DataError:
            continue  # the validate stage reports what cannot be read
        if deep:
            decode_image(data, place=folder / path, levels=levels)
