"""Layouts that people bring: `segline init` and the stages read them exactly, or say by name why not.

Each row says what happened before issue 17.
"""

import json
import re
import shutil
import zlib

import numpy as np
import pytest
import yaml
from drawing import NAMES, as_colours, draw_coco, draw_ids, draw_labelme, samples, save
from own_layouts import (
    COUNT,
    by_looks,
    draw_coco_splits,
    draw_cvat,
    draw_layers,
    draw_nnunet,
    draw_run_lengths,
    draw_siblings,
    draw_voc,
    draw_yolo,
)
from PIL import Image as Pillow
from places import REAL

from segline.data.images.decode import read_image, read_mask
from segline.datasets.own import classes, definition

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")


def check_masks(project, names, count=COUNT):
    """Compare every extracted mask with the truth of its image, pixel by pixel."""
    pairs = definition.read_samples(project.raw / definition.SAMPLES)
    encoding = project.entry().get("encoding", "ids")
    table = classes.read(project.raw / definition.TABLE, encoding=encoding, remedy="")
    ids = [table.ids()[name] for name in names]
    whole = [pair for pair in pairs if pair.image and pair.mask]
    assert len(whole) == count
    for pair in whole:
        picture = read_image(project.raw / pair.image)
        mask = read_mask(project.raw / pair.mask, colours=table.colours() if encoding == "rgb" else None)
        truth = np.array(ids, np.uint8)[by_looks(picture)][: mask.shape[0], : mask.shape[1]]
        assert np.array_equal(mask, truth), pair.id
    return pairs


NUMBERED = ("background", "1", "2")
NAMELESS = ("background", "class_1", "class_2")

EXACT = {
    # layout: (draw, names of the classes, splits); before: see the id. Variants of another layout are slow.
    "VOC with visualisations; before: no image and mask of one name: 0.jpg, 0.png": (draw_voc, NAMES, None),
    "CamVid's siblings; before: no image and mask of one name": (draw_siblings, NAMELESS, True),
    "train_images beside train_masks; before: no image and mask of one name": (
        lambda root: draw_siblings(root, "{split}_images", "{split}_masks"), NAMELESS, True),
    "images/train beside labels_train; a sibling": (
        lambda root: draw_siblings(root, "img_{split}", "mask_{split}"), NAMELESS, True),
    "COCO in each split's folder; before: 0.jpg matches several files": (draw_coco_splits, NAMES, True),
    "COCO of splits by name; before: 0.jpg matches several files": (
        lambda root: draw_coco_splits(root, "annotations/instances_{split}.json", "images/{split}2017/{name}.jpg"),
        NAMES, True),
    "CVAT masks; before: asked which of SegmentationClass and SegmentationObject": (draw_cvat, NAMES, None),
    "YOLO, Roboflow; before: only images": (draw_yolo, NAMES, True),
    "YOLO, Ultralytics": (
        lambda root: draw_yolo(root, "images/{split}/{name}.jpg", "labels/{split}/{name}.txt"), NAMES, True),
    "YOLO, text beside image": (lambda root: draw_yolo(root, "{name}.jpg", "{name}.txt"), NAMES, None),
    "Kaggle; before: only images": (draw_run_lengths, NUMBERED, None),
    "Kaggle, along rows": (lambda root: draw_run_lengths(root, order="rows"), NUMBERED, None),
    "Kaggle, image and class in one column": (
        lambda root: draw_run_lengths(root, header=("ImageId_ClassId", "EncodedPixels")), NUMBERED, None),
    "a folder for each class; before: no image and mask of one name": (draw_layers, NAMES, None),
    "a name for each class; before: no image and mask of one name": (
        lambda root: draw_layers(root, "masks/{name}_{label}.png"), NAMES, None),
    "classes beside the image, as colours": (
        lambda root: draw_layers(root, "{name}_{label}.png", "{name}.jpg",
                                 lambda area: area[..., None].repeat(3, axis=2)), NAMES, None),
    "nnU-Net; before: no image and mask of one name": (draw_nnunet, NAMES, None),
}  # fmt: skip


VARIANTS = (
    "train_images beside", "images/train beside", "COCO of splits by name", "YOLO, Ultralytics", "YOLO, text beside",
    "Kaggle, along rows", "Kaggle, image and class", "a name for each class", "classes beside the image",
)  # fmt: skip


def mark_slow(names, variants):
    return [pytest.param(name, marks=pytest.mark.slow) if name.startswith(variants) else name for name in names]


@pytest.mark.parametrize("layout", mark_slow(EXACT, VARIANTS))
def test_a_layout_is_read_exactly(project, tmp_path, layout):
    draw, names, splits = EXACT[layout]
    draw(tmp_path / "mine")
    project.run("init", str(tmp_path / "mine"))
    project.stages("download", "extract")
    pairs = check_masks(project, names)
    if splits:
        assert [pair.split for pair in pairs].count("test") == 2
        assert [pair.split for pair in pairs].count("validation") == 2


def doubled(root, one="masks", two="labels", **options):
    draw_ids(root, mask=f"{one}/{{}}.png", count=COUNT, **options)
    return draw_ids(root, mask=f"{two}/{{}}.png", count=COUNT, change=lambda mask: np.flipud(mask).copy(), **options)


def with_images(root):
    draw_ids(root, count=COUNT)
    return draw_ids(root, image="images_small/{}.jpg", count=COUNT)


def with_endings(root):
    draw_ids(root, image="{}.jpg", mask="{}_mask.png", count=COUNT)
    return draw_ids(root, image="{}.jpg", mask="{}_label.png", count=COUNT)


EQUAL = {
    "masks and labels; before: masks taken, with a note": (doubled, ("labels/*.png", "masks/*.png")),
    "masks and masks_v2; before: masks taken, with a note": (
        lambda root: doubled(root, "masks", "masks_v2"), ("masks/*.png", "masks_v2/*.png")),
    "two endings; before: _mask taken": (with_endings, ("*_label.png", "*_mask.png")),
    "two folders of images; before: two images of one name": (with_images, ("images/*.jpg", "images_small/*.jpg")),
}  # fmt: skip


@pytest.mark.parametrize("layout", mark_slow(EQUAL, ("masks and masks_v2", "two endings")))
def test_of_two_folders_that_pair_equally_well_one_is_asked_for(project, tmp_path, layout):
    draw, patterns = EQUAL[layout]
    root = draw(tmp_path / "mine")
    said = project.run("init", str(root), fails=True)
    assert f"{patterns[0]} and {patterns[1]} pair equally well" in said
    assert not (root / "classes.yaml").exists()
    answer_as_shown(project, said)
    project.run("init", str(root))
    chosen = project.entry()
    assert patterns[0] in (chosen["images"], chosen["masks"])
    project.stages("download")


def answer_as_shown(project, said):
    """Write what an error shows into own/mine.yaml, as a person would."""
    shown = re.search(r"^    path: .*\n(    \w+: .*\n)*", said, re.MULTILINE)
    project.answer(**yaml.safe_load(shown[0]))


def test_names_that_differ_in_a_word_are_paired_with_the_pattern_that_the_error_shows(project, tmp_path):
    root = draw_ids(
        tmp_path / "mine", image="photos/img_{}.jpg", mask="drawn/of {}.png", count=COUNT, change=as_colours
    )
    said = project.run("init", str(root), fails=True)
    assert "images: 'photos/img_s*.jpg'" in said
    assert "masks: 'drawn/of s*.png'" in said
    for layout in ("COCO", "LabelMe", "YOLO", "nnU-Net", "Pascal VOC"):
        assert layout in said
    answer_as_shown(project, said)
    project.run("init", str(root))
    assert project.entry()["encoding"] == "rgb"
    project.stages("download", "extract")
    check_masks(project, ("background", "colour_804080", "colour_00008e"))


def test_patterns_in_params_that_pair_nothing_are_named(project, tmp_path):
    """Before: what params.yaml says was ignored by init, and guessed again."""
    root = draw_ids(tmp_path / "mine", mask="masks/of {}.png", count=3)
    project.options(path=str(root), images="images/*.jpg", masks="masks/*.png")
    said = project.run("init", str(root), fails=True)
    assert "which pair no files: one image is named 's00', and one mask 'of s00'" in said
    project.options(path=str(root), images="images/*.jpg", masks="masks/of *.png")
    project.run("init", str(root))


def test_a_coco_file_of_one_split_is_not_paired_with_the_images_of_another(project, tmp_path):
    """Before: any file with the name was taken."""
    root = draw_coco_splits(tmp_path / "mine")
    (root / "train/0.jpg").unlink()
    (root / "test/0.jpg").unlink()
    said = " ".join(project.run("init", str(root)).split())
    assert "8 of 10 samples have image and mask" in said


def as_json(content, name="export.json"):
    def draw(root):
        draw_ids(root, mask="images/{}.jpg", count=3)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return root

    return draw


def supervisely(root):
    for name, picture, _ in samples(3):
        save(root / f"ds/img/{name}.jpg", picture)
        (root / "ds/ann").mkdir(exist_ok=True)
        content = {"size": {"height": 40, "width": 60}, "objects": [{"classTitle": "car", "geometryType": "bitmap"}]}
        (root / f"ds/ann/{name}.jpg.json").write_text(json.dumps(content))
    (root / "meta.json").write_text(json.dumps({"classes": [], "tags": [], "projectType": "images"}))
    return root


def with_file(name, content=b"x"):
    def draw(root):
        draw_ids(root, mask="images/{}.jpg", count=3)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
        return root

    return draw


TASK = {"data": {"image": "1.jpg"}, "annotations": [{"result": []}]}
PANOPTIC = {"images": [], "categories": [], "annotations": [{"file_name": "1.png", "segments_info": []}]}
CVAT_XML = b"<?xml version='1.0'?><annotations><image id='0' name='1.jpg'><polygon/></image></annotations>"

UNREAD = {
    # what: (draw, name of the format, what to convert to)
    "Supervisely": (supervisely, "Supervisely", "Export as masks"),
    "Label Studio": (as_json([TASK]), "Label Studio", "export `COCO`"),
    "Label Studio, JSON-MIN": (as_json([{"annotation_id": 1, "lead_time": 2}]), "Label Studio", "export `COCO`"),
    "VIA": (as_json({"1.jpg55": {"filename": "1.jpg", "regions": []}}), "VGG Image Annotator", "export COCO"),
    "COCO panoptic; before: no polygons, so masks of background": (as_json(PANOPTIC), "COCO panoptic", "panopticapi"),
    "Cityscapes polygons": (
        as_json({"imgHeight": 40, "imgWidth": 60, "objects": []}), "Cityscapes polygons", "_labelIds.png"),
    "Datumaro": (as_json({"info": {}, "categories": {}, "items": []}), "Datumaro", "datum convert"),
    "CreateML boxes": (as_json([{"image": "1.jpg", "annotations": []}]), "CreateML", "boxes are no masks"),
    "CVAT for images": (with_file("annotations.xml", CVAT_XML), "CVAT for images (XML)", "Segmentation mask 1.1"),
    "VOC boxes": (
        with_file("a.xml", b"<annotation><object><bndbox></bndbox></object></annotation>"), "Pascal VOC boxes",
        "label areas"),
    "nnU-Net volumes": (with_file("labelsTr/1.nii.gz"), "medical volumes (.nii.gz)", "save each slice"),
    "NumPy masks": (with_file("masks/1.npy"), "arrays (.npy)", "save each mask as PNG"),
    "PGM masks": (with_file("masks/1.pgm", b"P5 1 1 255\n0"), "pictures of another format (.pgm)",
                  "convert them to PNG"),
}  # fmt: skip


@pytest.mark.parametrize("form", UNREAD)
def test_a_format_that_is_not_read_is_named_with_what_to_convert_to(project, tmp_path, form):
    """Before: "only images: no picture has as few colours as a mask"."""
    draw, name, convert = UNREAD[form]
    said = project.run("init", str(draw(tmp_path / "mine")), fails=True)
    assert f"is of a format that Segline does not read: {name}" in said
    assert convert in said.partition("remedy:")[2]


def rewritten(draw, change, pattern="*.json"):
    def plant(root):
        draw(root)
        for path in root.rglob(pattern):
            path.write_bytes(change(path.read_bytes()))
        return root

    return plant


def in_latin(data):
    return data.decode().replace("road", "stra\u00dfe").encode("latin-1")


CAUSES = {
    # what: (draw, what the error says); before: "no picture has as few colours as a mask", if nothing else is said
    "COCO in Latin-1": (rewritten(draw_coco, in_latin), "is not UTF-8"),
    "LabelMe in Latin-1": (rewritten(draw_labelme, in_latin), "is not UTF-8"),
    "COCO cut short": (rewritten(draw_coco, lambda data: data[:-9]), "instances.json: cannot be read"),
    "COCO in UTF-16 without its first bytes": (
        rewritten(draw_coco, lambda data: data.decode().encode("utf-16")[3:]), "instances.json: "),
    "masks of 32 bits, floating point": (
        lambda root: draw_ids(root, mask="masks/{}.tif", change=lambda m: m.astype(np.float32), count=3),
        "a TIFF of mode F"),
    "masks of 32 bits, whole numbers": (
        lambda root: draw_ids(root, mask="masks/{}.tif", change=lambda m: m.astype(np.int32), count=3),
        "a TIFF of mode I"),
    "masks that cannot be decoded, and a logo; before: no image and mask with the same name": (
        lambda root: [draw_ids(root, mask="masks/{}.tif", change=lambda m: m.astype(np.float32), count=3),
                      save(root / "logo.png", np.zeros((9, 9), np.uint8))][0],
        "a TIFF of mode F"),
    "masks in WebP; before: said to be JPEG": (
        lambda root: draw_ids(root, mask="masks/{}.webp", change=as_colours, count=3), "is a WebP"),
    "YOLO boxes": (
        rewritten(draw_yolo, lambda _: b"0 0.5 0.5 0.2 0.2\n", "*.txt"), "a box, not a polygon"),
    "YOLO in pixels": (
        rewritten(draw_yolo, lambda _: b"0 5 5 20 5 20 20\n", "*.txt"), "pixels, instead of shares"),
    "YOLO beside masks": (
        lambda root: draw_ids(draw_yolo(root, "images/{name}.jpg", "labels/{name}.txt"), count=COUNT),
        "YOLO polygons and pictures of masks: both may be the masks"),
    "nnU-Net of two channels": (
        lambda root: [draw_nnunet(root), [shutil.copy(p, p.with_name(p.name.replace("_0000", "_0001")))
                                          for p in (root / "imagesTr").iterdir()]][0],
        "2 channels, in files of their own: _0000, _0001"),
}  # fmt: skip


@pytest.mark.parametrize("cause", CAUSES)
def test_the_true_cause_is_named(project, tmp_path, cause):
    draw, words = CAUSES[cause]
    said = project.run("init", str(draw(tmp_path / "mine")), fails=True)
    assert words in said
    assert "no picture has as few colours" not in said


@pytest.mark.parametrize("encoding", mark_slow(["utf-8-sig", "utf-16", "utf-32"], ("utf-8", "utf-32")))
def test_json_that_says_its_encoding_is_read(project, tmp_path, encoding):
    root = rewritten(draw_coco, lambda data: data.decode().encode(encoding))(tmp_path / "mine")
    project.run("init", str(root))
    project.stages("download", "extract")
    table = classes.read(project.raw / definition.TABLE, encoding="coco", remedy="")
    ids = np.array([table.ids()[name] for name in NAMES], np.uint8)
    masks = {
        pair.id: read_mask(project.raw / pair.mask)
        for pair in definition.read_samples(project.raw / definition.SAMPLES)
    }
    assert len(masks) == 30
    for name, _, mask in samples(30):
        assert np.array_equal(masks[name], ids[mask])


def test_a_mask_of_too_many_pixels_is_named(project, tmp_path, monkeypatch):
    """Before, of 182 megapixels: no picture has as few colours as a mask."""
    root = draw_ids(tmp_path / "mine", count=3)
    monkeypatch.setenv("SEGLINE_IMAGE_PIXELS", str(40 * 60))
    for path in (root / "masks").iterdir():
        Pillow.open(path).resize((90, 60), Pillow.Resampling.NEAREST).save(path)
    said = project.run("init", str(root), fails=True)
    assert "s00.png: too many pixels" in said
    assert "SEGLINE_IMAGE_PIXELS" in said


def large_png(width, height):
    """A PNG of zeros with one pixel, 8 bits, written row by row."""

    def chunk(name, data):
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    packer = zlib.compressobj(1)
    row = bytes(width + 1)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.slow
def test_a_mask_of_182_megapixels_is_a_mask(project, tmp_path):
    root = draw_ids(tmp_path / "mine", count=3)
    (root / "masks/s00.png").write_bytes(large_png(14000, 13000))
    assert "3 of 3 samples" in " ".join(project.run("init", str(root)).split())


RESIZED = {
    "resized after labelling": (lambda picture: picture.resize((30, 20)), "resized after labelling"),
    "turned": (lambda picture: picture.transpose(Pillow.Transpose.ROTATE_90), "turned after labelling"),
    "cut": (lambda picture: picture.crop((0, 0, 40, 40)), "belongs to another picture"),
}


@pytest.mark.parametrize("change", mark_slow(RESIZED, ("turned", "cut")))
def test_sizes_that_differ_get_the_remedy_of_their_cause(project, tmp_path, change):
    """Before: "pair the right files" for all of them."""
    how, word = RESIZED[change]
    root = draw_ids(tmp_path / "mine", count=COUNT)
    for path in (root / "images").iterdir():
        how(Pillow.open(path)).save(path)
    project.run("init", str(root))
    said = project.stages("download", "extract", "validate", fails=True)
    assert word in said
    assert "remedy" in said


QUESTIONS = {
    "Kaggle, square images": (
        lambda root: draw_run_lengths(root, square=True), "run_lengths: nothing", {"run_lengths": "columns"}, NUMBERED),
    "a pixel of two classes": (
        lambda root: draw_layers(root, save_as=grown), "are 'car' and 'road' two classes, or two versions", None, None),
}  # fmt: skip


def grown(area):
    return np.maximum(area, np.roll(area, 1, axis=0))


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_cannot_be_told_apart_is_asked(project, tmp_path, question):
    draw, words, answer, names = QUESTIONS[question]
    root = draw(tmp_path / "mine")
    if answer is None:
        said = project.run("init", str(root), fails=True)
        assert words in said
        answer_as_shown(project, said)
        project.run("init", str(root))
        project.stages("download", "extract")
        return
    project.run("init", str(root))
    assert words in project.stages("download", fails=True)
    project.answer(**answer)
    project.stages("download", "extract")
    check_masks(project, names)


def test_a_mask_for_each_class_that_is_not_black_and_white_stops(project, tmp_path):
    root = draw_layers(tmp_path / "mine")
    project.run("init", str(root))
    save(root / "masks/car/s03.png", np.arange(40, dtype=np.uint8)[:, None].repeat(60, axis=1))
    assert "s03.png: 40 values: 0, 1" in project.stages("download", "extract", fails=True)


@pytest.mark.slow
def test_one_folder_for_each_image_does_not_hide_the_masks(project, tmp_path):
    """Before: of more than 100 folders only every second one was opened, and these held the images."""
    for number in range(101):
        name, picture, ids = next(iter(samples(1)))
        save(tmp_path / f"mine/{number:03}/images/{name}.jpg", picture)
        save(tmp_path / f"mine/{number:03}/masks/{name}.png", ids)
    assert "101 of 101 samples" in " ".join(project.run("init", str(tmp_path / "mine")).split())


@pytest.mark.skipif(not REAL.exists(), reason="the real archives are not here")
@pytest.mark.slow
def test_real_archives_are_guessed_as_before(project, tmp_path):
    import zipfile

    with zipfile.ZipFile(next(REAL.rglob("data_semantics.zip"))) as archive:
        archive.extractall(tmp_path / "kitti", [name for name in archive.namelist() if "/00000" in name])
    project.run("init", str(tmp_path / "kitti"))
    chosen = project.entry()
    assert (chosen["images"], chosen["masks"]) == ("training/image_2/*.png", "training/semantic/*.png")
