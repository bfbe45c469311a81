"""Report the progress of long work: bars on a terminal, lines otherwise.

Library code reports through `Progress`. The caller chooses the form: `showing` for a command, `FlowLines` for a flow.
"""

import threading
import time
from abc import ABC, abstractmethod
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
"""Function that takes one line for the user; the caller decides where it is printed."""

Unit = Literal["bytes", "samples", "images", "batches"]

_SECONDS_BETWEEN_LINES = 10.0


class Advance(Protocol):
    """Function that reports progress of one task. Thread-safe."""

    def __call__(self, amount: int, note: str = "") -> None:
        """Add `amount` to the completed amount; a bar shows `note` instead of the remaining time."""


class Progress(ABC):
    """Shows the progress of long work within a ``with`` block, which may be entered again.

    Args:
        report: takes lines for a person.
    """

    def __init__(self, report: Report) -> None:
        self.report = report

    @abstractmethod
    def start(self, description: str, total: int | None, *, unit: Unit = "samples", done: int = 0) -> Advance:
        """Start a task, or restart the task with the same description.

        Args:
            description: name of the task; several tasks may run at the same time.
            total: None if unknown.
            unit: what is counted.
            done: amount completed before the start; it does not count for the rate.
        """

    def __enter__(self) -> Self:
        """Begin to show progress."""
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027 (lines need no end)
        """Stop showing progress."""


def silent(line: str) -> None:
    """Report nothing."""


def unseen(amount: int, note: str = "") -> None:
    """Advance without showing anything."""


def showing(report: Report, *, console: "Console | None" = None, transient: bool = False) -> Progress:
    """Return bars if stderr is a terminal, else lines.

    Args:
        report: takes the lines.
        console: where bars are drawn; default: stderr.
        transient: erase bars at the end.
    """
    # Imported here, because worker processes import this module and draw no bars: they start 0.2 s sooner.
    import rich.console

    console = console or rich.console.Console(stderr=True)
    return Bars(report, console=console, transient=transient) if console.is_terminal else Lines(report)


class Bars(Progress):
    """A bar for each task, with the time left."""

    def __init__(self, report: Report, *, console: "Console", transient: bool = False) -> None:
        super().__init__(report)
        self._console, self._transient = console, transient
        self._drawn: Drawn | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to draw."""
        import rich.progress

        self._tasks = {}
        self._drawn = rich.progress.Progress(*_make_columns(), console=self._console, transient=self._transient)
        self._drawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing; leave the bars as they are, or erase them."""
        if self._drawn is not None:
            self._drawn.stop()
            self._drawn = None

    def start(self, description: str, total: int | None, *, unit: Unit = "samples", done: int = 0) -> Advance:
        """Draw a bar, or reset the bar of that description; see `Progress.start`."""
        assert self._drawn is not None, "bars are drawn in a with block"
        name = shown(description)
        if name in self._tasks:
            self._drawn.reset(self._tasks[name], total=total, completed=done)
        else:
            self._tasks[name] = self._drawn.add_task(name, total=total, completed=done, unit=unit, note="")
        return partial(_advance_bar, self._drawn, self._tasks[name])


def _advance_bar(drawn: "Drawn", task: "TaskID", amount: int, note: str = "") -> None:
    drawn.update(task, advance=amount, note=note)


def _make_columns() -> "list[ProgressColumn]":
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Figures(ProgressColumn):
        """Amount done; for bytes also the rate."""

        def render(self, task: Any) -> Text:
            if task.fields["unit"] != "bytes":
                return MofNCompleteColumn().render(task)
            rate = task.finished_speed or task.speed
            of = "" if task.total is None else f" of {size_text(task.total)}"
            return Text(f"{size_text(task.completed)}{of}" + (f", {size_text(rate)}/s" if rate else ""))

    class NoteOrTimeLeft(ProgressColumn):
        """Note of the task; without one the time left."""

        def render(self, task: Any) -> Text:
            return Text(task.fields["note"]) if task.fields["note"] else TimeRemainingColumn().render(task)

    return [TextColumn("{task.description}", markup=False), BarColumn(), Figures(), NoteOrTimeLeft()]


class Lines(Progress):
    """Print a plain line every ten seconds; a shorter task prints nothing."""

    def start(self, description: str, total: int | None, *, unit: Unit = "samples", done: int = 0) -> Advance:
        """Start the clock; see `Progress.start`."""
        return _TimedLines(description, total, done, unit=unit, report=self.report).advance


class FlowLines(Progress):
    """Print a plain line for each quarter of a task. Few lines, because logs of flows are stored and read later."""

    def start(self, description: str, total: int | None, *, unit: Unit = "samples", done: int = 0) -> Advance:
        """Start to count; see `Progress.start`."""
        if total is None:
            return _TimedLines(description, total, done, unit=unit, report=self.report).advance
        return _QuarterLines(description, total, done, unit=unit, report=self.report).advance


class _QuarterLines:
    """Four lines about one task."""

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
        amounts = f"{_format_amount(done, self._unit)} of {_format_amount(self._total, self._unit)}"
        self._report(f"{self._description}: {amounts}" + ("" if self._unit == "bytes" else f" {self._unit}"))


class _TimedLines:
    """Lines about one task, with at least `_SECONDS_BETWEEN_LINES` between them."""

    def __init__(self, description: str, total: int | None, done: int, *, unit: Unit, report: Report) -> None:
        self._description, self._total, self._unit, self._report = description, total, unit, report
        self._lock = threading.Lock()
        self._done = self._earlier = done
        self._start = self._last_line = time.monotonic()

    def advance(self, amount: int, note: str = "") -> None:  # noqa: ARG002
        with self._lock:
            self._done += amount
            now = time.monotonic()
            if now - self._last_line < _SECONDS_BETWEEN_LINES:
                return
            self._last_line = now
            line = self._write_line(now - self._start)
        self._report(line)

    def _write_line(self, seconds: float) -> str:
        rate = max(self._done - self._earlier, 1) / seconds
        done, speed = _format_amount(self._done, self._unit), f"{_format_amount(rate, self._unit)}/s"
        if not self._total:
            return f"{self._description}: {done}, {speed}"
        share, left = 100 * self._done / self._total, (self._total - self._done) / rate
        total = _format_amount(self._total, self._unit)
        return f"{self._description}: {done} of {total} ({share:.0f} %), {speed}, {left:.0f} s left"


def _format_amount(value: float, unit: Unit) -> str:
    return size_text(value) if unit == "bytes" else f"{value:.0f}"


def duration(seconds: float) -> str:
    """Format seconds as hours and minutes, or minutes and seconds: 1h05m, 3m20s."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s"
