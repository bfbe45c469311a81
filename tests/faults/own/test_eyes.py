"""Faults that a fresh pair of eyes found after the mends of issue 17: data sets drawn without reading the code.

Each row says what happened before.
"""

import json
import unicodedata

import numpy as np
import pytest
import yaml
from drawing import draw_ids, draw_labelme, samples
from own_layouts import draw_yolo

from segline.data.prepare.prepared import Prepared

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")


def train_names(project):
    return Prepared(project.root / "data/prepared" / project.name).split("train").ids


def draw_two_scales(root):
    """Write half of the masks as 0 and 1, the other half as 0 and 255."""
    number = iter(range(100))
    return draw_ids(root, change=lambda mask: (mask > 0).astype(np.uint8) * (255 if next(number) % 2 else 1), count=8)


def change_labels(root, change):
    """Change the label of the first shape of some LabelMe files; `change` gets the number of the file."""
    for number, path in enumerate(sorted(root.glob("*.json"))):
        content = json.loads(path.read_text())
        content["shapes"][0]["label"] = change(number, content["shapes"][0]["label"])
        path.write_text(json.dumps(content))
    return root


def test_masks_of_1_beside_masks_of_255_ask_what_255_is(tmp_path, project):
    """The class was void in half of the files, with success."""
    root = draw_two_scales(tmp_path / "mine")
    said = project.run("init", str(root), fails=True)
    assert "the highest value is 1 in masks/s00.png, but 255 in masks/s01.png" in said
    project.answer(encoding="indices")
    assert "is treated as void" in project.run("init", str(root))


@pytest.mark.slow
def test_masks_of_255_added_later_are_found_by_validate(tmp_path, project):
    """Files of another program, added after `init`, were void where they show the class. The remedy makes it whole."""
    root = draw_ids(tmp_path / "mine", change=lambda mask: (mask > 0).astype(np.uint8), count=8)
    project.run("init", str(root))
    table = yaml.safe_load((root / "classes.yaml").read_text())
    (root / "classes.yaml").write_text(yaml.safe_dump({**table, "void": [255]}))
    draw_two_scales(root)
    said = project.stages("look", "download", "extract", "validate", fails=True)
    assert "no mask holds both" in said
    assert "encoding: indices" in said
    project.answer(encoding="indices")
    table["classes"][1]["merged"] = [255]
    (root / "classes.yaml").write_text(yaml.safe_dump(table))
    project.stages("look", "download", "extract", "validate", "prepare")
    pixels = Prepared(project.root / "data/prepared" / project.name).split("train").pixels
    assert pixels[1] == sum(int((mask > 0).sum()) for name, _, mask in samples(8) if name in train_names(project))


def test_void_in_masks_of_a_class_is_no_question(tmp_path, project):
    """Void beside the class in one file says that 255 is void everywhere."""
    root = draw_two_scales(tmp_path / "mine")
    draw_ids(root, change=lambda mask: np.where(mask == 2, 255, mask).astype(np.uint8), count=1)
    assert "is treated as void" in project.run("init", str(root))


@pytest.mark.parametrize("label", [None, True, ["car"], {"name": "car"}], ids=repr)
def test_a_label_that_is_no_text_stops(tmp_path, project, label):
    """A shape without a label became the class 'None', with success."""
    root = change_labels(draw_labelme(tmp_path / "mine"), lambda number, old: label if number == 3 else old)
    said = project.run("init", str(root), fails=True)
    assert "s03.json shape 1" in said
    assert "expected the name of a class" in said


def test_labels_that_differ_by_unicode_form_are_asked_about(tmp_path, project):
    """The error was one of a class table that did not exist, and its remedy was to rename a row of it."""
    forms = ("NFC", "NFD")
    root = change_labels(
        draw_labelme(tmp_path / "mine"), lambda number, _: unicodedata.normalize(forms[number % 2], "straße ü")
    )
    said = project.run("init", str(root), fails=True)
    assert "differ only by the Unicode form of their letters" in said
    rows = [{"id": 0, "name": "background"}, {"id": 1, "name": "car"}]
    names = [unicodedata.normalize(form, "straße ü") for form in forms]
    rows.append({"id": 2, "name": names[0], "merged": [names[1]]})
    (root / "classes.yaml").write_text(yaml.safe_dump({"classes": rows, "void": []}, allow_unicode=True))
    project.run("init", str(root))
    project.stages("look", "download", "extract")


def test_do_not_care_is_void(tmp_path, project):
    """`do_not_care` became a trained class, although `Don't Care` was void."""
    root = change_labels(draw_labelme(tmp_path / "mine"), lambda number, old: "do_not_care" if number % 2 else old)
    assert "the label 'do_not_care' is treated as void" in project.run("init", str(root))


def yolo_names(root, text):
    (draw_yolo(root) / "data.yaml").write_text(text)
    return root


def test_names_of_yolo_by_number_are_read(tmp_path, project):
    """Ultralytics' own form of data.yaml was ignored: the classes were class_0 and class_1, with a wrong remedy."""
    root = yolo_names(tmp_path / "mine", "train: train/images\nnames:\n  0: road\n  1: car\n")
    assert "no file names" not in project.run("init", str(root))
    rows = yaml.safe_load((root / "classes.yaml").read_text())["classes"]
    assert [row["name"] for row in rows] == ["background", "road", "car"]


def test_a_count_of_yolo_classes_that_contradicts_the_names_stops(tmp_path, project):
    """`nc` was ignored; Ultralytics itself refuses such a file."""
    root = yolo_names(tmp_path / "mine", "nc: 3\nnames: [road, car]\n")
    said = project.run("init", str(root), fails=True)
    assert "`nc: 3`, but 2 names" in said


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("0 ", "5 ", "class 5, which the list of names does not have, expected one of 0 road, 1 car"),
        ("0 0.00000000", "0 nan", "a coordinate that is not a finite number"),
        ("0 0", "0 a", "which is no list of numbers"),
    ],
    ids=["a class beyond the names was trained", "nan: no picture was like a mask", "text: no picture was like a mask"],
)
def test_a_faulty_line_of_yolo_is_named(tmp_path, project, old, new, found):
    root = draw_yolo(tmp_path / "mine")
    path = sorted((root / "train/labels").iterdir())[0]
    lines = path.read_text().splitlines()
    faulty = next(number for number, line in enumerate(lines) if line.startswith("0 "))
    lines[faulty] = lines[faulty].replace(old, new, 1)
    path.write_text("\n".join(lines))
    said = project.run("init", str(root), fails=True)
    assert f"{path.name}:{faulty + 1}" in said
    assert found in said
