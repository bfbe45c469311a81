"""Names of classes that are stale, unused, or say two things. The docstring of a test says what happened before."""

import json

import numpy as np
import pytest
import yaml
from drawing import COLOURS, NAMES, as_binary, as_colours, draw_coco, draw_ids, draw_labelme, samples, save

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

COUNT = 12
ROBOFLOW = "Pixel Value, Class\n0, background\n1, road\n2, car\n"


def names(folder):
    return {row["id"]: row["name"] for row in yaml.safe_load((folder / "classes.yaml").read_text())["classes"]}


@pytest.mark.parametrize("command", ["score", pytest.param("data validate", marks=pytest.mark.slow)])
def test_a_stale_class_table_stops(project, mine, tmp_path, command):
    """Before: B was scored with the classes of A."""
    draw_ids(mine, count=COUNT)
    (mine / "classes.txt").write_text("sky\nroof\ntree\n")
    project.run("init", str(mine))
    project.stages("download", "extract")
    other = draw_ids(tmp_path / "other", count=COUNT)
    (other / "classes.txt").write_text("ground\nroad\ncar\n")
    project.run("init", str(other), "--name", "mine", "--force")
    masks = str(other / "masks")
    called = {
        "score": ("score", "--prediction", masks, "--truth", masks, "--dataset", project.name),
        "data validate": ("data", "validate", project.name),
    }[command]
    said = project.run(*called, fails=True)
    assert f"{other}/classes.yaml: this project's data were read with other classes" in said
    assert "now 0 ground, 1 road, 2 car; then 0 sky, 1 roof, 2 tree" in said
    assert "run `dvc repro extract@mine`" in said
    project.stages("download", "extract")
    project.run("score", "--prediction", masks, "--truth", masks, "--dataset", project.name)


def test_roboflows_classes_are_read(project, mine):
    """Before: class_1, class_2."""
    for number, (name, picture, mask) in enumerate(samples(COUNT)):
        split = ("train", "train", "valid", "test")[number % 4]
        save(mine / split / f"{name}.jpg", picture, quality=95)
        save(mine / split / f"{name}_mask.png", mask)
        (mine / split / "_classes.csv").write_text(ROBOFLOW)
    said = " ".join(project.run("init", str(mine)).split())
    assert names(mine) == dict(enumerate(NAMES))
    assert "names from test/_classes.csv" in said
    (mine / "valid/_classes.csv").write_text(ROBOFLOW.replace("1, road\n2, car", "1, car\n2, road"))
    said = project.run("init", str(mine), fails=True)
    assert "valid/_classes.csv: id 1 for 'car', but test/_classes.csv has it for 'road'" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("filename, cat, dog\na.jpg, 0, 1\n", "no class names were found"),
        ("Pixel Value, Class\n0, background\n1, road\n", "has no name for the ids 2"),
    ],
    ids=["of whole images", "an id is missing"],
)
def test_other_files_of_roboflow(project, mine, text, said):
    draw_ids(mine, count=COUNT)
    (mine / "_classes.csv").write_text(text)
    assert said in " ".join(project.run("init", str(mine)).split())


def test_ids_of_two_names_stop(project, mine):
    draw_ids(mine, count=COUNT)
    (mine / "_classes.csv").write_text(ROBOFLOW.replace("2, car", "1, car"))
    assert "_classes.csv: id 1 for 'road' and for 'car'" in project.run("init", str(mine), fails=True)


@pytest.mark.parametrize(
    ("change", "text", "used"),
    [
        (as_binary, "ground\nroad\n", False),
        (lambda mask: mask, "ground\n", False),
        (as_colours, "ground\nroad\ncar\n", False),
        (lambda mask: mask, "ground\nroad\ncar\n", True),
    ],
    ids=["black and white", "too few names", "colours", "used"],
)
def test_names_are_said_to_be_from_a_file_only_where_one_was_used(project, mine, change, text, used):
    """Before: "names from classes.txt" whenever the file was there."""
    draw_ids(mine, change=change, count=COUNT)
    (mine / "classes.txt").write_text(text)
    assert ("names from classes.txt" in " ".join(project.run("init", str(mine)).split())) == used


@pytest.mark.parametrize(
    ("first", "second"), [("car", "Car"), ("car", "car "), ("traffic light", "traffic_light"), ("car", "car")]
)
def test_names_that_differ_by_case_or_blanks_are_asked_about(project, mine, first, second):
    """Before: two classes, or a class table that could not be read."""
    draw_ids(mine, count=COUNT)
    (mine / "classes.txt").write_text(f"ground\n{first}\n{second}\n")
    said = project.run("init", str(mine), fails=True)
    assert f"classes.txt: the classes {first!r} and {second.strip()!r}" in said
    assert "one spelling for each class" in said
    assert not (mine / "classes.yaml").exists()


def rename_labelme(folder):
    for path in sorted(folder.glob("*.json"))[:5]:
        path.write_text(path.read_text().replace('"car"', '"Car"'))


def rename_coco(folder):
    path = folder / "annotations/instances.json"
    content = json.loads(path.read_text())
    content["categories"].append({"id": 11, "name": "Car"})
    for entry in content["annotations"][:6]:
        entry["category_id"] = 11 if entry["category_id"] == 9 else 7
    path.write_text(json.dumps(content))


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "rename"), [(draw_labelme, rename_labelme), (draw_coco, rename_coco)])
def test_labels_that_differ_by_case_are_asked_about_and_merged(project, mine, draw, rename):
    """Before: two classes."""
    draw(mine)
    rename(mine)
    said = project.run("init", str(mine), fails=True)
    assert "which differ only by case or blanks" in said
    assert "merged: [" in said
    (mine / "classes.yaml").write_text(
        "classes:\n  - {id: 0, name: background}\n  - {id: 1, name: road}\n  - {id: 2, name: car, merged: [Car]}\n"
    )
    project.run("init", str(mine))
    project.stages("download", "extract", "validate", "prepare")
    drawn = {name: mask for name, _, mask in samples()}
    split = project.prepared().split("test")
    for place, name in enumerate(split.ids):
        assert np.array_equal(split.label(place), drawn[name])


@pytest.mark.parametrize("merged", ["[[0, 0, 142]]", pytest.param("['#00008e']", marks=pytest.mark.slow)])
def test_a_colour_is_merged_into_a_class(project, mine, merged):
    """Before: `merged` took ids only, which coloured masks do not have."""
    draw_ids(mine, change=as_colours, count=COUNT)
    (mine / "classes.yaml").write_text(
        "classes:\n  - {id: 0, name: background, colour: [0, 0, 0]}\n"
        f"  - {{id: 1, name: road, colour: {list(COLOURS[1])}, merged: {merged}}}\n"
    )
    project.options(path=str(mine), images="images", masks="masks", encoding="rgb")
    project.stages("download", "extract", "validate", "prepare")
    drawn = {name: mask for name, _, mask in samples(COUNT)}
    split = project.prepared().split("test")
    for place, name in enumerate(split.ids):
        assert np.array_equal(split.label(place), np.minimum(drawn[name], 1))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("merged: [[0, 0, 0]]", "colour (0, 0, 0), which"),
        ("merged: [background]", "name 'background', which"),
        ("merged: [[0, 0]]", "classes.1.merged: found [[0, 0]], expected ids 0..255, colours such as"),
        ("merged: [1.5]", "classes.1.merged: found [1.5], expected ids 0..255, colours such as"),
        ("merged: [256]", "classes.1.merged: found [256], expected ids 0..255, colours such as"),
    ],
)
def test_what_is_merged_into_two_classes_is_refused(project, mine, row, said):
    draw_ids(mine, change=as_colours, count=2)
    (mine / "classes.yaml").write_text(
        "classes:\n  - {id: 0, name: background, colour: [0, 0, 0]}\n"
        f"  - {{id: 1, name: road, colour: {list(COLOURS[1])}, {row}}}\n"
    )
    project.options(path=str(mine), images="images", masks="masks", encoding="rgb")
    told = project.run("data", "download", project.name, fails=True)
    assert said in told
