"""Guess how the user's own data are organised, from a survey: pairing, encoding, classes and splits.

A guess is tested before it is shown: images and masks are paired exactly as the download stage will pair them.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from segline.config import Encoding, Options
from segline.config.fields import PAINTED
from segline.data.images.decode import decode_image, is_deep
from segline.data.look.answers import Answers
from segline.data.look.class_guess import ClassGuess, describe_entries, guess_classes
from segline.data.look.glob_patterns import cover_folders, folder_of, write_coco_pattern, write_pattern
from segline.data.look.mask_folders import choose, separate
from segline.data.look.other_sources import (
    describe_entry,
    find_layers,
    find_nnunet,
    find_run_lengths,
    find_yolo,
    list_run_length_tables,
)
from segline.data.look.painted_classes import guess_painted
from segline.data.look.rival_labels import refuse_rivals
from segline.data.look.suggested_patterns import suggest_patterns
from segline.data.look.survey import Group, Survey, spread, survey
from segline.datasets.base import SPLITS, Split
from segline.datasets.own import lists
from segline.datasets.own.class_names import find_names, names_classes
from segline.datasets.own.collect import Collection, collect, count_splits, overview
from segline.datasets.own.files import Pattern
from segline.errors import DataError, LinkError
from segline.pictures import read_bytes
from segline.progress import Report, silent

_NO_ANSWERS = Answers()
_MAX_IMAGES_CHECKED = 9
_DEEP_SUFFIXES = (".png", ".tif", ".tiff")
_MASK_ENCODINGS = ("ids", "palette", "indices", "rgb")
_LAYOUTS = """one of these layouts:
      images/1.jpg  masks/1.png             (any depth; masks hold ids, a palette or colours)
      1.jpg         1_mask.png              (or _label, _gt, _labelIds ...)
      train/1.jpg   trainannot/1.png        (or train_images and train_masks)
      images/1.jpg  masks/road/1.png        (one mask for each class; or 1_road.png)
      images/1.jpg  annotations/train.json  (COCO; or a file in the folder of each split)
      1.jpg         1.json                  (LabelMe)
      images/1.jpg  labels/1.txt            (YOLO polygons, with data.yaml)
      images/1.jpg  train.csv               (Kaggle's run lengths)
      imagesTr/1_0000.png  labelsTr/1.png   (nnU-Net)
      JPEGImages/1.jpg  SegmentationClass/1.png  (Pascal VOC, and CVAT's masks with labelmap.txt)
      pairs.csv     with columns image,mask[,split,group]"""


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
        options: the entry for ``params.yaml``, still without the path.
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
        options, why, unused = _find_options(seen, answers.labels)
        collection = _collect_pairs(options, seen)
    else:
        options, why, unused = (
            answers.layout.model_copy(update={"follow_links": follow_links}),
            "as params.yaml says",
            [],
        )
        collection = _collect_stated(options, folder)
    options, collection, split_why, doubts = _add_split_lists(options, collection, seen)
    options = options.model_copy(update={"levels": answers.levels})
    _refuse_unknown_range(collection, seen.folder, answers.levels)
    names = find_names(folder, seen.paths)
    if options.encoding in PAINTED:
        classes, notes = guess_painted(options, folder, collection, answers=answers, report=report)
        doubts += notes
    else:
        masks = [pair.mask for pair in collection.pairs if pair.image is not None and pair.mask is not None]
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


def _find_options(seen: Survey, labels: Encoding | None) -> tuple[Options, str, list[str]]:
    """Find where images and masks are; return it with the reason and with doubts."""
    if not seen.groups:
        _refuse_unread(seen)
        raise _make_error(seen, "no pictures")
    tables = list_run_length_tables(seen)
    others = (path for path in seen.paths if not names_classes(path) and path not in tables)
    table, unused = lists.choose_pairs(others, root=seen.folder)
    if table is not None:
        return Options(pairs=table, follow_links=seen.follow_links), "it has the columns image and mask", unused
    options, why, unsure = _find_source(seen, tables, labels)
    return options, why, [*unused, *unsure]


def _collect_stated(options: Options, folder: Path) -> Collection:
    """Collect the samples that ``params.yaml`` describes.

    Raises:
        DataError: no image has a mask.
    """
    collection = collect(options, folder)
    if any(pair.image is not None and pair.mask is not None for pair in collection.pairs):
        return collection
    names = [next((pair.id for pair in collection.pairs if getattr(pair, kind)), "") for kind in ("image", "mask")]
    raise DataError(
        "params.yaml options.folder",
        found=f"images {options.images!r} and masks {options.masks!r}, which pair no files: one image is named "
        f"{names[0]!r}, and one mask {names[1]!r}",
        expected="patterns whose wildcards match the same text in the names of image and mask",
        remedy="correct the patterns: text that only one of the two names has belongs outside the wildcards",
    )


def _collect_pairs(options: Options, seen: Survey) -> Collection:
    try:
        collection = collect(options, seen.folder)
    except LinkError:
        raise
    except DataError as error:
        if options.encoding in PAINTED and "segline init" not in error.remedy:
            raise  # the layout is known, and the file is wrong
        remedy = "" if "segline init" in error.remedy else error.remedy
        raise _make_error(seen, f"{error.place}: {error.found}", remedy=remedy) from error
    paired = sum(pair.image is not None and pair.mask is not None for pair in collection.pairs)
    if not paired:
        _explain_unpaired(options, collection, seen)
    return collection


def _explain_unpaired(options: Options, collection: Collection, seen: Survey) -> NoReturn:
    """Raise the error about images and masks whose names differ; show patterns that would pair them."""
    if not any(group.masklike and group.named == "mask" for group in seen.groups):
        _refuse_causes(seen)
    images = [pair.image for pair in collection.pairs if pair.image]
    masks = [pair.mask for pair in collection.pairs if pair.mask]
    found = f"no image and mask with the same name; for example, one image is {images[0]}, and one mask is {masks[0]}"
    if options.encoding in ("coco", "run_lengths"):
        raise _make_error(seen, found, remedy=f"correct the names of the images in {masks[0]}, or rename the images")
    folders = [[path for path in paths if folder_of(path) == folder_of(paths[0])] for paths in (images, masks)]
    suggested = suggest_patterns(*folders)
    if suggested is None:
        raise _make_error(seen, found)
    written = options.model_copy(update={"images": suggested[0], "masks": suggested[1]})
    raise _make_error(
        seen,
        found,
        remedy="rename the files; or, if these patterns pair the right files, write them into params.yaml and run "
        f"segline init again (`*` stands for the part that both names share):\n{describe_entry(written, seen.folder)}",
    )


def _find_source(seen: Survey, tables: Sequence[str], labels: Encoding | None) -> tuple[Options, str, list[str]]:
    """Find where images and masks are; return it with the reason and with doubts.

    Args:
        tables: CSVs with run lengths.
        labels: the encoding in ``params.yaml``; it decides if there are several kinds of labels.
    """
    _refuse_broken_sibling(seen)
    images = [group for group in seen.groups if not group.masklike and group.named != "view"] or list(seen.groups)
    if (seen.coco or seen.labelme) and labels in (None, "coco", "labelme"):
        return _find_polygons(seen, images, labels)
    if (nnunet := find_nnunet(seen)) is not None:
        return nnunet, "nnU-Net's folders and names", []
    if labels in _MASK_ENCODINGS:
        return _find_pictures(seen)
    others = {"YOLO polygons": find_yolo(seen, images)}
    others |= {f"run lengths in {table}": find_run_lengths(seen, images, table) for table in tables}
    found = {
        why: options for why, options in others.items() if options is not None and labels in (None, options.encoding)
    }
    painted = labels is None and any(group.masklike and group.named == "mask" for group in seen.groups)
    if len(found) + painted > 1:
        _ask_source(seen, found, painted=painted)
    for why, options in found.items():
        return options, why, []
    return _find_pictures(seen)


def _find_polygons(seen: Survey, images: Sequence[Group], labels: Encoding | None) -> tuple[Options, str, list[str]]:
    """Find COCO or LabelMe files; return them with the reason and with doubts."""
    doubts = [] if labels is not None else refuse_rivals(images, seen)
    if seen.coco and labels != "labelme":
        files = write_coco_pattern(seen)
        doubts += [f"{path} is not used" for path in seen.coco if Pattern(files).name(path) is None]
        return _make_options(images, files, seen, encoding="coco"), "COCO polygons", doubts
    files = cover_folders([folder_of(path) for path in seen.labelme]) + "*.json"
    return _make_options(images, files, seen, encoding="labelme"), "LabelMe polygons", doubts


def _ask_source(seen: Survey, found: Mapping[str, Options], *, painted: bool) -> NoReturn:
    names = [*found, *(["pictures of masks"] if painted else [])]
    raise _make_error(
        seen,
        f"{' and '.join(names)}: both may be the masks",
        remedy="move what is not meant out of the folder; or say it under options.folder in params.yaml, then run "
        f"segline init again. For {names[0]}:\n{describe_entry(next(iter(found.values())), seen.folder)}",
    )


def _refuse_broken_sibling(seen: Survey) -> None:
    """Refuse a JSON file that cannot be read, if it lies beside COCO files: it may describe a split."""
    folders = {folder_of(path) for path in seen.coco}
    for error in seen.broken:
        if folder_of(os.path.relpath(error.place, seen.folder)) in folders:
            raise error


def _find_pictures(seen: Survey) -> tuple[Options, str, list[str]]:
    """Find masks that are pictures."""
    images, masks, why = separate(seen)
    if not images or not masks:
        _explain_missing(seen, images)
    if all(group.lossy for group in masks):
        form = PurePosixPath(masks[0].paths[0]).suffix.lower()
        raise _make_error(
            seen,
            f"{masks[0].paths[0]} is a {'WebP' if form == '.webp' else 'JPEG'}, like all masks here: its ids or "
            "colours are only approximate",
            remedy="export the masks again as PNG: JPEG and WebP change the pixels",
        )

    def fail(found: str, *, remedy: str, options: Options) -> NoReturn:
        raise _make_error(seen, found, remedy=f"{remedy}\n{describe_entry(options, seen.folder)}")

    layered = find_layers(seen, images, masks)
    if layered is not None:
        return layered, f"one mask for each class, {why}", []
    options, doubts = choose(seen, images, masks, fail)
    views = sorted({group.folder or "." for group in seen.groups if group.named == "view" and group not in images})
    if views and not any(group.named == "view" for group in masks):
        doubts.append(f"the pictures in {', '.join(views)} are not used: the name says that they show masks to people")
    return options, why, doubts


def _explain_missing(seen: Survey, images: Sequence[Group]) -> NoReturn:
    """Raise the error that says why there are only images, or only masks."""
    _refuse_causes(seen)
    if not images:
        raise _make_error(seen, "only masks: all pictures have few colours")
    lossy = [group for group in seen.groups if group.lossy]
    more = "; JPEG and WebP cannot be masks, because they change the pixels" if lossy else ""
    raise _make_error(seen, f"only images: no picture has as few colours as a mask{more}")


def _refuse_causes(seen: Survey) -> None:
    """Raise the first error that explains why masks were not recognised: unreadable files, or an unknown format."""
    faults = [group.fault for group in seen.groups if group.fault is not None and group.named == "mask"]
    faults = faults or [group.fault for group in seen.groups if group.fault is not None]
    if faults and faults[0] is not None:
        raise faults[0]
    _refuse_unread(seen)
    if seen.broken:
        raise seen.broken[0]


def _refuse_unread(seen: Survey) -> None:
    """Refuse a folder whose annotations Segline does not read, and name the format."""
    for unread in seen.unread:
        raise _make_error(
            seen,
            f"{unread.path} is of a format that Segline does not read: {unread.name}",
            remedy=f"{unread.convert}; put the result into the folder, then run segline init again",
        )


def _make_options(images: Sequence[Group], masks: str, seen: Survey, *, encoding: Encoding = "ids") -> Options:
    others = [group for group in seen.groups if group not in images]
    return Options(images=write_pattern(images, others), masks=masks, encoding=encoding, follow_links=seen.follow_links)


def _add_split_lists(
    options: Options, collection: Collection, seen: Survey
) -> tuple[Options, Collection, str, list[str]]:
    """Use the list files of splits if they fit the data; return reason and doubts too."""
    if any(pair.split and pair.split != "test" for pair in collection.pairs) or _has_test_split(collection):
        return options, collection, _explain_split(options, collection), []
    found: dict[str, dict[Split, str]] = {}
    for path in seen.paths:
        split = lists.split_named(PurePosixPath(path).stem)
        if split is not None and PurePosixPath(path).suffix.lower() in (".txt", ".lst", ".list"):
            found.setdefault(folder_of(path), {}).setdefault(split, path)
    doubts: list[str] = []
    for files in found.values():
        if "train" not in files or len(files) < 2:
            continue
        ordered = {split: files[split] for split in SPLITS if split in files}
        try:
            listed = options.model_copy(update={"splits": ordered})
            return listed, collect(listed, seen.folder), f"the lists {', '.join(ordered.values())}", doubts
        except DataError as error:
            doubts.append(f"the lists {', '.join(ordered.values())} are not used: {error.place}: {error.found}")
    return options, collection, _explain_split(options, collection), doubts


def _has_test_split(collection: Collection) -> bool:
    """Return whether the data name a test split, that is, all its samples are in folders or rows named test."""
    tests = [pair for pair in collection.pairs if pair.split == "test"]
    return bool(tests) and all(lists.split_of_paths(pair.image or "", pair.mask or "") == "test" for pair in tests)


def _explain_split(options: Options, collection: Collection) -> str:
    named = {lists.split_of_paths(pair.image or pair.mask or "", pair.mask or "") for pair in collection.pairs} - {None}
    if options.pairs is None and len(named) > 1 and "train" in named:
        missing = [name for name in ("validation", "test") if name not in named]
        return "by the names of folders or files" + (f"; {' and '.join(missing)} taken out of train" if missing else "")
    if options.pairs is not None and any(pair.split in ("train", "validation") for pair in collection.pairs):
        return "the column split"
    return "no split was found: fixed shares, assigned by a hash of the names"


def _make_error(seen: Survey, found: str, *, remedy: str = "") -> DataError:
    images = next((group for group in seen.groups if not group.masklike), None)
    example = f"{images.folder or '.'}/*{images.ending}{images.suffix}" if images is not None else "images/*.jpg"
    patterns = Options(images=example.removeprefix("./"), masks="masks/*.png", follow_links=seen.follow_links)
    return DataError(
        seen.folder,
        found=found if "the folder holds" in found else f"{found}; the folder holds {overview(seen.paths)}",
        expected=_LAYOUTS,
        remedy=remedy
        or "arrange the files in one of these layouts, or list them in a CSV with the columns image,mask; or say in "
        "params.yaml where they are (correct the patterns), then run segline init again:\n"
        f"{describe_entry(patterns, seen.folder)}",
    )
