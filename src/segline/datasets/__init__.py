"""Define the datasets, one file each: archives, layout, label map, splits and protocol.

``folder`` is the user's own data; the other datasets are public.
"""

import importlib
from functools import cache
from pathlib import Path

from segline.config import Options, dataset_names
from segline.datasets.base import Dataset


def load(name: str, options: Options | None = None, *, raw: Path | None = None) -> Dataset:
    """Load the definition in ``segline/datasets/<name>.py``, for the task and the split of `options`.

    Args:
        name: the file's name, without ``.py``.
        options: the dataset's entry under ``options`` in ``params.yaml``; None for its defaults.
        raw: the folder of the extracted archives; only the user's own data (``folder``) need it.

    Raises:
        ConfigError: the dataset has no such task or split, or its options are invalid.
        DataError: the user's own data are not extracted yet.
    """
    module = importlib.import_module(f"segline.datasets.{name}")
    chosen = options or Options()
    dataset = module.define(chosen, raw) if hasattr(module, "define") else module.DATASET
    assert isinstance(dataset, Dataset)
    return dataset.chosen(task=chosen.task, split=chosen.split)


@cache
def public() -> tuple[Dataset, ...]:
    """Load every public dataset with its default task and split, sorted by name."""
    modules = (importlib.import_module(f"segline.datasets.{name}") for name in dataset_names())
    return tuple(module.DATASET for module in modules if hasattr(module, "DATASET"))
