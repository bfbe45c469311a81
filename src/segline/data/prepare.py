"""Decode once: manifest -> few large memory-mapped files a split.

Layout of a prepared folder::

    index.parquet           one row a sample: id, split, sizes, offsets into the files below
    <split>.images          uint8, HWC RGB, scaled, one after another
    <split>.masks           uint8, HW train ids, scaled like the images: what training looks at
    <split>.labels          uint8, HW train ids, native size: what scores are counted on (none for train)
    meta.json               what it was made with, and digests of splits and label map

Nothing in it depends on time or machine, so equal inputs give equal digests in ``dvc.lock``.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from segline.core.labels import Image, Mask
from segline.data import manifest, split
from segline.data.images import read_image, read_mask
from segline.data.parallel import stream_samples
from segline.data.scale import scale_image, scale_mask
from segline.datasets.base import SPLITS, Dataset, Split
from segline.errors import ConfigError, DataError
from segline.storage import atomic_folder

FORMAT = 1
SCORED: tuple[Split, ...] = ("validation", "test")

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
        ("label_offset", pa.int64()),
    ]
)


def prepare(
    dataset: Dataset,
    *,
    raw: Path,
    manifest_folder: Path,
    folder: Path,
    short_side: int,
    workers: int,
    report: Callable[[str], None],
) -> None:
    """Fill `folder` from the validated manifest and the raw files.

    Raises:
        DataError: a file changed or vanished since it was validated.
        StorageError: the disk is full.
    """
    rows = sorted(manifest.read(manifest_folder / manifest.FILE_NAME).to_pylist(), key=lambda row: str(row["id"]))
    decode = partial(_decode, dataset=dataset, raw=raw, short_side=short_side)
    with atomic_folder(folder) as partial_folder:
        writer = _Writer(partial_folder)
        try:
            what = f"prepare {dataset.name}"
            decoded = stream_samples(decode, rows, workers=workers, description=what, report=report)
            for row, (image, mask, label) in zip(rows, decoded, strict=True):
                writer.add(row, image, mask, label)
        finally:
            writer.close()
        pq.write_table(pa.Table.from_pylist(writer.index, schema=_SCHEMA), partial_folder / "index.parquet")
        meta = _meta(dataset, writer.index, rows, short_side)
        (partial_folder / "meta.json").write_text(json.dumps(meta, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    counts = ", ".join(f"{name} {meta['splits'][name]['samples']}" for name in SPLITS)
    report(f"{dataset.name}: prepared {len(rows)} samples ({counts}) at short side {short_side}")


def _decode(row: dict[str, Any], *, dataset: Dataset, raw: Path, short_side: int) -> tuple[Image, Mask, Mask]:
    image = read_image(raw / row["image"])
    label = dataset.label_map.encode(read_mask(raw / row["mask"], colours=dataset.colours))
    if image.shape[:2] != label.shape or label.shape != (row["mask_height"], row["mask_width"]):
        raise DataError(
            raw / row["mask"],
            found=f"mask {label.shape}, image {image.shape[:2]}",
            expected=f"the validated size ({row['mask_height']}, {row['mask_width']})",
            remedy="the raw files changed since `validate`: run dvc repro",
        )
    return scale_image(image, short_side=short_side), scale_mask(label, short_side=short_side), label


class _Writer:
    """Appends samples to the files of their split and keeps the index."""

    def __init__(self, folder: Path) -> None:
        self.index: list[dict[str, Any]] = []
        self._files: dict[tuple[str, str], BinaryIO] = {
            (name, kind): (folder / f"{name}.{kind}").open("wb")
            for name in SPLITS
            for kind in ("images", "masks", *(["labels"] if name in SCORED else []))
        }

    def add(self, row: dict[str, Any], image: Image, mask: Mask, label: Mask) -> None:
        """Append one sample."""
        name = row["split"]
        self.index.append(
            {
                "id": row["id"],
                "split": name,
                "group": row["group"],
                "height": image.shape[0],
                "width": image.shape[1],
                "native_height": label.shape[0],
                "native_width": label.shape[1],
                "image_offset": self._append(name, "images", image),
                "mask_offset": self._append(name, "masks", mask),
                "label_offset": self._append(name, "labels", label) if name in SCORED else -1,
            }
        )

    def _append(self, name: str, kind: str, array: Image | Mask) -> int:
        handle = self._files[name, kind]
        offset = handle.tell()
        handle.write(np.ascontiguousarray(array).data)
        return offset

    def close(self) -> None:
        """Close every file; a full disk shows here at the latest."""
        for handle in self._files.values():
            handle.close()


def _meta(dataset: Dataset, index: list[dict[str, Any]], rows: list[dict[str, Any]], short_side: int) -> dict[str, Any]:
    members: defaultdict[str, dict[str, str]] = defaultdict(dict)
    pixels = {name: np.zeros(len(dataset.label_map), dtype=np.int64) for name in SPLITS}
    for row in rows:
        # The mask's content belongs to the split's identity: a relabelled image is another test.
        members[row["split"]][row["id"]] = f"{row['split']} {row['image_sha256']} {row['mask_sha256']}"
        pixels[row["split"]] += np.asarray(row["pixels"], dtype=np.int64)
    return {
        "format": FORMAT,
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "label_map": dataset.label_map.digest,
        "short_side": short_side,
        "splits": {
            name: {
                "samples": sum(entry["split"] == name for entry in index),
                "digest": split.digest(members[name]),
                "pixels": pixels[name].tolist(),
            }
            for name in SPLITS
        },
    }


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
        self._rows = pq.read_table(folder / "index.parquet").to_pylist()

    def check(self, dataset: Dataset, *, short_side: int) -> None:
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
        return PreparedSplit(self.folder, name, [row for row in self._rows if row["split"] == name], self.meta)


class PreparedSplit:
    """Samples of one split by position."""

    def __init__(self, folder: Path, name: str, rows: list[dict[str, Any]], meta: dict[str, Any]) -> None:
        self.name = name
        self.digest: str = meta["splits"][name]["digest"]
        self.protocol: str = meta["protocol"]
        self.label_map: str = meta["label_map"]
        self.pixels: list[int] = meta["splits"][name]["pixels"]
        self.ids: list[str] = [row["id"] for row in rows]
        self.short_side: int = meta["short_side"]
        self._rows = rows
        self._images = _map(folder / f"{name}.images")
        self._masks = _map(folder / f"{name}.masks")
        self._labels = _map(folder / f"{name}.labels") if name in SCORED else None

    def __len__(self) -> int:
        return len(self._rows)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of a scaled image."""
        return self._rows[index]["height"], self._rows[index]["width"]

    def image(self, index: int) -> Image:
        """Scaled image, uint8 (h, w, 3), a read-only view."""
        height, width = self.size(index)
        return self._view(self._images, self._rows[index]["image_offset"], (height, width, 3))

    def mask(self, index: int) -> Mask:
        """Scaled mask, uint8 (h, w) train ids, a read-only view."""
        return self._view(self._masks, self._rows[index]["mask_offset"], self.size(index))

    def label(self, index: int) -> Mask:
        """Native mask, uint8 (H, W) train ids, a read-only view.

        Raises:
            ValueError: this split is not scored.
        """
        if self._labels is None:
            raise ValueError(f"the {self.name} split has no native labels: it is not scored")
        row = self._rows[index]
        return self._view(self._labels, row["label_offset"], (row["native_height"], row["native_width"]))

    def rescaled(self, *, raw: Path, manifest_folder: Path, short_side: int) -> "RescaledSplit":
        """The same samples and native labels, with images at another scale, decoded from the raw files."""
        rows = manifest.read(manifest_folder / manifest.FILE_NAME).to_pylist()
        return RescaledSplit(self, {row["id"]: raw / row["image"] for row in rows}, short_side=short_side)

    @staticmethod
    def _view(flat: Image, offset: int, shape: tuple[int, ...]) -> Image:
        return flat[offset : offset + int(np.prod(shape))].reshape(shape)


class RescaledSplit:
    """A split for a network that was trained on another scale than this one was prepared at."""

    def __init__(self, split: PreparedSplit, files: dict[str, Path], *, short_side: int) -> None:
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


def _map(path: Path) -> Image:
    """Memory-map uint8; an empty split has an empty file, which cannot be mapped."""
    if path.stat().st_size == 0:
        return np.zeros(0, dtype=np.uint8)
    return np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
