"""Define the public datasets, one file each: archives, layout, label map, splits and protocol.

The user's own data are defined in `segline.datasets.own`.
"""

import importlib
from functools import cache
from pathlib import Path

from segline.config import Options, dataset_names
from segline.datasets.base import Dataset
from segline.datasets.own import definition


def load(name: str, options: Options | None = None, *, raw: Path | None = None) -> Dataset:
    """Load the definition in ``segline/datasets/<name>.py``, for the task and the split of `options`; or own data.

    Args:
        name: the file's name, without ``.py``, or the name of own data.
        options: the dataset's options; None for the defaults of a public one.
        raw: the folder of the extracted archives; only the user's own data need it.

    Raises:
        ConfigError: the dataset has no such task or split, or its options are invalid.
        DataError: the user's own data are not extracted yet.
    """
    chosen = options or Options()
    if name not in dataset_names():
        return definition.define(name, chosen, raw)
    dataset = importlib.import_module(f"segline.datasets.{name}").DATASET
    assert isinstance(dataset, Dataset)
    return dataset.chosen(task=chosen.task, split=chosen.split)


@cache
def public() -> tuple[Dataset, ...]:
    """Load every public dataset with its default task and split, sorted by name."""
    modules = (importlib.import_module(f"segline.datasets.{name}") for name in dataset_names())
    return tuple(module.DATASET for module in modules)
