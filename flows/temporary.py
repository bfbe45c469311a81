"""The Prefect server that a flow starts for itself, and the end of both.

Ctrl-C reaches every process of the terminal. The server must outlive the flow, which still has to tell it
how it ended; and all of it must be gone within seconds, whatever hangs.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import psutil
from prefect.exceptions import TerminationSignal
from prefect.server.api.server import SubprocessASGIServer

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LONGEST_END = 7.0  # seconds from the first signal until everything that is left is killed


def start() -> None:
    """Start Prefect's temporary server where no signal of the terminal reaches it; Prefect ends it at exit."""
    failed: list[BaseException] = []

    def begin() -> None:
        # A child inherits the mask of the thread that starts it; SIGTERM, by which Prefect ends it, gets through.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
        try:
            SubprocessASGIServer().start()
        except BaseException as error:
            failed.append(error)

    # In a thread of its own, so that Ctrl-C is heard meanwhile.
    thread = threading.Thread(target=begin, name="start-server", daemon=True)
    thread.start()
    try:
        thread.join()
    except (KeyboardInterrupt, TerminationSignal) as error:
        # Nothing is under way yet, and Prefect would wait for a server that is not to come.
        _end_now(_told(error))
    if failed:
        raise failed[0]


@contextmanager
def ending_within_seconds() -> Iterator[None]:
    """End this process and its children soon after the first signal; at once after a second one."""
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    # The last to be registered is the first to run: this one runs after Prefect has ended its server.
    atexit.register(_leave)
    try:
        yield
    except (KeyboardInterrupt, TerminationSignal) as error:
        _begin_end(int(getattr(error, "signal", signal.SIGINT)))
        raise SystemExit(128 + _told(error)) from None


def _told(error: BaseException) -> int:
    """Say that this is the end; returns the signal's number."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        sys.stderr.write("stopped: the same command goes on from here\n")
    return int(getattr(error, "signal", signal.SIGINT))


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _ending:
        _end_now(number)
    _begin_end(number)
    if number == signal.SIGINT:
        signal.default_int_handler(number, frame)
    raise TerminationSignal(signal=number)


_ending: list[int] = []
"""The signal that began the end; empty before."""


def _begin_end(number: int) -> None:
    if not _ending:
        _ending.append(number)
        last = threading.Timer(_LONGEST_END, _end_now, args=[number])
        last.daemon = True  # it must not itself keep the process alive
        last.start()


def _leave() -> None:
    """End before the interpreter takes itself apart, which waits for TensorFlow's threads and lets no timer run."""
    if _ending:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        _end_now(_ending[0])


def _end_now(number: int) -> NoReturn:
    """Kill the children and end, with nothing more said or written."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            child.kill()
    os._exit(128 + number)
