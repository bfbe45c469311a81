"""Prepare the real archives of a mirror for a benchmark of learning."""

from pathlib import Path

import work

from segline import config, datasets
from segline.data.extract.archives import extract
from segline.data.prepare.prepared import Prepared
from segline.datasets.base import Dataset


def load(name: str, task: str | None, *, folder: Path) -> Dataset:
    """Return the dataset's definition for `task`; None: its first one."""
    return datasets.load(name, config.Options(task=task), raw=folder / "raw")


def prepare(dataset: Dataset, task: str | None, *, source: Path, folder: Path, short_side: int) -> Prepared:
    """Extract the archives of the mirror `source`, and prepare them in `folder`; reuse what is already there."""
    raw = folder / "raw" / dataset.name
    place = folder / "-".join(filter(None, (dataset.name, task, "data", str(short_side))))
    if not raw.exists():
        extract(dataset, archives=source / dataset.name, folder=raw)
    if not place.exists():
        work.prepared_real(dataset, raw, place, short_side=short_side)
    return Prepared(place / "prepared")
