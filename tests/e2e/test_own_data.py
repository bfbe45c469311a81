"""The user's own data through `dvc repro`, with the real dvc.yaml, as a newcomer does it."""

import json

import numpy as np
import pytest
from drawing import draw_coco, draw_ids, save
from listed_datasets import listed

STAGES = ("download", "extract", "validate", "prepare")


def ran(answer, dataset):
    return [name for name in ("look", *STAGES) if f"Running stage '{name}@{dataset}'" in answer.stdout]


def test_own_data_are_prepared_and_a_changed_file_is_noticed(bare_project, tmp_path):
    mine = draw_ids(tmp_path / "my data")
    said = bare_project.run("segline", "init", str(mine)).stdout
    assert "dvc repro validate@my_data" in said
    bare_project.set(datasets=listed("my_data"), options={"my_data": {}})

    assert ran(bare_project.run("dvc", "repro"), "my_data") == ["look", *STAGES]
    meta = bare_project.root / "data/prepared/my_data/meta.json"
    assert {name: split["samples"] for name, split in json.loads(meta.read_text())["splits"].items()} == {
        "train": 19, "validation": 5, "test": 6,
    }  # fmt: skip
    lock = (bare_project.root / "dvc.lock").read_text()
    assert str(mine) not in lock  # before, the parameter `options.folder.path` was

    assert ran(bare_project.run("dvc", "repro"), "my_data") == ["look"]
    assert (bare_project.root / "dvc.lock").read_text() == lock

    pristine = {path: path.stat().st_mode for path in mine.rglob("*")}
    (mine / "notes.txt").write_text("nothing to do with it")
    assert ran(bare_project.run("dvc", "repro"), "my_data") == ["look", "download"]
    assert {path: path.stat().st_mode for path in pristine} == pristine  # DVC protects its own copy alone

    save(mine / "masks/s00.png", np.zeros((40, 60), np.uint8))
    assert ran(bare_project.run("dvc", "repro"), "my_data") == ["look", *STAGES]

    mine.rename(tmp_path / "away")
    answer = bare_project.run("dvc", "repro", "extract@my_data")
    assert "prepared data are kept as they are" in answer.stdout


@pytest.mark.slow
def test_a_change_of_own_data_runs_no_stage_of_another_dataset(bare_project, tmp_path):
    """Before, `download` of every dataset ran again: of Cityscapes, 12 GB were read."""
    mine = draw_ids(tmp_path / "mine")
    bare_project.run("segline", "init", str(mine))
    bare_project.run("dvc", "repro", "prepare@oxford_pets")
    save(mine / "masks/s00.png", np.zeros((40, 60), np.uint8))
    said = bare_project.run("dvc", "repro", "prepare@mine", "prepare@oxford_pets").stdout
    assert ran(bare_project.run("dvc", "repro", "prepare@mine"), "mine") == ["look"]
    assert "Running stage 'download@mine'" in said
    assert not [name for name in STAGES if f"Running stage '{name}@oxford_pets'" in said]


@pytest.mark.slow
def test_each_own_data_set_runs_its_own_stages_alone(bare_project, tmp_path):
    """A second set, its definition and its files touch nothing of the first, and `dvc status` is quiet after a run."""
    places = {name: draw_ids(tmp_path / name) for name in ("fields", "leaves")}

    def repro(*stages):
        answer = bare_project.run("dvc", "repro", *stages)
        return {name: ran(answer, name) for name in ("fields", "leaves", "oxford_pets")}

    def status():
        lines = bare_project.run("dvc", "status").stdout.splitlines()
        return [line.rstrip(":") for line in lines if line and not line.startswith(("\t", " "))]

    bare_project.run("segline", "init", str(places["fields"]))
    assert repro() == {"fields": ["look", *STAGES], "leaves": [], "oxford_pets": [*STAGES]}
    assert status() == ["look@fields"]  # always asked
    said = bare_project.run("segline", "init", str(places["leaves"])).stdout
    assert "leaves added to datasets" in said
    assert repro("prepare@leaves")["leaves"] == ["look", *STAGES]
    assert repro() == {"fields": ["look"], "leaves": ["look"], "oxford_pets": []}
    assert status() == ["look@fields", "look@leaves"]

    definition = bare_project.root / "own/leaves.yaml"
    definition.write_text(definition.read_text() + "test_share: 0.3\n")
    said = bare_project.run("segline", "train", check=False)  # before, options in params.yaml were compared
    assert "ran with another own/leaves.yaml" in said.stderr
    assert repro() == {"fields": ["look"], "leaves": ["look", *STAGES], "oxford_pets": []}
    save(places["fields"] / "masks/s00.png", np.zeros((40, 60), np.uint8))
    assert repro() == {"fields": ["look", *STAGES], "leaves": ["look"], "oxford_pets": []}
    assert status() == ["look@fields", "look@leaves"]


def test_polygons_are_painted_the_same_each_time(bare_project, tmp_path):
    mine = draw_coco(tmp_path / "mine")
    bare_project.run("segline", "init", str(mine))
    bare_project.run("dvc", "repro", "extract@mine")
    lock = (bare_project.root / "dvc.lock").read_text()
    bare_project.run("rm", "-rf", "data", ".dvc/cache")
    bare_project.run("dvc", "repro", "--force", "extract@mine")
    assert (bare_project.root / "dvc.lock").read_text() == lock
