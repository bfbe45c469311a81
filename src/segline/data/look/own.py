"""Stage `look`: find the user's own data, note whether they changed, and open their files.

The stage before `download` writes a digest of the names, sizes and times in the folder, so that `dvc repro` notices
any change. `segline.data.download.own` and `segline.data.extract.own` come after it.
"""

import hashlib
from io import BufferedReader
from pathlib import Path

from segline.config import Options
from segline.datasets import folder as definition
from segline.datasets.own.files import walk
from segline.errors import ConfigError, DataError
from segline.progress import Report, silent
from segline.project import image_bytes
from segline.reading import FOLDER, JSON_BYTES, NOTHING, kind_of, open_file, read_text
from segline.storage import atomic_file


def look(options: Options, *, root: Path, path: Path, report: Report = silent) -> None:
    """Write to `path` a digest of the names, sizes and times of all files, which changes when they do.

    Where the folder is missing, the last digest is kept, so that prepared data stay usable.

    Raises:
        LinkError: a link leads out of the folder, and the options do not say that links may.
        StorageError: no room or no right to write.
    """
    try:
        folder = locate(options, root=root)
    except DataError as error:
        report(f"note: {error.place}: {error.found}; prepared data are kept as they are")
        text = read_text(path) if path.exists() else "not seen yet\n"
    else:
        state = hashlib.sha256()
        for name in walk(folder, follow_links=options.follow_links):
            file = folder / name
            entry = file.stat() if file.exists() else file.lstat()
            state.update(f"{name}\0{entry.st_size}\0{entry.st_mtime_ns}\n".encode())
        text = state.hexdigest() + "\n"
    with atomic_file(path) as partial_path:
        partial_path.write_text(text, "utf-8")


def locate(options: Options, *, root: Path) -> Path:
    """Find the user's folder.

    Raises:
        ConfigError: ``params.yaml`` names none, or one that holds the project itself.
        DataError: it does not exist, or is no folder.
    """
    stated = definition.source_of(options)
    folder = (root / Path(stated).expanduser()).absolute()
    kind = kind_of(folder)
    if kind != FOLDER:
        raise DataError(
            folder,
            found="no such folder" if kind == NOTHING else kind,
            expected="the folder that `options.folder.path` in params.yaml names",
            remedy="correct the path, or restore the folder; `segline init FOLDER --force` writes another one",
        )
    if root.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            "params.yaml options.folder.path",
            found=f"{stated!r}, which holds the project itself",
            expected="a folder with data and nothing else",
            remedy="move the data into a folder of their own, beside the project or in it",
        )
    return folder


def fence(options: Options, source: Path) -> Path | None:
    """Return the folder that links must not lead out of; None where the options allow them to."""
    return None if options.follow_links else source


def digest_source(path: Path, within: Path | None) -> str:
    """Compute the SHA-256 of one of the user's files.

    Raises:
        DataError: the file cannot be read, or a link leads out of `within`.
    """
    with open_source(path, within) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def open_source(path: Path, within: Path | None) -> BufferedReader:
    """Open one of the user's files; links must stay in the folder `within`, if it is given.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return open_file(path, limit=max(image_bytes(), JSON_BYTES), within=within)
    except OSError as error:
        link = " (a link that leads nowhere)" if path.is_symlink() and not path.exists() else ""
        raise DataError(
            path,
            found=f"cannot be read: {error.strerror}{link}",
            expected="a file",
            remedy="restore it, or delete it",
        ) from error
