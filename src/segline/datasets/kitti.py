"""KITTI semantics, pixel level (Abu Alhaija et al., IJCV 2018), labels as in Cityscapes.

Tasks: ``semantics`` (the 19 classes of Cityscapes) and ``road`` (road against the other 18; void stays void).

The public test server accepts few submissions, so scores are on a fixed, published split of the 200 images
of ``training``.

**Split ``blocks``.** Images with neighbouring numbers show the same place, so this split has contiguous blocks,
cut between drives. Drives are the publisher's: the 200 images are those of KITTI stereo 2015, and its
development kit lists the drive of each (``mapping/train_mapping.txt``, read in a public copy). A frame of a drive
that was never released has no entry there. Consecutive frames without an entry count as one drive, and no block
ends inside it. Frames 0..99 were checked by matching the SIFT features of every two images. Within a drive, up to
1,156 matches fit one epipolar geometry. Between drives or blocks, at most 24 do, as many as by chance. One
exception: the drives 0017 and 0018 show the same crossing, so they count as one drive here. Frames 100..199 were
not available for this check.

**Split ``last_30``.** Well-known tutorials use it: frames 170..199 are the test. They publish no validation split,
so `segline.data.images.split` takes whole drives from the rest for it. If it took single frames, nearly every
validation frame would have a neighbour in training, and models that memorise streets would be chosen. It is not
known whether the unreleased drive of frame 170 began before that frame.

The annotations were corrected on 12.04.2018, and older copies are still in use. No checksum is published, so
Segline cannot tell an old copy from a corrected one. But the digest of a prepared split covers the masks'
contents, so scores on the two are never compared.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from segline.core.labels import LabelClass, LabelMap
from segline.datasets.base import Archive, Dataset, FileNames, Member, Pair, Split, Task, list_files, match
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
"""First frame of each drive, and the drive's name in KITTI's raw data; "" if it was not released."""

BLOCKS: tuple[tuple[int, Split], ...] = (
    (0, "train"),
    (60, "validation"),
    (82, "test"),
    (118, "validation"),
    (144, "train"),
)
"""First frame and split of each block of the split ``blocks``: 116, 48 and 36 frames.

The cuts at 60, 118 and 144 are between two released drives. Frame 82 is of an unreleased drive. It was inspected
by eye: it shows another place than frames 81 and 83.
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
"""Road against the other classes that are scored. In predicted masks, 7 is road and 8 is everything else."""


def drive_of(frame: int) -> str:
    """Return the drive of a frame (0..199): its name, or ``unreleased_`` and the drive's first frame.

    Raises:
        ValueError: there is no such frame.
    """
    first, name = DRIVES[_find_block(frame, [first for first, _ in DRIVES])]
    return name or f"unreleased_{first:06d}"


def split_of(frame: int) -> Split:
    """Return the split of a frame (0..199) in ``blocks``.

    Raises:
        ValueError: there is no such frame.
    """
    return BLOCKS[_find_block(frame, [first for first, _ in BLOCKS])][1]


def drive_named(name: str) -> str:
    """Return the drive of an image, such as ``000012_10``, or "" if the name has another form."""
    frame = name.removesuffix("_10")
    return drive_of(int(frame)) if frame.isdigit() and int(frame) < FRAMES else ""


def _find_block(frame: int, firsts: list[int]) -> int:
    if not 0 <= frame < FRAMES:
        raise ValueError(f"no frame {frame}: the frames are 0..{FRAMES - 1}")
    return bisect_right(firsts, frame) - 1


def _last_30(frame: int) -> Split | None:
    return "test" if frame >= FRAMES - 30 else None


def _pairs(raw: Path, *, split: Callable[[int], Split | None]) -> list[Pair]:
    found = match(list_files(raw, "training/image_2/*_10.png"), list_files(raw, "training/semantic/*_10.png"))
    frames = [int(name.split("_")[0]) for name, _, _ in found]
    return [
        Pair(id=name, image=image, mask=mask, split=split(frame), group=drive_of(frame))
        for frame, (name, image, mask) in zip(frames, found, strict=True)
    ]


def _draw(seed: int) -> Iterator[Member]:
    from segline.datasets.drawing import street_archives

    return street_archives.kitti(seed, drives=[*(first for first, _ in DRIVES), FRAMES])


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
            extracted=400_000_000,  # PNGs do not compress: little more than the archive
        ),
    ),
    label_map=LABEL_MAP,
    protocol="kitti-semantics/1",
    pairs=partial(_pairs, split=split_of),
    group_of=drive_named,
    split="blocks",
    tasks={"road": Task(label_map=ROAD, protocol="kitti-semantics-road/1", extra_scores=("road",))},
    splits={"last_30": partial(_pairs, split=_last_30)},
    names=FileNames(image=re.compile(r"\d{6}_10")),
    draw=_draw,
)
