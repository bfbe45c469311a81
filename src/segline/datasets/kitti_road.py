"""KITTI road (Fritsch, Kuehnl and Geiger, ITSC 2013): road against not road, in perspective view.

The benchmark ranks bird's-eye views on its own server; a score here is of the images as they are, and
its protocol says so. Masks are coloured: magenta is road, red is not road, everything else is not
scored. ``um_lane_*`` (the own lane) is another question and is not used.

The 289 labelled images come from urban roads of three kinds: ``um`` (marked), ``umm`` (marked, several
lanes) and ``uu`` (unmarked). The publisher names no split of them, so one is published here: contiguous
blocks within each kind, because neighbouring numbers show the same place, about 60 : 20 : 20. Which
drives the images are from is not published, so nothing says whether a drive goes on across one of the
six cuts: a few images beside them may have a neighbour on the other side.

Four images are images of `segline.datasets.kitti` too, byte for byte (`SHARED`). The blocks lie so that
each of them has the same split here as in kitti's ``blocks``: then a network that was trained on one
dataset and is scored on the other has not seen the image. (With kitti's ``last_30`` it may have: all
four are trained on there.)
"""

from bisect import bisect_right
from pathlib import Path

from segline.core.coding import Colours
from segline.core.labels import label_map
from segline.datasets.base import Archive, Dataset, Pair, Split, match, named

_MAGENTA, _RED = (255, 0, 255), (255, 0, 0)
_NOT_ROAD, _ROAD, _INVALID = 0, 1, 255  # ids of ours: the publisher's masks hold colours

COUNTS = {"um": 95, "umm": 96, "uu": 98}
"""Kind of road -> how many images are labelled; they are numbered from 0."""

BLOCKS: dict[str, tuple[tuple[int, Split], ...]] = {
    "um": ((0, "train"), (57, "validation"), (76, "test")),
    "umm": ((0, "validation"), (19, "test"), (38, "train")),
    "uu": ((0, "train"), (58, "validation"), (78, "test")),
}
"""Kind of road -> first number of each block and where it belongs: 173, 58 and 58 images."""

SHARED = {
    "um_000020": "000032_10",
    "um_000038": "000040_10",
    "umm_000015": "000071_10",
    "umm_000033": "000110_10",
}
"""Images that are KITTI semantics frames too."""


def split_of(name: str) -> Split:
    """The published split of an image: ``um_000020``.

    Raises:
        ValueError: there is no such image.
    """
    kind, text = name.split("_")
    number = int(text)
    if not 0 <= number < COUNTS.get(kind, 0):
        known = ", ".join(f"{kind}_000000 to {kind}_{count - 1:06d}" for kind, count in COUNTS.items())
        raise ValueError(f"{name} is none of {known}")
    return BLOCKS[kind][bisect_right([first for first, _ in BLOCKS[kind]], number) - 1][1]


def _pairs(raw: Path) -> list[Pair]:
    images = named(raw, "data_road/training/image_2/*.png")
    masks = named(raw, "data_road/training/gt_image_2/*_road_*.png")
    found = match(images, ((name.replace("_road_", "_"), path) for name, path in masks))
    return [Pair(id=name, image=image, mask=mask, split=split_of(name)) for name, image, mask in found]


DATASET = Dataset(
    name="kitti_road",
    title="KITTI road, perspective view",
    terms="CC BY-NC-SA 3.0 (non-commercial); Fritsch, Kuehnl and Geiger, ITSC 2013",
    archives=(
        Archive(
            name="data_road.zip",
            url="https://s3.eu-central-1.amazonaws.com/avg-kitti/data_road.zip",
            folders=("data_road/training/image_2", "data_road/training/gt_image_2"),
            about=500_000_000,
            extracted=600_000_000,  # PNGs, which do not pack: little more than the archive
        ),
    ),
    label_map=label_map([(_NOT_ROAD, "not road", _RED), (_ROAD, "road", _MAGENTA)], void=[_INVALID]),
    colours=Colours(ids={_MAGENTA: _ROAD, _RED: _NOT_ROAD}, otherwise=_INVALID),
    protocol="kitti-road-perspective/1",
    pairs=_pairs,
    extra_scores=("road",),
    task="road",
    split="blocks",
)
