"""Draws a miniature mirror of each dataset, in its official archive layout.

Everything is drawn by code from a seed; nothing is taken from the real datasets. The archives are
the same bytes on every run (fixed times, owners, modes and order), so that their checksums can be
relied on like those of a download.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from segline.datasets.drawing import pet_archives, street_archives
from segline.datasets.drawing.packing import Member
from segline.errors import ConfigError
from segline.project import Files
from segline.storage import atomic_file

_ARCHIVES: dict[str, Callable[[int], Iterator[Member]]] = {
    "kitti": street_archives.kitti,
    "kitti_road": street_archives.kitti_road,
    "oxford_pets": pet_archives.oxford_pets,
    "cityscapes": street_archives.cityscapes,
    "camvid": street_archives.camvid,
}
NAMES = tuple(_ARCHIVES)
"""Datasets that can be drawn."""


def draw(dataset: str, folder: Path, *, seed: int = 0) -> None:
    """Write the archives of `dataset` and their ``SHA256SUMS`` into `folder`.

    Raises:
        ConfigError: there is no miniature of that dataset.
        StorageError: no room or no right to write.
    """
    if dataset not in _ARCHIVES:
        raise ConfigError(
            f"sample of {dataset!r}",
            found="no miniature of that dataset",
            expected="one of: " + ", ".join(NAMES),
            remedy="set `source` to `official` or to a mirror that holds it",
        )
    sums: dict[str, str] = {}
    for name, content in _ARCHIVES[dataset](seed):
        with atomic_file(folder / name) as partial:
            partial.write_bytes(content)
        sums[name] = hashlib.sha256(content).hexdigest()
    with atomic_file(folder / Files.SUMS) as partial:
        partial.write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)), encoding="utf-8")
