"""Files and folders that are either whole or not there.

Everything Segline writes and later reads again goes through `atomic_file` or `atomic_folder`:
the content is written beside its final place and renamed into it, so that a kill leaves the
old content or the new, never half of either.
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
"""Bytes that stay free on every disk."""

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
"""What the operating system says where this user may not write."""


def size_text(count: float, *, unit: Literal["GiB"] | None = None) -> str:
    """Write so many bytes for a person: 12.0 MiB, or 3.25 GiB.

    It stands here, below `progress`, because errors about a full disk write sizes, too.

    Args:
        count: how many bytes.
        unit: GiB for what is compared with a budget in GiB; else what suits.
    """
    return f"{count / 2**30:.2f} GiB" if unit or count >= 2**30 else f"{count / 2**20:.1f} MiB"


@contextmanager
def reporting_storage(place: Path) -> Iterator[None]:
    """Turn the operating system's no-room and no-right errors into a `StorageError` at `place`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            free = shutil.disk_usage(_existing(place)).free
            raise StorageError(
                place,
                found=f"the disk is full ({size_text(free)} free): {error.strerror}",
                expected="room for the whole result",
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
                expected="some 30 bytes less than it takes, for what is added while the file is written",
                remedy="shorten the name, or that of the file which it is made from",
            ) from error
        if error.errno in _IN_THE_WAY:
            raise StorageError(
                error.filename or place,
                found=f"cannot be made: {error.strerror}",
                expected="a place for it, with folders above it",
                remedy="move what is in the way, or name another place",
            ) from error
        raise


def check_writable(folder: Path) -> None:
    """See that something can be made in `folder`.

    Raises:
        StorageError: no room or no right to write.
    """
    with reporting_storage(folder):
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".segline."):
                pass
        except OSError as error:
            error.filename = str(folder)  # instead of a name that nobody knows
            raise


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; rename it to `path` on success, remove it on failure.

    A link stays, and the file it points to is replaced; but where nobody may write to that file, the link is
    replaced: DVC links its cache so. What is no file (a device, a pipe, the process's own output) stays, and the
    whole content goes into it at the end.

    Raises:
        StorageError: no room or no right to write, or a folder is there.
    """
    with reporting_storage(path):
        held = _held(path)
        if held is not None and stat.S_ISDIR(held.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if held is not None and (not stat.S_ISREG(held.st_mode) or _own_output(held) is not None):
            with _poured(path, held) as partial:
                yield partial
            return
        protected = held is not None and not held.st_mode & stat.S_IWUSR
        place = path if protected else Path(os.path.realpath(path))
        _make_parent(place)
        partial = _partial(place)
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
    """Yield an empty folder to fill; put it in the place of `path` on success, remove it on failure.

    Raises:
        StorageError: no room or no right to write.
    """
    with reporting_storage(path):
        _make_parent(path)
        partial = _partial(path)
        with _creating(path):
            partial.mkdir()
        try:
            yield partial
            _exchange(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises:
        StorageError: no room or no right to write.
    """
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write plain values as JSON that any parser reads, whole or not at all.

    Raises:
        ValueError: a number is NaN or infinite, which JSON has no word for.
        StorageError: no room or no right to write.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read an object that `write_json` wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _exchange(partial: Path, path: Path) -> None:
    """Put `partial` in the place of `path`, which is moved away first: removing it takes time, and a kill may come."""
    if not path.exists():
        partial.rename(path)
        return
    old = path.parent / f".{path.name}.old.{os.getpid()}.partial"  # a name that `_partial` clears away
    path.rename(old)
    try:
        partial.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)


def check_room(folder: Path, *, gibibytes: float) -> int:
    """Bytes free where `folder` is.

    Raises:
        StorageError: fewer than `gibibytes`.
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
    """Bytes that `folder`'s disk can take, `SPARE` aside.

    Args:
        needed: bytes that are needed.
        purpose: what they are needed for.

    Raises:
        StorageError: fewer than `needed`.
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


def _held(path: Path) -> os.stat_result | None:
    """What is at `path`, or where it links to; None for nothing."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _own_output(held: os.stat_result) -> int | None:
    """The descriptor, of standard output or standard error, that is open on `held`."""
    for descriptor in (1, 2):
        try:
            if os.path.samestat(os.fstat(descriptor), held):
                return descriptor
        except OSError:  # closed
            continue
    return None


@contextmanager
def _poured(path: Path, held: os.stat_result) -> Iterator[Path]:
    """Yield a path to write to; its content goes into `path`, which is `held`, once it is whole."""
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder, path.name)
        yield partial
        own = _own_output(held)
        if own is None:
            descriptor = os.open(path, os.O_WRONLY)
        else:  # opened anew it would be written from its start, over what is there
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            descriptor = os.dup(own)
        with partial.open("rb") as content, os.fdopen(descriptor, "wb") as sink:
            shutil.copyfileobj(content, sink)


@contextmanager
def _creating(path: Path) -> Iterator[None]:
    """Turn "not found", which is what /proc and its like answer, into the missing right that it means at `path`."""
    try:
        yield
    except FileNotFoundError as error:
        raise PermissionError(errno.EPERM, "nothing can be made there", str(path)) from error


def _make_parent(path: Path) -> None:
    with _creating(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)


def _partial(path: Path) -> Path:
    """The place to write `path` first; what killed processes left there is removed."""
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
