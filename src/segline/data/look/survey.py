"""What a folder of the user's holds: groups of files that look alike, each sampled a little.

However many files there are, only their names are all looked at; pixels of a few of each group.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from segline.data.images.decode import decode_image
from segline.datasets.own import annotations
from segline.datasets.own.files import ending, is_image, walk
from segline.errors import DataError
from segline.pictures import open_picture, read_bytes
from segline.progress import Report, showing, silent
from segline.reading import FOLDER, NOTHING, kind_of

_FEW_COLOURS = 64  # up to here a picture is taken for a mask
_GROUPS = 100  # whose pixels are looked at
_FILES = 3  # of each
_JSON_FILES = 12  # opened to see what they are
_LOSSY = ("JPEG", "MPO", "WEBP")

_MASK_WORDS = frozenset(
    (
        "ann",
        "annot",
        "annotation",
        "annotations",
        "anns",
        "gt",
        "gtfine",
        "groundtruth",
        "label",
        "labelids",
        "labels",
        "labeltrainids",
        "lbl",
        "mask",
        "masks",
        "seg",
        "segmentation",
        "segmentationclass",
        "segmentations",
        "semantic",
        "target",
        "testannot",
        "trainannot",
        "trimap",
        "trimaps",
        "valannot",
        "y",
    )
)
_IMAGE_WORDS = frozenset(
    (
        "frames",
        "image",
        "images",
        "img",
        "imgs",
        "input",
        "inputs",
        "jpegimages",
        "leftimg8bit",
        "photo",
        "photos",
        "picture",
        "pictures",
        "rgb",
        "sat",
        "x",
    )
)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Pictures in one folder with one ending of names and one extension.

    Args:
        ending: what their names end in, as masks' do (``_mask``); empty for none.
        suffix: the extension, in lower case.
        paths: relative to the surveyed folder, sorted.
        masklike: whether their pixels are a mask's: few colours; None where none could be looked at.
        lossy: whether they are of a lossy format.
        fault: why none could be looked at.
    """

    folder: str
    ending: str
    suffix: str
    paths: tuple[str, ...]
    masklike: bool | None = None
    lossy: bool = False
    fault: DataError | None = None

    @property
    def named(self) -> str:
        """What the names say they are: ``mask``, ``image`` or nothing; the nearest word counts."""
        words = [self.ending.strip(" _.-"), *reversed(PurePosixPath(self.folder).parts)]
        for word in (word.lower() for word in words):
            if word in _MASK_WORDS or any(part in _MASK_WORDS for part in word.replace("-", "_").split("_")):
                return "mask"
            if word in _IMAGE_WORDS or any(part in _IMAGE_WORDS for part in word.replace("-", "_").split("_")):
                return "image"
        return ""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a folder holds.

    Args:
        follow_links: whether links in it may lead out of it.
        paths: every file, relative to `folder`.
        groups: its pictures.
        coco: files that describe many images in COCO's form.
        labelme: files that describe one image in LabelMe's form (by extension, where the sampled ones are).
    """

    folder: Path
    follow_links: bool
    paths: tuple[str, ...]
    groups: tuple[Group, ...]
    coco: tuple[str, ...] = field(default=())
    labelme: tuple[str, ...] = field(default=())


def survey(folder: Path, *, follow_links: bool = False, report: Report = silent) -> Survey:
    """Look at every name under `folder`, and at the pixels of a few files.

    Raises:
        DataError: there is no such folder, or nothing in it.
        LinkError: a link leads out of it, and none may.
    """
    kind = kind_of(folder)
    if kind != FOLDER:
        raise DataError(
            folder,
            found="no such folder" if kind == NOTHING else kind,
            expected="a folder with images and masks",
            remedy="name the folder that holds both",
        )
    with showing(report) as progress:
        advance = progress.start("files found", None)
        paths = tuple(_counted(walk(folder, follow_links=follow_links), advance))
    coco, labelme = _described(folder, [path for path in paths if path.lower().endswith(".json")])
    groups = _groups(path for path in paths if is_image(path))
    step = max(1, len(groups) // _GROUPS)
    looked = [_look(folder, group) if place % step == 0 else group for place, group in enumerate(groups)]
    return Survey(
        folder=folder, follow_links=follow_links, paths=paths, groups=tuple(looked), coco=coco, labelme=labelme
    )


def _counted(paths: Iterator[str], advance: Callable[[int], None]) -> Iterator[str]:
    for path in paths:
        advance(1)
        yield path


def _groups(paths: Iterator[str]) -> list[Group]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for path in paths:
        whole = PurePosixPath(path)
        folder = "" if str(whole.parent) == "." else str(whole.parent)
        found.setdefault((folder, ending(whole.stem), whole.suffix.lower()), []).append(path)
    return [
        Group(folder=folder, ending=end, suffix=suffix, paths=tuple(members))
        for (folder, end, suffix), members in sorted(found.items())
    ]


def spread(paths: Sequence[str], count: int) -> list[str]:
    """Up to `count` of `paths`, evenly spread over all of them."""
    count = min(count, len(paths))
    return [paths[place * len(paths) // count] for place in range(count)]


def _look(folder: Path, group: Group) -> Group:
    seen: list[tuple[bool, int]] = []
    fault: DataError | None = None
    for path in spread(group.paths, _FILES):
        try:
            seen.append(_facts(folder / path))
        except DataError as error:
            fault = fault or error
    if not seen:
        return replace(group, fault=fault)
    masklike = sum(not lossy and colours <= _FEW_COLOURS for lossy, colours in seen) * 2 > len(seen)
    return replace(group, masklike=masklike, lossy=all(lossy for lossy, _ in seen))


def _facts(path: Path) -> tuple[bool, int]:
    """Whether a picture is stored lossily, and how many colours it has."""
    data = read_bytes(path)
    with open_picture(data, place=path) as opened:
        lossy = opened.format in _LOSSY
    pixels = decode_image(data, place=path).pixels
    # A few thousand pixels tell a photograph from a mask.
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (min(width, 256), min(height, 256)), interpolation=cv2.INTER_NEAREST)
    return lossy, len(np.unique(small.reshape(-1, 3), axis=0))


def _size(path: Path) -> int:
    """Bytes of a file; none of one that a link only promises."""
    return path.stat().st_size if path.is_file() else 0


def _described(folder: Path, paths: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The COCO and the LabelMe files among `paths`; of many, a few are opened."""
    if len(paths) <= _JSON_FILES:
        opened = list(paths)
    else:
        largest = sorted(paths, key=lambda path: -_size(folder / path))[: _JSON_FILES // 2]
        opened = list(dict.fromkeys([*largest, *spread(paths, _JSON_FILES // 2)]))
    coco, labelme = [], []
    for path in opened:
        try:
            content = annotations.read_json(folder / path)
        except DataError:
            continue  # other programs' JSON files may be anything
        if annotations.is_coco(content):
            coco.append(path)
        elif annotations.is_labelme(content):
            labelme.append(path)
    everyone = len(labelme) * 2 > len(opened)
    return tuple(sorted(coco)), tuple(path for path in paths if path not in coco) if everyone else tuple(labelme)
