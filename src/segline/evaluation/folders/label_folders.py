"""Pair two folders of label maps by file name, whatever tool wrote them.

A file's name is reduced to its image's name: folders, file types and the endings that datasets and tools add are
removed. So these files belong to the same image::

    gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png     the truth of Cityscapes
    lindau_000000_000019_leftImg8bit_labels.png                    a prediction of `segline predict`
    results/lindau_000000_000019.png                               a prediction of another tool

If a folder holds several files of an image, the file whose name says that it holds ids is taken, and not a colour
picture, an overlay or a photograph. If two files are equally likely, both are reported and none is chosen.

The file names of a dataset's publisher are defined in the dataset's own file (`segline.datasets.base.FileNames`).
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from segline.errors import DataError, printable

if TYPE_CHECKING:
    from segline.datasets.base import FileNames

Ids = Literal["raw", "train"]

ARRAY = ".npy"
_LOSSLESS = frozenset({".png", ".bmp", ".gif", ".tif", ".tiff"})
_LOSSY = frozenset({".jpg", ".jpeg", ".webp"})
SUFFIXES = _LOSSLESS | _LOSSY | {ARRAY}
"""Files with these suffixes are read as label maps."""

_MAX_FILES_SHOWN = 3

_RAW_IDS, _TRAIN_IDS = "labelids", "labeltrainids"
_ENDINGS = (
    rf"{_RAW_IDS}|{_TRAIN_IDS}|labels?|masks?|pred|predictions?|trimap|seg|segmentation|colou?r|overlay|instanceids"
    "|instancetrainids"
)
_NO_LABEL_MAP = re.compile(r"_(colou?r|overlay|instanceids|instancetrainids)$")


@dataclass(frozen=True, kw_only=True)
class FilePair:
    """The label file and the prediction file of one image."""

    id: str
    truth: Path
    prediction: Path


@dataclass(frozen=True, kw_only=True)
class LabelFolder:
    """The label maps of one folder.

    Args:
        files: image -> its label map.
        clashes: image -> several files that are equally likely to be its label map.
        nested: the images' names include subfolders, because they are not unique without them.
        ids: "raw" or "train" if all file names say the same (``_labelIds``, ``_labelTrainIds``); else None.
    """

    folder: Path
    files: Mapping[str, Path]
    clashes: Mapping[str, tuple[Path, ...]]
    nested: bool
    ids: Ids | None


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Truth and prediction of each image.

    Args:
        missing: images without a prediction.
        extra: predictions for which there is no truth.
    """

    pairs: tuple[FilePair, ...]
    missing: tuple[str, ...]
    extra: tuple[Path, ...]


def image_name(stem: str) -> str:
    """Reduce the stem of an image's, label's or prediction's file to the image's name."""
    name, before = unicodedata.normalize("NFC", stem), None
    while name != before:
        before, name = name, _endings().sub("", name) or name
    for names in _file_names().values():
        if names.label is not None and (found := names.label.fullmatch(name)):
            return "_".join(found.groups())
    return name


@cache
def _file_names() -> "dict[str, FileNames]":
    # Imported here because the workers of `count_pairs`, which need no file names, start faster without it.
    from segline import datasets

    return {dataset.name: dataset.names for dataset in datasets.public() if dataset.names is not None}


@cache
def _endings() -> re.Pattern[str]:
    """Compile the endings that tools add, and those of the datasets."""
    published = (re.escape(ending) for names in _file_names().values() for ending in names.endings)
    return re.compile(rf"(_({'|'.join([_ENDINGS, *published])})|\.(png|jpe?g|bmp|tiff?))$", re.IGNORECASE)


def look(folder: Path, *, role: str, nested: bool | None = None) -> LabelFolder:
    """List the label maps under `folder`, at any depth. Hidden files and folders are ignored, links are followed.

    Args:
        role: option that gave the folder, for errors: ``--truth``.
        nested: include subfolders in the images' names; None: only if the names are not unique without them.

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
    found, others = _list_files(folder, role)
    if not found:
        raise DataError(
            f"{role} {folder}",
            found=f"no label map ({others} files of other types)" if others else "an empty folder",
            expected=f"label maps ({', '.join(sorted(_LOSSLESS | {ARRAY}))}), at any depth",
            remedy="correct the path",
        )
    best = {} if nested else _choose_likeliest(found, lambda path: image_name(path.stem))
    if nested is None:
        nested = any(len(paths) > 1 for paths in best.values())
    if nested:
        best = _choose_likeliest(
            found, lambda path: (path.relative_to(folder).parent / image_name(path.stem)).as_posix()
        )
    _refuse_undecodable(best, f"{role} {folder}")
    files = {name: paths[0] for name, paths in best.items() if len(paths) == 1}
    kinds = {_read_ids(path) for path in files.values()}
    return LabelFolder(
        folder=folder,
        files=files,
        clashes={name: tuple(paths) for name, paths in best.items() if len(paths) > 1},
        nested=nested,
        ids=kinds.pop() if len(kinds) == 1 else None,
    )


def _refuse_undecodable(paths_of: Mapping[str, list[Path]], place: str) -> None:
    """Refuse images whose names are not UTF-8: no table, page or JSON could hold them."""
    strange = [path.name for name, paths in paths_of.items() for path in paths if any(map(_is_surrogate, name))]
    if strange:
        more = ", ..." if len(strange) > _MAX_FILES_SHOWN else ""
        shown = ", ".join(map(printable, strange[:_MAX_FILES_SHOWN])) + more
        raise DataError(
            place,
            found=f"file names that are not UTF-8: {len(strange)} ({shown})",
            expected="names in UTF-8",
            remedy="rename these files; give truth and prediction the same name",
        )


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _list_files(folder: Path, role: str) -> tuple[list[Path], int]:
    """List the files that may be label maps, and count the other files."""

    def fail(error: OSError) -> None:
        raise DataError(
            f"{role} {error.filename}",
            found=f"cannot be listed: {error.strerror}",
            expected="a folder that this user may read",
            remedy="change its owner or mode",
        ) from error

    found, others = [], 0
    seen: set[str] = set()  # a link may lead back to a folder above it
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
            if Path(name).suffix.lower() in SUFFIXES:
                found.append(Path(root, name))
            else:
                others += 1
    return found, others


def _choose_likeliest(paths: Iterable[Path], name_of: Callable[[Path], str]) -> dict[str, list[Path]]:
    """Return, for each image, those of its files that are likeliest to be its label map."""
    grouped: defaultdict[str, list[Path]] = defaultdict(list)
    for path in paths:
        grouped[name_of(path)].append(path)
    best = {}
    for name in sorted(grouped):
        first = min(map(_rank, grouped[name]))
        best[name] = [path for path in grouped[name] if _rank(path) == first]
    return best


def _rank(path: Path) -> int:
    """Rank how likely a file is its image's label map, by its name; 0 is the likeliest."""
    stem, suffix = path.stem.lower(), path.suffix.lower()
    asides = (names.aside for names in _file_names().values())
    if suffix in _LOSSY or _NO_LABEL_MAP.search(stem) or any(aside and aside.fullmatch(stem) for aside in asides):
        return 4
    if suffix == ARRAY:
        return 3
    if stem.endswith((f"_{_RAW_IDS}", "_labels")):
        return 0
    return 1 if stem.endswith(f"_{_TRAIN_IDS}") else 2


def _read_ids(path: Path) -> Ids | None:
    """Read from a file's name which kind of ids it holds; None if the name does not say."""
    stem = path.stem.lower()
    return "raw" if stem.endswith(f"_{_RAW_IDS}") else "train" if stem.endswith(f"_{_TRAIN_IDS}") else None


def pair(truth: LabelFolder, prediction: LabelFolder) -> Pairing:
    """Pair the files of two folders by the names of their images; `look` at both with the same `nested`."""
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
    """Return the dataset whose image names all of these are, or None."""
    stems = [name.rpartition("/")[2] for name in names]
    fitting = (name for name, files in _file_names().items() if stems and all(map(files.image.fullmatch, stems)))
    return next(fitting, None)
