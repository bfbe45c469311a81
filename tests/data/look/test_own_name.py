"""The name of own data, which their definition, dataset, experiment and model bear.

Before, the dataset of all own data was ``folder``, and their model ``segline-folder``.
"""

import pytest
from drawing import draw_ids
from listed_datasets import listed

from segline import config, datasets
from segline.data.look.own_name import check_name, derive_name


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("fields", "fields"),
        ("Fields 2024", "fields_2024"),
        ("2024-fields", "data_2024_fields"),
        ("Äcker & Wälder", "acker_walder"),
        ("日本", "data"),
        ("_", "data"),
        ("kitti", "kitti_own"),
        ("Null", "null_own"),
        ("x" * 60, "x" * 40),
    ],
)
def test_a_name_is_made_from_the_folders(tmp_path, folder, name):
    assert derive_name(tmp_path / folder) == name
    assert check_name(name) == name


def test_a_given_name_is_stored_and_stays_and_so_does_the_id(project, tmp_path):
    draw_ids(tmp_path / "mine")
    said = project.run("init", str(tmp_path / "mine"), "--name", "fields")
    assert "fields added to datasets: models are registered as segline-fields" in said
    assert "dvc repro validate@fields" in said
    params, first = project.params(), project.entry("fields")
    project.stages("download", "extract")
    loaded = config.load(project.root / "params.yaml")
    assert datasets.load("fields", loaded.options["fields"], raw=project.raw).model == "fields"
    for options in ([], ["--force"], ["--name", "fields"]):
        said = project.run("init", str(tmp_path / "mine"), *options)
        assert "models are registered" not in said
        assert (project.params(), project.entry("fields")) == (params, first)


def test_a_second_data_set_is_set_up_beside_the_first_which_does_not_change(project, tmp_path):
    """Before, a project had one set of own data: `segline init` on a second folder asked for a second project."""
    for name in ("mine", "other"):
        draw_ids(tmp_path / name)
    project.run("init", str(tmp_path / "mine"), "--name", "fields")
    before = (project.root / "own/fields.yaml").read_bytes()
    project.run("init", str(tmp_path / "other"), "--name", "leaves")
    params = project.params()
    assert params["datasets"] == listed("kitti", "oxford_pets", "cityscapes", "fields", "leaves")
    assert (params["own"], params["dataset"]) == (["fields", "leaves"], "leaves")
    assert (params["options"]["fields"], params["options"]["leaves"]) == ({}, {})
    assert {"fields", "leaves"} <= params["promotion"]["floor"].keys()
    assert (project.root / "own/fields.yaml").read_bytes() == before
    entries = [project.entry(name) for name in params["own"]]
    assert [entry["path"] for entry in entries] == [str(tmp_path / "mine"), str(tmp_path / "other")]
    assert entries[0]["id"] != entries[1]["id"]
    for name in params["own"]:
        for stage in ("look", "download", "extract"):
            project.run("data", stage, name)
        assert (project.root / "data/raw" / name / "_segline/classes.yaml").exists()
    text = (project.root / "params.yaml").read_text()
    project.run("init", str(tmp_path / "mine"))  # again: only what is trained on changes
    assert project.params() == {**params, "dataset": "fields"}
    project.run("init", str(tmp_path / "other"))
    assert (project.root / "params.yaml").read_text() == text


def test_another_name_for_the_same_folder_keeps_the_answers(project, tmp_path):
    mine = draw_ids(tmp_path / "mine")
    project.run("init", str(mine))
    project.answer(test_share=0.3)
    first = project.entry()
    said = project.run("init", str(mine), "--name", "meadows")
    assert "own/meadows.yaml copied from own/mine.yaml, which describes the same folder and stays" in said
    assert project.entry("meadows") == project.entry("mine") == first
    assert project.params()["own"] == ["mine", "meadows"]


def test_a_definition_that_a_person_wrote_is_given_an_id(project, tmp_path):
    mine = draw_ids(tmp_path / "mine")
    project.options(path=str(mine), images="images/*.jpg", masks="masks/*.png")
    project.run("init", str(mine))
    assert project.entry().pop("id")


def test_comments_of_a_definition_stay(project, tmp_path):
    mine = draw_ids(tmp_path / "mine")
    project.run("init", str(mine))
    path = project.root / "own/mine.yaml"
    path.write_text(path.read_text().replace("images:", "# taken in May\nimages:"))
    for options in (["--follow-links"], ["--force"]):
        project.run("init", str(mine), *options)
        assert "# taken in May" in path.read_text()


@pytest.mark.parametrize(
    "name", ["", "Fields", "2fields", "my-fields", "fields/x", "é", "x" * 41, "kitti", "null", "no"]
)
def test_a_wrong_name_is_refused_with_what_a_name_is_and_nothing_is_written(project, tmp_path, name):
    """The last two are no text in YAML."""
    draw_ids(tmp_path / "mine")
    said = project.run("init", str(tmp_path / "mine"), "--name", name, fails=True)
    wanted = {"kitti": "a name that no public dataset has"} | dict.fromkeys(
        ("null", "no"), "a name that YAML reads as text"
    )
    assert f"--name: {name!r}, expected {wanted.get(name, 'a lower-case letter, then up to 39')}" in said
    assert not (tmp_path / "mine/classes.yaml").exists()
    assert project.params()["own"] == []


def test_a_wrong_name_in_params_is_refused_with_its_line(project, tmp_path):
    project.options(path=str(tmp_path))
    text = (project.root / "params.yaml").read_text()
    (project.root / "params.yaml").write_text(text.replace("mine: own/mine.yaml", "My fields: own/My fields.yaml"))
    said = project.run("data", "look", "mine", fails=True)
    assert "datasets.My fields: 'My fields', expected a lower-case letter" in said


def test_a_question_about_the_second_data_set_names_its_own_file(project, tmp_path):
    draw_ids(tmp_path / "mine")
    project.run("init", str(tmp_path / "mine"))
    other = draw_ids(tmp_path / "other")
    for path in other.glob("masks/*.png"):
        path.rename(other / f"{path.stem}_b.png")
    project.answer("leaves", images="images/*.jpg")
    said = project.run("init", str(other), "--name", "leaves", fails=True)
    assert "own/leaves.yaml masks: nothing, but `images: images/*.jpg`" in said
    project.answer("leaves", masks="*_b.png")
    project.run("init", str(other), "--name", "leaves")
    assert project.entry("leaves")["masks"] == "*_b.png"
    (other / "images").rename(other / "pictures")
    said = project.run("data", "download", "leaves", fails=True)
    assert "correct `images` in own/leaves.yaml" in said
    assert "own/NAME" not in said


def test_an_init_that_was_killed_before_params_yaml_was_written_is_completed(project, tmp_path):
    draw_ids(tmp_path / "mine")
    before = (project.root / "params.yaml").read_bytes()
    project.run("init", str(tmp_path / "mine"))
    after, entry = project.params(), project.entry()
    (project.root / "params.yaml").write_bytes(before)
    project.run("init", str(tmp_path / "mine"))
    assert (project.params(), project.entry("mine")) == (after, entry)


def test_commands_take_the_name_and_refuse_others(project, tmp_path):
    draw_ids(tmp_path / "mine")
    project.run("init", str(tmp_path / "mine"))
    assert "'mime', expected 'mine'?" in project.run("data", "look", "mime", fails=True)
    said = project.run("data", "look", "kitti", fails=True)
    assert "no kitti, because it is public" in said
    masks = str(tmp_path / "mine/masks")
    said = project.run("score", "--prediction", masks, "--truth", masks, "--dataset", "mime", fails=True)
    assert "--dataset: 'mime', expected 'mine'?" in said
