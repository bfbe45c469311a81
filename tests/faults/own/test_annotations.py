"""COCO and LabelMe files that contradict themselves, or their images: each stops, and is told in words one can act on.

The id or the docstring of a test says what happened before.
"""

import base64
import io
import json
import shutil
from functools import partial

import numpy as np
import pytest
import yaml
from drawing import samples, save
from exif_photos import as_shown, stored
from PIL import Image as Pillow

from segline.data.images.decode import read_mask
from segline.data.look.answers import Answers
from segline.data.look.class_entries import format_table
from segline.data.look.guess import guess
from segline.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

HEIGHT, WIDTH, COUNT = 40, 60, 8
LABELS, CATEGORIES = (0, 2, 1), (0, 1, 2)  # background, road, car
STAGES = ("download", "extract", "validate", "prepare")


def drawn():
    """(name, image, corners of the road, corners of the car, mask of 0 background, 1 road, 2 car)."""
    for name, picture, mask in samples(COUNT):
        corners = []
        for place in (1, 2):
            rows, columns = np.nonzero(mask >= place)
            left, top, right, bottom = (int(n) for n in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            corners.append([[left, top], [right, top], [right, bottom], [left, bottom]])
        yield name, picture, *corners, mask


def coco_content():
    images, annotations = [], []
    for number, (name, _, road, car, _) in enumerate(drawn()):
        images.append({"id": number, "file_name": f"{name}.jpg", "height": HEIGHT, "width": WIDTH})
        for label, outline in ((7, road), (9, car)):
            (left, top), _, (right, bottom), _ = outline
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": label, "iscrowd": 0,
                 "bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top),
                 "segmentation": [[value for corner in outline for value in corner]]}
            )  # fmt: skip
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 7, "name": "road"}, {"id": 9, "name": "car"}],
    }


def draw_coco(root, content=None):
    for name, picture, *_ in drawn():
        save(root / "images" / f"{name}.jpg", picture, quality=95)
    (root / "annotations.json").write_text(json.dumps(content or coco_content()))
    return root


def labelme_content(name, road, car):
    return {
        "version": "5.4.1",
        "imagePath": f"{name}.jpg",
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
        "shapes": [
            {"label": "road", "points": road, "shape_type": "polygon"},
            {"label": "car", "points": car, "shape_type": "polygon"},
        ],
    }


def draw_labelme(root, change=lambda content: None, *, only=None, store=lambda picture: Pillow.fromarray(picture)):
    """Pictures and LabelMe files; `change` changes their content, of `only` one if it is given."""
    for name, picture, road, car, _ in drawn():
        content = labelme_content(name, road, car)
        if only in (None, name):
            change(content)
        stored = store(picture)
        save(root / f"{name}.jpg", stored, quality=95, exif=stored.getexif())
        (root / f"{name}.json").write_text(json.dumps(content))
    return root


def masks(project):
    return {path.stem: read_mask(path) for path in (project.raw / "_segline/masks").iterdir()}


def truth(order=LABELS):
    """The mask of each sample, with the ids that `init` gives: LabelMe's in the order of names, COCO's of its ids."""
    return {name: np.array(order, np.uint8)[mask] for name, *_, mask in drawn()}


def equal(project, expected, shown=lambda mask: mask):
    """Whether the painted masks are those of `expected`, pixel by pixel."""
    found = masks(project)
    return found.keys() == expected.keys() and all(np.array_equal(shown(found[name]), expected[name]) for name in found)


def refused(project, mine, *said):
    """What `init` says: it stops, and leaves no table."""
    told = project.run("init", str(mine), fails=True)
    for words in said:
        assert words in told, told
    assert "remedy:" in told
    assert not (mine / "classes.yaml").exists()
    return told


def refused_by_guess(mine, *said):
    """What `init` is told by its guess, without the time that a command takes."""
    with pytest.raises(DataError) as caught:
        guess(mine)
    for words in said:
        assert words in str(caught.value)


@pytest.mark.slow
def test_what_is_right_is_prepared_pixel_by_pixel(project, mine):
    draw_coco(mine)
    project.run("init", str(mine))
    project.stages(*STAGES)
    assert equal(project, truth(CATEGORIES))


# 2. The whole file.


def _box_only(content):
    for entry in content["annotations"]:
        entry["segmentation"] = []


def _normalised(content):
    for entry in content["annotations"]:
        flat = np.array(entry["segmentation"][0]).reshape(-1, 2) / (WIDTH, HEIGHT)
        entry.update(segmentation=[flat.ravel().tolist()], bbox=None)


def _rle(**changes):
    def change(content):
        entry = content["annotations"][2]
        entry["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": [100, 200, HEIGHT * WIDTH - 300]} | changes

    return change


def _entry(**changes):
    return lambda content: content["annotations"][2].update(changes)


def _image(**changes):
    return lambda content: content["images"][1].update(changes)


COCO = {
    "boxes only: masks of background, with success": (
        _box_only, "16 of 16 annotations have only a box, such as annotation 1 (image s00.jpg)",
        "not as object detection"),
    "no key segmentation at all: the same": (
        lambda content: [entry.pop("segmentation") for entry in content["annotations"]],
        "16 of 16 annotations have only a box", "boxes are no masks"),
    "one box among outlines: its object was background, and a note said `no outline`": (
        _entry(segmentation=[]), "1 of 16 annotations have only a box, such as annotation 3 (image s01.jpg)",
        "without_area: leave_out"),
    "image_id that no image has: its annotation was dropped": (
        _entry(image_id=99), "annotations, entry 3: image_id 99, which no entry of `images` has",
        "one of the 8 ids of `images`: 0, 1, 2, ..."),
    "every image_id is unknown: masks of background, with success": (
        lambda content: [image.update(id=image["id"] + 100) for image in content["images"]],
        "(16 of 16 annotations have such an image_id)", "export the file again"),
    "image_id is a text: all dropped": (
        lambda content: [entry.update(image_id=str(entry["image_id"])) for entry in content["annotations"]],
        "image_id '0', which", "expected 0, as it is written in `images` (a number and a text are not equal)"),
    "two images of one id: one got the shapes of both": (
        _image(id=0), "images, entry 2: id 0, which entry 1 of `images` already has",
        "two exports were probably joined"),
    "two entries of one image: the shapes of the first were lost": (
        _image(file_name="s00.jpg"), "images, entry 2: file_name 's00.jpg', which entry 1",
        "expected each file_name once"),
    "two annotations of one id: taken": (
        _entry(id=1), "annotations, entry 3: id 1, which entry 1 of `annotations` already has",
        "expected each id once"),
    "two categories of one id: the second named both": (
        lambda content: content["categories"][1].update(id=7),
        "categories, entry 2: id 7, which entry 1 of `categories` already has", "expected each id once"),
    "another size than the image's: quarantined, or background": (
        _image(width=120, height=80), "an image of 120 x 80 (width x height), but s01.jpg is 60 x 40",
        "the picture was resized after labelling: put the picture of 120 x 80 back that the polygons were drawn on; "
        "or multiply all coordinates of this image by 0.5"),
    "sides swapped": (
        _image(width=40, height=60), "an image of 40 x 60 (width x height), but s01.jpg is 60 x 40",
        "the picture was turned by 90 degrees after labelling, or lost its EXIF orientation"),
    "another shape": (
        _image(width=90, height=50), "an image of 90 x 50", "the picture was cropped or exchanged after labelling"),
    "0..1: masks of background, with success": (
        _normalised, "they are normalised to 0..1", "multiply each x by 60 and each y by 40"),
    "beyond the image: clipped, with a note": (
        _entry(segmentation=[[0, 0, 75, 0, 75, 39]], bbox=None),
        "an outline at x 0..75, y 0..39, which reaches beyond the image",
        "set `beyond_image: clip` in own/NAME.yaml"),
    "wholly outside: vanished, with a note": (
        _entry(segmentation=[[70, 0, 75, 0, 75, 39]], bbox=None), "wholly outside the image", "delete this one"),
    "x and y swapped, seen by the bbox: painted elsewhere": (
        _entry(segmentation=[[2, 36, 12, 36, 12, 40]], bbox=[36, 2, 4, 10]),
        "outside its own bbox x 36..40, y 2..12",
        "are x and y swapped"),
    "corners on one line: nothing, in silence": (
        _entry(segmentation=[[1, 1, 20, 20, 30, 30]], bbox=None),
        "'road', which has no area", "without_area: leave_out"),
    "one corner three times": (
        _entry(segmentation=[[5, 5, 5, 5, 5, 5]], bbox=None), "'road', which has no area", "draw its outline"),
    "run lengths without a pixel": (
        _rle(counts=[HEIGHT * WIDTH]), "'road', which has no area", "draw its outline"),
    "run lengths of another size: painted slanted": (
        _rle(size=[WIDTH, HEIGHT]), "RLE of the size [60, 40] (height, width)", "height and width are swapped"),
    "counts that do not fit": (
        _rle(counts=[100, 200, 300]), "RLE counts of 600 pixels", "expected 40 x 60 = 2400, the size of the image"),
    "no annotation at all: masks of background, with success": (
        lambda content: content.update(annotations=[]), "no polygon of a class in 8 samples", "export the annotations"),
}  # fmt: skip


@pytest.mark.parametrize("name", COCO)
def test_a_coco_file_is_checked_as_a_whole(mine, name):
    change, found, remedy = COCO[name]
    content = coco_content()
    change(content)
    draw_coco(mine, content)
    refused_by_guess(mine, found, remedy)


@pytest.mark.parametrize("name", [
    "0..1: masks of background, with success",
    *(pytest.param(name, marks=pytest.mark.slow) for name in (
        "boxes only: masks of background, with success", "image_id that no image has: its annotation was dropped",
        "another size than the image's: quarantined, or background")),
])  # fmt: skip
def test_what_became_wrong_after_init_stops_download(project, mine, name):
    draw_coco(mine)
    project.run("init", str(mine))
    change, found, remedy = COCO[name]
    content = coco_content()
    change(content)
    (mine / "annotations.json").write_text(json.dumps(content))
    told = project.stages("download", fails=True)
    assert found in told
    assert remedy in told


def _points(*points, kind="polygon", **more):
    return lambda content: content["shapes"][0].update({"points": list(points), "shape_type": kind, **more})


STAMP = io.BytesIO()
Pillow.fromarray(np.full((10, 12), 255, np.uint8)).save(STAMP, "PNG")
EMPTY = io.BytesIO()
Pillow.fromarray(np.zeros((10, 12), np.uint8)).save(EMPTY, "PNG")
FULL, NOTHING = (base64.b64encode(stream.getvalue()).decode() for stream in (STAMP, EMPTY))

LABELME = {
    "0..1: background, in silence": (
        _points([0.1, 0.1], [0.9, 0.1], [0.9, 0.8]), "normalised to 0..1", "multiply each x by 60"),
    "beyond the image: clipped, with a note": (
        _points([10, 10], [30, 10], [30, 55]), "which reaches beyond the image", "`beyond_image: clip`"),
    "wholly outside": (_points([70, 50], [80, 50], [80, 60]), "wholly outside the image", "delete this one"),
    "no area: in silence": (
        _points([1, 1], [2, 2], [3, 3]), "a polygon of 'road', which has no area", "without_area: leave_out"),
    "a rectangle of one point twice": (
        _points([9, 9], [9, 9], kind="rectangle"), "a rectangle of 'road', which has no area", ""),
    "a circle without a radius": (
        _points([9, 9], [9, 9], kind="circle"), "a circle of 'road', which has no area", ""),
    "a line: left out, with a note": (
        _points([9, 9], [30, 30], kind="line"), "a line of 'road', which has no area", ""),
    "a point": (_points([9, 9], kind="point"), "a point of 'road', which has no area", ""),
    "an empty mask": (
        _points([9, 9], [20, 18], kind="mask", mask=NOTHING), "a mask of 'road', which has no area", ""),
    "a mask of another size than its box": (
        _points([9, 9], [50, 39], kind="mask", mask=FULL), "a mask of 12 x 10 pixels for a box of 41 x 30", "export"),
    "a mask beyond the image: clipped, in silence": (
        _points([55, 9], [66, 18], kind="mask", mask=FULL),
        "an outline at x 55..67, y 9..19, which reaches beyond", ""),
    "another size than the image's": (
        lambda content: content.update(imageHeight=80, imageWidth=120),
        "an image of 120 x 80 (width x height), but s03.jpg is 60 x 40",
        "multiply all coordinates of this image by 0.5"),
}  # fmt: skip


@pytest.mark.parametrize("name", LABELME)
def test_a_labelme_file_is_checked_as_a_whole(mine, name):
    change, found, remedy = LABELME[name]
    draw_labelme(mine, change, only="s03")
    refused_by_guess(mine, "s03.json", found, remedy)


def test_what_reaches_beyond_is_clipped_where_the_user_says_so(project, mine):
    draw_labelme(mine, _points([10, 0], [70, 0], [70, 40], [10, 40]), only="s03")
    refused(project, mine, "beyond_image: clip")
    project.answer(beyond_image="clip")
    project.run("init", str(mine))
    assert project.entry()["beyond_image"] == "clip"
    said = project.stages("download", "extract")
    assert "s03.json: 1 outlines extend beyond the image and are clipped" in said
    assert (masks(project)["s03"][:, 10:] > 0).all()
    project.run("init", str(mine), "--force")  # replaces guesses, not answers
    assert project.entry()["beyond_image"] == "clip"


def test_what_has_no_area_is_left_out_where_the_user_says_so(project, mine):
    draw_labelme(
        mine, lambda content: content["shapes"].append({"label": "car", "points": [[1, 1]], "shape_type": "point"})
    )
    refused(project, mine, "shape 3: a point of 'car', which has no area")
    project.answer(without_area="leave_out")
    project.run("init", str(mine))
    said = project.stages("download", "extract")
    assert "a point of 'car' has no area" in said
    assert equal(project, truth())


@pytest.mark.slow
def test_a_rectangle_of_four_corners_is_read(project, mine):
    """X-AnyLabeling writes all corners; the first two, on one line, were taken: nothing was painted."""
    draw_labelme(mine, lambda content: [shape.update(shape_type="rectangle") for shape in content["shapes"]])
    project.run("init", str(mine))
    project.stages("download", "extract")
    assert equal(project, truth())


@pytest.mark.parametrize("draw", [draw_coco, pytest.param(draw_labelme, marks=pytest.mark.slow)])
def test_masks_beside_an_annotation_file_are_named_and_one_of_both_is_asked_for(project, mine, draw):
    """The folder `masks` was ignored, without a word."""
    draw(mine)
    for name, mask in truth().items():
        save(mine / "masks" / f"{name}.png", mask)
    encoding = "coco" if draw is draw_coco else "labelme"
    refused(project, mine, "s00.jpg has the mask masks/s00.png, and polygons in", f"`encoding: {encoding}`")
    project.answer(encoding=encoding)
    project.run("init", str(mine))
    assert project.entry()["encoding"] == encoding
    (mine / "classes.yaml").unlink()
    project.answer(encoding="ids")
    project.run("init", str(mine), "--force")
    assert project.entry()["masks"] == "masks/*.png"


def test_coco_and_labelme_files_in_one_folder_are_named(project, mine):
    """COCO was taken, LabelMe ignored: another member of the kind."""
    draw_labelme(mine)
    (mine / "all.json").write_text(json.dumps(coco_content()))
    refused_by_guess(mine, "COCO in all.json, LabelMe in s00.json", "`encoding: labelme` for LabelMe")
    assert guess(mine, answers=Answers(labels="labelme")).options.encoding == "labelme"
    assert guess(mine, answers=Answers(labels="coco")).options.encoding == "coco"


@pytest.mark.slow
def test_masks_beside_an_annotation_file_that_fit_no_image_are_named(project, mine):
    draw_coco(mine)
    for name, mask in truth().items():
        save(mine / "masks" / f"old {name}.png", mask)
    assert "masks/*.png looks like masks, but is not used" in project.run("init", str(mine))


@pytest.mark.slow
@pytest.mark.parametrize("table", [
    "classes:\n  - {id: 0, name: a}\n  - {id: 1, name: b}\n",
    "classes:\n  - {id: 1, name: road}\nvoid: [0]\n",
], ids=["one class of two ever occurs: prepared", "one class and void: prepared"])  # fmt: skip
@pytest.mark.parametrize("value", [0, 1])
def test_masks_of_fewer_than_two_classes_stop(project, mine, table, value):
    """`validate` noted that a class is in no mask, and passed."""
    for name, picture, *_ in drawn():
        save(mine / "images" / f"{name}.png", picture)
        mask = np.full((HEIGHT, WIDTH), value, np.uint8)
        mask[:3] = 0 if "void" in table else value
        save(mine / "masks" / f"{name}.png", mask)
    (mine / "classes.yaml").write_text(table)
    project.options(path=str(mine), images="images", masks="masks")
    said = project.stages("download", "extract", "validate", fails=True)
    assert "every pixel is void" in said or "ever occurs in 8 masks, expected at least two classes" in said
    assert "own/mine.yaml" in said or "label it" in said


# 3. Void.

VOID_NAMES = ["__ignore__", "ignore", "Void", "unlabeled", "Don't care", "dont_care", "unlabelled"]


@pytest.mark.parametrize("label", VOID_NAMES)
def test_labels_that_mean_void_become_void(project, mine, label):
    """They became classes that were trained on."""
    draw_labelme(mine, lambda content: content["shapes"][1].update(label=label))
    guessed = guess(mine)
    assert "is treated as void" in " ".join(guessed.doubts)
    table = yaml.safe_load(format_table(guessed.classes))
    assert [row["name"] for row in table["classes"]] == ["background", "road"]
    (row,) = table["void"]
    assert (row["id"], row["name"], len(row["colour"])) == (255, label, 3)
    if label != VOID_NAMES[0]:
        return
    project.run("init", str(mine))
    project.stages("download", "extract")
    assert equal(project, truth((0, 1, 255)))


def test_a_coco_category_that_means_void_becomes_void(project, mine):
    content = coco_content()
    content["categories"].append({"id": 3, "name": "ignore"})
    content["annotations"][1]["category_id"] = 3
    draw_coco(mine, content)
    project.run("init", str(mine))
    assert [row["name"] for row in yaml.safe_load((mine / "classes.yaml").read_text())["void"]] == ["ignore"]
    project.stages("download", "extract")
    assert 255 in masks(project)["s00"]


@pytest.mark.parametrize(
    "void",
    [
        "[255]",
        pytest.param("[{id: 255, name: __ignore__}]", marks=pytest.mark.slow),
        pytest.param("[{id: 7, name: __ignore__, colour: '#ff0000'}]", marks=pytest.mark.slow),
        pytest.param("[{id: 255, name: __ignore__}, {id: 255, name: mud}]", marks=pytest.mark.slow),
    ],
)
def test_void_by_hand_works_with_annotation_files(project, mine, void):
    """`download` refused the label, which the table did not hold."""
    draw_labelme(mine, lambda content: content["shapes"][1].update(label="__ignore__"))
    project.run("init", str(mine))
    (mine / "classes.yaml").write_text(
        f"classes:\n  - {{id: 0, name: background}}\n  - {{id: 1, name: road}}\nvoid: {void}\n"
    )
    project.stages("download", "extract")
    assert {int(value) for mask in masks(project).values() for value in np.unique(mask)} == {
        0,
        1,
        7 if "7" in void else 255,
    }


@pytest.mark.slow
def test_a_void_id_alone_names_no_label_and_the_error_says_how(project, mine):
    draw_labelme(mine)
    project.run("init", str(mine))
    text = "classes:\n  - {id: 0, name: background}\n  - {id: 2, name: road}\nvoid: [1]\n"
    (mine / "classes.yaml").write_text(text)
    told = project.stages("download", fails=True)
    assert "class 'car'" in told
    assert "write `- {id: 255, name: car}` under `void`" in told
    (mine / "classes.yaml").write_text(text.replace("[1]", "[{id: 255, name: car}]"))  # the remedy
    project.stages("download", "extract")
    assert {int(value) for mask in masks(project).values() for value in np.unique(mask)} == {0, 2, 255}


@pytest.mark.parametrize(("lines", "values", "classes", "void"), [
    ("__ignore__\n_background_\nroad\ncar\n", {}, ["_background_", "road", "car"], []),
    ("__ignore__\n_background_\nroad\ncar\n", {0: 255}, ["road", "car"], ["__ignore__"]),
    ("unlabeled\nroad\ncar\n", {}, ["road", "car"], ["unlabeled"]),
    ("ground\nroad\ndon't care\n", {}, ["ground", "road"], ["don't care"]),
], ids=["LabelMe's list: every name was one id off, and the background void", "the same with void", "void is id 0",
        "don't care: a class"])  # fmt: skip
def test_void_is_guessed_for_label_lists(mine, lines, values, classes, void):
    for name, picture, mask in samples(COUNT):
        changed = mask.copy()
        for old, new in values.items():
            changed[:2][mask[:2] == old] = new
        save(mine / "images" / f"{name}.jpg", picture, quality=95)
        save(mine / "masks" / f"{name}.png", changed)
    (mine / "labels.txt").write_text(lines)
    table = yaml.safe_load(format_table(guess(mine).classes))
    named = [row["name"] for row in table["classes"]]
    assert named == (classes if "_background_" in classes or not values else ["_background_", *classes])
    assert [row["name"] for row in table["void"] or []] == void
    assert all(len(row["colour"]) == 3 for row in table["void"] or [])


# 4. The image that a LabelMe file names.


def test_an_image_path_of_another_image_stops(project, mine):
    """The file's own name decided, without a word."""
    draw_labelme(mine, lambda content: content.update(imagePath="C:\\work\\S01.JPG"), only="s00")
    refused(
        project, mine, "s00.json", "its own name is that of s00.jpg, but its imagePath", "is s01.jpg", "rename the file"
    )


def test_a_relative_image_path_in_another_folder_stops(project, mine):
    """Equal base names in two folders: another member of the kind."""
    draw_labelme(mine / "a")
    draw_labelme(mine / "b", lambda content: content.update(imagePath="../a/s00.jpg"), only="s00")
    refused(project, mine, "b/s00.json", "is that of b/s00.jpg, but its imagePath '../a/s00.jpg' is a/s00.jpg")


def test_a_stale_image_path_is_paired_by_name_and_counted(project, mine):
    draw_labelme(mine, lambda content: content.update(imagePath="D:\\old\\photo.png"))
    words = "8 LabelMe files name an image that is not there, such as s00.json: 'D:"
    assert words in " ".join(project.run("init", str(mine)).split())
    assert words in project.stages("download")


@pytest.mark.slow
def test_folders_of_another_machine_are_no_news(project, mine):
    draw_labelme(mine, lambda content: content.update(imagePath="..\\elsewhere\\" + content["imagePath"].upper()))
    assert "imagePath" not in project.run("init", str(mine))
    assert "name an image" not in project.stages("download", "extract")


def test_where_no_image_has_its_name_the_image_path_pairs(project, mine):
    """It was a mask without an image."""
    draw_labelme(mine)
    (mine / "s00.json").rename(mine / "first.json")
    assert "paired by imagePath, because no image has their name: first.json" in project.run("init", str(mine))
    project.stages("download", "extract")
    assert np.array_equal(masks(project)["s00"], truth()["s00"])
    shutil.copy(mine / "first.json", mine / "second.json")
    told = project.stages("download", fails=True)
    assert "second.json: its imagePath is s00.jpg, which first.json describes too" in told


# 5. Orientation.


@pytest.mark.parametrize("orientation", [6, *(pytest.param(n, marks=pytest.mark.slow) for n in (5, 7, 8))])
def test_the_size_tells_that_polygons_were_drawn_on_the_upright_photo(project, mine, orientation):
    """The remedy was wrong: image and mask had swapped sides."""
    draw_labelme(mine, store=stored(orientation))
    project.run("init", str(mine))
    said = project.stages("download", "extract")
    assert "drawn on the upright photo; the mask is turned to its stored pixels" in said
    assert masks(project)["s00"].shape == (WIDTH, HEIGHT)
    assert equal(project, truth(), partial(as_shown, orientation=orientation))


def turned_content(content):
    """The polygons as drawn on the pixels that `stored(6)` stores."""
    for shape in content["shapes"]:
        shape["points"] = [[y, WIDTH - x] for x, y in shape["points"]]
    content.update(imageHeight=WIDTH, imageWidth=HEIGHT)


def test_the_size_tells_that_polygons_were_drawn_on_the_stored_pixels(project, mine):
    draw_labelme(mine, turned_content, store=stored(6))
    project.run("init", str(mine))
    project.stages("download", "extract")
    assert equal(project, truth(), partial(as_shown, orientation=6))


@pytest.mark.parametrize(
    ("orientation", "shown"),
    [
        (3, "turned by 180 degrees"),
        pytest.param(2, "mirrored left to right", marks=pytest.mark.slow),
        pytest.param(4, "mirrored top to bottom", marks=pytest.mark.slow),
    ],
)
def test_where_the_size_does_not_tell_one_is_asked_and_the_answer_is_followed(project, mine, orientation, shown):
    """The mask was upside down, in silence."""
    draw_labelme(mine, store=stored(orientation))
    refused(
        project,
        mine,
        f"EXIF orientation {orientation} (it is shown {shown})",
        "`drawn_on: upright`",
        "`drawn_on: stored`",
    )
    project.answer(drawn_on="upright")
    project.run("init", str(mine))
    project.stages("download", "extract")
    assert equal(project, truth(), partial(as_shown, orientation=orientation))
    project.answer(drawn_on="stored")
    project.stages("download", "extract")
    assert equal(project, truth())


@pytest.mark.slow
def test_a_file_that_states_no_size_is_asked_about(project, mine):
    """The stored size was taken, in silence."""
    draw_labelme(mine, lambda content: content.update(imageHeight=None, imageWidth=None), store=stored(6))
    refused(
        project,
        mine,
        "annotation of s00.jpg, whose stored pixels are not upright: it has EXIF orientation 6",
        "it states no size",
    )
    project.answer(drawn_on="upright")
    project.run("init", str(mine))
    project.stages("download", "extract")
    assert equal(project, truth(), partial(as_shown, orientation=6))


def test_coco_photos_are_turned_too_and_a_size_of_neither_view_names_the_orientation(project, mine):
    content = coco_content()
    draw_coco(mine, content)
    for name, picture, *_ in drawn():
        photo = stored(8)(picture)
        save(mine / "images" / f"{name}.jpg", photo, quality=95, exif=photo.getexif())
    project.run("init", str(mine))
    project.stages("download", "extract")
    assert equal(project, truth(CATEGORIES), partial(as_shown, orientation=8))
    content["images"][0].update(height=100, width=100)
    (mine / "annotations.json").write_text(json.dumps(content))
    told = project.stages("download", fails=True)
    assert "an image of 100 x 100 (width x height), but s00.jpg is 40 x 60, with EXIF orientation 8" in told
