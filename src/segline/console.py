"""Speak to the person at the terminal: lines, tables, and a problem that ends the command.

Commands and flows share it. Whatever is said is printable, bounded, and without secrets.
"""

import errno
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from segline import startup
from segline.errors import SeglineError, StorageError, message, printable
from segline.masking import mask_process, masked
from segline.storage import NO_RIGHT

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def say(line: str) -> None:
    """Print `line`; names of files in it may hold anything, and no secret comes out."""
    _write(sys.stdout, line)


def complain(line: str) -> None:
    """Say `line` on stderr, as `say` does."""
    _write(sys.stderr, line)


def _write(stream: TextIO, line: str) -> None:
    stream.write(f"{message(masked(line))}\n")
    stream.flush()


def show(*tables: "Table") -> None:
    """Print tables."""
    for table in tables:
        console().print(table)


def console() -> "Console":
    """Where tables go: as wide as the terminal, or wide enough for a file."""
    from rich.console import Console
    from rich.text import Text

    class Visible(Console):
        """Makes all text of a table printable before it is measured; tables escape what could pass for markup."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text, but="\n\t"), **options)

    # A class may be called ":car:"; and the table of emoji takes a sixth of a second to load.
    return Visible(width=None if sys.stdout.isatty() else 160, emoji=False)


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
