"""List the images that a user names: a file, or the files of a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segline.errors import DataError
from segline.reading import FOLDER, is_regular, kind_of

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})

_MAX_NAMES = 5


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found at a path.

    Args:
        images: files to read, in the order of their names.
        others: files whose names are not those of images; hidden files are among them.
        folders: sub-folders, which are not searched.
    """

    images: tuple[Path, ...]
    others: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()


def find_images(source: Path) -> Found:
    """List the images that `source` names: the file itself, or the images directly in the folder.

    Raises:
        DataError: there is no image.
    """
    if is_regular(source):
        return Found(images=(source,))
    kind = kind_of(source)
    if kind != FOLDER:
        raise _report_none(source, found=kind, remedy="correct the path")
    entries = sorted(source.iterdir())
    folders: list[Path] = []
    images: list[Path] = []
    others: list[Path] = []
    for path in entries:
        is_image = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        (folders if path.is_dir() else images if is_image else others).append(path)
    if images:
        return Found(images=tuple(images), others=tuple(others), folders=tuple(folders))
    if folders:
        raise _report_none(
            source,
            found=f"no image in this folder, but {count(folders, 'sub-folder')}",
            remedy="name a sub-folder: only the images directly in the folder are read",
        )
    found = f"no image in this folder, but {count(others, 'other file')}" if others else "no image in this folder"
    raise _report_none(source, found=found, remedy="correct the path, or convert the images to PNG or JPEG")


def count(paths: Sequence[Path], noun: str) -> str:
    """Count files in words, and name the first: ``2 images (a.png, b.png)``."""
    names = [path.name for path in paths[:_MAX_NAMES]]
    more = [f"and {len(paths) - _MAX_NAMES} more"] if len(paths) > _MAX_NAMES else []
    return f"{len(paths)} {noun}{'' if len(paths) == 1 else 's'} ({', '.join(names + more)})"


def _report_none(source: Path, *, found: str, remedy: str) -> DataError:
    expected = f"an image, or a folder of images ({', '.join(sorted(SUFFIXES))})"
    return DataError(source, found=found, expected=expected, remedy=remedy)
