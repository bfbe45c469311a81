"""Decode once: manifest -> few large memory-mapped files a split.

Layout of a prepared folder::

    index.parquet           one row a sample: id, split, sizes, offsets into the files below
    <split>.images          uint8, HWC RGB, scaled, one after another
    <split>.masks           uint8, HW train ids, scaled like the images: what training looks at
    <split>.labels          uint8, HW train ids, native size: what scores are counted on (none for train)
    train.places            int32 (samples, classes, PLACES): where in a mask each class is, flat; -1: nowhere
    meta.json               what it was made with, and digests of splits and label map

The manifest knows every size, so the offsets are known before the first file is decoded, and the
workers write their samples into place themselves: no pixel passes from one process to another.
Nothing in it depends on time or machine, so equal inputs give equal digests in ``dvc.lock``.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segline.core.labels import VOID, Image, Mask
from segline.data import manifest, split
from segline.data.images import read_image, read_mask
from segline.data.parallel import stream_samples
from segline.data.scale import scale_image, scale_mask, scaled_size
from segline.datasets.base import SPLITS, Dataset, Split
from segline.errors import ConfigError, DataError
from segline.storage import atomic_folder

FORMAT = 2
SCORED: tuple[Split, ...] = ("validation", "test")

PLACES = 32
"""Pixels kept of each class in a training mask, for crops that are to show it."""

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("group", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("native_height", pa.int32()),
        ("native_width", pa.int32()),
        ("image_offset", pa.int64()),
        ("mask_offset", pa.int64()),
        ("label_offset", pa.int64()),  # -1 where the split is not scored
    ]
)


def prepare(
    dataset: Dataset,
    *,
    raw: Path,
    manifest_folder: Path,
    folder: Path,
    short_side: int | None,
    workers: int,
    report: Callable[[str], None],
) -> None:
    """Fill `folder` from the validated manifest and the raw files.

    Args:
        short_side: images are scaled down to it; None keeps them at their own size.

    Raises:
        DataError: a file changed or vanished since it was validated.
        StorageError: the disk is full.
    """
    rows = manifest.read(manifest_folder / manifest.FILE_NAME).sort_by("id")
    index = _index(rows, short_side)
    samples = _Samples(index.append_column("image", rows["image"]).append_column("mask", rows["mask"]))
    with atomic_folder(folder) as partial_folder:
        for name in SPLITS:
            for kind in ("images", "masks", "labels" if name in SCORED else "places"):
                (partial_folder / f"{name}.{kind}").touch()
        store = partial(_store, dataset=dataset, raw=raw, folder=partial_folder, short_side=short_side)
        for _ in stream_samples(store, samples, workers=workers, description=f"prepare {dataset.name}", report=report):
            pass
        pq.write_table(index, partial_folder / "index.parquet")
        meta = _meta(dataset, rows, short_side)
        (partial_folder / "meta.json").write_text(json.dumps(meta, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    counts = ", ".join(f"{name} {meta['splits'][name]['samples']}" for name in SPLITS)
    scale = "their own size" if short_side is None else f"short side {short_side}"
    report(f"{dataset.name}: prepared {rows.num_rows} samples ({counts}) at {scale}")


def _index(rows: pa.Table, short_side: int | None) -> pa.Table:
    """Sizes and offsets of all samples, in the order of `rows`."""
    native = np.stack([rows["mask_height"].to_numpy(), rows["mask_width"].to_numpy()], axis=1).astype(np.int64)
    sizes = np.array([scaled_size(*size, short_side=short_side) for size in native.tolist()], np.int64).reshape(-1, 2)
    splits = rows["split"].to_numpy()
    offsets = {kind: np.full(len(native), -1, dtype=np.int64) for kind in ("image", "mask", "label")}
    for name in SPLITS:
        own = splits == name
        offsets["image"][own] = _starts(3 * sizes[own].prod(axis=1))
        offsets["mask"][own] = _starts(sizes[own].prod(axis=1))
        if name in SCORED:
            offsets["label"][own] = _starts(native[own].prod(axis=1))
    columns = {
        **{name: rows[name] for name in ("id", "split", "group")},
        "height": sizes[:, 0],
        "width": sizes[:, 1],
        "native_height": native[:, 0],
        "native_width": native[:, 1],
        **{f"{kind}_offset": places for kind, places in offsets.items()},
    }
    return pa.table({field.name: pa.array(columns[field.name]).cast(field.type) for field in _SCHEMA}, schema=_SCHEMA)


def _starts(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.cumsum(lengths) - lengths


class _Samples(Sequence[dict[str, Any]]):
    """Rows of the index with their files and their place in the split; as objects only while they are worked on."""

    def __init__(self, table: pa.Table) -> None:
        splits = table["split"].to_numpy()
        places = np.zeros(len(splits), dtype=np.int64)
        for name in SPLITS:
            places[splits == name] = np.arange(np.count_nonzero(splits == name))
        self._table = table.append_column("place", pa.array(places))

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Sequence[dict[str, Any]]:
        if isinstance(index, int):
            if not 0 <= index < len(self):
                raise IndexError(index)
            return dict(self._table.slice(index, 1).to_pylist()[0])
        start, stop, _ = index.indices(len(self))
        return list(self._table.slice(start, stop - start).to_pylist())


def _store(row: dict[str, Any], *, dataset: Dataset, raw: Path, folder: Path, short_side: int | None) -> None:
    """Decode, scale and write one sample."""
    image, label = _decode(row, dataset=dataset, raw=raw)
    mask = scale_mask(label, short_side=short_side)
    name = row["split"]
    _put(folder / f"{name}.images", row["image_offset"], scale_image(image, short_side=short_side))
    _put(folder / f"{name}.masks", row["mask_offset"], mask)
    if name in SCORED:
        _put(folder / f"{name}.labels", row["label_offset"], label)
    else:
        places = _places(mask, len(dataset.label_map))
        _put(folder / f"{name}.places", row["place"] * places.nbytes, places)


def _decode(row: dict[str, Any], *, dataset: Dataset, raw: Path) -> tuple[Image, Mask]:
    image = read_image(raw / row["image"])
    label = dataset.label_map.encode(read_mask(raw / row["mask"], colours=dataset.colours))
    native = (row["native_height"], row["native_width"])
    if image.shape[:2] != label.shape or label.shape != native:
        raise DataError(
            raw / row["mask"],
            found=f"mask {label.shape}, image {image.shape[:2]}",
            expected=f"the validated size {native}",
            remedy="the raw files changed since `validate`: run dvc repro",
        )
    return image, label


def _put(path: Path, offset: int, array: npt.NDArray[Any]) -> None:
    with path.open("r+b") as handle:
        handle.seek(offset)
        handle.write(np.ascontiguousarray(array).data)


def _places(mask: Mask, classes: int) -> npt.NDArray[np.int32]:
    """`PLACES` pixels of each class, evenly spread over those it has, as flat positions."""
    places = np.full((classes, PLACES), -1, dtype=np.int32)
    for train_id in np.unique(mask):
        if train_id != VOID:
            found = np.flatnonzero(mask == train_id)
            places[train_id] = found[(2 * np.arange(PLACES) + 1) * len(found) // (2 * PLACES)]
    return places


def _meta(dataset: Dataset, rows: pa.Table, short_side: int | None) -> dict[str, Any]:
    members: defaultdict[str, dict[str, str]] = defaultdict(dict)
    identity = ("id", "split", "image_sha256", "mask_sha256")
    for name, own, image, mask in zip(*(rows[column].to_pylist() for column in identity), strict=True):
        # The mask's content belongs to the split's identity: a relabelled image is another test.
        members[own][name] = f"{own} {image} {mask}"
    return {
        "format": FORMAT,
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "label_map": dataset.label_map.digest,
        "short_side": short_side,
        "splits": {
            name: {
                "samples": len(members[name]),
                "digest": split.digest(members[name]),
                "pixels": _pixels(rows.filter(pc.equal(rows["split"], name)), len(dataset.label_map)),
            }
            for name in SPLITS
        },
    }


def _pixels(rows: pa.Table, classes: int) -> list[int]:
    """Native pixels by train id."""
    flat = pc.list_flatten(rows["pixels"]).to_numpy()
    return [int(count) for count in flat.reshape(-1, classes).sum(axis=0)]


class Prepared:
    """A prepared folder, read through memory maps; copies nothing until asked for a sample."""

    def __init__(self, folder: Path) -> None:
        """Open `folder`.

        Raises:
            DataError: it is missing, or of another format.
        """
        self.folder = folder
        try:
            self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError(
                folder, found="no prepared data", expected="the output of the prepare stage", remedy="run dvc repro"
            ) from error
        if self.meta["format"] != FORMAT:
            raise DataError(
                folder, found=f"format {self.meta['format']}", expected=f"format {FORMAT}", remedy="run dvc repro"
            )
        self._index = pq.read_table(folder / "index.parquet")

    def check(self, dataset: Dataset, *, short_side: int | None) -> None:
        """Refuse data that was prepared with other parameters than those of now.

        Raises:
            ConfigError: it was.
        """
        found = (self.meta["dataset"], self.meta["label_map"], self.meta["short_side"])
        expected = (dataset.name, dataset.label_map.digest, short_side)
        if found != expected:
            raise ConfigError(
                self.folder,
                found=f"prepared with (dataset, label map, short side) = {found}",
                expected=f"{expected} as params.yaml and the code say now",
                remedy="run dvc repro",
            )

    def split(self, name: str) -> "PreparedSplit":
        """The samples of one split, sorted by id."""
        return PreparedSplit(self.folder, name, self._index.filter(pc.equal(self._index["split"], name)), self.meta)


class PreparedSplit:
    """Samples of one split by position. Pickled, it is its folder and name: another process maps the same pages."""

    def __init__(self, folder: Path, name: str, index: pa.Table, meta: dict[str, Any]) -> None:
        self.name = name
        self.digest: str = meta["splits"][name]["digest"]
        self.protocol: str = meta["protocol"]
        self.label_map: str = meta["label_map"]
        self.pixels: list[int] = meta["splits"][name]["pixels"]
        self.ids: list[str] = index["id"].to_pylist()
        self.short_side: int | None = meta["short_side"]
        self._folder, self._meta = folder, meta
        self._sizes, self._native = (_columns(index, f"{kind}height", f"{kind}width") for kind in ("", "native_"))
        self._offsets = _columns(index, "image_offset", "mask_offset", "label_offset")
        self._images = _map(folder / f"{name}.images")
        self._masks = _map(folder / f"{name}.masks")
        self._labels = _map(folder / f"{name}.labels") if name in SCORED else None
        self._places = None if name in SCORED else _map(folder / f"{name}.places").view(np.int32)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._folder, self.name, self._meta)

    def __len__(self) -> int:
        return len(self.ids)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of a scaled image."""
        height, width = self._sizes[index].tolist()
        return height, width

    def image(self, index: int) -> Image:
        """Scaled image, uint8 (h, w, 3), a read-only view."""
        return self._view(self._images, self._offsets[index, 0], (*self.size(index), 3))

    def mask(self, index: int) -> Mask:
        """Scaled mask, uint8 (h, w) train ids, a read-only view."""
        return self._view(self._masks, self._offsets[index, 1], self.size(index))

    def label(self, index: int) -> Mask:
        """Native mask, uint8 (H, W) train ids, a read-only view.

        Raises:
            ValueError: this split is not scored.
        """
        if self._labels is None:
            raise ValueError(f"the {self.name} split has no native labels: it is not scored")
        return self._view(self._labels, self._offsets[index, 2], tuple(self._native[index].tolist()))

    def places(self, index: int) -> npt.NDArray[np.int32]:
        """Where in the scaled mask each class is, int32 (classes, `PLACES`), flat positions; -1: nowhere.

        Raises:
            ValueError: this split is not trained on.
        """
        if self._places is None:
            raise ValueError(f"the {self.name} split keeps no places of classes: it is not trained on")
        return np.asarray(self._places.reshape(len(self), -1, PLACES)[index])

    def rescaled(self, *, raw: Path, manifest_folder: Path, short_side: int | None) -> "RescaledSplit":
        """The same samples and native labels, with images at another scale, decoded from the raw files."""
        rows = manifest.read(manifest_folder / manifest.FILE_NAME)
        images = dict(zip(rows["id"].to_pylist(), rows["image"].to_pylist(), strict=True))
        return RescaledSplit(self, {name: raw / images[name] for name in self.ids}, short_side=short_side)

    @staticmethod
    def _view(flat: Image, offset: int, shape: tuple[int, ...]) -> Image:
        return flat[offset : offset + math.prod(shape)].reshape(shape)


class RescaledSplit:
    """A split for a network that was trained on another scale than this one was prepared at."""

    def __init__(self, split: PreparedSplit, files: dict[str, Path], *, short_side: int | None) -> None:
        self.name, self.digest, self.protocol = split.name, split.digest, split.protocol
        self.label_map, self.ids, self.short_side = split.label_map, split.ids, short_side
        self._split, self._files = split, files

    def __len__(self) -> int:
        return len(self._split)

    def image(self, index: int) -> Image:
        """Image at this scale, uint8 (h, w, 3)."""
        return scale_image(read_image(self._files[self.ids[index]]), short_side=self.short_side)

    def label(self, index: int) -> Mask:
        """Native mask, uint8 (H, W) train ids."""
        return self._split.label(index)


def _reopened(folder: Path, name: str, meta: dict[str, Any]) -> PreparedSplit:
    prepared = Prepared(folder)
    if prepared.meta != meta:
        raise DataError(
            folder,
            found="other data than those opened at first",
            expected="prepared data that stay while they are trained on",
            remedy="start the training again once `dvc repro` is done",
        )
    return prepared.split(name)


def _columns(table: pa.Table, *names: str) -> npt.NDArray[np.int64]:
    return np.stack([table[name].to_numpy() for name in names], axis=1).astype(np.int64)


def _map(path: Path) -> Image:
    """Memory-map uint8; an empty split has an empty file, which cannot be mapped."""
    if path.stat().st_size == 0:
        return np.zeros(0, dtype=np.uint8)
    return np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
