"""KITTI road (Fritsch, Kuehnl and Geiger, ITSC 2013): road against not road, in perspective view.

The benchmark's server scores bird's-eye views. Scores here are of the camera's view, as the protocol's name says
(perspective). Masks are coloured: magenta is road, red is not road, everything else is not scored. The labels
``um_lane_*`` (the car's own lane) belong to another task and are not used.

The 289 labelled images show urban roads of three kinds: ``um`` (marked), ``umm`` (marked, several lanes) and
``uu`` (unmarked). The publisher gives no split of them, so one is published here, about 60 : 20 : 20: contiguous
blocks within each kind, because images with neighbouring numbers show the same place. It is not published
which drive an image is from, so a drive may continue across one of the six cuts: a few images beside a cut
may have a neighbour in another split.

Four images are also in `segline.datasets.kitti`, byte for byte (`SHARED`). Each of them is in the same split
here as in kitti's split ``blocks``. So a network that is trained on one dataset and scored on the other has
not seen the image. This does not hold for kitti's split ``last_30``: there all four are in training.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from segline.core.coding import Colours
from segline.core.labels import label_map
from segline.datasets.base import Archive, Dataset, FileNames, Member, Pair, Split, list_files, match

_MAGENTA, _RED = (255, 0, 255), (255, 0, 0)
_NOT_ROAD, _ROAD, _INVALID = 0, 1, 255  # the publisher's masks hold colours, so these ids are Segline's

COUNTS = {"um": 95, "umm": 96, "uu": 98}
"""Kind of road -> number of labelled images; their numbers start at 0."""

BLOCKS: dict[str, tuple[tuple[int, Split], ...]] = {
    "um": ((0, "train"), (57, "validation"), (76, "test")),
    "umm": ((0, "validation"), (19, "test"), (38, "train")),
    "uu": ((0, "train"), (58, "validation"), (78, "test")),
}
"""Kind of road -> first number and split of each block: 173, 58 and 58 images."""

SHARED = {
    "um_000020": "000032_10",
    "um_000038": "000040_10",
    "umm_000015": "000071_10",
    "umm_000033": "000110_10",
}
"""Image name -> the same image's name in KITTI semantics."""


def split_of(name: str) -> Split:
    """Return the published split of an image, such as ``um_000020``.

    Raises:
        ValueError: there is no such image.
    """
    kind, text = name.split("_")
    number = int(text)
    if not 0 <= number < COUNTS.get(kind, 0):
        known = ", ".join(f"{kind}_000000 to {kind}_{count - 1:06d}" for kind, count in COUNTS.items())
        raise ValueError(f"no image {name}: the images are {known}")
    return BLOCKS[kind][bisect_right([first for first, _ in BLOCKS[kind]], number) - 1][1]


def _pairs(raw: Path) -> list[Pair]:
    images = list_files(raw, "data_road/training/image_2/*.png")
    masks = list_files(raw, "data_road/training/gt_image_2/*_road_*.png")
    found = match(images, ((name.replace("_road_", "_"), path) for name, path in masks))
    return [Pair(id=name, image=image, mask=mask, split=split_of(name)) for name, image, mask in found]


def _draw(seed: int) -> Iterator[Member]:
    from segline.datasets.drawing import street_archives

    blocks = {kind: [*(first for first, _ in BLOCKS[kind]), count] for kind, count in COUNTS.items()}
    return street_archives.kitti_road(seed, blocks=blocks)


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
            extracted=600_000_000,  # PNGs do not compress: little more than the archive
        ),
    ),
    label_map=label_map([(_NOT_ROAD, "not road", _RED), (_ROAD, "road", _MAGENTA)], void=[_INVALID]),
    colours=Colours(ids={_MAGENTA: _ROAD, _RED: _NOT_ROAD}, otherwise=_INVALID),
    protocol="kitti-road-perspective/1",
    pairs=_pairs,
    extra_scores=("road",),
    task="road",
    split="blocks",
    names=FileNames(
        image=re.compile(r"(umm?|uu)_\d{6}"),
        label=re.compile(r"(umm?|uu)_(?:road|lane)_(\d{6})"),
        aside=re.compile(r"(umm?|uu)_lane_\d{6}"),
    ),
    draw=_draw,
)
