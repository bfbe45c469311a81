"""Draw a small synthetic copy of each dataset, in the layout of its official archives.

All images are drawn by code from a seed; nothing is taken from the real datasets. The archives have the same
bytes on every run (fixed times, owners, modes and order), so they can be checked by checksum like a download.
"""

import hashlib
from pathlib import Path

from segline import datasets
from segline.errors import ConfigError
from segline.project import Files
from segline.storage import atomic_file

NAMES = tuple(dataset.name for dataset in datasets.public() if dataset.draw is not None)
"""Datasets that can be drawn."""


def draw(dataset: str, folder: Path, *, seed: int = 0) -> None:
    """Write the archives of `dataset` and their ``SHA256SUMS`` into `folder`.

    Raises:
        ConfigError: that dataset cannot be drawn.
        StorageError: no room or no right to write.
    """
    archives = next((known.draw for known in datasets.public() if known.name == dataset), None)
    if archives is None:
        raise ConfigError(
            f"sample of {dataset!r}",
            found="no miniature of that dataset",
            expected="one of: " + ", ".join(NAMES),
            remedy="set `source` to `official`, or to a mirror that holds the dataset",
        )
    sums: dict[str, str] = {}
    for name, content in archives(seed):
        with atomic_file(folder / name) as partial:
            partial.write_bytes(content)
        sums[name] = hashlib.sha256(content).hexdigest()
    with atomic_file(folder / Files.SUMS) as partial:
        partial.write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)), encoding="utf-8")
