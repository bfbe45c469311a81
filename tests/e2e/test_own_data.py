"""The user's own data through `dvc repro`, with the real dvc.yaml, as a newcomer does it."""

import json

import numpy as np
import pytest
import yaml
from drawing import draw_coco, draw_ids, save

STAGES = ("download", "extract", "validate", "prepare")


def ran(answer):
    return [name for name in ("look", *STAGES) if f"Running stage '{name}@folder'" in answer.stdout]


def test_own_data_are_prepared_and_a_changed_file_is_noticed(bare_project, tmp_path):
    mine = draw_ids(tmp_path / "my data")
    said = bare_project.run("segline", "init", str(mine)).stdout
    assert "dvc repro validate@folder" in said
    content = yaml.safe_load((bare_project.root / "params.yaml").read_text())
    bare_project.set(datasets=["folder"], options={"folder": content["options"]["folder"]})

    assert ran(bare_project.run("dvc", "repro")) == ["look", *STAGES]
    meta = bare_project.root / "data/prepared/folder/meta.json"
    assert {name: split["samples"] for name, split in json.loads(meta.read_text())["splits"].items()} == {
        "train": 19, "validation": 5, "test": 6,
    }  # fmt: skip
    lock = (bare_project.root / "dvc.lock").read_text()
    assert str(mine) not in lock.replace(f"path: {mine}", "")  # but for the parameter

    assert ran(bare_project.run("dvc", "repro")) == ["look"]
    assert (bare_project.root / "dvc.lock").read_text() == lock

    pristine = {path: path.stat().st_mode for path in mine.rglob("*")}
    (mine / "notes.txt").write_text("nothing to do with it")
    assert ran(bare_project.run("dvc", "repro")) == ["look", "download"]
    assert {path: path.stat().st_mode for path in pristine} == pristine  # DVC protects its own copy alone

    save(mine / "masks/s00.png", np.zeros((40, 60), np.uint8))
    assert ran(bare_project.run("dvc", "repro")) == ["look", *STAGES]

    mine.rename(tmp_path / "away")
    answer = bare_project.run("dvc", "repro", "extract@folder")
    assert "prepared data are kept as they are" in answer.stdout


@pytest.mark.slow
def test_a_change_of_own_data_runs_no_stage_of_another_dataset(bare_project, tmp_path):
    """Before, `download` of every dataset ran again: of Cityscapes, 12 GB were read."""
    mine = draw_ids(tmp_path / "mine")
    bare_project.run("segline", "init", str(mine))
    content = yaml.safe_load((bare_project.root / "params.yaml").read_text())
    bare_project.set(datasets=["oxford_pets", "folder"], options=content["options"], dataset="folder")
    bare_project.run("dvc", "repro", "prepare@oxford_pets")
    save(mine / "masks/s00.png", np.zeros((40, 60), np.uint8))
    said = bare_project.run("dvc", "repro", "prepare@folder", "prepare@oxford_pets").stdout
    assert ran(bare_project.run("dvc", "repro", "prepare@folder")) == ["look"]
    assert "Running stage 'download@folder'" in said
    assert not [name for name in STAGES if f"Running stage '{name}@oxford_pets'" in said]


def test_polygons_are_painted_the_same_each_time(bare_project, tmp_path):
    mine = draw_coco(tmp_path / "mine")
    bare_project.run("segline", "init", str(mine))
    bare_project.run("dvc", "repro", "extract@folder")
    lock = (bare_project.root / "dvc.lock").read_text()
    bare_project.run("rm", "-rf", "data", ".dvc/cache")
    bare_project.run("dvc", "repro", "--force", "extract@folder")
    assert (bare_project.root / "dvc.lock").read_text() == lock
