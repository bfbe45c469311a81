"""Stage `look`: find the user's own data, detect changes, and open the files.

The stage runs before `download`. It writes a digest of all names, sizes and modification times in the folder, so that
`dvc repro` notices any change. `segline.data.download.own` and `segline.data.extract.own` come after it.
"""

import hashlib
from io import BufferedReader
from pathlib import Path

from segline.config import Options
from segline.datasets.own import definition
from segline.datasets.own.files import walk
from segline.datasets.own.naming import UNNAMED
from segline.errors import ConfigError, DataError
from segline.progress import Report, silent
from segline.project import image_bytes
from segline.reading import FOLDER, JSON_BYTES, NOTHING, kind_of, open_file, read_text
from segline.storage import atomic_file


def look(options: Options, *, root: Path, path: Path, report: Report = silent) -> None:
    """Write a digest of the names, sizes and modification times of all files to `path`.

    If the folder is missing, the last digest is kept, so that prepared data stay usable.

    Raises:
        LinkError: a link leads out of the folder, although `options.follow_links` is False.
        StorageError: the disk is full, or writing is not permitted.
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
        ConfigError: the definition names no folder, or a folder that contains the project itself.
        DataError: the folder does not exist, or is not a folder.
    """
    stated = definition.source_of(options)
    folder = (root / Path(stated).expanduser()).absolute()
    kind = kind_of(folder)
    if kind != FOLDER:
        raise DataError(
            folder,
            found="no such folder" if kind == NOTHING else kind,
            expected=f"the folder that `path` in {UNNAMED} names",
            remedy="correct the path, or restore the folder",
        )
    if root.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            f"{UNNAMED} path",
            found=f"{stated!r}, which contains the project itself",
            expected="a folder that contains only the data",
            remedy="move the data into a separate folder, beside the project or inside it",
        )
    return folder


def fence(options: Options, source: Path) -> Path | None:
    """Return the folder that links must not lead out of; None if links may lead anywhere."""
    return None if options.follow_links else source


def digest_source(path: Path, within: Path | None) -> str:
    """Compute the SHA-256 of one of the user's files.

    Raises:
        DataError: the file cannot be read, or a link leads out of `within`.
    """
    with open_source(path, within) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def open_source(path: Path, within: Path | None) -> BufferedReader:
    """Open one of the user's files; links must not lead out of the folder `within`, unless it is None.

    Raises:
        DataError: the file cannot be read.
        LinkError: a link leads out of `within`.
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
