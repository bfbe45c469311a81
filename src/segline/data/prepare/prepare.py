"""Decode every sample once: manifest -> a few large memory-mapped files per split.

Layout of a prepared folder::

    index.arrow             one row per sample: id, split, sizes, offsets into the files below
    <split>.images          uint8, HWC RGB, scaled, one after another
    <split>.masks           uint8, HW train ids, scaled like the images, for training
    <split>.labels          uint8, HW train ids, native size, for scores (none for train)
    train.places            int32 (samples, classes, PLACES): flat positions of pixels of each class; -1: none
    meta.json               `PreparedMeta`: parameters of the preparation, and digests of splits and label map

The manifest contains all sizes, so all offsets are known before the first file is decoded. Workers write their
samples directly into these files, so no pixels are sent between processes. The files do not depend on time or
machine, so equal inputs give equal digests in ``dvc.lock``.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from segline.core.coding import Colours
from segline.core.labels import VOID, Image, LabelMap, Mask
from segline.data.images import manifest, split
from segline.data.images.decode import read_image, read_mask
from segline.data.images.deep import Levels
from segline.data.images.scale import scale_image, scale_mask, scaled_size
from segline.data.prepare.prepared import FORMAT, PLACES, SCORED, PreparedMeta
from segline.datasets.base import SPLITS, Dataset
from segline.errors import DataError
from segline.parallel.pool import stream_samples
from segline.project import Files
from segline.storage import atomic_folder

_MANIFEST_COLUMNS = (
    "id",
    "split",
    "group",
    "image",
    "mask",
    "mask_height",
    "mask_width",
    "image_sha256",
    "mask_sha256",
    "pixels",
)

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
        ("label_offset", pa.int64()),  # -1 if the split is not scored
    ]
)


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """One sample for a worker: columns of the index, paths of the files, and position in the split (`place`)."""

    split: str
    native_height: int
    native_width: int
    image_offset: int
    mask_offset: int
    label_offset: int
    image: str
    mask: str
    place: int


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
    """Write the prepared splits to `folder`, from the validated manifest and the raw files.

    Args:
        short_side: pixels of the shorter side after scaling down; None keeps the native size.

    Raises:
        DataError: a file was changed or deleted after validation.
        StorageError: the disk is full.
    """
    rows = manifest.read(manifest_folder / Files.MANIFEST, columns=_MANIFEST_COLUMNS).sort_by("id")
    index = _make_index(rows, short_side)
    samples = _Samples(index.append_column("image", rows["image"]).append_column("mask", rows["mask"]))
    with atomic_folder(folder) as partial_folder:
        for name in SPLITS:
            for kind in ("images", "masks", "labels" if name in SCORED else "places"):
                (partial_folder / f"{name}.{kind}").touch()
        store = partial(
            _store_sample,
            raw=raw,
            label_map=dataset.label_map,
            colours=dataset.colours,
            levels=dataset.levels,
            folder=partial_folder,
            short_side=short_side,
        )
        for _ in stream_samples(store, samples, workers=workers, description=f"prepare {dataset.name}", report=report):
            pass
        with pa.ipc.new_file(partial_folder / Files.INDEX, _SCHEMA) as writer:
            writer.write_table(index.combine_chunks())
        meta = _make_meta(dataset, rows, short_side)
        (partial_folder / Files.META).write_text(json.dumps(meta, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    counts = ", ".join(f"{name} {meta['splits'][name]['samples']}" for name in SPLITS)
    scale = "their own size" if short_side is None else f"short side {short_side}"
    report(f"{dataset.name}: prepared {rows.num_rows} samples ({counts}) at {scale}")


def _make_index(rows: pa.Table, short_side: int | None) -> pa.Table:
    """Compute sizes and offsets of all samples, in the order of `rows`."""
    native = np.stack([rows["mask_height"].to_numpy(), rows["mask_width"].to_numpy()], axis=1).astype(np.int64)
    sizes = np.array([scaled_size(*size, short_side=short_side) for size in native.tolist()], np.int64).reshape(-1, 2)
    splits = np.array(rows["split"].to_pylist())
    offsets = {kind: np.full(len(native), -1, dtype=np.int64) for kind in ("image", "mask", "label")}
    for name in SPLITS:
        own = splits == name
        offsets["image"][own] = _sum_before(3 * sizes[own].prod(axis=1))
        offsets["mask"][own] = _sum_before(sizes[own].prod(axis=1))
        if name in SCORED:
            offsets["label"][own] = _sum_before(native[own].prod(axis=1))
    columns = {
        **{name: rows[name] for name in ("id", "split", "group")},
        "height": sizes[:, 0],
        "width": sizes[:, 1],
        "native_height": native[:, 0],
        "native_width": native[:, 1],
        **{f"{kind}_offset": places for kind, places in offsets.items()},
    }
    return pa.table({field.name: pa.array(columns[field.name]).cast(field.type) for field in _SCHEMA}, schema=_SCHEMA)


def _sum_before(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.cumsum(lengths) - lengths


class _Samples(Sequence[_Sample]):
    """Sequence of samples that creates Python objects only on access, to save memory."""

    def __init__(self, table: pa.Table) -> None:
        splits = np.array(table["split"].to_pylist())
        places = np.zeros(len(splits), dtype=np.int64)
        for name in SPLITS:
            places[splits == name] = np.arange(np.count_nonzero(splits == name))
        columns = [field.name for field in fields(_Sample)]
        self._table = table.append_column("place", pa.array(places)).select(columns)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, index: int) -> _Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[_Sample]: ...
    def __getitem__(self, index: int | slice) -> _Sample | list[_Sample]:
        if isinstance(index, int):
            if not 0 <= index < len(self):
                raise IndexError(index)
            return self[index : index + 1][0]
        start, stop, _ = index.indices(len(self))
        return [_Sample(**row) for row in self._table.slice(start, stop - start).to_pylist()]


def _store_sample(
    sample: _Sample,
    *,
    raw: Path,
    label_map: LabelMap,
    colours: Colours | None,
    levels: Levels | None,
    folder: Path,
    short_side: int | None,
) -> None:
    """Decode, scale and write one sample."""
    image = read_image(raw / sample.image, levels=levels)
    label = label_map.encode(read_mask(raw / sample.mask, colours=colours))
    _check_size(sample, image, label, place=raw / sample.mask)
    mask = scale_mask(label, short_side=short_side)
    name = sample.split
    _write_at(folder / f"{name}.images", sample.image_offset, scale_image(image, short_side=short_side))
    _write_at(folder / f"{name}.masks", sample.mask_offset, mask)
    if name in SCORED:
        _write_at(folder / f"{name}.labels", sample.label_offset, label)
    else:
        places = _choose_places(mask, len(label_map))
        _write_at(folder / f"{name}.places", sample.place * places.nbytes, places)


def _check_size(sample: _Sample, image: Image, label: Mask, *, place: Path) -> None:
    native = (sample.native_height, sample.native_width)
    if image.shape[:2] != label.shape or label.shape != native:
        raise DataError(
            place,
            found=f"mask {label.shape}, image {image.shape[:2]}",
            expected=f"the validated size {native}",
            remedy="the raw files changed since `validate`: run dvc repro",
        )


def _write_at(path: Path, offset: int, array: npt.NDArray[Any]) -> None:
    with path.open("r+b") as handle:
        handle.seek(offset)
        handle.write(np.ascontiguousarray(array).data)


def _choose_places(mask: Mask, classes: int) -> npt.NDArray[np.int32]:
    """Choose `PLACES` pixels of each class, evenly spread over all pixels of the class; return flat positions."""
    places = np.full((classes, PLACES), -1, dtype=np.int32)
    for train_id in np.unique(mask):
        if train_id != VOID:
            found = np.flatnonzero(mask == train_id)
            places[train_id] = found[(2 * np.arange(PLACES) + 1) * len(found) // (2 * PLACES)]
    return places


def _make_meta(dataset: Dataset, rows: pa.Table, short_side: int | None) -> PreparedMeta:
    rows_of = {name: rows.filter(pc.equal(rows["split"], name)) for name in SPLITS}
    meta: PreparedMeta = {
        "format": FORMAT,
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "label_map": dataset.label_map.digest,
        "extra_scores": list(dataset.extra_scores),
        "short_side": short_side,
        "splits": {
            name: {
                "samples": own.num_rows,
                "digest": split_digest(name, own),
                "pixels": _sum_pixels(own, len(dataset.label_map)),
            }
            for name, own in rows_of.items()
        },
    }
    if dataset.levels is not None:
        meta["levels"] = list(dataset.levels)
    return meta


def split_digest(name: str, rows: pa.Table) -> str:
    """Compute the digest of the split `name`, whose samples are the `rows` of a manifest.

    The digest includes the content of the masks, because a test split with other labels is another test.
    """
    columns = (rows[column].to_pylist() for column in ("id", "image_sha256", "mask_sha256"))
    return split.digest({key: f"{name} {image} {mask}" for key, image, mask in zip(*columns, strict=True)})


def _sum_pixels(rows: pa.Table, classes: int) -> list[int]:
    """Sum the pixels at native size by train id."""
    flat = pc.list_flatten(rows["pixels"]).to_numpy()
    return [int(count) for count in flat.reshape(-1, classes).sum(axis=0)]
