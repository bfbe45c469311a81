"""Survey the user's folder: group its files by name, and read a few files of each group.

All names are read, but the pixels of a few files only, so that the time does not grow with the number of files.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from segline.data.images.decode import decode_image
from segline.data.images.deep import FULL
from segline.data.look.known_formats import Unread, recognise_json, recognise_others
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
    | {
        "labelstr",
        "labelsts",
        "mask",
        "masks",
        "seg",
        "segmentation",
        "segmentationclass",
        "segmentationclasspng",
        "segmentations",
        "semantic",
        "target",
        "y",
    }
)
_IMAGE_WORDS = frozenset(
    {"image", "images", "img", "imgs", "input", "inputs", "frames", "photo", "photos", "picture", "pictures", "x"}
    | {"imagestr", "imagests", "jpegimages", "leftimg8bit", "rgb", "sat"}
)
_VIEW_WORDS = frozenset(
    {"visualisation", "visualisations", "visualization", "visualizations", "vis", "viz", "overlay", "overlays"}
    | {"preview", "previews", "blend", "blended"}
)
_INSTANCE_WORDS = frozenset({"instance", "instances", "instanceids", "segmentationobject", "segmentationobjectpng"})
_SPLIT_AT_START = re.compile(r"(train|training|val|valid|validation|test|testing)(?=[a-z])")


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
        """Return the kind that ending and folder names suggest (innermost first): "mask", "image", "view" or ""."""
        words = [self.ending.strip(" _.-"), *reversed(PurePosixPath(self.folder).parts)]
        return next((kind for kind in map(kind_of_name, words) if kind), "")

    @property
    def holds_instances(self) -> bool:
        """Return whether a name says that masks hold numbers of objects, such as VOC's ``SegmentationObject``."""
        return any(part.lower() in _INSTANCE_WORDS for part in PurePosixPath(self.folder).parts)


def kind_of_name(word: str) -> str:
    """Return the kind of pictures that a folder name or an ending suggests: "mask", "image", "view" or ""."""
    low = word.lower()
    parts = {low, *low.replace("-", "_").split("_"), _SPLIT_AT_START.sub("", low)}
    if parts & _VIEW_WORDS or low.endswith(("visualization", "visualisation")):
        return "view"
    if parts & _MASK_WORDS:
        return "mask"
    return "image" if parts & _IMAGE_WORDS else ""


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
        unread: files of tools that Segline does not read.
        broken: why opened JSON files cannot be read.
    """

    folder: Path
    follow_links: bool
    paths: tuple[str, ...]
    groups: tuple[Group, ...]
    coco: tuple[str, ...] = field(default=())
    labelme: tuple[str, ...] = field(default=())
    unread: tuple[Unread, ...] = field(default=())
    broken: tuple[DataError, ...] = field(default=())


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
    coco, labelme, unread, broken = _find_annotations(
        folder, [path for path in paths if path.lower().endswith(".json")]
    )
    unread += recognise_others(folder, paths)
    groups = _group_pictures(path for path in paths if is_image(path))
    return Survey(
        folder=folder,
        follow_links=follow_links,
        paths=paths,
        groups=tuple(_look_at_groups(folder, groups)),
        coco=coco,
        labelme=labelme,
        unread=tuple(unread),
        broken=tuple(broken),
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


def _look_at_groups(folder: Path, groups: Sequence[Group]) -> list[Group]:
    """Read a few files of each group; if there are very many groups, of a few groups of each kind.

    Groups are of one kind if names, ending and extension suggest the same. The rest of a kind is assumed to be like
    those that were read, so that a folder for each image does not hide the masks.
    """
    kinds: dict[tuple[str, str, str, str], list[int]] = {}
    for place, group in enumerate(groups):
        top = "" if group.named else group.folder.partition("/")[0]
        kinds.setdefault((group.named, top, group.ending, group.suffix), []).append(place)
    share = max(1, _MAX_GROUPS_READ // max(1, len(kinds)))
    looked = list(groups)
    for places in kinds.values():
        chosen = [places[at * len(places) // min(share, len(places))] for at in range(min(share, len(places)))]
        for place in chosen:
            looked[place] = _look_at_group(folder, groups[place])
        known = [looked[place] for place in chosen if looked[place].masklike is not None]
        for place in places if known else []:
            if looked[place].masklike is None and looked[place].fault is None:
                alike = known[place % len(known)]
                looked[place] = replace(looked[place], masklike=alike.masklike, lossy=alike.lossy)
    return looked


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


def _find_annotations(
    folder: Path, paths: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...], list[Unread], list[DataError]]:
    """Find the COCO and the LabelMe files among `paths`; open at most `_MAX_JSON_FILES_READ` of them.

    Return the files of other tools, and why files cannot be read, too.
    """
    if len(paths) <= _MAX_JSON_FILES_READ:
        opened = list(paths)
    else:
        largest = sorted(paths, key=lambda path: -_get_size(folder / path))[: _MAX_JSON_FILES_READ // 2]
        opened = list(dict.fromkeys([*largest, *spread(paths, _MAX_JSON_FILES_READ // 2)]))
    coco, labelme, unread, broken = [], [], [], []
    for path in opened:
        try:
            content = annotations.read_json(folder / path)
        except DataError as error:
            broken.append(error)  # other programs' JSON files may be anything
            continue
        if (found := recognise_json(path, content)) is not None:
            unread.append(found)
        elif annotations.is_coco(content):
            coco.append(path)
        elif annotations.is_labelme(content):
            labelme.append(path)
    most = len(labelme) * 2 > len(opened)
    every = tuple(path for path in paths if path not in coco) if most else tuple(labelme)
    return tuple(sorted(coco)), every, unread, broken
