"""The name of own data, which their experiment and their model bear.

Before, all own data were registered as ``segline-folder``.
"""

import pytest
from drawing import draw_ids

from segline import config, datasets
from segline.data.look.own_name import derive_name


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
        ("folder", "folder_own"),
        ("x" * 60, "x" * 40),
    ],
)
def test_a_name_is_made_from_the_folders(tmp_path, folder, name):
    assert derive_name(tmp_path / folder) == name
    config.Options(path="x", name=name)  # params.yaml takes it


def test_a_given_name_is_stored_and_stays_and_so_does_the_id(project, tmp_path):
    draw_ids(tmp_path / "mine")
    said = project.run("init", str(tmp_path / "mine"), "--name", "fields")
    assert "options.folder.name fields: models are registered as segline-fields" in said
    first = project.params()["options"]["folder"]
    project.stages("download", "extract")
    params = config.load(project.root / "params.yaml")
    assert datasets.load("folder", params.options["folder"], raw=project.raw).model == "fields"
    for options in ([], ["--force"]):
        said = project.run("init", str(tmp_path / "mine"), *options)
        assert "models are registered" not in said
        assert project.params()["options"]["folder"] == first
    project.run("init", str(tmp_path / "mine"), "--name", "meadows")
    assert project.params()["options"]["folder"] == first | {"name": "meadows"}


def test_another_folder_has_its_own_name_and_id(project, tmp_path):
    for name in ("mine", "other"):
        draw_ids(tmp_path / name)
    project.run("init", str(tmp_path / "mine"))
    first = project.params()["options"]["folder"]
    project.run("init", str(tmp_path / "other"), "--force")
    second = project.params()["options"]["folder"]
    assert (first["name"], second["name"]) == ("mine", "other")
    assert first["id"] != second["id"]


def test_an_entry_that_a_person_wrote_is_given_name_and_id(project, tmp_path):
    mine = draw_ids(tmp_path / "mine")
    project.options(path=str(mine), images="images/*.jpg", masks="masks/*.png")
    project.run("init", str(mine))
    entry = project.params()["options"]["folder"]
    assert entry["name"] == "mine"
    assert entry["id"]


@pytest.mark.parametrize("name", ["", "Fields", "2fields", "my-fields", "fields/x", "é", "x" * 41, "kitti", "folder"])
def test_a_wrong_name_is_refused_with_what_a_name_is_and_nothing_is_written(project, tmp_path, name):
    draw_ids(tmp_path / "mine")
    said = project.run("init", str(tmp_path / "mine"), "--name", name, fails=True)
    wanted = (
        "a name that no public dataset has" if name in ("kitti", "folder") else "a lower-case letter, then up to 39"
    )
    assert f"--name: {name!r}, expected {wanted}" in said
    assert not (tmp_path / "mine/classes.yaml").exists()
    assert "folder" not in project.params()["options"]


def test_a_wrong_name_in_params_is_refused_with_its_line(project, tmp_path):
    project.options(path=str(tmp_path), name="My fields")
    said = project.run("data", "look", "folder", fails=True)
    assert "options.folder.name: found 'My fields', expected a lower-case letter" in said
