"""What training reports through; the MLflow adapter lives above, in ``registry``.

Training never knows a run id. A resumed fit may report its last epoch a second time, with the same
step and the same values (those of speed aside): an adapter takes that as it comes.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, Self


class Tracker(Protocol):
    """One run that takes what happens to it."""

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record what the run was asked to do; the same again is no error."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record values that hold after `step` epochs, counted from 1."""

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Keep a copy of the file `path` in the run's `folder`."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Mark the run."""

    def child(self, key: str, name: str) -> AbstractContextManager[Self]:
        """Open the child run with `key`, shown as `name`; after a kill, the one already begun.

        Leaving the context ends the child as finished, or as failed where an exception leaves it.
        """
