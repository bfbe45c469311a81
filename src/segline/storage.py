"""Write files and folders atomically: completely or not at all.

Everything that Segline writes and later reads again goes through `atomic_file` or `atomic_folder`. The content is
written to a temporary path beside the final path, which is then renamed. If the process is killed, either the old or
the new content is there, never a part.
"""

import errno
import glob
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from segline.errors import StorageError

SPARE = 64 << 20
"""Bytes that Segline leaves free on every disk."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_IN_THE_WAY = {
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.ELOOP,
    errno.ENXIO,  # a socket, or a pipe that nobody can open
}
NO_RIGHT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""Error numbers of the operating system for a missing permission to write."""


def size_text(count: float, *, unit: Literal["GiB"] | None = None) -> str:
    """Format a number of bytes: 12.0 MiB, or 3.25 GiB.

    It is in this module, not in `progress`, because errors about a full disk need it, too.

    Args:
        count: bytes.
        unit: ``GiB`` for a value that is compared with a budget in GiB; None to choose the unit by the size.
    """
    return f"{count / 2**30:.2f} GiB" if unit or count >= 2**30 else f"{count / 2**20:.1f} MiB"


@contextmanager
def reporting_storage(place: Path) -> Iterator[None]:
    """Convert errors of the operating system about a full disk or a missing permission to a `StorageError`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            free = shutil.disk_usage(_existing(place)).free
            raise StorageError(
                place,
                found=f"the disk is full ({size_text(free)} free): {error.strerror}",
                expected="enough free space for the complete result",
                remedy="free some space (`dvc gc --workspace` drops data of earlier states), then run the same command",
            ) from error
        if error.errno in NO_RIGHT:
            raise StorageError(
                error.filename or place,
                found=f"cannot be written: {error.strerror}",
                expected="a folder this user may write to",
                remedy="change its owner or mode, then run the same command",
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise StorageError(
                error.filename or place,
                found="a name that is too long for this disk",
                expected="a name at least 30 bytes shorter than the limit: a suffix is added during writing",
                remedy="shorten the name, or the name of the file that it is derived from",
            ) from error
        if error.errno in _IN_THE_WAY:
            raise StorageError(
                error.filename or place,
                found=f"cannot be created: {error.strerror}",
                expected="an unused path in a folder",
                remedy="move the file or folder that is there, or choose another path",
            ) from error
        raise


def check_writable(folder: Path) -> None:
    """Check that a file can be created in `folder`.

    Raises:
        StorageError: the disk is full, or writing is not permitted.
    """
    with reporting_storage(folder):
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".segline."):
                pass
        except OSError as error:
            error.filename = str(folder)  # instead of a random name
            raise


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; rename it to `path` on success, remove it on failure.

    If `path` is a link, the file that it points to is replaced. If that file is read-only, the link itself is
    replaced, because it leads into DVC's cache. A device, a pipe or the process's own output is not replaced;
    the complete content is written into it at the end.

    Raises:
        StorageError: the disk is full, writing is not permitted, or `path` is a folder.
    """
    with reporting_storage(path):
        present = _stat(path)
        if present is not None and stat.S_ISDIR(present.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if present is not None and (not stat.S_ISREG(present.st_mode) or _find_own_output(present) is not None):
            with _copying_at_end(path, present) as partial:
                yield partial
            return
        protected = present is not None and not present.st_mode & stat.S_IWUSR
        place = path if protected else Path(os.path.realpath(path))
        _make_parent(place)
        partial = _choose_partial(place)
        with _creating(place):
            partial.touch()
        try:
            yield partial
            with partial.open("rb") as handle:
                os.fsync(handle.fileno())
            partial.replace(place)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; rename it to `path` on success, remove it on failure.

    Raises:
        StorageError: the disk is full, or writing is not permitted.
    """
    with reporting_storage(path):
        _make_parent(path)
        partial = _choose_partial(path)
        with _creating(path):
            partial.mkdir()
        try:
            yield partial
            _replace_folder(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, completely or not at all.

    Raises:
        StorageError: the disk is full, or writing is not permitted.
    """
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write plain values as standard JSON, completely or not at all.

    Raises:
        ValueError: a number is NaN or infinite, which JSON does not have.
        StorageError: the disk is full, or writing is not permitted.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read an object that `write_json` wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _replace_folder(partial: Path, path: Path) -> None:
    """Rename `partial` to `path`. An old folder is renamed first and deleted last, because deleting takes time."""
    if not path.exists():
        partial.rename(path)
        return
    old = path.parent / f".{path.name}.old.{os.getpid()}.partial"  # after a kill, `_choose_partial` removes it
    path.rename(old)
    try:
        partial.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)


def check_room(folder: Path, *, gibibytes: float) -> int:
    """Return the bytes that are free on `folder`'s disk.

    Raises:
        StorageError: less than `gibibytes` GiB are free.
    """
    free = shutil.disk_usage(folder).free
    if free < gibibytes * 2**30:
        raise StorageError(
            folder,
            found=f"{size_text(free, unit='GiB')} free",
            expected=f"at least {gibibytes:g} GiB",
            remedy="free some space, or move the project to another disk",
        )
    return free


def require_room(folder: Path, needed: int, *, purpose: str) -> int:
    """Return the free bytes on `folder`'s disk minus `SPARE`.

    Args:
        needed: bytes.
        purpose: what they are needed for, for the error: "for the archives".

    Raises:
        StorageError: fewer than `needed` bytes are free, without `SPARE`.
    """
    room = shutil.disk_usage(_existing(folder)).free - SPARE
    if needed > room:
        raise StorageError(
            folder,
            found=f"{size_text(max(0, room + SPARE))} free",
            expected=f"{size_text(needed)} {purpose}, and {size_text(SPARE)} to spare",
            remedy="free some space (`dvc gc --workspace` drops data of earlier states), or move the project to "
            "another disk",
        )
    return room


def _stat(path: Path) -> os.stat_result | None:
    """Return the state of the file at `path`, links followed; None if there is none."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _find_own_output(present: os.stat_result) -> int | None:
    """Return the descriptor of standard output or standard error if that is the file `present`."""
    for descriptor in (1, 2):
        try:
            if os.path.samestat(os.fstat(descriptor), present):
                return descriptor
        except OSError:  # closed
            continue
    return None


@contextmanager
def _copying_at_end(path: Path, present: os.stat_result) -> Iterator[Path]:
    """Yield a path to write to; at the end copy its content into `path`, whose state is `present`."""
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder, path.name)
        yield partial
        own = _find_own_output(present)
        if own is None:
            descriptor = os.open(path, os.O_WRONLY)
        else:  # if it were opened again, it would be overwritten from its start
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            descriptor = os.dup(own)
        with partial.open("rb") as content, os.fdopen(descriptor, "wb") as sink:
            shutil.copyfileobj(content, sink)


@contextmanager
def _creating(path: Path) -> Iterator[None]:
    """Convert "not found" to "no permission" at `path`, because file systems like /proc report the wrong error."""
    try:
        yield
    except FileNotFoundError as error:
        raise PermissionError(errno.EPERM, "no file can be created there", str(path)) from error


def _make_parent(path: Path) -> None:
    with _creating(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)


def _choose_partial(path: Path) -> Path:
    """Return the temporary path for `path`; remove temporary files that killed processes left there."""
    left = re.compile(rf"\.{re.escape(path.name)}\.(?:old\.)?(\d+)\.partial")
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        named = left.fullmatch(stale.name)
        if named and not _is_alive(int(named[1])):
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink(missing_ok=True)
    return path.parent / f".{path.name}.{os.getpid()}.partial"


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process_id != os.getpid()


def _existing(place: Path) -> Path:
    return next(folder for folder in (place, *place.absolute().parents) if folder.exists())
