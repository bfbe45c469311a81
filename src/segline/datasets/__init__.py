"""What each public dataset is: archives, layout, label map, split and protocol, one file each."""

import importlib

from segline.datasets.base import Dataset


def load(name: str) -> Dataset:
    """The definition in ``segline/datasets/<name>.py``."""
    dataset = importlib.import_module(f"segline.datasets.{name}").DATASET
    assert isinstance(dataset, Dataset)
    return dataset
