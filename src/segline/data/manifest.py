"""The manifest: one Parquet row a sample, what its files are and hold.

Each file is read once: bytes -> SHA-256 -> pixels -> histogram. What is wrong with a sample is
written down in its row and judged by `segline.data.checks`; nothing is raised here for it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from segline.core.coding import Colours
from segline.core.labels import LabelMap, Mask
from segline.data.images import decode_image, decode_mask
from segline.data.parallel import map_samples
from segline.data.progress import Report, silent
from segline.datasets.base import Dataset, Pair, Split
from segline.errors import DataError

FILE_NAME = "manifest.parquet"

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("group", pa.string()),
        ("image", pa.string()),  # posix path relative to the raw folder; null where it is missing
        ("mask", pa.string()),
        ("image_height", pa.int32()),
        ("image_width", pa.int32()),
        ("mask_height", pa.int32()),
        ("mask_width", pa.int32()),
        ("image_sha256", pa.string()),
        ("mask_sha256", pa.string()),
        ("void_fraction", pa.float64()),  # share of the mask's pixels that no class counts
        ("pixels", pa.list_(pa.int64())),  # by train id
        ("illegal_ids", pa.list_(pa.int64())),  # raw ids that the label map does not allow
        ("illegal_pixels", pa.int64()),
        ("image_error", pa.string()),  # why the file cannot be read; null where it can
        ("mask_error", pa.string()),
        ("problems", pa.list_(pa.string())),
        ("notes", pa.list_(pa.string())),  # unusual but harmless
    ]
)


def build(
    dataset: Dataset,
    pairs: Sequence[Pair],
    *,
    raw: Path,
    splits: Mapping[str, Split],
    workers: int,
    report: Report = silent,
) -> pa.Table:
    """Look at every file of `pairs` under `raw`.

    Returns:
        A table of `SCHEMA`, a row a pair, sorted by id.
    """
    examine = partial(_examine, raw=raw, label_map=dataset.label_map, colours=dataset.colours)
    ordered = sorted(pairs, key=lambda pair: pair.id)
    rows = map_samples(examine, ordered, workers=workers, description=f"validate {dataset.name}", report=report)
    for pair, row in zip(ordered, rows, strict=True):
        row["split"] = splits.get(pair.id)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def write(table: pa.Table, path: Path) -> None:
    """Write `table`; equal tables give equal bytes."""
    pq.write_table(table, path, compression="zstd", compression_level=3, row_group_size=1 << 20)


def read(path: Path) -> pa.Table:
    """Read what `write` wrote.

    Raises:
        DataError: it is missing, no Parquet file, or of another form.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise DataError(
            path, found="no manifest", expected="the output of the validate stage", remedy="run dvc repro"
        ) from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            path, found=f"cannot be read: {error}", expected="a Parquet file", remedy="run dvc repro"
        ) from error
    if not table.schema.equals(SCHEMA):
        raise DataError(
            path,
            found=f"columns {', '.join(table.column_names)}",
            expected=f"columns {', '.join(SCHEMA.names)} of this version's types",
            remedy="run dvc repro",
        )
    return table


def _examine(pair: Pair, *, raw: Path, label_map: LabelMap, colours: Colours | None) -> dict[str, Any]:
    """One row, its split still to be filled in."""
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {"id": pair.id, "group": pair.group, "image": pair.image, "mask": pair.mask}
    row |= {"illegal_ids": [], "illegal_pixels": 0, "notes": []}
    row |= _image_facts(raw / pair.image) if pair.image is not None else {}
    row |= _mask_facts(raw / pair.mask, label_map, colours) if pair.mask is not None else {}
    row["problems"] = _problems(row)
    return row


def _image_facts(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    try:
        data = path.read_bytes()
        facts["image_sha256"] = hashlib.sha256(data).hexdigest()
        decoded = decode_image(data, place=path)
    except DataError as error:
        return facts | {"image_error": error.found}
    except OSError as error:
        return facts | {"image_error": f"cannot be read: {error.strerror}"}
    height, width = decoded.pixels.shape[:2]
    return facts | {"image_height": height, "image_width": width, "notes": list(decoded.notes)}


def _mask_facts(path: Path, label_map: LabelMap, colours: Colours | None) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    try:
        data = path.read_bytes()
        facts["mask_sha256"] = hashlib.sha256(data).hexdigest()
        mask = decode_mask(data, place=path, colours=colours)
    except DataError as error:
        return facts | {"mask_error": error.found}
    except OSError as error:
        return facts | {"mask_error": f"cannot be read: {error.strerror}"}
    return facts | {"mask_height": mask.shape[0], "mask_width": mask.shape[1]} | _contents(mask, label_map)


def _contents(mask: Mask, label_map: LabelMap) -> dict[str, Any]:
    histogram: npt.NDArray[np.int64] = np.bincount(mask.ravel(), minlength=256).astype(np.int64)
    pixels = [int(histogram[list(item.ids)].sum()) for item in label_map.classes]
    illegal = label_map.illegal(histogram)
    return {
        "pixels": pixels,
        "void_fraction": 1.0 - sum(pixels) / mask.size,
        "illegal_ids": illegal,
        "illegal_pixels": int(histogram[illegal].sum()),
    }


def _problems(row: Mapping[str, Any]) -> list[str]:
    found = [f"{kind} is missing" for kind in ("image", "mask") if row[kind] is None]
    found += [f"{kind} {row[f'{kind}_error']}" for kind in ("image", "mask") if row[f"{kind}_error"] is not None]
    sizes = [(row[f"{kind}_height"], row[f"{kind}_width"]) for kind in ("image", "mask")]
    if None not in sizes[0] + sizes[1] and sizes[0] != sizes[1]:
        found.append(f"image is {sizes[0][0]}x{sizes[0][1]}, mask {sizes[1][0]}x{sizes[1][1]} (height x width)")
    if row["illegal_ids"]:
        found.append(f"mask holds illegal ids {row['illegal_ids']} in {row['illegal_pixels']} pixels")
    return found
