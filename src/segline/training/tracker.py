"""The port that training reports through; its MLflow adapter is in ``registry``.

Training never knows a run id. A resumed fit may report its last epoch a second time, with the same step
and the same values (except those of speed). An adapter must accept that.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, Self


class Tracker(Protocol):
    """One run, which records what training reports."""

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record the parameters of the run. Recording the same values again is no error."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record values that hold after `step` epochs, counted from 1."""

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Copy the file `path` into the run's `folder`."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run."""

    def child(self, key: str, name: str) -> AbstractContextManager[Self]:
        """Open the child run with `key`, shown as `name`. After a kill, reopen the child that was begun.

        When the context ends, the child is marked as finished, or as failed if there was an exception.
        """
