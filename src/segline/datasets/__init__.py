"""What each dataset is: archives, layout, label map, split and protocol, one file each."""

import importlib
from pathlib import Path

from segline.config import Options
from segline.datasets.base import Dataset


def load(name: str, options: Options | None = None, *, raw: Path | None = None) -> Dataset:
    """The definition in ``segline/datasets/<name>.py``, for the task and split of `options`.

    Args:
        name: file name.
        options: the dataset's entry under ``options`` in ``params.yaml``; None for its own defaults.
        raw: the extracted folder, which the user's own data (``folder``) are described in.

    Raises:
        ConfigError: the dataset has no such task or split, or its options are impossible.
        DataError: the user's own data are not there yet.
    """
    module = importlib.import_module(f"segline.datasets.{name}")
    chosen = options or Options()
    dataset = module.define(chosen, raw) if hasattr(module, "define") else module.DATASET
    assert isinstance(dataset, Dataset)
    return dataset.chosen(task=chosen.task, split=chosen.split)
