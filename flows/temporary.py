"""Start a temporary Prefect server for a flow, and end both within seconds of a signal.

Ctrl-C reaches every process of the terminal. The server must run longer than the flow, which still reports to it how it
ended. All processes must end within seconds, even if one of them hangs.
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
_GRACE_SECONDS = 7.0  # from the first signal until everything left is killed


def start() -> None:
    """Start Prefect's temporary server, protected from the terminal's signals; Prefect ends it at exit."""
    failed: list[BaseException] = []

    def begin() -> None:
        # A child inherits the signal mask of its thread. SIGTERM, by which Prefect ends it, is not blocked.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
        try:
            SubprocessASGIServer().start()
        except BaseException as error:
            failed.append(error)

    # In its own thread, so that this one can react to Ctrl-C.
    thread = threading.Thread(target=begin, name="start-server", daemon=True)
    thread.start()
    try:
        thread.join()
    except (KeyboardInterrupt, TerminationSignal) as error:
        # No flow runs yet, and Prefect would wait for a server that will never start.
        _end_now(_announce_end(error))
    if failed:
        raise failed[0]


@contextmanager
def ending_within_seconds() -> Iterator[None]:
    """End this process and its children soon after the first signal; at once after a second one."""
    for number in _SIGNALS:
        signal.signal(number, _handle_signal)
    # Exit handlers run in reverse order: this one runs after Prefect's, which ends its server.
    atexit.register(_end_at_exit)
    try:
        yield
    except (KeyboardInterrupt, TerminationSignal) as error:
        _begin_end(int(getattr(error, "signal", signal.SIGINT)))
        raise SystemExit(128 + _announce_end(error)) from None


def _announce_end(error: BaseException) -> int:
    """Tell the person that the flow was stopped; return the signal's number."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        sys.stderr.write("stopped: run the same command again to continue from here\n")
    return int(getattr(error, "signal", signal.SIGINT))


def _handle_signal(number: int, frame: FrameType | None) -> None:
    if _ending:
        _end_now(number)
    _begin_end(number)
    if number == signal.SIGINT:
        signal.default_int_handler(number, frame)
    raise TerminationSignal(signal=number)


_ending: list[int] = []
"""The first signal; empty before it."""


def _begin_end(number: int) -> None:
    if not _ending:
        _ending.append(number)
        last = threading.Timer(_GRACE_SECONDS, _end_now, args=[number])
        last.daemon = True  # it must not keep the process alive
        last.start()


def _end_at_exit() -> None:
    """End the process now: the interpreter's shutdown would wait for TensorFlow's threads, and runs no timer."""
    if _ending:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        _end_now(_ending[0])


def _end_now(number: int) -> NoReturn:
    """Kill the children and exit at once, without writing anything more."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            child.kill()
    os._exit(128 + number)
