"""Survey the user's folder: group its files by name, and read a few files of each group.

All names are read, but the pixels of a few files only, so that the time does not grow with the number of files.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from segline.data.images.decode import decode_image
from segline.data.images.deep import FULL
from segline.datasets.own import annotations
from segline.datasets.own.files import ending, is_image, walk
from segline.errors import DataError
from segline.pictures import open_picture, read_bytes
from segline.progress import Report, showing, silent
from segline.reading import FOLDER, NOTHING, kind_of

_MAX_COLOURS_OF_MASK = 64
_MAX_GROUPS_READ = 100
_FILES_READ_PER_GROUP = 3
_MAX_JSON_FILES_READ = 12
_LOSSY_FORMATS = ("JPEG", "MPO", "WEBP")

_MASK_WORDS = frozenset(
    {"ann", "annot", "annotation", "annotations", "anns", "testannot", "trainannot", "valannot"}
    | {"label", "labelids", "labels", "labeltrainids", "lbl", "gt", "gtfine", "groundtruth", "trimap", "trimaps"}
    | {"mask", "masks", "seg", "segmentation", "segmentationclass", "segmentations", "semantic", "target", "y"}
)
_IMAGE_WORDS = frozenset(
    {"image", "images", "img", "imgs", "input", "inputs", "frames", "photo", "photos", "picture", "pictures", "x"}
    | {"jpegimages", "leftimg8bit", "rgb", "sat"}
)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Pictures in one folder whose names have the same ending and extension.

    Args:
        ending: common end of the names, such as ``_mask``; empty if there is none.
        suffix: the extension, in lower case.
        paths: relative to the surveyed folder, sorted.
        masklike: whether they have as few colours as masks; None if no file could be read.
        lossy: whether all files that were read have a lossy format.
        fault: the first error, if no file could be read.
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
        """Return the kind that ending and folder names suggest (innermost first): ``mask``, ``image`` or ""."""
        words = [self.ending.strip(" _.-"), *reversed(PurePosixPath(self.folder).parts)]
        for word in (word.lower() for word in words):
            parts = {word, *word.replace("-", "_").split("_")}
            if parts & _MASK_WORDS:
                return "mask"
            if parts & _IMAGE_WORDS:
                return "image"
        return ""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """The content of a folder.

    Args:
        follow_links: whether links in `folder` may lead out of it.
        paths: all files, relative to `folder`.
        groups: the image files among `paths`.
        coco: annotation files in COCO format.
        labelme: annotation files in LabelMe format. If most opened JSON files are LabelMe, all others that are not
            COCO are assumed to be, too.
    """

    folder: Path
    follow_links: bool
    paths: tuple[str, ...]
    groups: tuple[Group, ...]
    coco: tuple[str, ...] = field(default=())
    labelme: tuple[str, ...] = field(default=())


def survey(folder: Path, *, follow_links: bool = False, report: Report = silent) -> Survey:
    """Read every name under `folder`, and the pixels of a few files.

    Raises:
        DataError: the folder is missing or empty.
        LinkError: a link leads out of `folder`, although `follow_links` is False.
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
        paths = tuple(_count_paths(walk(folder, follow_links=follow_links), advance))
    coco, labelme = _find_annotations(folder, [path for path in paths if path.lower().endswith(".json")])
    groups = _group_pictures(path for path in paths if is_image(path))
    step = max(1, len(groups) // _MAX_GROUPS_READ)
    looked = [_look_at_group(folder, group) if place % step == 0 else group for place, group in enumerate(groups)]
    return Survey(
        folder=folder, follow_links=follow_links, paths=paths, groups=tuple(looked), coco=coco, labelme=labelme
    )


def _count_paths(paths: Iterator[str], advance: Callable[[int], None]) -> Iterator[str]:
    for path in paths:
        advance(1)
        yield path


def _group_pictures(paths: Iterator[str]) -> list[Group]:
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
    """Choose up to `count` of `paths`, evenly spread over all of them."""
    count = min(count, len(paths))
    return [paths[place * len(paths) // count] for place in range(count)]


def _look_at_group(folder: Path, group: Group) -> Group:
    seen: list[tuple[bool, int]] = []
    fault: DataError | None = None
    for path in spread(group.paths, _FILES_READ_PER_GROUP):
        try:
            seen.append(_measure_picture(folder / path))
        except DataError as error:
            fault = fault or error
    if not seen:
        return replace(group, fault=fault)
    masklike = sum(not lossy and colours <= _MAX_COLOURS_OF_MASK for lossy, colours in seen) * 2 > len(seen)
    return replace(group, masklike=masklike, lossy=all(lossy for lossy, _ in seen))


def _measure_picture(path: Path) -> tuple[bool, int]:
    """Return whether a picture is stored lossily, and how many colours it has."""
    data = read_bytes(path)
    with open_picture(data, place=path) as opened:
        lossy = opened.format in _LOSSY_FORMATS
    pixels = decode_image(data, place=path, levels=FULL).pixels  # any range shows how many colours there are
    # A small copy is enough to distinguish a photograph from a mask.
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (min(width, 256), min(height, 256)), interpolation=cv2.INTER_NEAREST)
    return lossy, len(np.unique(small.reshape(-1, 3), axis=0))


def _get_size(path: Path) -> int:
    """Return the size of a file in bytes; 0 for a broken link."""
    return path.stat().st_size if path.is_file() else 0


def _find_annotations(folder: Path, paths: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find the COCO and the LabelMe files among `paths`; open at most `_MAX_JSON_FILES_READ` of them."""
    if len(paths) <= _MAX_JSON_FILES_READ:
        opened = list(paths)
    else:
        largest = sorted(paths, key=lambda path: -_get_size(folder / path))[: _MAX_JSON_FILES_READ // 2]
        opened = list(dict.fromkeys([*largest, *spread(paths, _MAX_JSON_FILES_READ // 2)]))
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
    most = len(labelme) * 2 > len(opened)
    return tuple(sorted(coco)), tuple(path for path in paths if path not in coco) if most else tuple(labelme)
