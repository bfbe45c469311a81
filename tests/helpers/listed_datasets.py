"""Datasets as params.yaml lists them."""

from segline.config import defining_file


def listed(*names):
    """The mapping `datasets` of params.yaml with these datasets."""
    return {name: defining_file(name) for name in names}
