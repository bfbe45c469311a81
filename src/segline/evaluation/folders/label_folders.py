"""Two folders of label maps, paired by name, whatever tool wrote them.

A file's name is brought down to its image's: folders, file types and what datasets and tools append are
taken off, so that these are one image's::

    gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png     Cityscapes' truth
    lindau_000000_000019_leftImg8bit_labels.png                    what `segline predict` writes
    results/lindau_000000_000019.png                               many another tool

Where one folder holds several files of an image, the one that by its name holds ids is taken, and not
its colour picture, overlay or photograph; two that are equally likely are reported, never chosen from.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segline.errors import DataError, printable

Ids = Literal["raw", "train"]

ARRAY = ".npy"
_LOSSLESS = frozenset({".png", ".bmp", ".gif", ".tif", ".tiff"})
_LOSSY = frozenset({".jpg", ".jpeg", ".webp"})

_SHOWN = 3

_RAW_IDS, _TRAIN_IDS = "labelids", "labeltrainids"
_ENDINGS = re.compile(
    rf"(_({_RAW_IDS}|{_TRAIN_IDS}|gtfine|gtcoarse|leftimg8bit|labels?|masks?|pred|predictions?|trimap|seg|segmentation"
    r"|colou?r|overlay|instanceids|instancetrainids)|\.(png|jpe?g|bmp|tiff?))$",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"(_(colou?r|overlay|instanceids|instancetrainids)|^umm?_lane_\d{6}|^uu_lane_\d{6})$", re.IGNORECASE
)
_KITTI_ROAD = re.compile(r"^(umm?|uu)_(road|lane)_(?=\d{6}$)")

_PATTERNS = {
    "cityscapes": re.compile(r"[a-z][a-z-]+_\d{6}_\d{6}"),
    "kitti": re.compile(r"\d{6}_10"),
    "kitti_road": re.compile(r"(umm?|uu)_\d{6}"),
    "camvid": re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_f?\d{5,6}"),
    "oxford_pets": re.compile(
        r"(Abyssinian|american_bulldog|american_pit_bull_terrier|basset_hound|beagle|Bengal|Birman|Bombay|boxer"
        r"|British_Shorthair|chihuahua|Egyptian_Mau|english_cocker_spaniel|english_setter|german_shorthaired"
        r"|great_pyrenees|havanese|japanese_chin|keeshond|leonberger|Maine_Coon|miniature_pinscher|newfoundland"
        r"|Persian|pomeranian|pug|Ragdoll|Russian_Blue|saint_bernard|samoyed|scottish_terrier|shiba_inu|Siamese"
        r"|Sphynx|staffordshire_bull_terrier|wheaten_terrier|yorkshire_terrier)_\d{1,3}"
    ),
}
"""Dataset -> what its images are called."""


@dataclass(frozen=True, kw_only=True)
class FilePair:
    """The truth and the prediction of one image."""

    id: str
    truth: Path
    prediction: Path


@dataclass(frozen=True, kw_only=True)
class LabelFolder:
    """The label maps of one folder.

    Args:
        files: image -> its label map.
        clashes: image -> files that are all as likely to be its label map.
        nested: whether subfolders belong to the images' names, which are not unique without.
        ids: "raw" or "train" where every file is named so (``_labelIds``, ``_labelTrainIds``).
    """

    folder: Path
    files: Mapping[str, Path]
    clashes: Mapping[str, tuple[Path, ...]]
    nested: bool
    ids: Ids | None


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Which prediction is of which truth.

    Args:
        missing: images without a prediction.
        extra: predictions of no image that has a truth.
    """

    pairs: tuple[FilePair, ...]
    missing: tuple[str, ...]
    extra: tuple[Path, ...]


def image_name(stem: str) -> str:
    """What an image is called, from the stem of a file that belongs to it."""
    name, before = unicodedata.normalize("NFC", stem), None
    while name != before:
        before, name = name, _ENDINGS.sub("", name) or name
    return _KITTI_ROAD.sub(r"\1_", name)


def look(folder: Path, *, role: str, nested: bool | None = None) -> LabelFolder:
    """List the label maps under `folder`, at any depth; hidden files and folders are passed over, links are followed.

    Args:
        role: what the folder is, for errors: ``--truth``.
        nested: whether subfolders belong to the images' names; None for where names are not unique without.

    Raises:
        DataError: it is no folder, cannot be listed, or holds no label map.
    """
    if not folder.is_dir():
        raise DataError(
            f"{role} {folder}",
            found="a file" if folder.exists() else "no such folder",
            expected="a folder of label maps",
            remedy="correct the path",
        )
    found, others = _listed(folder, role)
    if not found:
        raise DataError(
            f"{role} {folder}",
            found=f"no label map ({others} files of other types)" if others else "an empty folder",
            expected=f"label maps ({', '.join(sorted(_LOSSLESS | {ARRAY}))}), at any depth",
            remedy="correct the path",
        )
    best = {} if nested else _best(found, lambda path: image_name(path.stem))
    if nested is None:
        nested = any(len(paths) > 1 for paths in best.values())
    if nested:
        best = _best(found, lambda path: (path.relative_to(folder).parent / image_name(path.stem)).as_posix())
    _refuse_no_text(best, f"{role} {folder}")
    files = {name: paths[0] for name, paths in best.items() if len(paths) == 1}
    kinds = {_ids_named(path) for path in files.values()}
    return LabelFolder(
        folder=folder,
        files=files,
        clashes={name: tuple(paths) for name, paths in best.items() if len(paths) > 1},
        nested=nested,
        ids=kinds.pop() if len(kinds) == 1 else None,
    )


def _refuse_no_text(paths_of: Mapping[str, list[Path]], place: str) -> None:
    """Refuse images whose names are bytes that are no text: no table, page or JSON could name them."""
    strange = [path.name for name, paths in paths_of.items() for path in paths if any(map(_is_surrogate, name))]
    if strange:
        shown = ", ".join(map(printable, strange[:_SHOWN])) + (", ..." if len(strange) > _SHOWN else "")
        raise DataError(
            place,
            found=f"names of files that are no UTF-8: {len(strange)} ({shown})",
            expected="names that are text",
            remedy="rename them alike among the truths and the predictions",
        )


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _listed(folder: Path, role: str) -> tuple[list[Path], int]:
    def fail(error: OSError) -> None:
        raise DataError(
            f"{role} {error.filename}",
            found=f"cannot be listed: {error.strerror}",
            expected="a folder this user may read",
            remedy="change its owner or mode",
        ) from error

    found, others = [], 0
    seen: set[str] = set()  # a link may lead back to where it is
    for root, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        place = os.path.realpath(root)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith("."):
                continue
            if Path(name).suffix.lower() in _LOSSLESS | _LOSSY | {ARRAY}:
                found.append(Path(root, name))
            else:
                others += 1
    return found, others


def _best(paths: Iterable[Path], name_of: Callable[[Path], str]) -> dict[str, list[Path]]:
    """Image -> those of its files that are likeliest to be its label map."""
    grouped: defaultdict[str, list[Path]] = defaultdict(list)
    for path in paths:
        grouped[name_of(path)].append(path)
    best = {}
    for name in sorted(grouped):
        first = min(map(_rank, grouped[name]))
        best[name] = [path for path in grouped[name] if _rank(path) == first]
    return best


def _rank(path: Path) -> int:
    """How likely a file is its image's label map, by its name; 0 is the likeliest."""
    stem, suffix = path.stem.lower(), path.suffix.lower()
    if suffix in _LOSSY or _ASIDE.search(stem):
        return 4
    if suffix == ARRAY:
        return 3
    if stem.endswith((f"_{_RAW_IDS}", "_labels")):
        return 0
    return 1 if stem.endswith(f"_{_TRAIN_IDS}") else 2


def _ids_named(path: Path) -> Ids | None:
    stem = path.stem.lower()
    return "raw" if stem.endswith(f"_{_RAW_IDS}") else "train" if stem.endswith(f"_{_TRAIN_IDS}") else None


def pair(truth: LabelFolder, prediction: LabelFolder) -> Pairing:
    """Pair the files of two folders by the names of their images; look at both with the same `nested`."""
    there, answered = truth.files, prediction.files
    return Pairing(
        pairs=tuple(
            FilePair(id=name, truth=there[name], prediction=answered[name])
            for name in sorted(there)
            if name in answered
        ),
        missing=tuple(name for name in sorted(there) if name not in answered and name not in prediction.clashes),
        extra=tuple(answered[name] for name in sorted(answered) if name not in there and name not in truth.clashes),
    )


def dataset_named(names: Iterable[str]) -> str | None:
    """The dataset whose images are called like all of these; None where none's are."""
    whole = [name.rpartition("/")[2] for name in names]
    fitting = [dataset for dataset, pattern in _PATTERNS.items() if whole and all(map(pattern.fullmatch, whole))]
    return fitting[0] if fitting else None
