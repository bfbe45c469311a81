"""A `segline.training.tracker.Tracker` that remembers what it was told."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class RecordingTracker:
    """One run in memory; its children are in `children` by key, with the status they ended with."""

    def __init__(self, name: str = "root", *, artifacts: Path | None = None) -> None:
        self.name = name
        self.status = "RUNNING"
        self.params: dict[str, object] = {}
        self.metrics: dict[int, dict[str, float]] = {}
        self.tags: dict[str, str] = {}
        self.children: dict[str, RecordingTracker] = {}
        self._artifacts = artifacts

    def log_params(self, params: Mapping[str, object]) -> None:
        for key, value in params.items():
            if self.params.setdefault(key, value) != value:
                raise ValueError(f"param {key} was {self.params[key]}, and cannot become {value}")

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self.metrics.setdefault(step, {}).update(metrics)

    def log_artifact(self, path: Path, folder: str = "") -> None:
        if self._artifacts is None:
            raise ValueError("this tracker was given no folder for artifacts")
        (self._artifacts / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, self._artifacts / folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self.tags.update(tags)

    @contextmanager
    def child(self, key: str, name: str) -> Iterator["RecordingTracker"]:
        artifacts = self._artifacts / key if self._artifacts else None
        child = self.children.setdefault(key, RecordingTracker(name, artifacts=artifacts))
        child.status = "RUNNING"
        try:
            yield child
        except BaseException:
            child.status = "FAILED"
            raise
        child.status = "FINISHED"
