"""What `segline init` does with data that hold a mistake: it says so, and drops nothing in silence."""

import json

import numpy as np
import pytest
import yaml
from drawing import COLOURS, as_colours, draw_coco, draw_ids, draw_labelme
from PIL import Image as Pillow


def with_csv(root, *changes, header="image,mask,split,group"):
    """Pairs that their names would give too, in a CSV in which `changes` are made."""
    draw_ids(root, count=10)
    rows = [f"images/s0{n}.jpg,masks/s0{n}.png,{'test' if n > 7 else 'train'},g{n // 2}" for n in range(10)]
    text = "\n".join([header, *rows]) + "\n"
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (root / "pairs.csv").write_text(text)
    return root


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("test,g4", "tset,g4"), "pairs.csv:10 split: 'tset'"),
        (("images/s03.jpg", "images/s02.jpg"), "pairs.csv:5: images/s02.jpg, which line 4 already lists"),
        (("masks/s03.png", "../../etc/hostname"), "pairs.csv:5 mask: '../../etc/hostname'"),
        (("split,group", "split,weight"), "pairs.csv:1: columns image, mask, split, weight"),
        (("image,mask", "img,mask"), "rename 'img' to 'image'"),
        (("masks/", "mask/"), "pairs.csv:2 names mask/s00.png, which is not there"),
    ],
)
def test_a_mistake_in_the_csv_stops_init_and_names_the_line(project, tmp_path, change, said):
    with_csv(tmp_path / "mine", change)
    assert said in project.run("init", str(tmp_path / "mine"), fails=True)
    assert not (tmp_path / "mine/classes.yaml").exists()


def test_other_csvs_are_said_not_to_be_used(project, tmp_path):
    root = with_csv(tmp_path / "mine")
    (root / "camera.csv").write_text("frame,exposure\n1,0.5\n")
    (root / "pairs_old.csv").write_text("image,mask\nimages/s00.jpg,masks/s01.png\n")
    (root / "class_dict.csv").write_text("name,r,g,b\nground,0,0,0\nroad,1,1,1\ncar,2,2,2\n")
    said = " ".join(project.run("init", str(root)).split())
    assert "camera.csv is not used: columns frame, exposure, expected image, mask" in said
    assert "pairs_old.csv is not used, because pairs.csv lists the pairs" in said
    assert "class_dict.csv is not used" not in said
    assert project.entry()["pairs"] == "pairs.csv"


def test_annotations_beside_a_csv_of_pairs_are_said_not_to_be_used(project, tmp_path):
    """Before, the table decided without a word."""
    root = with_csv(tmp_path / "mine")
    draw_coco(tmp_path / "other")
    (tmp_path / "other/annotations/instances.json").rename(root / "annotations.json")
    said = " ".join(project.run("init", str(root)).split())
    assert "annotations.json is not used, because pairs.csv lists the pairs" in said
    assert project.entry()["pairs"] == "pairs.csv"


def test_a_row_whose_file_is_missing_is_told_by_its_line(project, tmp_path):
    with_csv(tmp_path / "mine", ("masks/s03.png", "masks/999.png"))
    said = " ".join(project.run("init", str(tmp_path / "mine")).split())
    assert "pairs.csv:5 names masks/999.png, which is not there" in said
    assert "without mask" not in said


POLYGON = {"shape_type": "polygon"}
PAIRS = "expected x, y pairs of at least three points"


@pytest.mark.parametrize(
    ("draw", "change", "said"),
    [
        (draw_coco, {"category_id": 4}, "annotation 4 (image s02.jpg): category_id 4, expected one of 7 road, 9 car"),
        (draw_coco, {"segmentation": [[1, 2, 3]]}, f"annotation 4 (image s02.jpg): a polygon of 3 numbers, {PAIRS}"),
        (draw_coco, {"segmentation": [[1, 2, 3, 4]]}, f"a polygon of 4 numbers, {PAIRS}"),
        (draw_coco, {"segmentation": [1, 2, 3, 4, 5, 6]}, f"a polygon of 1 number, {PAIRS}"),
        (draw_coco, {"segmentation": [["a", "b"]]}, f"a polygon of ['a', 'b'], {PAIRS}"),
        (draw_coco, {"segmentation": 5}, "segmentation 5, expected a list of polygons, or RLE"),
        (draw_coco, {"segmentation": {"size": [40, 60]}}, "counts None, expected RLE counts"),
        (draw_labelme, POLYGON | {"points": [[1, 2], [3]]}, f"shape 1: a polygon of [[1, 2], [3]], {PAIRS}"),
        (draw_labelme, POLYGON | {"points": [[1, 2], [3, 4]]}, f"a polygon of 4 numbers, {PAIRS}"),
        (draw_labelme, {"points": [[1, 2]]}, "a rectangle of 2 numbers, expected x, y pairs of at least two points"),
        (draw_labelme, {"shape_type": "mask", "mask": "!"}, "a mask that is not an image (no image: "),
    ],
)  # fmt: skip
def test_an_annotation_that_is_wrong_is_named_by_init_and_by_download(project, tmp_path, draw, change, said):
    root = draw(tmp_path / "mine")
    project.run("init", str(root))
    path = next(root.rglob("*.json")) if draw is draw_coco else root / "s02.json"
    content = json.loads(path.read_text())
    entries = content["annotations"] if draw is draw_coco else content["shapes"]
    entries[4 if draw is draw_coco else 0].update(change)
    path.write_text(json.dumps(content))
    for told in (project.stages("download", fails=True), project.run("init", str(root), "--force", fails=True)):
        assert said in told
        assert path.name in told


def test_of_two_folders_of_masks_the_customary_one_is_taken_and_the_other_told(project, tmp_path):
    root = draw_ids(tmp_path / "mine", count=10)
    draw_ids(root, mask="masks_old/{}.png", count=8)
    said = " ".join(project.run("init", str(root)).split())
    assert "10 of 10 samples have image and mask" in said
    assert "masks are taken from masks, not from masks_old" in said
    assert project.entry()["masks"] == "masks/*.png"


@pytest.mark.parametrize("split", ["", "train/"])
def test_of_two_folders_of_masks_none_is_taken_where_both_may_be_meant(project, tmp_path, split):
    root = draw_ids(tmp_path / "mine", image=f"{split}images/{{}}.jpg", mask=f"{split}masks_a/{{}}.png", count=10)
    draw_ids(root, image=f"{split}images/{{}}.jpg", mask=f"{split}masks_b/{{}}.png", count=10)
    said = project.run("init", str(root), fails=True)
    assert f"{split}masks_a/s00.png and {split}masks_b/s00.png both belong to {split}images/s00.jpg" in said
    assert "move 'masks_a' or 'masks_b' out of the folder" in said
    (root / f"{split}masks_b").rename(tmp_path / "away")  # the remedy
    project.run("init", str(root))


@pytest.mark.parametrize("way", [Pillow.Resampling.BILINEAR, Pillow.Resampling.BICUBIC])
def test_colours_that_interpolation_left_are_no_classes(project, tmp_path, way):
    def resized(mask):
        picture = Pillow.fromarray(as_colours(mask))
        return picture.resize((51, 37), way).resize((60, 40), Pillow.Resampling.NEAREST)

    draw_ids(tmp_path / "mine", image="images/{}.png", change=resized)
    said = " ".join(project.run("init", str(tmp_path / "mine")).split())
    table = yaml.safe_load((tmp_path / "mine/classes.yaml").read_text())
    assert {tuple(row["colour"]) for row in table["classes"]} == set(COLOURS.values())
    assert "are left out" in said


def test_a_rare_class_whose_colour_lies_between_two_others_stays(project, tmp_path):
    def with_grey(mask):
        picture = np.where(mask[..., None] > 0, 255, 0).repeat(3, axis=2).astype(np.uint8)
        picture[1:4, 1:5] = 128
        return picture

    draw_ids(tmp_path / "mine", change=with_grey)
    project.run("init", str(tmp_path / "mine"))
    table = yaml.safe_load((tmp_path / "mine/classes.yaml").read_text())
    assert sorted(row["colour"][0] for row in table["classes"]) == [0, 128, 255]
