"""Answers in params.yaml that contradict the folder, and labels of several kinds. An id says what happened before."""

import json

import numpy as np
import pytest
import yaml
from drawing import HEIGHT, WIDTH, as_colours, draw_coco, draw_ids, draw_labelme, samples
from exif_photos import as_shown, stored
from own_layouts import COUNT, draw_coco_splits, draw_layers, draw_run_lengths, draw_yolo
from PIL import Image as Pillow

from segline.data.images.decode import read_mask

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")


def extracted(project):
    return {path.stem: read_mask(path) for path in (project.raw / "_segline/masks").rglob("*.png")}


def grown(area):
    return np.maximum(area, np.roll(area, 1, axis=0))


def coloured(root):
    return draw_ids(root, change=as_colours, count=COUNT)


def plain(root):
    return draw_ids(root, count=COUNT)


STATED = {
    # what: (draw, encoding in params.yaml, what the error says)
    "coco without a file; before: an entry that no stage could read": (plain, "coco", "holds no COCO file"),
    "yolo without a file": (coloured, "yolo", "holds no YOLO polygons"),
    "layers without layers": (plain, "layers", "holds no masks for each class"),
    "ids of coloured masks; before: two tables of different kinds": (coloured, "ids", "most masks are coloured"),
    "ids without masks; before: only images": (draw_coco_splits, "ids", "holds no pictures of masks"),
    "labelme, but COCO; before: no image and mask with the same name": (
        draw_coco_splits, "labelme", "holds no LabelMe file"),
}  # fmt: skip


@pytest.mark.parametrize("what", STATED)
def test_an_encoding_that_the_folder_does_not_have_stops(project, mine, what):
    draw, encoding, words = STATED[what]
    draw(mine)
    project.answer(encoding=encoding)
    said = project.run("init", str(mine), fails=True)
    assert words in said
    assert "own/mine.yaml encoding" in said
    assert not (mine / "classes.yaml").exists()


def test_patterns_without_a_path_are_an_answer(project, mine):
    """Before: a complete entry without `path` ended in an error about an internal file."""
    coloured(mine)
    project.answer(images="images/*.jpg", masks="masks/*.png")
    project.run("init", str(mine))
    assert project.entry()["encoding"] == "rgb"
    project.stages("download")


@pytest.mark.parametrize(("key", "missing"), [("images", "masks"), ("masks", "images")])
def test_half_a_layout_stops(project, mine, key, missing):
    """Before: classes were guessed from one folder, and the entry named another."""
    plain(mine)
    project.answer(**{key: f"{key}/*.png"})
    said = project.run("init", str(mine), fails=True)
    assert f"own/mine.yaml {missing}: nothing, but `{key}: {key}/*.png`" in said


def test_force_keeps_the_answer_about_shared_pixels(project, mine):
    """Before: the question came again, although it was answered."""
    draw_layers(mine, save_as=grown)
    project.answer(overlap="later")
    project.run("init", str(mine))
    project.run("init", str(mine), "--force")
    assert project.entry()["overlap"] == "later"


@pytest.mark.parametrize("encoding", ["rgb", pytest.param("indices", marks=pytest.mark.slow)])
def test_force_keeps_the_answer_about_palettes(project, mine, encoding):
    """Before: the question came again, although it was answered."""
    plain(mine)
    for number, path in enumerate(sorted((mine / "masks").iterdir())):
        picture = Pillow.open(path)
        picture.putpalette([0, 0, 0, *((9, 9, 9, 200, 0, 0) if number % 2 else (200, 0, 0, 9, 9, 9))])
        picture.save(path)
    project.answer(encoding=encoding)
    project.run("init", str(mine))
    said = project.run("init", str(mine), "--force")
    assert f"`encoding: {encoding}` in own/mine.yaml decides" in " ".join(said.split())
    assert project.entry()["encoding"] == encoding


def beside(root, draw):
    """YOLO's text files beside the labels that `draw` draws."""
    draw(root)
    for path in list(root.rglob("*.jpg")):
        path.with_suffix(".txt").write_text("0 0.1 0.1 0.2 0.1 0.2 0.2\n")
    return root


def coco_and_run_lengths(root):
    draw_run_lengths(root)
    images = [
        {"id": n, "file_name": f"{name}.jpg", "height": HEIGHT, "width": WIDTH}
        for n, (name, *_) in enumerate(samples(COUNT))
    ]
    entry = {"id": 1, "image_id": 0, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]], "iscrowd": 0}
    content = {"images": images, "annotations": [entry], "categories": [{"id": 1, "name": "road"}]}
    (root / "all.json").write_text(json.dumps(content))


RIVALS = {
    "COCO and YOLO; before: YOLO was ignored, without a word": (lambda root: beside(root, draw_coco), "coco", "yolo"),
    "LabelMe and YOLO": (lambda root: beside(root, draw_labelme), "labelme", "yolo"),
    "COCO and run lengths": (coco_and_run_lengths, "coco", "run_lengths"),
}


@pytest.mark.parametrize("kinds", RIVALS)
def test_labels_of_two_formats_are_named_and_one_is_asked_for(project, mine, kinds):
    draw, *encodings = RIVALS[kinds]
    draw(mine)
    said = project.run("init", str(mine), fails=True)
    assert "labels in two formats" in said
    for encoding in encodings:
        assert f"`encoding: {encoding}`" in said
    project.answer(encoding=encodings[1])
    project.run("init", str(mine))
    assert project.entry()["encoding"] == encodings[1]


@pytest.mark.parametrize("file", ["data.yaml", "train/data.yaml"])
def test_names_of_yolo_that_contradict_each_other_stop(project, mine, file):
    """Before: two classes became one; of two files the first was taken."""
    draw_yolo(mine)
    (mine / file).write_text(yaml.safe_dump({"names": ["car", "car" if file == "data.yaml" else "road"]}))
    said = project.run("init", str(mine), fails=True)
    assert "the classes 'car' and 'car'" in said or "class 0 is 'car', but data.yaml has 'road' for it" in said


@pytest.mark.parametrize("orientation", [6, pytest.param(3, marks=pytest.mark.slow)])
def test_run_lengths_of_turned_photos_are_read_on_the_view_that_was_labelled(project, mine, orientation):
    """Before: columns were taken for rows, as the stored sides are swapped: wrong masks, in silence."""
    draw_run_lengths(mine)
    for path in mine.rglob("*.jpg"):
        photo = stored(orientation)(np.array(Pillow.open(path)))
        photo.save(path, quality=95, exif=photo.getexif())
    project.run("init", str(mine))
    if orientation == 6:
        assert "run_lengths: nothing" in project.stages("download", fails=True)
        project.answer(run_lengths="columns")
    assert "it states no size" in project.stages("download", fails=True)
    project.answer(drawn_on="upright")
    project.stages("download", "extract")
    found = extracted(project)
    for name, _, mask in samples(COUNT):
        assert np.array_equal(as_shown(found[name], orientation), mask)


def test_a_renamed_class_of_annotations_is_told_how_to_keep_its_name(project, mine):
    """Before: the table said that names may be changed, and the next stage refused it."""
    draw_layers(mine)
    project.run("init", str(mine))
    table = mine / "classes.yaml"
    assert "Names must be those of the annotations" in table.read_text()
    table.write_text(table.read_text().replace("name: road", "name: street"))
    project.stages("download")
    assert "write `merged: [road]` into the row" in project.stages("extract", fails=True)
    table.write_text(table.read_text().replace("name: street", "name: street, merged: [road]"))
    project.stages("download", "extract")
    assert all(np.array_equal(np.array([0, 2, 1])[mask], extracted(project)[name]) for name, _, mask in samples(COUNT))


def test_a_number_as_a_label_is_quoted_in_the_remedy(project, mine):
    """Before: the remedy wrote it as a number, which the class table refuses."""
    draw_run_lengths(mine)
    project.run("init", str(mine))
    table = mine / "classes.yaml"
    table.write_text('classes:\n  - {id: 0, name: background}\n  - {id: 1, name: "1"}\n')
    assert 'write `- {id: 255, name: "2"}` under `void`' in project.stages("download", fails=True)
    table.write_text(table.read_text() + 'void:\n  - {id: 255, name: "2"}\n')
    project.stages("download")
