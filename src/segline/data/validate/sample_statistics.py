"""What is measured of one sample for the fingerprint, while its pixels are at hand.

A few kilobytes a sample whatever its size. They lie in files while a dataset is validated, so that
memory does not grow with the samples; `segline.data.validate.fingerprint` sums them up and they are not kept.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
"""Points across and along at which a mask's layout is kept."""

BINS = 64
"""Bins of a colour channel's histogram; each is 256 / BINS grey levels wide."""

FIXED: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "layout": (np.uint8, (GRID, GRID)),  # train ids at GRID x GRID points
    "channel_mean": (np.float64, (3,)),  # grey levels 0..255; red, green, blue
    "channel_std": (np.float64, (3,)),
    "channel_bins": (np.uint32, (3, BINS)),  # pixels
}
"""Fields of the same size in each sample: type and shape."""

KINDS: dict[str, type[np.generic]] = {
    # Components that are alike are one entry with a count, so that a mask of noise stays small too.
    "class": np.uint8,  # train id
    "area": np.uint32,  # pixels of the mask's own size, as height and width
    "height": np.uint32,
    "width": np.uint32,
    "count": np.uint32,
    "owner": np.uint32,  # place of the sample
}
"""Fields of a kind of component; a sample has any number of them."""

_COUNTED = 1 << 20  # pixels, above which every second, third, ... row is enough for a histogram


def of_image(image: Image) -> dict[str, Any]:
    """Colour statistics of uint8 (H, W, 3) RGB, for a `Store`."""
    rows = image[:: 1 + image[..., 0].size // _COUNTED]
    counts = np.stack([cv2.calcHist([rows], [channel], None, [256], [0, 256]).ravel() for channel in range(3)])
    levels = np.arange(256)
    mean = (counts @ levels) / counts[0].sum()
    variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / counts[0].sum()
    bins = counts.reshape(3, BINS, -1).sum(axis=2).astype(np.uint32)
    return {"channel_mean": mean, "channel_std": np.sqrt(variance), "channel_bins": bins}


def of_mask(mask: Mask, *, classes: int) -> dict[str, Any]:
    """Components and layout of uint8 (H, W) train ids, for a `Store`."""
    rows, columns = ((2 * np.arange(GRID) + 1) * length // (2 * GRID) for length in mask.shape)
    return {"layout": mask[np.ix_(rows, columns)], "components": _kinds(mask, classes)}


def _kinds(mask: Mask, classes: int) -> dict[str, Numbers]:
    found = components(mask, classes=classes)
    entries = np.stack([found.label, found.area, found.height, found.width], axis=1)
    unique, count = np.unique(entries, axis=0, return_counts=True)
    return {name: column.astype(KINDS[name]) for name, column in zip(KINDS, [*unique.T, count], strict=False)}


class Store:
    """Measures of samples, one after the other, in the files of a folder.

    Args:
        folder: where they lie; whoever made it removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: list[bool] = []
        self._files: dict[str, BinaryIO] = {name: (folder / name).open("wb") for name in (*FIXED, *KINDS)}

    def add(self, facts: Mapping[str, Any]) -> None:
        """Append what `of_image` and `of_mask` said of the next sample; of some that cannot be read, less."""
        for name, (kind, shape) in FIXED.items():
            self._files[name].write(np.asarray(facts.get(name, np.zeros(shape)), dtype=kind).tobytes())
        kinds = facts.get("components", {})
        for name, values in kinds.items():
            self._files[name].write(values.tobytes())
        owners = np.full(len(kinds.get("class", ())), len(self._seen), dtype=KINDS["owner"])
        self._files["owner"].write(owners.tobytes())
        self._seen.append("layout" in facts and "channel_bins" in facts)

    def seen(self) -> npt.NDArray[np.bool_]:
        """(N,) whether image and mask of a sample were both measured."""
        return np.array(self._seen, dtype=bool)

    def read(self) -> dict[str, Numbers]:
        """All fields as memory maps: of `FIXED` (N, ...), of `KINDS` (K,)."""
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
        if not path.stat().st_size:  # nothing cannot be mapped
            return np.zeros(0, dtype=kind)
        return np.memmap(path, dtype=kind, mode="r")


@contextmanager
def store() -> Iterator[Store]:
    """A `Store` in a temporary folder, gone after the block.

    Raises:
        StorageError: no room there.
    """
    with tempfile.TemporaryDirectory(prefix="segline-measures-") as folder, reporting_storage(Path(folder)):
        made = Store(Path(folder))
        try:
            yield made
        finally:
            made.close()
