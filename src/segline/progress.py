"""Progress of long work: a bar where stderr is a terminal, a plain line now and then elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal, Protocol

from segline.errors import shown

Report = Callable[[str], None]
"""Takes one line for a person; the caller decides where it goes."""

Advance = Callable[[int], None]
"""Takes how many bytes or samples more are done; may be called from any thread."""


class Track(Protocol):
    """Takes up one piece of work, or takes it up anew where it has that description already."""

    def __call__(self, description: str, total: int | None, done: int = 0) -> Advance:
        """Take its total (None where it is unknown), and how much of it was done earlier, which no rate counts."""


_SECONDS_BETWEEN_LINES = 10.0


def silent(line: str) -> None:
    """Report nothing."""


@contextmanager
def tracking(*, unit: Literal["bytes", "samples"], report: Report) -> Iterator[Track]:
    """Yield a `Track`; several pieces of work may run at the same time."""
    # Worker processes import this module, and draw no bars: they start a fifth of a second sooner.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield partial(_plain_lines, unit=unit, report=report)
        return
    figures: list[ProgressColumn] = (
        [DownloadColumn(), TransferSpeedColumn()] if unit == "bytes" else [MofNCompleteColumn()]
    )
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), *figures, TimeRemainingColumn(), console=console
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def track(description: str, total: int | None, done: int = 0) -> Advance:
            description = shown(description)
            if description in tasks:
                bars.reset(tasks[description], total=total, completed=done)
            else:
                tasks[description] = bars.add_task(description, total=total, completed=done)
            return partial(bars.advance, tasks[description])

        yield track


def _plain_lines(description: str, total: int | None, done: int = 0, *, unit: str, report: Report) -> Advance:
    return _PlainLines(description, total, done, unit=unit, report=report).advance


class _PlainLines:
    """One piece of work, told in lines."""

    def __init__(self, description: str, total: int | None, done: int, *, unit: str, report: Report) -> None:
        self._description, self._total, self._unit, self._report = description, total, unit, report
        self._lock = threading.Lock()
        self._done = self._earlier = done
        self._start = self._told = time.monotonic()

    def advance(self, amount: int) -> None:
        with self._lock:
            self._done += amount
            now = time.monotonic()
            if now - self._told < _SECONDS_BETWEEN_LINES:
                return
            self._told = now
            line = self._line(now - self._start)
        self._report(line)

    def _line(self, seconds: float) -> str:
        rate = max(self._done - self._earlier, 1) / seconds
        done = self._amount(self._done)
        if not self._total:
            return f"{self._description}: {done}, {self._amount(rate)}/s"
        left = (self._total - self._done) / rate
        share = 100 * self._done / self._total
        return (
            f"{self._description}: {done} of {self._amount(self._total)} ({share:.0f} %), "
            f"{self._amount(rate)}/s, {left:.0f} s left"
        )

    def _amount(self, value: float) -> str:
        return mebibytes(value) if self._unit == "bytes" else f"{value:.0f}"


def mebibytes(size: float) -> str:
    """Bytes, for a person to read."""
    return f"{size / 2**20:.1f} MiB"
