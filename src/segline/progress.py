"""Report how far long work has come: a bar where a terminal is watched, lines elsewhere, and lines for a flow.

Steps report through `Progress`. Who calls them chooses the door: `showing` for a command, `FlowLines` for a flow.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from segline.errors import shown
from segline.storage import size_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Drawn
    from rich.progress import ProgressColumn, TaskID

Report = Callable[[str], None]
"""Takes one line for a person; the caller decides where it goes."""

Unit = Literal["bytes", "samples", "images", "batches"]

_SECONDS_BETWEEN_LINES = 10.0


class Advance(Protocol):
    """Takes how much more of one piece of work is done; may be called from any thread."""

    def __call__(self, amount: int, note: str = "") -> None:
        """Take the amount, and what a bar says in place of the time left."""


class Progress(Protocol):
    """Shows how far long work has come, within a ``with`` block; it may be entered again."""

    def report(self, line: str) -> None:
        """Say one line."""

    def start(self, description: str, total: int | None, *, unit: Unit = "samples", done: int = 0) -> Advance:
        """Take up one piece of work, or take it up anew where it has that description already.

        Args:
            description: what is done; several pieces may run at the same time.
            total: None where it is unknown.
            unit: what is counted.
            done: how much of it was done earlier, which no rate counts.
        """

    def __enter__(self) -> Self:
        """Make room for bars."""

    def __exit__(self, *_: object) -> None:
        """Let go of them."""


def silent(line: str) -> None:
    """Report nothing."""


def unseen(amount: int, note: str = "") -> None:
    """Advance, and show nothing."""


def showing(report: Report, *, console: "Console | None" = None, transient: bool = False) -> Progress:
    """Choose the door of a command: bars where stderr is a terminal, lines elsewhere.

    Args:
        report: takes the lines.
        console: where bars are drawn; default: stderr.
        transient: erase bars at the end.
    """
    # Worker processes import this module, and draw no bars: they start a fifth of a second sooner.
    import rich.console

    console = console or rich.console.Console(stderr=True)
    return Bars(report, console=console, transient=transient) if console.is_terminal else Lines(report)


class Bars:
    """A bar for each piece of work, with the time left."""

    def __init__(self, report: Report, *, console: "Console", transient: bool = False) -> None:
        self._report, self._console, self._transient = report, console, transient
        self._drawn: Drawn | None = None
        self._tasks: dict[str, TaskID] = {}

    def report(self, line: str) -> None:
        """Say one line, above the bars."""
        self._report(line)

    def __enter__(self) -> Self:
        """Begin to draw."""
        import rich.progress

        self._tasks = {}
        self._drawn = rich.progress.Progress(*_columns(), console=self._console, transient=self._transient)
        self._drawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bars as they are, or erase them."""
        if self._drawn is not None:
            self._drawn.stop()
            self._drawn = None

    def start(self, description: str, total: int | None, *, unit: Unit = "samples", done: int = 0) -> Advance:
        """Draw a bar, or draw it anew; see `Progress.start`."""
        assert self._drawn is not None, "bars are drawn in a with block"
        name = shown(description)
        if name in self._tasks:
            self._drawn.reset(self._tasks[name], total=total, completed=done)
        else:
            self._tasks[name] = self._drawn.add_task(name, total=total, completed=done, unit=unit, note="")
        return partial(_advance_bar, self._drawn, self._tasks[name])


def _advance_bar(drawn: "Drawn", task: "TaskID", amount: int, note: str = "") -> None:
    drawn.update(task, advance=amount, note=note)


def _columns() -> "list[ProgressColumn]":
    """What a bar consists of, whatever is counted."""
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Figures(ProgressColumn):
        """How much is done; of bytes also how many a second."""

        def render(self, task: Any) -> Text:
            if task.fields["unit"] != "bytes":
                return MofNCompleteColumn().render(task)
            rate = task.finished_speed or task.speed
            of = "" if task.total is None else f" of {size_text(task.total)}"
            return Text(f"{size_text(task.completed)}{of}" + (f", {size_text(rate)}/s" if rate else ""))

    class Left(ProgressColumn):
        """The note of a piece of work; without one the time left."""

        def render(self, task: Any) -> Text:
            return Text(task.fields["note"]) if task.fields["note"] else TimeRemainingColumn().render(task)

    return [TextColumn("{task.description}", markup=False), BarColumn(), Figures(), Left()]


class Lines:
    """A plain line every ten seconds; what is done sooner says none."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def report(self, line: str) -> None:
        """Say one line."""
        self._report(line)

    def __enter__(self) -> Self:
        """Need nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hold nothing."""

    def start(self, description: str, total: int | None, *, unit: Unit = "samples", done: int = 0) -> Advance:
        """Start the clock; see `Progress.start`."""
        return _Timed(description, total, done, unit=unit, report=self._report).advance


class FlowLines(Lines):
    """A plain line each quarter of the work: logs of flows are kept, and read when all is over."""

    def start(self, description: str, total: int | None, *, unit: Unit = "samples", done: int = 0) -> Advance:
        """Count; see `Progress.start`."""
        if total is None:
            return super().start(description, total, unit=unit, done=done)
        return _Quarters(description, total, done, unit=unit, report=self._report).advance


class _Quarters:
    """One piece of work, told in four lines."""

    def __init__(self, description: str, total: int, done: int, *, unit: Unit, report: Report) -> None:
        self._description, self._total, self._unit, self._report = description, total, unit, report
        self._lock = threading.Lock()
        self._done = done

    def advance(self, amount: int, note: str = "") -> None:  # noqa: ARG002
        quarter = max(1, self._total // 4)
        with self._lock:
            before, self._done = self._done, self._done + amount
            done = self._done
        if done // quarter == before // quarter and done != self._total:
            return
        if self._unit == "bytes":
            self._report(f"{self._description}: {size_text(done)} of {size_text(self._total)}")
        else:
            self._report(f"{self._description}: {done} of {self._total} {self._unit}")


class _Timed:
    """One piece of work, told in a line now and then."""

    def __init__(self, description: str, total: int | None, done: int, *, unit: Unit, report: Report) -> None:
        self._description, self._total, self._unit, self._report = description, total, unit, report
        self._lock = threading.Lock()
        self._done = self._earlier = done
        self._start = self._told = time.monotonic()

    def advance(self, amount: int, note: str = "") -> None:  # noqa: ARG002
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
        return size_text(value) if self._unit == "bytes" else f"{value:.0f}"


def duration(seconds: float) -> str:
    """Write minutes and seconds for a person."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s"
