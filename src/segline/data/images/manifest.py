"""Read and write the manifest: a Parquet file with one row per sample, which describes its image and mask.

`segline.data.validate.build_manifest` builds it; preparation and scores read it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, cast

import pyarrow as pa
import pyarrow.parquet as pq

from segline.errors import DataError


class SampleRow(TypedDict):
    """One row of the manifest, as Python values. Fields that describe a missing or unreadable file are None."""

    id: str
    split: str | None
    group: str
    image: str | None  # posix path relative to the raw folder; None where it is missing
    mask: str | None
    image_height: int | None
    image_width: int | None
    mask_height: int | None
    mask_width: int | None
    image_sha256: str | None
    mask_sha256: str | None
    image_hash: str | None  # perceptual, 16 hex digits
    raw_ids: list[int]  # ids in the mask
    border_ids: list[int]  # ids that occur (almost) only between two others: residue of interpolation
    palette_ids: list[int]  # indices in the mask's file; empty if it has no palette
    palette_colours: list[int]  # their colours, as in `segline.data.images.palettes`
    void_fraction: float | None  # share of the mask's pixels that belong to no class
    pixels: list[int] | None  # pixel count by train id
    fit: float | None  # share of the image's colour variance that its mask explains
    fit_previous: float | None  # the same with the mask of the sample before, by id
    fit_next: float | None
    illegal_ids: list[int]  # raw ids that the label map does not allow
    illegal_pixels: int
    image_error: str | None  # why the file cannot be read; None if it can
    mask_error: str | None
    problems: list[str]
    notes: list[str]  # unusual but harmless


SCHEMA = pa.schema(
    [
        *[(name, pa.string()) for name in ("id", "split", "group", "image", "mask")],
        *[(name, pa.int32()) for name in ("image_height", "image_width", "mask_height", "mask_width")],
        *[(name, pa.string()) for name in ("image_sha256", "mask_sha256", "image_hash")],
        *[(name, pa.list_(pa.int64())) for name in ("raw_ids", "border_ids", "palette_ids", "palette_colours")],
        ("void_fraction", pa.float64()),
        ("pixels", pa.list_(pa.int64())),
        *[(name, pa.float64()) for name in ("fit", "fit_previous", "fit_next")],
        ("illegal_ids", pa.list_(pa.int64())),
        ("illegal_pixels", pa.int64()),
        *[(name, pa.string()) for name in ("image_error", "mask_error")],
        *[(name, pa.list_(pa.string())) for name in ("problems", "notes")],
    ]
)
"""Columns of the Parquet file; `SampleRow` explains them."""


def empty_row(sample: str) -> SampleRow:
    """Make a row for the sample `sample` with all other fields empty."""
    row = dict.fromkeys(SCHEMA.names) | {"id": sample, "group": "", "illegal_pixels": 0}
    lists = ("raw_ids", "border_ids", "palette_ids", "palette_colours", "illegal_ids", "problems", "notes")
    row |= {name: [] for name in lists}
    return cast(SampleRow, row)


def write(table: pa.Table, path: Path) -> None:
    """Write `table` to `path`; equal tables give equal bytes."""
    pq.write_table(table.combine_chunks(), path, compression="zstd", compression_level=3, row_group_size=1 << 20)


def read(path: Path, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a manifest that `write` wrote, with all its columns or only `columns`.

    Raises:
        DataError: the file is missing, is not Parquet, or has other columns than `SCHEMA`.
    """
    try:
        with pq.ParquetFile(path) as file:  # `read_table` would load a dataset engine of 40 MB
            schema = file.schema_arrow
            table = file.read(columns=columns, use_threads=False) if schema.equals(SCHEMA) else None
        pa.default_memory_pool().release_unused()  # decoding needed several times the memory of the table
    except FileNotFoundError as error:
        raise DataError(
            path, found="no manifest", expected="the output of the validate stage", remedy="run dvc repro"
        ) from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            path, found=f"cannot be read: {error}", expected="a Parquet file", remedy="run dvc repro"
        ) from error
    if table is None:
        raise DataError(
            path,
            found=f"columns {', '.join(schema.names)}",
            expected=f"columns {', '.join(SCHEMA.names)} of this version's types",
            remedy="run dvc repro",
        )
    return table
