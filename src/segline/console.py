"""Print lines, tables and errors to the terminal, for commands and flows.

In everything printed, invisible characters are escaped, lines are limited in length, and secrets are masked.
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
    """Print `line` to stdout, escaped and masked, because file names in it may contain any character."""
    _write(sys.stdout, line)


def complain(line: str) -> None:
    """Print `line` to stderr, escaped and masked."""
    _write(sys.stderr, line)


def _write(stream: TextIO, line: str) -> None:
    stream.write(f"{message(masked(line))}\n")
    stream.flush()


def show(*tables: "Table") -> None:
    """Print tables."""
    for table in tables:
        console().print(table)


def console() -> "Console":
    """Return the console for tables: as wide as the terminal, or 160 characters in a file."""
    from rich.console import Console
    from rich.text import Text

    class Visible(Console):
        """A console that makes all text of a table printable before it is measured."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text, but="\n\t"), **options)

    # Without emoji: a class may be named ":car:", and loading the table of emoji takes a sixth of a second.
    return Visible(width=None if sys.stdout.isatty() else 160, emoji=False)


def run_reporting(action: Callable[[], object], *, debug: bool) -> None:
    """Call `action`. If it raises an error that the user can solve, print it and exit with 1.

    Args:
        debug: print the traceback too.
    """
    startup.quieten()
    mask_process()
    try:
        action()
    except SeglineError as error:
        _fail(error, debug=debug)
    except OSError as error:
        explained = _explain(error)
        if explained is None:
            raise
        _fail(explained, debug=debug)


def _explain(error: OSError) -> StorageError | None:
    """Convert an error of the operating system to a `StorageError` with a remedy; return None if it is a bug."""
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
            remedy="change its owner or mode, or how its disk is mounted; or work on a copy of the project",
        )
    if error.errno in {errno.ELOOP, errno.ENAMETOOLONG}:
        return StorageError(
            error.filename or "a path",
            found=f"cannot be opened: {error.strerror}",
            expected="a path that leads to a file or a folder",
            remedy="correct the path, or remove circular links",
        )
    if isinstance(error, FileNotFoundError):
        return _find_missing_folder()
    return None


def _find_missing_folder() -> StorageError | None:
    """Report the current folder or the folder for temporary files if it is missing; return None if both exist."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return StorageError(
            "the current folder",
            found="it was deleted",
            expected="a folder that exists",
            remedy="change to an existing folder (cd), then run the command there",
        )
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return StorageError(
            "TMPDIR",
            found="no folder for temporary files that this user may write to",
            expected="free space in such a folder, for example /tmp",
            remedy="set TMPDIR to a folder that you may write to",
        )
    return None


def _fail(error: SeglineError, *, debug: bool) -> None:
    if debug:
        # Not `complain`, which limits the length: a traceback must be complete.
        sys.stderr.write(printable(masked("".join(traceback.format_exception(error))), but="\n\t"))
    complain(f"error: {error}")
    raise SystemExit(1)
