"""Show a progress bar for each epoch of a fit, on a terminal only; elsewhere one line for each epoch is enough."""

import time
from collections.abc import Mapping
from contextlib import ExitStack

from rich.console import Console

from segline.progress import Advance, duration, showing, silent, unseen

_SECONDS_BETWEEN_UPDATES = 0.5  # a person reads no faster


class EpochBars:
    """Bars with the batches of an epoch, images per second, mIoU, and the time left of the whole fit.

    A bar is erased at the end of its epoch or of the block; the caller then reports the epoch in a line.

    Args:
        steps: batches of an epoch.
        batch: images of a batch.
        console: where to draw; default: standard error.
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
        """Draw the bar of an epoch.

        Args:
            title: text before the bar.
            epochs_left: of the fit, this one included.
            last: validation mIoU of the epoch before, if there was one.
        """
        progress = self._drawn.enter_context(self._progress)
        self._advance, self._done = progress.start(title, self._steps, unit="batches"), 0
        self._steps_left, self._last = epochs_left * self._steps, last
        self._started = self._updated = time.monotonic()

    def step(self, done: int, logs: Mapping[str, float]) -> None:
        """Show that `done` batches of this epoch are done, and its metrics so far. Thread-safe."""
        now = time.monotonic()
        if self._advance is unseen or now - self._updated < _SECONDS_BETWEEN_UPDATES:
            return
        self._updated = now
        rate = done / (now - self._started)
        validated = "" if self._last is None else f" (validation {self._last:.3f})"
        self._show(
            done,
            f"{rate * self._batch:.1f} images/s, mIoU {logs['miou']:.3f}{validated}, "
            f"{duration((self._steps_left - done) / rate)} left",
        )

    def validate(self) -> None:
        """Show that all batches are done and validation has begun."""
        self._show(self._steps, "validating")

    def end(self) -> None:
        """Erase the bar."""
        self._drawn.close()
        self._advance = unseen

    def _show(self, done: int, note: str) -> None:
        self._advance(done - self._done, note)
        self._done = done
