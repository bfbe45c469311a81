"""Read a prepared folder through memory maps; `segline.data.prepare.prepare` describes its files."""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from segline.core.labels import Image, Mask
from segline.data.images import manifest
from segline.data.images.decode import decode_image
from segline.data.images.deep import FULL, Levels
from segline.data.images.scale import scale_image
from segline.datasets.base import Dataset, Split
from segline.errors import ConfigError, DataError, shortened
from segline.formats import strict_json
from segline.pictures import read_bytes
from segline.project import Files

FORMAT = 3
SCORED: tuple[Split, ...] = ("validation", "test")

PLACES = 32
"""Number of stored pixels of each class in a training mask; crops can be centred on them."""


class SplitMeta(TypedDict):
    """One split in ``meta.json``."""

    samples: int
    digest: str
    pixels: list[int]  # native pixels by train id


class PreparedMeta(TypedDict):
    """The content of ``meta.json``."""

    format: int
    dataset: str
    protocol: str
    label_map: str  # digest
    extra_scores: list[str]
    short_side: int | None
    splits: dict[str, SplitMeta]
    levels: NotRequired[list[int]]  # of 16-bit images, if they are stated


class Prepared:
    """Prepared folder, opened through memory maps: nothing is copied until a sample is read."""

    def __init__(self, folder: Path) -> None:
        """Open `folder`.

        Raises:
            DataError: the folder is missing or has another format.
        """
        self.folder = folder
        command = f"dvc repro prepare@{folder.name}"  # a project names the folder after the dataset
        try:
            text = (folder / Files.META).read_bytes()
        except FileNotFoundError as error:
            raise DataError(
                folder, found="no prepared data", expected="the output of the prepare stage", remedy=f"run {command}"
            ) from error
        try:
            self.meta = cast(PreparedMeta, strict_json.loads(text))
            stated = self.meta["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                folder / Files.META,
                found=f"cannot be read ({shortened(str(error))})",
                expected="the file that the prepare stage wrote",
                remedy=f"delete the folder, then run {command}",
            ) from error
        if stated != FORMAT:
            raise DataError(folder, found=f"format {stated}", expected=f"format {FORMAT}", remedy=f"run {command}")
        with pa.memory_map(str(folder / Files.INDEX)) as mapped:
            self._index = pa.ipc.open_file(mapped).read_all()  # also without a copy

    def check(self, dataset: Dataset, *, short_side: int | None) -> None:
        """Check that the data were prepared with the current parameters.

        Raises:
            ConfigError: the dataset, its label map or the short side differs.
        """
        found = (self.meta["dataset"], self.meta["label_map"], self.meta["short_side"])
        expected = (dataset.name, dataset.label_map.digest, short_side)
        if found != expected:
            raise ConfigError(
                self.folder,
                found=f"prepared with (dataset, label map, short side) = {found}",
                expected=f"{expected}, from params.yaml and the code",
                remedy=f"run dvc repro prepare@{dataset.name}",
            )

    def split(self, name: str) -> "PreparedSplit":
        """Select the samples of one split, sorted by id."""
        return PreparedSplit(self.folder, name, self._index.filter(pc.equal(self._index["split"], name)), self.meta)


class PreparedSplit:
    """Samples of one split, by position. Pickles hold only folder, name and metadata; workers map the same files."""

    def __init__(self, folder: Path, name: str, index: pa.Table, meta: PreparedMeta) -> None:
        self.name = name
        self.digest: str = meta["splits"][name]["digest"]
        self.dataset: str = meta["dataset"]
        self.protocol: str = meta["protocol"]
        self.label_map: str = meta["label_map"]
        self.extra_scores: tuple[str, ...] = tuple(meta["extra_scores"])
        self.pixels: list[int] = meta["splits"][name]["pixels"]
        self.ids: list[str] = index["id"].to_pylist()
        self.groups: list[str] = index["group"].to_pylist()  # "" for a sample without a group
        self.short_side: int | None = meta["short_side"]
        self._folder, self._meta = folder, meta
        self._sizes, self._native = (_stack_columns(index, f"{kind}height", f"{kind}width") for kind in ("", "native_"))
        self._offsets = _stack_columns(index, "image_offset", "mask_offset", "label_offset")
        self._images = _map(folder / f"{name}.images")
        self._masks = _map(folder / f"{name}.masks")
        self._labels = _map(folder / f"{name}.labels") if name in SCORED else None
        self._places = None if name in SCORED else _map(folder / f"{name}.places").view(np.int32)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._folder, self.name, self._meta)

    def __len__(self) -> int:
        return len(self.ids)

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width of a scaled image."""
        height, width = self._sizes[index].tolist()
        return height, width

    def image(self, index: int) -> Image:
        """Return a scaled image, uint8 (h, w, 3), as a read-only view."""
        return self._view(self._images, self._offsets[index, 0], (*self.size(index), 3))

    def mask(self, index: int) -> Mask:
        """Return a scaled mask, uint8 (h, w) train ids, as a read-only view."""
        return self._view(self._masks, self._offsets[index, 1], self.size(index))

    def label(self, index: int) -> Mask:
        """Return a mask at native size, uint8 (H, W) train ids, as a read-only view.

        Raises:
            ValueError: this split is not scored.
        """
        if self._labels is None:
            raise ValueError(f"the {self.name} split has no native labels: it is not scored")
        return self._view(self._labels, self._offsets[index, 2], tuple(self._native[index].tolist()))

    def places(self, index: int) -> npt.NDArray[np.int32]:
        """Return pixels of each class in the scaled mask: int32 (classes, `PLACES`) flat positions; -1 if it has none.

        Raises:
            ValueError: this split is not used for training.
        """
        if self._places is None:
            raise ValueError(f"the {self.name} split keeps no places of classes: it is not trained on")
        return np.asarray(self._places.reshape(len(self), -1, PLACES)[index])

    def rescaled(self, *, raw: Path, manifest_folder: Path, short_side: int | None) -> "RescaledSplit":
        """Return the same samples and native labels, but with images decoded from the raw files at another scale."""
        columns = ("id", "image", "image_sha256")
        rows = manifest.read(manifest_folder / Files.MANIFEST, columns=columns)
        names, images, sums = (rows[column].to_pylist() for column in columns)
        known = {name: (raw / image, sha256) for name, image, sha256 in zip(names, images, sums, strict=True)}
        low, high = self._meta.get("levels", FULL)
        files = {name: known[name] for name in self.ids}
        return RescaledSplit(self, files, short_side=short_side, levels=(low, high))

    @staticmethod
    def _view(flat: Image, offset: int, shape: tuple[int, ...]) -> Image:
        return flat[offset : offset + math.prod(shape)].reshape(shape)


class RescaledSplit:
    """Split at another scale than the prepared one, for a network that was trained at that scale."""

    def __init__(
        self, split: PreparedSplit, files: Mapping[str, tuple[Path, str]], *, short_side: int | None, levels: Levels
    ) -> None:
        self.name, self.dataset, self.digest, self.protocol = split.name, split.dataset, split.digest, split.protocol
        self.label_map, self.ids, self.groups, self.short_side = split.label_map, split.ids, split.groups, short_side
        self.extra_scores = split.extra_scores
        self._split, self._files, self._levels = split, files, levels

    def __len__(self) -> int:
        return len(self._split)

    def image(self, index: int) -> Image:
        """Return an image at this scale, uint8 (h, w, 3).

        Raises:
            DataError: the raw file is not the one that was validated.
        """
        path, validated = self._files[self.ids[index]]
        content = read_bytes(path)
        found = hashlib.sha256(content).hexdigest()
        if found != validated:
            raise DataError(
                path,
                found=f"SHA-256 {found}",
                expected=f"{validated}, as in the manifest",
                remedy=f"touch {path} && dvc repro extract@{self.dataset}",
            )
        image = decode_image(content, place=path, levels=self._levels).pixels
        return scale_image(image, short_side=self.short_side)

    def label(self, index: int) -> Mask:
        """Return a mask at native size, uint8 (H, W) train ids."""
        return self._split.label(index)


def _reopen(folder: Path, name: str, meta: PreparedMeta) -> PreparedSplit:
    prepared = Prepared(folder)
    if prepared.meta != meta:
        raise DataError(
            folder,
            found="the prepared data have changed since the training began",
            expected="prepared data that do not change during a training",
            remedy="wait until `dvc repro` is done, then start the training again",
        )
    return prepared.split(name)


def _stack_columns(table: pa.Table, *names: str) -> npt.NDArray[np.int64]:
    return np.stack([table[name].to_numpy() for name in names], axis=1).astype(np.int64)


def _map(path: Path) -> Image:
    """Memory-map uint8; an empty split has an empty file, which cannot be mapped."""
    if path.stat().st_size == 0:
        return np.zeros(0, dtype=np.uint8)
    return np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
