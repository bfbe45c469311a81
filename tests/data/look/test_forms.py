"""One dataset in every form a user's may have: `segline init`, then the stages, then the very same masks."""

import json

import numpy as np
import pytest
from drawing import FORMS, NAMES, samples

from segline.data.prepare.prepared import Prepared

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

SPLITS = {  # form -> samples in train, validation, test
    "palette and lists": (18, 6, 6),
    "colours and folders": (18, 6, 6),
    "COCO a split": (12, 15, 3),
    "CSV": (18, 6, 6),
}
CLASSES = {"binary": ["background", "foreground"], "LabelMe": ["background", "car", "road"]}
NAMELESS = ("ids", "ids beside", "CSV")


@pytest.mark.parametrize("form", FORMS)
def test_what_init_writes_simply_works(project, tmp_path, form):
    FORMS[form](tmp_path / "my data")
    said = project.run("init", str(tmp_path / "my data"))
    assert "30 of 30 samples have image and mask" in " ".join(said.split())
    assert f"dvc repro validate@{project.name}" in said
    project.stages("download", "extract", "validate", "prepare")

    prepared = Prepared(project.root / "data/prepared" / project.name)
    sizes = tuple(len(prepared.split(name)) for name in ("train", "validation", "test"))
    assert sizes == SPLITS.get(form, (19, 5, 6))
    verdict = json.loads((project.root / "data/manifest" / project.name / "validation.json").read_text())
    names = list(verdict["pixels"])
    expected = CLASSES.get(form, list(NAMES))
    assert names == (["background", "class_1", "class_2"] if form in NAMELESS else expected)

    drawn = {name: mask for name, _, mask in samples()}
    order = [expected.index(name) for name in NAMES] if form != "binary" else [0, 1, 1]
    seen = 0
    for split in (prepared.split(name) for name in ("validation", "test")):
        for place, name in enumerate(split.ids):
            mask = drawn[name.rpartition("/")[2]]
            assert np.array_equal(split.label(place), np.array(order, np.uint8)[mask]), name
            seen += 1
    assert seen == sum(sizes[1:])


def test_groups_of_a_csv_stay_together(project, tmp_path):
    FORMS["CSV"](tmp_path / "mine")
    table = tmp_path / "mine/table.csv"
    lines = table.read_text("utf-8-sig").splitlines()
    table.write_text("\n".join(";".join([*line.split(";")[:2], "", line.split(";")[3]]) for line in lines[1:]))
    table.write_text("image;mask;split;group\n" + table.read_text())
    project.run("init", str(tmp_path / "mine"))
    project.stages("download", "extract", "validate")
    import pyarrow.parquet as pq

    rows = pq.read_table(project.root / "data/manifest" / project.name / "manifest.parquet").to_pylist()
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    for group in {row["group"] for row in rows}:
        assert len({row["split"] for row in rows if row["group"] == group}) == 1
