"""The progress bar of a fit: one an epoch, on a terminal alone; elsewhere a line an epoch is enough."""

import time
from collections.abc import Mapping
from contextlib import ExitStack

from rich.console import Console

from segline.progress import Advance, duration, showing, silent, unseen

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
        self._progress = showing(silent, console=console, transient=True)
        self._drawn = ExitStack()
        self._advance: Advance = unseen
        self._done = 0

    def __enter__(self) -> "EpochBars":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self, title: str, *, epochs_left: int, last: float | None) -> None:
        """Draw the bar of an epoch, `title`; it counts among `epochs_left`, and `last` is the mIoU validated before."""
        progress = self._drawn.enter_context(self._progress)
        self._advance, self._done = progress.start(title, self._steps, unit="batches"), 0
        self._steps_left, self._last = epochs_left * self._steps, last
        self._started = self._told = time.monotonic()

    def step(self, done: int, logs: Mapping[str, float]) -> None:
        """Show that `done` batches are, with the epoch's metrics so far. Thread-safe."""
        now = time.monotonic()
        if self._advance is unseen or now - self._told < _SECONDS:
            return
        self._told = now
        rate = done / (now - self._started)
        validated = "" if self._last is None else f" (validation {self._last:.3f})"
        self._show(
            done,
            f"{rate * self._batch:.1f} images/s, mIoU {logs['miou']:.3f}{validated}, "
            f"{duration((self._steps_left - done) / rate)} left",
        )

    def validate(self) -> None:
        """Show that all batches are done, and that the validation split comes next."""
        self._show(self._steps, "validating")

    def end(self) -> None:
        """Take the bar off the screen."""
        self._drawn.close()
        self._advance = unseen

    def _show(self, done: int, note: str) -> None:
        self._advance(done - self._done, note)
        self._done = done
