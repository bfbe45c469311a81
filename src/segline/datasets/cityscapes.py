"""Cityscapes, fine annotations (Cordts et al., CVPR 2016).

Label table: `segline.datasets.street_labels`. Scoring: ``cityscapesscripts`` (helpers/labels.py,
evaluation/evalPixelLevelSemanticLabeling.py). ``val`` is the scored split; validation for model
choice is carved from ``train`` by city, so that ``val`` stays unseen.
"""

from pathlib import Path

from segline.datasets.base import Archive, Dataset, Pair, Split, match
from segline.datasets.street_labels import LABEL_MAP

_NUMBERS = 2  # of sequence and frame, in an image's name

VALIDATION_CITIES = frozenset({"tubingen", "ulm", "weimar"})
"""Cities of ``train`` held out for model choice; published with this file, never changed."""


def city_of(name: str) -> str:
    """The city of an image: ``ulm`` of ``ulm_000012_000019``; "" for a name of another kind."""
    city, *rest = name.split("_")
    return city if len(rest) == _NUMBERS and all(part.isdigit() for part in rest) else ""


def _pairs(raw: Path) -> list[Pair]:
    images = _named(raw / "leftImg8bit", "_leftImg8bit.png", raw)
    masks = _named(raw / "gtFine", "_gtFine_labelIds.png", raw)
    return [
        Pair(id=name, image=image, mask=mask, split=_split(image or mask or ""), group=city_of(name))
        for name, image, mask in match(images, masks)
    ]


def _named(folder: Path, suffix: str, raw: Path) -> list[tuple[str, str]]:
    return [
        (path.name.removesuffix(suffix), path.relative_to(raw).as_posix())
        for split in ("train", "val")
        for path in (folder / split).glob(f"*/*{suffix}")
    ]


def _split(path: str) -> Split:
    _, split, city, _ = path.split("/")
    if split == "val":
        return "test"
    return "validation" if city in VALIDATION_CITIES else "train"


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
            extracted=13_000_000_000,  # PNGs, which do not pack: little more than the archive
        ),
        Archive(
            name="gtFine_trainvaltest.zip",
            url=None,
            folders=("gtFine/train", "gtFine/val"),
            about=253_000_000,
            extracted=2_500_000_000,  # half of it is polygons in JSON, which pack to a tenth
        ),
    ),
    label_map=LABEL_MAP,
    protocol="cityscapes-pixel/1",
    pairs=_pairs,
    group_of=city_of,
    credentials=("CITYSCAPES_USERNAME", "CITYSCAPES_PASSWORD"),
)
