"""Find labels of several kinds for the same images: polygons of two formats, or polygons and masks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from segline.config import Options
from segline.data.look.glob_patterns import write_pattern
from segline.data.look.survey import Group, Survey
from segline.datasets.own.collect import collect
from segline.errors import DataError


def refuse_rivals(images: Sequence[Group], seen: Survey, others: Mapping[str, Options]) -> list[str]:
    """Refuse a folder with polygons that holds other labels for the same images.

    Args:
        images: the groups of images.
        others: YOLO's text files and tables of run lengths for these images, in words, and their options.

    Returns:
        A doubt for each group of masks that fits no image.

    Raises:
        DataError: there are polygons or run lengths of several formats, or masks fit the images too.
    """
    file, encoding = (seen.coco[0], "coco") if seen.coco else (seen.labelme[0], "labelme")
    if seen.coco and seen.labelme:
        raise _ask(
            seen.folder,
            f"polygons in two formats: COCO in {file}, LabelMe in {seen.labelme[0]}",
            {"coco": "COCO", "labelme": "LabelMe"},
        )
    for words, options in others.items():
        raise _ask(
            seen.folder,
            f"labels in two formats: polygons in {file}, and {words}",
            {encoding: f"those in {file}", options.encoding: words},
        )
    doubts = []
    for group in seen.groups:
        if group in images or not group.masklike:
            continue
        where = write_pattern([group])
        fitted = _match(images, where, seen)
        if fitted:
            image, mask = min(fitted.items())
            raise _ask(
                seen.folder,
                f"two kinds of labels for {len(fitted)} images: {image} has the mask {mask}, and polygons in {file}",
                {encoding: "the polygons", "ids": "the masks"},
            )
        doubts.append(f"{where} looks like masks, but is not used, because {file} has polygons")
    return doubts


def _match(images: Sequence[Group], masks: str, seen: Survey) -> dict[str, str]:
    """Map each image to its mask file; empty if the masks do not fit."""
    options = Options(images=write_pattern(images), masks=masks, follow_links=seen.follow_links)
    try:
        pairs = collect(options, seen.folder).pairs
    except DataError:
        return {}
    return {pair.image: pair.mask for pair in pairs if pair.image and pair.mask}


def _ask(folder: Path, found: str, choices: dict[str, str]) -> DataError:
    answers = " or ".join(f"`encoding: {encoding}` for {what}" for encoding, what in choices.items())
    return DataError(
        folder,
        found=found,
        expected="labels of one kind",
        remedy=f"say which of them are right: write {answers} in own/NAME.yaml, then run segline init again; "
        "or move the others out of the folder",
    )
