"""Guess where images and masks are, from a survey, and pair them exactly as the download stage will."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

from segline.config import Encoding, Options
from segline.config.fields import PAINTED
from segline.data.look.answers import Answers
from segline.data.look.glob_patterns import cover_folders, folder_of, write_coco_pattern, write_pattern
from segline.data.look.layout_errors import (
    describe_entry,
    explain_missing,
    explain_unpaired,
    make_error,
    refuse_causes,
    refuse_unread,
)
from segline.data.look.mask_folders import choose, separate
from segline.data.look.other_sources import (
    find_layers,
    find_nnunet,
    find_run_lengths,
    find_yolo,
    list_run_length_tables,
)
from segline.data.look.rival_labels import refuse_rivals
from segline.data.look.survey import Group, Survey
from segline.datasets.own import lists
from segline.datasets.own.class_names import names_classes
from segline.datasets.own.collect import Collection, collect, overview
from segline.datasets.own.files import Pattern
from segline.errors import DataError, LinkError

_MASK_ENCODINGS = ("ids", "palette", "indices", "rgb")
_FORMATS = {
    "coco": "COCO file",
    "labelme": "LabelMe file",
    "yolo": "YOLO polygons",
    "run_lengths": "table of run lengths",
    "layers": "masks for each class",
}


def find_options(seen: Survey, answers: Answers) -> tuple[Options, str, list[str]]:
    """Find where images and masks are; return it with the reason and with doubts.

    Raises:
        DataError: they were not found, there are labels of several kinds, or none of the kind in ``own/NAME.yaml``.
    """
    if not seen.groups:
        refuse_unread(seen)
        raise make_error(seen, "no pictures")
    tables = list_run_length_tables(seen)
    others = (path for path in seen.paths if not names_classes(path) and path not in tables)
    table, unused = lists.choose_pairs(others, root=seen.folder)
    if table is not None:
        annotations = (*seen.coco, *seen.labelme[:1], *tables)
        unused = [*unused, *(f"{path} is not used, because {table} lists the pairs" for path in annotations)]
        return Options(pairs=table, follow_links=seen.follow_links), "it has the columns image and mask", unused
    options, why, unsure = _find_source(seen, tables, answers)
    labels = answers.labels if answers.firm else None
    if labels is not None and options.encoding != (labels if labels in PAINTED else "ids"):
        raise _report_none(seen, labels)
    return options, why, [*unused, *unsure]


def _report_none(seen: Survey, labels: Encoding) -> DataError:
    """Report that there are no labels of the encoding in ``own/NAME.yaml``."""
    return DataError(
        "own/NAME.yaml encoding",
        found=f"{labels}, but {seen.folder} holds no {_FORMATS.get(labels, 'pictures of masks')}: "
        f"{overview(seen.paths)}",
        expected="the encoding of labels that are there",
        remedy="delete `encoding`, to have it guessed, or correct it; then run segline init again",
    )


def collect_stated(options: Options, folder: Path) -> Collection:
    """Collect the samples that ``own/NAME.yaml`` describes.

    Raises:
        DataError: no image has a mask.
    """
    collection = collect(options, folder)
    if any(pair.image is not None and pair.mask is not None for pair in collection.pairs):
        return collection
    names = [next((pair.id for pair in collection.pairs if getattr(pair, kind)), "") for kind in ("image", "mask")]
    raise DataError(
        "own/NAME.yaml",
        found=f"images {options.images!r} and masks {options.masks!r}, which pair no files: one image is named "
        f"{names[0]!r}, and one mask {names[1]!r}",
        expected="patterns whose wildcards match the same text in the names of image and mask",
        remedy="correct the patterns: text that only one of the two names has belongs outside the wildcards",
    )


def collect_pairs(options: Options, seen: Survey) -> Collection:
    """Collect the samples that were found.

    Raises:
        DataError: they cannot be collected, or no image has a mask.
    """
    try:
        collection = collect(options, seen.folder)
    except LinkError:
        raise
    except DataError as error:
        if options.encoding in PAINTED and "segline init" not in error.remedy:
            raise  # the layout is known, and the file is wrong
        remedy = "" if "segline init" in error.remedy else error.remedy
        raise make_error(seen, f"{error.place}: {error.found}", remedy=remedy) from error
    paired = sum(pair.image is not None and pair.mask is not None for pair in collection.pairs)
    if not paired:
        explain_unpaired(options, collection, seen)
    return collection


def _find_source(seen: Survey, tables: Sequence[str], answers: Answers) -> tuple[Options, str, list[str]]:
    """Find where images and masks are; return it with the reason and with doubts.

    Args:
        tables: CSVs with run lengths.
        answers: the encoding in ``own/NAME.yaml`` decides if there are several kinds of labels.
    """
    _refuse_broken_sibling(seen)
    labels = answers.labels
    images = [group for group in seen.groups if not group.masklike and group.named != "view"] or list(seen.groups)
    if (seen.coco and labels in (None, "coco")) or (seen.labelme and labels in (None, "labelme")):
        others = _find_texts(seen, images, tables, answers) if labels is None else {}
        return _find_polygons(seen, images, labels, others)
    if labels in (None, *_MASK_ENCODINGS) and (nnunet := find_nnunet(seen)) is not None:
        return nnunet, "nnU-Net's folders and names", []
    if labels in (*_MASK_ENCODINGS, "layers"):
        return _find_pictures(seen, answers)
    found = _find_texts(seen, images, tables, answers)
    painted = labels is None and any(group.masklike and group.named == "mask" for group in seen.groups)
    if len(found) + painted > 1:
        _ask_source(seen, found, painted=painted)
    for why, options in found.items():
        return options, why, []
    return _find_pictures(seen, answers)


def _find_texts(seen: Survey, images: Sequence[Group], tables: Sequence[str], answers: Answers) -> dict[str, Options]:
    """Find YOLO's text files and tables of run lengths; return their descriptions in words, and their options."""
    others = {"YOLO polygons": find_yolo(seen, images)}
    others |= {
        f"run lengths in {table}": find_run_lengths(seen, images, table, rules=answers.polygons) for table in tables
    }
    return {
        why: options
        for why, options in others.items()
        if options is not None and answers.labels in (None, options.encoding)
    }


def _find_polygons(
    seen: Survey, images: Sequence[Group], labels: Encoding | None, others: Mapping[str, Options]
) -> tuple[Options, str, list[str]]:
    """Find COCO or LabelMe files; return them with the reason and with doubts.

    Args:
        others: labels of other kinds for these images.
    """
    doubts = [] if labels is not None else refuse_rivals(images, seen, others)
    if seen.coco and labels != "labelme":
        files = write_coco_pattern(seen)
        doubts += [f"{path} is not used" for path in seen.coco if Pattern(files).name(path) is None]
        return _make_options(images, files, seen, encoding="coco"), "COCO polygons", doubts
    files = cover_folders([folder_of(path) for path in seen.labelme]) + "*.json"
    return _make_options(images, files, seen, encoding="labelme"), "LabelMe polygons", doubts


def _ask_source(seen: Survey, found: Mapping[str, Options], *, painted: bool) -> NoReturn:
    names = [*found, *(["pictures of masks"] if painted else [])]
    raise make_error(
        seen,
        f"{' and '.join(names)}: both may be the masks",
        expected="labels of one kind",
        remedy="move what is not meant out of the folder; or say it in own/NAME.yaml, then run "
        f"segline init again. For {names[0]}:\n{describe_entry(next(iter(found.values())), seen.folder)}",
    )


def _refuse_broken_sibling(seen: Survey) -> None:
    """Refuse a JSON file that cannot be read, if it lies beside COCO files: it may describe a split."""
    folders = {folder_of(path) for path in seen.coco}
    for error in seen.broken:
        if folder_of(os.path.relpath(error.place, seen.folder)) in folders:
            raise error


def _find_pictures(seen: Survey, answers: Answers) -> tuple[Options, str, list[str]]:
    """Find masks that are pictures."""
    images, masks, why = separate(seen)
    if not images or not masks:
        if answers.labels is not None and answers.firm:
            refuse_causes(seen)
            raise _report_none(seen, answers.labels)
        explain_missing(seen, images)
    if all(group.lossy for group in masks):
        form = PurePosixPath(masks[0].paths[0]).suffix.lower()
        raise make_error(
            seen,
            f"{masks[0].paths[0]} is a {'WebP' if form == '.webp' else 'JPEG'}, like all masks here: its ids or "
            "colours are only approximate",
            remedy="export the masks again as PNG: JPEG and WebP change the pixels",
        )

    def fail(found: str, *, remedy: str, options: Options) -> NoReturn:
        entry = describe_entry(options, seen.folder)
        expected = "one kind of images, and one kind of masks for them"
        raise make_error(seen, found, remedy=f"{remedy}\n{entry}", expected=expected)

    layered = None
    if answers.labels not in _MASK_ENCODINGS or not answers.firm:
        layered = find_layers(seen, images, masks, overlap=answers.overlap)
    if layered is not None:
        return layered, f"one mask for each class, {why}", []
    options, doubts = choose(seen, images, masks, fail)
    views = sorted({group.folder or "." for group in seen.groups if group.named == "view" and group not in images})
    if views and not any(group.named == "view" for group in masks):
        doubts.append(f"the pictures in {', '.join(views)} are not used: the name says that they show masks to people")
    return options, why, doubts


def _make_options(images: Sequence[Group], masks: str, seen: Survey, *, encoding: Encoding = "ids") -> Options:
    others = [group for group in seen.groups if group not in images]
    return Options(images=write_pattern(images, others), masks=masks, encoding=encoding, follow_links=seen.follow_links)
