"""Measure each sample for the fingerprint while its pixels are in memory.

The statistics take a few kilobytes per sample of any size. They are in temporary files while a dataset is
validated, so that memory does not grow with the number of samples. `segline.data.validate.fingerprint` reads them.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import Image, Mask
from segline.core.vision.components import components
from segline.storage import reporting_storage

Numbers = npt.NDArray[Any]

GRID = 16
"""Rows and columns of the grid of points at which each mask is sampled (its layout)."""

BINS = 64
"""Bins of a colour channel's histogram; each is 256 / BINS grey levels wide."""

FIXED: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "layout": (np.uint8, (GRID, GRID)),  # train ids at GRID x GRID points
    "channel_mean": (np.float64, (3,)),  # grey levels 0..255; red, green, blue
    "channel_std": (np.float64, (3,)),
    "channel_bins": (np.uint32, (3, BINS)),  # pixels
}
"""Fields with one entry of fixed size per sample: dtype and shape."""

KINDS: dict[str, type[np.generic]] = {
    # Components with equal class and size are one entry with a count, so that a noisy mask needs little space, too.
    "class": np.uint8,  # train id
    "area": np.uint32,  # pixels at native size; also for height and width
    "height": np.uint32,
    "width": np.uint32,
    "runs": np.uint32,  # along rows and columns
    "count": np.uint32,
    "owner": np.uint32,  # index of the sample
}
"""Fields with any number of entries per sample, one for each distinct kind of component: dtype."""

_MAX_PIXELS_COUNTED = 1 << 20  # of a larger image, only every second, third, ... row is counted


@dataclass(frozen=True, kw_only=True)
class ImageStatistics:
    """Colours of one image, as `FIXED` describes them."""

    channel_mean: Numbers
    channel_std: Numbers
    channel_bins: Numbers


@dataclass(frozen=True, kw_only=True)
class MaskStatistics:
    """Layout of one mask as `FIXED` describes it, and its components as `KINDS` does."""

    layout: Numbers
    components: dict[str, Numbers]


def measure_image(image: Image) -> ImageStatistics:
    """Measure the colours of uint8 (H, W, 3) RGB."""
    rows = image[:: 1 + image[..., 0].size // _MAX_PIXELS_COUNTED]
    counts = np.stack([cv2.calcHist([rows], [channel], None, [256], [0, 256]).ravel() for channel in range(3)])
    levels = np.arange(256)
    mean = (counts @ levels) / counts[0].sum()
    variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / counts[0].sum()
    bins = counts.reshape(3, BINS, -1).sum(axis=2).astype(np.uint32)
    return ImageStatistics(channel_mean=mean, channel_std=np.sqrt(variance), channel_bins=bins)


def measure_mask(mask: Mask, *, classes: int) -> MaskStatistics:
    """Measure components and layout of uint8 (H, W) train ids."""
    rows, columns = ((2 * np.arange(GRID) + 1) * length // (2 * GRID) for length in mask.shape)
    return MaskStatistics(layout=mask[np.ix_(rows, columns)], components=_count_components(mask, classes))


def _count_components(mask: Mask, classes: int) -> dict[str, Numbers]:
    found = components(mask, classes=classes)
    entries = np.stack([found.label, found.area, found.height, found.width, found.runs], axis=1)
    unique, count = np.unique(entries, axis=0, return_counts=True)
    return {name: column.astype(KINDS[name]) for name, column in zip(KINDS, [*unique.T, count], strict=False)}


class Store:
    """Store of sample statistics in the files of a folder; samples are appended.

    Args:
        folder: folder of the files; the caller removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: list[bool] = []
        self._files: dict[str, BinaryIO] = {name: (folder / name).open("wb") for name in (*FIXED, *KINDS)}

    def add(self, image: ImageStatistics | None, mask: MaskStatistics | None) -> None:
        """Append the statistics of the next sample; None stands for a file that cannot be read."""
        measured = (vars(image) if image else {}) | ({"layout": mask.layout} if mask else {})
        for name, (kind, shape) in FIXED.items():
            self._files[name].write(np.asarray(measured.get(name, np.zeros(shape)), dtype=kind).tobytes())
        components = mask.components if mask else {}
        for name, values in components.items():
            self._files[name].write(values.tobytes())
        owners = np.full(len(components.get("class", ())), len(self._seen), dtype=KINDS["owner"])
        self._files["owner"].write(owners.tobytes())
        self._seen.append(image is not None and mask is not None)

    def seen(self) -> npt.NDArray[np.bool_]:
        """Return bool (N,): whether both image and mask of each sample were measured."""
        return np.array(self._seen, dtype=bool)

    def read(self) -> dict[str, Numbers]:
        """Memory-map all fields: those of `FIXED` are (N, ...), those of `KINDS` (K,)."""
        for file in self._files.values():
            file.flush()
        count = len(self._seen)
        fixed = {name: self._map(name, kind).reshape(count, *shape) for name, (kind, shape) in FIXED.items()}
        return fixed | {name: self._map(name, kind) for name, kind in KINDS.items()}

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _map(self, name: str, kind: type[np.generic]) -> Numbers:
        path = self._folder / name
        if not path.stat().st_size:  # an empty file cannot be mapped
            return np.zeros(0, dtype=kind)
        return np.memmap(path, dtype=kind, mode="r")


@contextmanager
def open_store() -> Iterator[Store]:
    """Yield a `Store` in a temporary folder, which is removed after the block.

    Raises:
        StorageError: no room there.
    """
    with tempfile.TemporaryDirectory(prefix="segline-measures-") as folder, reporting_storage(Path(folder)):
        made = Store(Path(folder))
        try:
            yield made
        finally:
            made.close()
