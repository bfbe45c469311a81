"""The command line: parse, call one library function, print.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

import errno
import sys
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

__all__ = ["app", "main", "run_reporting"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 on success, 1 on a reported problem, 2 on wrong usage."""
    run_reporting(lambda: app(args=arguments), debug="--debug" in (sys.argv if arguments is None else arguments))


def run_reporting(action: Callable[[], object], *, debug: bool) -> None:
    """Call `action`; print a reported problem, with its traceback only for `debug`, and exit 1."""
    startup.quieten()
    try:
        action()
    except SeglineError as error:
        _fail(error, debug=debug)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        _fail(
            StorageError(
                error.filename or Path.cwd(),
                found=f"the disk is full: {error.strerror}",
                expected="free space",
                remedy="free some space, then run the same command: it continues where it stopped",
            ),
            debug=debug,
        )


def _fail(error: SeglineError, *, debug: bool) -> None:
    if debug:
        # Not `complain`, which bounds what it says: of a traceback all is wanted.
        sys.stderr.write(printable("".join(traceback.format_exception(error)), but="\n\t"))
    complain(f"error: {error}")
    raise SystemExit(1)
