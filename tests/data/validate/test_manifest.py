import hashlib
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from segline.core.labels import Mask
from segline.data.images import manifest
from segline.data.images.decode import read_mask, write_png
from segline.data.images.manifest import SCHEMA, SampleRow, empty_row
from segline.data.images.split import assign
from segline.data.validate.build_manifest import build_manifest, count_ids
from segline.datasets.base import Dataset
from segline.datasets.kitti import DATASET
from segline.errors import DataError
from segline.parallel import forking
from segline.project import Files


def _rows(dataset: Dataset, raw: Path, *, workers: int = 1) -> dict[str, dict[str, object]]:
    return {row["id"]: row for row in _build(dataset, raw, workers=workers).to_pylist()}


def _build(dataset: Dataset, raw: Path, *, workers: int = 1) -> pa.Table:
    pairs = dataset.pairs(raw)
    splits = assign(pairs, validation_share=0.2)
    return build_manifest(dataset, pairs, raw=raw, splits=splits, workers=workers)


def test_a_row_says_what_the_files_are_and_hold(tiny: Dataset, raw: Path) -> None:
    row = _rows(tiny, raw)["test_1"]
    mask = read_mask(raw / "masks/test_1.png")
    assert row["image"] == "images/test_1.png"
    assert (row["split"], row["group"]) == ("test", "test")
    assert (row["image_height"], row["image_width"]) == (row["mask_height"], row["mask_width"]) == (6, 9)
    assert row["image_sha256"] == hashlib.sha256((raw / "images/test_1.png").read_bytes()).hexdigest()
    assert row["pixels"] == [int((mask == item.raw).sum()) for item in tiny.label_map.classes]
    assert row["void_fraction"] == pytest.approx(np.isin(mask, [0, 200]).mean())
    assert (row["illegal_ids"], row["problems"], row["notes"]) == ([], [], [])


def test_equal_folders_give_equal_bytes_on_any_number_of_workers(
    tiny: Dataset, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "FEW", 4)
    for number in range(20):
        for kind in ("images", "masks"):
            shutil.copy(raw / kind / "train_0.png", raw / kind / f"train_{number + 2}.png")
    shutil.copytree(raw, tmp_path / "copy")
    manifest.write(_build(tiny, raw), tmp_path / "a.parquet")
    manifest.write(_build(tiny, tmp_path / "copy", workers=2), tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert b"pandas" not in (pq.read_schema(tmp_path / "a.parquet").metadata or {})


def test_a_row_has_a_column_for_each_of_its_fields() -> None:
    assert list(SampleRow.__annotations__) == SCHEMA.names == list(empty_row("s"))


def test_what_is_written_is_read(tiny: Dataset, raw: Path, tmp_path: Path) -> None:
    table = _build(tiny, raw)
    manifest.write(table, tmp_path / Files.MANIFEST)
    assert manifest.read(tmp_path / Files.MANIFEST).equals(table.select(SCHEMA.names))


def test_a_missing_damaged_or_foreign_manifest_is_told(tmp_path: Path) -> None:
    path = tmp_path / Files.MANIFEST
    with pytest.raises(DataError, match="no manifest"):
        manifest.read(path)
    path.write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match="cannot be read"):
        manifest.read(path)
    pq.write_table(SCHEMA.empty_table().drop_columns(["notes"]), path)
    with pytest.raises(DataError, match=r"columns .*problems, expected columns .*notes"):
        manifest.read(path)


def test_problems_are_written_down_and_not_raised(tiny: Dataset, raw: Path) -> None:
    (raw / "images/train_0.png").unlink()
    (raw / "masks/train_1.png").unlink()
    image = raw / "images/test_0.png"
    image.write_bytes(image.read_bytes()[:60])
    mask = read_mask(raw / "masks/test_1.png").copy()
    mask[:1, :4] = 255
    write_png(raw / "masks/test_1.png", mask[:5])
    rows = _rows(tiny, raw)
    assert rows["train_0"]["problems"] == ["image is missing"]
    assert rows["train_1"]["problems"] == ["mask is missing"]
    assert rows["test_0"]["problems"] == ["image a damaged PNG: cut short after 60 bytes"]
    assert rows["test_0"]["image_sha256"] is not None
    assert rows["test_1"]["problems"] == [
        "image is 6x9, mask 5x9 (height x width)",
        "mask holds illegal ids [255] in 4 pixels",
    ]


def test_oddities_are_notes(tiny: Dataset, raw: Path) -> None:
    Image.open(raw / "images/test_0.png").convert("P").save(raw / "images/test_0.png", "GIF")
    row = _rows(tiny, raw)["test_0"]
    assert row["notes"] == ["GIF P read as RGB"]
    assert row["problems"] == []


@given(mask=arrays.arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 8))))
def test_every_pixel_is_counted_once(mask: Mask) -> None:
    found = count_ids(mask, DATASET.label_map)
    assert sum(found.pixels) + round(found.void_fraction * mask.size) == mask.size
    assert found.illegal_pixels == int((mask > 33).sum())
    assert found.illegal_ids == sorted({int(value) for value in mask[mask > 33]})


@given(mask=arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4)))
def test_border_ids_are_those_between_a_lower_and_a_higher_neighbour(mask: Mask) -> None:
    between = np.zeros(mask.shape, dtype=bool)
    for row, column in np.ndindex(mask.shape):
        for step in ((0, 1), (1, 0)):
            ends = [(row - step[0], column - step[1]), (row + step[0], column + step[1])]
            if all(0 <= one < mask.shape[0] and 0 <= other < mask.shape[1] for one, other in ends):
                low, high = sorted(int(mask[end]) for end in ends)
                between[row, column] |= low < mask[row, column] < high
    counts = np.bincount(mask.ravel(), minlength=256)
    expected = [
        value
        for value in np.flatnonzero(counts).tolist()
        if counts[value] >= 4 and (between & (mask == value)).sum() > 0.8 * counts[value]
    ]
    assert count_ids(mask, DATASET.label_map).border_ids == expected
