"""The command line: parse, call one library function, print.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

import errno
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

# Help lists them as they are imported.
# isort: off
from segline.cli import beginning, planning, predicting, evaluating, scoring, data, models  # noqa: F401

# isort: on
from segline.cli import startup
from segline.cli.application import app, complain
from segline.errors import SeglineError, StorageError, printable
from segline.masking import mask_process, masked
from segline.storage import NO_RIGHT

__all__ = ["app", "main", "run_reporting"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 on success, 1 on a reported problem, 2 on wrong usage."""
    run_reporting(lambda: app(args=arguments), debug="--debug" in (sys.argv if arguments is None else arguments))


def run_reporting(action: Callable[[], object], *, debug: bool) -> None:
    """Call `action`; print a reported problem, with its traceback only for `debug`, and exit 1."""
    startup.quieten()
    mask_process()
    try:
        action()
    except SeglineError as error:
        _fail(error, debug=debug)
    except OSError as error:
        reported = _reported(error)
        if reported is None:
            raise
        _fail(reported, debug=debug)


def _reported(error: OSError) -> StorageError | None:
    """What a person can do about what the operating system said; None for what is a fault of Segline's."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageError(
            error.filename or "disk",
            found=f"the disk is full: {error.strerror}",
            expected="free space",
            remedy="free some space, then run the same command: it continues where it stopped",
        )
    if error.errno in NO_RIGHT:
        return StorageError(
            error.filename or "disk",
            found=f"cannot be used: {error.strerror}",
            expected="a file or folder that this user may read and write",
            remedy="change its owner or mode, or the mount that it is on; or work on a copy of the project",
        )
    if error.errno in {errno.ELOOP, errno.ENAMETOOLONG}:
        return StorageError(
            error.filename or "a path",
            found=f"cannot be opened: {error.strerror}",
            expected="a path that leads to a file or a folder",
            remedy="correct the path, or take the links away that lead in a circle",
        )
    if isinstance(error, FileNotFoundError):
        return _lacking_folder()
    return None


def _lacking_folder() -> StorageError | None:
    """Which of the folders that any program needs is not there."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return StorageError(
            "the current folder",
            found="it was deleted",
            expected="a folder that is there",
            remedy="change to one (cd), then run the command there",
        )
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return StorageError(
            "TMPDIR",
            found="no folder for temporary files that this user may write to",
            expected="some room in one, such as /tmp",
            remedy="set TMPDIR to a folder of yours",
        )
    return None


def _fail(error: SeglineError, *, debug: bool) -> None:
    if debug:
        # Not `complain`, which bounds what it says: of a traceback all is wanted.
        sys.stderr.write(printable(masked("".join(traceback.format_exception(error))), but="\n\t"))
    complain(f"error: {error}")
    raise SystemExit(1)
