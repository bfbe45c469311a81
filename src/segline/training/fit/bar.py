"""The progress bar of a fit: one an epoch, on a terminal alone; elsewhere a line an epoch is enough."""

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

_SECONDS = 0.5  # between two changes; a person reads no faster


class EpochBars:
    """Batches of an epoch, images a second, time left of the whole fit, and the mIoUs so far.

    A bar leaves the screen with its epoch, or with the block: a line says then how the epoch was, wherever lines go.

    Args:
        steps: batches of an epoch.
        batch: images of each.
        console: where they are drawn; standard error by default.
    """

    def __init__(self, *, steps: int, batch: int, console: Console | None = None) -> None:
        self._steps, self._batch = steps, batch
        self._console = console or Console(stderr=True)
        self._bar: Progress | None = None

    def __enter__(self) -> "EpochBars":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self, title: str, *, epochs_left: int, last: float | None) -> None:
        """Draw the bar of an epoch, `title`; it counts among `epochs_left`, and `last` is the mIoU validated before."""
        figures = MofNCompleteColumn(), TextColumn("{task.fields[text]}")
        columns = TextColumn("{task.description}"), BarColumn(), *figures
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._task = self._bar.add_task(title, total=self._steps, text="")
        self._steps_left, self._last = epochs_left * self._steps, last
        self._started = self._told = time.monotonic()
        self._bar.start()

    def step(self, done: int, logs: Mapping[str, float]) -> None:
        """`done` batches are, with the epoch's metrics so far; any thread may say so."""
        now = time.monotonic()
        if self._bar is None or now - self._told < _SECONDS:
            return
        self._told = now
        rate = done / (now - self._started)
        validated = "" if self._last is None else f" (validation {self._last:.3f})"
        text = (
            f"{rate * self._batch:.1f} images/s, mIoU {logs['miou']:.3f}{validated}, "
            f"{duration((self._steps_left - done) / rate)} left"
        )
        self._bar.update(self._task, completed=done, text=text)

    def validate(self) -> None:
        """All batches are done; the validation split comes next."""
        if self._bar is not None:
            self._bar.update(self._task, completed=self._steps, text="validating")

    def end(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def duration(seconds: float) -> str:
    """Minutes and seconds, for a person to read."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s"
