"""Open untrusted files: only regular files, without blocking, up to a size limit.

Reading a FIFO may block for ever. A device may have no end, or act when it is opened. A link may lead to a FIFO or a
device, or out of the given folder. So every file that a user, a dataset or a mirror names is opened here.
"""

import os
import stat
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path

from segline.errors import DataError, LinkError, SeglineError

TEXT_BYTES = 64 << 20
"""Size limit of lists, tables and YAML files: a million lines of 64 bytes."""

JSON_BYTES = 2 << 30
"""Size limit of annotation files: those of the largest public dataset (LVIS) have 1.2 GB."""

FOLDER, NOTHING = "a folder", "no such file or folder"
"""Two of the results of `kind_of`."""

_BLOCK = 1 << 20
_REGULAR = "a regular file"
_REMEDY = "replace it by a regular file, or remove it"
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)
_KINDS = {
    stat.S_IFIFO: "a FIFO (a named pipe)",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: FOLDER,
}


def kind_of(path: Path) -> str:
    """Describe what is at `path`: "a regular file", "a FIFO (a named pipe)", "no such file or folder". Follow links."""
    try:
        return _kind(path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return "a link that leads nowhere" if path.is_symlink() else NOTHING
    except OSError as error:
        return str(error.strerror)


def is_regular(path: Path) -> bool:
    """Return whether a regular file is at `path`, links followed; False also if this cannot be determined."""
    return kind_of(path) == _REGULAR


def refuse_device(path: Path) -> None:
    """Refuse a FIFO, a device or a socket, links followed. A missing file is accepted; its reader will report it.

    Raises:
        DataError: `path` is not a regular file.
    """
    try:
        require_regular(path)
    except OSError:
        return


def require_regular(path: Path, *, error: type[SeglineError] = DataError) -> None:
    """Refuse everything but a regular file, for libraries that open `path` themselves.

    Raises:
        DataError, or the class `error`: `path` is not a regular file.
        OSError: there is no file, or the folder may not be read.
    """
    _refuse_irregular(path, path.stat(), expected=_REGULAR, remedy=_REMEDY, error=error)


def open_file(
    path: Path,
    *,
    expected: str = _REGULAR,
    remedy: str = _REMEDY,
    error: type[SeglineError] = DataError,
    limit: int | None = None,
    within: Path | None = None,
) -> BufferedReader:
    """Open a regular file for reading; links are followed.

    Args:
        expected: what should be at `path`, for the error.
        remedy: what to do if it is not a regular file, for the error.
        error: class of the error.
        limit: maximum size in bytes; None for no limit.
        within: folder that links must not lead out of; None to follow all links.

    Raises:
        DataError, or the class `error`: `path` is not a regular file, or has more than `limit` bytes.
        LinkError: a link leads out of `within`.
        OSError: the file cannot be opened.
    """
    # Check before opening, because opening a device may have effects; and again after opening, because the file may
    # have been replaced in between.
    _refuse_irregular(path, path.stat(), expected=expected, remedy=remedy, error=error)
    descriptor = os.open(path, _FLAGS)
    try:
        opened = os.fstat(descriptor)
        _refuse_irregular(path, opened, expected=expected, remedy=remedy, error=error)
        if within is not None:
            _refuse_outside(path, opened, within)
        if limit is not None and opened.st_size > limit:
            raise _make_size_error(path, limit, error, setting="")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(
    path: Path,
    *,
    limit: int,
    expected: str = _REGULAR,
    remedy: str = _REMEDY,
    setting: str = "",
    error: type[SeglineError] = DataError,
    within: Path | None = None,
) -> bytes:
    """Return the content of a regular file. The limit also holds if the file grows while it is read.

    Args:
        limit: maximum size in bytes.
        setting: environment variable that sets the limit; empty if there is none.
        expected, remedy, error, within: as for `open_file`.

    Raises:
        As `open_file`.
    """
    parts, length = [], 0
    with open_file(path, expected=expected, remedy=remedy, error=error, within=within) as handle:
        size = os.fstat(handle.fileno()).st_size
        if size > limit:
            raise _make_size_error(path, limit, error, setting=setting)
        while part := handle.read(size + 1 - length if length <= size else _BLOCK):
            parts.append(part)
            length += len(part)
            if length > limit:
                raise _make_size_error(path, limit, error, setting=setting)
    return b"".join(parts)


def read_text(
    path: Path, *, limit: int = TEXT_BYTES, remedy: str = _REMEDY, error: type[SeglineError] = DataError
) -> str:
    r"""Return the text of a UTF-8 file, without byte order mark, and with "\n" as line ends.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
        Also the errors of `open_file`.
    """
    data = read_bytes(path, limit=limit, expected="a regular text file", remedy=remedy, error=error)
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def refuse_leaving(folder: Path, paths: Iterable[str]) -> None:
    """Refuse links that lead out of `folder`; `paths` are relative to it.

    Raises:
        LinkError: a link leads out of `folder`.
    """
    real = Path(os.path.realpath(folder))
    inside: set[Path] = set()
    for path in paths:
        whole = folder / path
        if not whole.is_symlink() and whole.parent in inside:
            continue
        target = os.path.realpath(whole)
        if not Path(target).is_relative_to(real):
            raise _make_link_error(whole, folder, target)
        if not whole.is_symlink():
            inside.add(whole.parent)


def _refuse_outside(path: Path, opened: os.stat_result, folder: Path) -> None:
    """Refuse an open file that is outside `folder`, or was replaced after it was opened."""
    target = os.path.realpath(path)
    try:
        same = os.path.samestat(Path(target).stat(), opened)
    except OSError:
        same = False
    if not same or not Path(target).is_relative_to(os.path.realpath(folder)):
        raise _make_link_error(path, folder, target)


def _make_link_error(path: Path, folder: Path, target: str) -> LinkError:
    return LinkError(
        path,
        found=f"a link that leads out of the folder, to {target}",
        expected=f"files inside {folder}",
        remedy=f"copy the file into the folder; or, if links are intended (DVC creates links), run "
        f"segline init {folder} --follow-links",
    )


def _kind(state: os.stat_result) -> str:
    return _REGULAR if stat.S_ISREG(state.st_mode) else _KINDS.get(stat.S_IFMT(state.st_mode), "no file")


def _refuse_irregular(
    path: Path, state: os.stat_result, *, expected: str, remedy: str, error: type[SeglineError]
) -> None:
    if not stat.S_ISREG(state.st_mode):
        link = f", which it links to ({os.path.realpath(path)})" if path.is_symlink() else ""
        raise error(path, found=_kind(state) + link, expected=expected, remedy=remedy)


def _make_size_error(path: Path, limit: int, error: type[SeglineError], *, setting: str) -> SeglineError:
    return error(
        path,
        found=f"more than the limit of {limit} bytes" + (f" (set by {setting})" if setting else ""),
        expected="a smaller file",
        remedy=f"if the file is right, set {setting} to more than {limit}"
        if setting
        else "check which program wrote it, then shorten or remove it",
    )
