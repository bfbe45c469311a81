"""Cityscapes, fine annotations (Cordts et al., CVPR 2016).

Label table: `segline.datasets.street_labels`. Scoring: ``cityscapesscripts`` (helpers/labels.py,
evaluation/evalPixelLevelSemanticLabeling.py). The official ``val`` is the test split here. Some cities of
``train`` are the validation split, so that no model is chosen on ``val``.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from segline.datasets.base import Archive, Dataset, FileNames, Login, Member, Pair, Split, match
from segline.datasets.street_labels import LABEL_MAP

_NUMBERS_IN_NAME = 2  # sequence and frame

VALIDATION_CITIES = frozenset({"tubingen", "ulm", "weimar"})
"""Cities of ``train`` that are the validation split. They are published with this file and never change."""


def city_of(name: str) -> str:
    """Return the city of an image (``ulm`` of ``ulm_000012_000019``), or "" if the name has another form."""
    city, *rest = name.split("_")
    return city if len(rest) == _NUMBERS_IN_NAME and all(part.isdigit() for part in rest) else ""


def _pairs(raw: Path) -> list[Pair]:
    images = _list_files(raw / "leftImg8bit", "_leftImg8bit.png", raw)
    masks = _list_files(raw / "gtFine", "_gtFine_labelIds.png", raw)
    return [
        Pair(id=name, image=image, mask=mask, split=_split_of(image or mask or ""), group=city_of(name))
        for name, image, mask in match(images, masks)
    ]


def _list_files(folder: Path, suffix: str, raw: Path) -> list[tuple[str, str]]:
    return [
        (path.name.removesuffix(suffix), path.relative_to(raw).as_posix())
        for split in ("train", "val")
        for path in (folder / split).glob(f"*/*{suffix}")
    ]


def _split_of(path: str) -> Split:
    _, split, city, _ = path.split("/")
    if split == "val":
        return "test"
    return "validation" if city in VALIDATION_CITIES else "train"


def _draw(seed: int) -> Iterator[Member]:
    from segline.datasets.drawing import street_archives

    return street_archives.cityscapes(seed)


DATASET = Dataset(
    name="cityscapes",
    title="Cityscapes, fine annotations",
    terms="Cityscapes licence: non-commercial research and teaching only; https://www.cityscapes-dataset.com/license/",
    archives=(
        Archive(
            name="leftImg8bit_trainvaltest.zip",
            url=None,
            folders=("leftImg8bit/train", "leftImg8bit/val"),
            about=11_800_000_000,
            extracted=13_000_000_000,  # PNGs do not compress: little more than the archive
        ),
        Archive(
            name="gtFine_trainvaltest.zip",
            url=None,
            folders=("gtFine/train", "gtFine/val"),
            about=253_000_000,
            extracted=2_500_000_000,  # half of it is JSON polygons, which compress to a tenth
        ),
    ),
    label_map=LABEL_MAP,
    protocol="cityscapes-pixel/1",
    pairs=_pairs,
    group_of=city_of,
    login=Login(
        kind="package-list",
        site="https://www.cityscapes-dataset.com/",
        credentials=("CITYSCAPES_USERNAME", "CITYSCAPES_PASSWORD"),
    ),
    names=FileNames(
        image=re.compile(r"[a-z][a-z-]+_\d{6}_\d{6}"),
        endings=("gtFine", "gtCoarse", "leftImg8bit"),
    ),
    draw=_draw,
)
