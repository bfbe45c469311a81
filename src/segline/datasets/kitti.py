"""KITTI semantics, pixel level (Abu Alhaija et al., IJCV 2018), labels as Cityscapes.

The public test server does not take ordinary work, so scores are on a fixed, published split of
``training``: contiguous blocks cut between drives, because neighbouring numbers show the same
place. The blocks of frames 0..99 are published; frames 100..199 belong to no split until their cuts
between drives are, and are left out: a wrong cut would put one place into training and test.
"""

from pathlib import Path

from segline.datasets.base import Archive, Dataset, Pair, Split, match
from segline.datasets.cityscapes import LABEL_MAP

SPLIT: tuple[Split, ...] = ("train",) * 60 + ("validation",) * 22 + ("test",) * 18
"""By frame number."""


def _pairs(raw: Path) -> list[Pair]:
    folder = raw / "training"
    found = match(
        ((path.stem, path.relative_to(raw).as_posix()) for path in (folder / "image_2").glob("*_10.png")),
        ((path.stem, path.relative_to(raw).as_posix()) for path in (folder / "semantic").glob("*_10.png")),
    )
    return [
        Pair(id=name, image=image, mask=mask, split=split_of(_frame(name)))
        for name, image, mask in found
        if _frame(name) < len(SPLIT)
    ]


def split_of(frame: int) -> Split:
    """The published split of a frame number, 0..99."""
    return SPLIT[frame]


def _frame(name: str) -> int:
    return int(name.split("_")[0])


DATASET = Dataset(
    name="kitti",
    title="KITTI semantics, pixel level",
    terms="CC BY-NC-SA 3.0 (non-commercial); Geiger et al., CVPR 2012; Abu Alhaija et al., IJCV 2018",
    archives=(
        Archive(
            name="data_semantics.zip",
            url="https://s3.eu-central-1.amazonaws.com/avg-kitti/data_semantics.zip",
            folders=("training/image_2", "training/semantic"),
            about=314_000_000,
            extracted=400_000_000,  # PNGs, which do not pack: little more than the archive
        ),
    ),
    label_map=LABEL_MAP,
    protocol="kitti-semantics-blocks/1",
    pairs=_pairs,
)
