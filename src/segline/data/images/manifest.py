"""Read and write the manifest: one Parquet row a sample, what its files are and hold.

`segline.data.validate.build_manifest` builds it; preparation and scores read it.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from segline.errors import DataError

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
        ("image_hash", pa.string()),  # perceptual, 16 hex digits
        ("raw_ids", pa.list_(pa.int64())),  # ids that the mask holds
        ("border_ids", pa.list_(pa.int64())),  # those that lie only between two others, as interpolation leaves them
        ("void_fraction", pa.float64()),  # share of the mask's pixels that no class counts
        ("pixels", pa.list_(pa.int64())),  # by train id
        ("fit", pa.float64()),  # share of the image's colour variance that its mask explains
        ("fit_previous", pa.float64()),  # the same with the mask of the sample before, by id
        ("fit_next", pa.float64()),
        ("illegal_ids", pa.list_(pa.int64())),  # raw ids that the label map does not allow
        ("illegal_pixels", pa.int64()),
        ("image_error", pa.string()),  # why the file cannot be read; null where it can
        ("mask_error", pa.string()),
        ("problems", pa.list_(pa.string())),
        ("notes", pa.list_(pa.string())),  # unusual but harmless
    ]
)


def write(table: pa.Table, path: Path) -> None:
    """Write `table`; equal tables give equal bytes."""
    pq.write_table(table.combine_chunks(), path, compression="zstd", compression_level=3, row_group_size=1 << 20)


def read(path: Path, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read what `write` wrote, all of it or some columns.

    Raises:
        DataError: it is missing, no Parquet file, or of another form.
    """
    try:
        with pq.ParquetFile(path) as file:  # `read_table` would load its dataset engine, 40 MB, for it
            schema = file.schema_arrow
            table = file.read(columns=columns, use_threads=False) if schema.equals(SCHEMA) else None
        pa.default_memory_pool().release_unused()  # decoding took several times what is left
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
