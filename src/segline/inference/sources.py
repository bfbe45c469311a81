"""List the images that a user names: a file, a folder with its sub-folders, a pattern, or a list of files."""

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segline.errors import DataError
from segline.reading import FOLDER, TEXT_BYTES, is_regular, kind_of, read_bytes

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})

LIST_SUFFIX = ".txt"
"""Of a file that names an image on each line."""

_MAX_NAMES = 5


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image to answer.

    Args:
        path: where it lies.
        name: its path below the source, with suffix: ``night/a.png``. What is written about it is named after it.
    """

    path: Path
    name: str

    @property
    def stem(self) -> str:
        """The name without suffix."""
        return str(Path(self.name).with_suffix(""))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found at a source.

    Args:
        images: files to read, in the order of their names, or of the list.
        others: files whose names are not those of images; hidden files are among them.
    """

    images: tuple[Item, ...]
    others: tuple[Path, ...] = ()


def find_images(source: str | Path, *, output: Path | None = None) -> Found:
    """List the images that `source` names.

    Args:
        source: an image; a folder, whose sub-folders are searched too; a pattern such as ``photos/**/*.jpg``; or a
            list of files, ``.txt``, with a path on each line, which starts at the list's folder.
        output: a folder that is not searched, because results are written to it.

    Raises:
        DataError: there is no image, or two images would write the same files.
    """
    path = Path(source)
    if is_regular(path):
        found = _read_list(path) if path.suffix.lower() == LIST_SUFFIX else Found(images=(_make_item(path),))
    elif kind_of(path) == FOLDER:
        found = _search(path, output)
    elif glob.has_magic(str(source)):
        found = _match(str(source))
    else:
        raise _report_none(path, found=kind_of(path), remedy="correct the path")
    _refuse_clashes(found.images)
    return found


def _make_item(path: Path) -> Item:
    return Item(path=path, name=path.name)


def _search(folder: Path, output: Path | None) -> Found:
    """List the images of a folder and its sub-folders; links to folders are not followed, which could go in circles."""
    images: list[Item] = []
    others: list[Path] = []
    left_out = None if output is None else output.resolve()
    pending = [folder]
    while pending:
        current = pending.pop()
        for path in sorted(current.iterdir()):
            if path.is_dir() and not path.is_symlink():
                if not path.name.startswith(".") and path.resolve() != left_out:
                    pending.append(path)
            elif _is_image(path) and not path.is_dir():
                images.append(Item(path=path, name=path.relative_to(folder).as_posix()))
            else:
                others.append(path)
    if images:
        return Found(images=tuple(sorted(images, key=lambda item: item.name)), others=tuple(sorted(others)))
    no_image = "no image in this folder and its sub-folders"
    found = f"{no_image}, but {count(others, 'other file')}" if others else no_image
    raise _report_none(folder, found=found, remedy="correct the path, or convert the images to PNG or JPEG")


def _match(pattern: str) -> Found:
    """List the images that match a pattern; their names start where the pattern's first wildcard stands."""
    paths = map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207 (pathlib takes no absolute pattern)
    matched = sorted(path for path in paths if not path.is_dir())
    fixed = Path(*_take_fixed(Path(pattern).parts))
    images = [Item(path=path, name=path.relative_to(fixed).as_posix()) for path in matched if _is_image(path)]
    others = [path for path in matched if not _is_image(path)]
    if images:
        return Found(images=tuple(images), others=tuple(others))
    found = f"no image matches, but {count(others, 'other file')}" if others else "no file matches"
    raise _report_none(Path(pattern), found=found, remedy="correct the pattern; quote it, so that the shell keeps it")


def _take_fixed(parts: Sequence[str]) -> list[str]:
    """Return the parts of a pattern before the first with a wildcard."""
    fixed: list[str] = []
    for part in parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return fixed


def _read_list(path: Path) -> Found:
    """Read a list of files.

    Raises:
        DataError: a line names no file.
    """
    text = read_bytes(path, limit=TEXT_BYTES).decode("utf-8-sig", errors="surrogateescape")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    images = []
    for number, line in lines:
        named = path.parent / line
        if kind_of(named) == FOLDER or not named.exists():
            raise DataError(
                f"{path}: line {number}",
                found=f"{line!r}: {kind_of(named)}",
                expected="the path of an image, absolute or from the list's folder",
                remedy="correct the line, or delete it",
            )
        inside = not Path(line).is_absolute() and ".." not in Path(line).parts
        images.append(Item(path=named, name=Path(line).as_posix() if inside else named.name))
    if not images:
        raise _report_none(path, found="an empty list", remedy="write the path of an image on each line")
    return Found(images=tuple(images))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _refuse_clashes(items: Iterable[Item]) -> None:
    """Refuse two images of one stem, because both would write the same files."""
    first: dict[str, Item] = {}
    for item in items:
        other = first.setdefault(item.stem, item)
        if other is not item:
            raise DataError(
                item.path,
                found=f"{other.path.name} has the same stem, so both would write {Path(item.stem).name}_labels.png",
                expected="file names that differ in more than the extension",
                remedy="rename one of them",
            )


def count(paths: Sequence[Path], noun: str) -> str:
    """Count files in words, and name the first: ``2 images (a.png, b.png)``."""
    names = [path.name for path in paths[:_MAX_NAMES]]
    more = [f"and {len(paths) - _MAX_NAMES} more"] if len(paths) > _MAX_NAMES else []
    return f"{len(paths)} {noun}{'' if len(paths) == 1 else 's'} ({', '.join(names + more)})"


def _report_none(source: Path, *, found: str, remedy: str) -> DataError:
    expected = f"an image, a folder, a pattern or a list ({LIST_SUFFIX}) of images ({', '.join(sorted(SUFFIXES))})"
    return DataError(source, found=found, expected=expected, remedy=remedy)
