"""KITTI semantics, pixel level (Abu Alhaija et al., IJCV 2018), labels as Cityscapes.

Tasks: ``semantics`` (Cityscapes' 19 classes) and ``road`` (road against the 18 others; what is void
stays void).

The public test server does not take ordinary work, so scores are on a fixed, published split of the
200 images of ``training``. Neighbouring numbers show the same place, so the split ``blocks`` is of
contiguous blocks that are cut between drives. Drives are the publisher's: the 200 images are those of
KITTI stereo 2015, whose development kit lists the drive of each (``mapping/train_mapping.txt``, read
in a public copy). A frame whose drive was never released has no entry there; a run of such frames
counts as one drive and is never cut. Frames 0..99 were checked by matching the SIFT features of every
two images: up to 1,156 fit one epipolar geometry within a drive, and never more than 24, which is
chance, between drives or blocks; but the drives 0017 and 0018 show one crossing, so they count as one
here. Frames 100..199 could not be looked at.

The split ``last_30`` is the tutorials': frames 170..199 are the test. They publish no validation
split, so `segline.data.images.split` carves it from the rest by whole drives: single frames would leave a
neighbour of nearly every validation frame in training, and the choice of a model would reward
remembering streets. Whether the unreleased drive of frame 170 began before it is not known.

The annotations were corrected on 12.04.2018, and older copies are about. No checksum is published,
so a copy's age cannot be told; the digest of a prepared split holds the masks' contents, so scores on
the two are never compared.
"""

from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from pathlib import Path

from segline.core.labels import LabelClass, LabelMap
from segline.datasets.base import Archive, Dataset, Pair, Split, Task, match, named
from segline.datasets.street_labels import LABEL_MAP

FRAMES = 200

DRIVES: tuple[tuple[int, str], ...] = (
    (0, ""),
    (2, "2011_09_26_drive_0005"),
    (4, ""),
    (7, "2011_09_26_drive_0009"),
    (13, "2011_09_26_drive_0011"),
    (18, "2011_09_26_drive_0013"),
    (22, "2011_09_26_drive_0014"),
    (34, "2011_09_26_drive_0015"),
    (43, "2011_09_26_drive_0017"),  # and 0018, from 47 on
    (54, "2011_09_26_drive_0019"),
    (57, "2011_09_26_drive_0022"),
    (60, "2011_09_26_drive_0027"),
    (62, "2011_09_26_drive_0028"),
    (70, "2011_09_26_drive_0029"),
    (72, "2011_09_26_drive_0032"),
    (82, ""),
    (83, "2011_09_26_drive_0036"),
    (85, "2011_09_26_drive_0046"),
    (87, ""),
    (88, "2011_09_26_drive_0051"),
    (99, ""),
    (105, "2011_09_26_drive_0056"),
    (112, "2011_09_26_drive_0057"),
    (118, "2011_09_26_drive_0059"),
    (128, "2011_09_26_drive_0070"),
    (130, "2011_09_26_drive_0084"),
    (133, ""),
    (141, "2011_09_26_drive_0096"),
    (144, "2011_09_26_drive_0101"),
    (149, "2011_09_26_drive_0104"),
    (151, ""),
    (155, "2011_09_28_drive_0002"),
    (156, ""),
    (157, "2011_09_29_drive_0004"),
    (165, ""),
    (168, "2011_09_29_drive_0071"),
    (170, ""),
    (199, "2011_10_03_drive_0047"),
)
"""First frame of each drive and its name in KITTI's raw data; no name where it was not released."""

BLOCKS: tuple[tuple[int, Split], ...] = (
    (0, "train"),
    (60, "validation"),
    (82, "test"),
    (118, "validation"),
    (144, "train"),
)
"""First frame of each block of the split ``blocks`` and where it belongs: 116, 48 and 36 frames.

The cuts at 60, 118 and 144 lie between two released drives. The frame at 82 is of an unreleased one;
it was seen to show another place than both of its neighbours.
"""

ROAD = LabelMap(
    classes=(
        LabelClass(
            name="not road",
            raw=LABEL_MAP.classes[1].raw,
            merged=tuple(item.raw for item in LABEL_MAP.classes[2:]),
            colour=(70, 70, 70),
        ),
        LABEL_MAP.classes[0],
    ),
    void=LABEL_MAP.void,
)
"""Road against the other evaluated classes. A prediction's mask has one raw id a class: 7 is road, 8 is not."""


def drive_of(frame: int) -> str:
    """The drive of a frame number, 0..199: its name, or ``unreleased_`` and its first frame.

    Raises:
        ValueError: there is no such frame.
    """
    first, name = DRIVES[_place(frame, [first for first, _ in DRIVES])]
    return name or f"unreleased_{first:06d}"


def split_of(frame: int) -> Split:
    """The split of a frame number, 0..199, in ``blocks``.

    Raises:
        ValueError: there is no such frame.
    """
    return BLOCKS[_place(frame, [first for first, _ in BLOCKS])][1]


def drive_named(name: str) -> str:
    """The drive of an image: ``000012_10``; "" for a name of another kind."""
    frame = name.removesuffix("_10")
    return drive_of(int(frame)) if frame.isdigit() and int(frame) < FRAMES else ""


def _place(frame: int, firsts: list[int]) -> int:
    if not 0 <= frame < FRAMES:
        raise ValueError(f"frame {frame}, but the numbers are 0..{FRAMES - 1}")
    return bisect_right(firsts, frame) - 1


def _last_30(frame: int) -> Split | None:
    return "test" if frame >= FRAMES - 30 else None


def _pairs(raw: Path, *, split: Callable[[int], Split | None]) -> list[Pair]:
    found = match(named(raw, "training/image_2/*_10.png"), named(raw, "training/semantic/*_10.png"))
    frames = [int(name.split("_")[0]) for name, _, _ in found]
    return [
        Pair(id=name, image=image, mask=mask, split=split(frame), group=drive_of(frame))
        for frame, (name, image, mask) in zip(frames, found, strict=True)
    ]


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
    protocol="kitti-semantics/1",
    pairs=partial(_pairs, split=split_of),
    group_of=drive_named,
    split="blocks",
    tasks={"road": Task(label_map=ROAD, protocol="kitti-semantics-road/1", extra_scores=("road",))},
    splits={"last_30": partial(_pairs, split=_last_30)},
)
