"""A folder of labels is recognised as a published split, or told how it could be."""

import shutil

import cv2
import numpy as np
import pytest
from scored_folders import LABELS, read, refused, rewritten, score

from segline import config, datasets
from segline.data.images.decode import write_png
from segline.data.prepare.prepared import Prepared
from segline.errors import ConfigError, DataError
from segline.evaluation.folders import published_splits


def test_a_published_split_is_recognised_and_has_its_digest(project, tmp_path):
    known, prepared = published_splits.read(project / "manifest", raw=project / "raw"), Prepared(project / "prepared")
    for part in ("train", "validation", "test"):
        for name in ("truth", "prediction"):
            (tmp_path / part / name).mkdir(parents=True)
            for path in (project / "raw/masks").glob(f"{part}_*.png"):
                shutil.copy(path, tmp_path / part / name)
        found = score(tmp_path / part, published=known)
        assert (found.split, found.split_why) == (part, "the files are the validated ones")
        assert found.evaluation.split_digest == prepared.split(part).digest
        unknown = score(tmp_path / part).evaluation
        assert (unknown.split, unknown.split_digest == found.evaluation.split_digest) == ("", False)
        assert (found.evaluation.groups is not None) == (part == "test")
        assert unknown.groups is None  # where there is no manifest, nobody said
    changed = tmp_path / "test/truth/test_0.png"
    write_png(changed, np.where(read(changed) == 5, np.uint8(9), read(changed)))
    found = score(tmp_path / "test", published=known)
    assert found.split is None
    assert found.evaluation.groups == ("", "walk", "", "walk")  # whatever the labels, the images are those
    assert found.evaluation.split_digest != prepared.split("test").digest
    asked = score(tmp_path / "test", published=known, only="test")
    assert "the labels differ from the validated labels of the test split" in asked.warnings[0]


@pytest.fixture
def copied(project, tmp_path):
    """The labels of the test split as another encoder wrote them, but for one file; predictions are the same files."""
    for path in sorted((project / "raw/masks").glob("test_*.png")):
        for name in ("truth", "prediction"):
            (tmp_path / name).mkdir(exist_ok=True)
            copy = tmp_path / name / path.name
            shutil.copy(path, copy)
            if path.stem != "test_3":
                cv2.imwrite(str(copy), read(path), [cv2.IMWRITE_PNG_COMPRESSION, 9])
                assert copy.read_bytes() != path.read_bytes()
    return tmp_path


def test_a_split_that_another_encoder_wrote_is_that_split(project, copied):
    known = published_splits.read(project / "manifest", raw=project / "raw")
    found = score(copied, published=known)
    assert (found.split, found.evaluation.split) == ("test", "test")
    assert found.evaluation.split_digest == Prepared(project / "prepared").split("test").digest
    assert found.split_why == "the labels equal the validated ones; 3 of them are in other files"
    rewritten(copied / "truth", LABELS.encode)
    assert score(copied, published=known, truth_ids="train").split == "test"


def test_a_copy_with_one_other_pixel_is_not_that_split(project, copied):
    path = copied / "truth/test_1.png"
    label = read(path)
    label[-1, -1] = 9 if label[-1, -1] != 9 else 5
    write_png(path, label)
    found = score(copied, published=published_splits.read(project / "manifest", raw=project / "raw"))
    assert found.split is None
    assert found.split_why == "1 of the 4 test images have other labels than the validated ones: test_1"


@pytest.mark.parametrize("changed", [False, True])
def test_a_copy_that_cannot_be_compared_is_told_how_it_could_be(project, copied, changed):
    raw = copied / "raw"
    if changed:
        shutil.copytree(project / "raw", raw)
        write_png(raw / "masks/test_0.png", np.zeros((72, 104), np.uint8))
    found = score(copied, published=published_splits.read(project / "manifest", raw=raw))
    assert found.split is None
    assert f"no longer in {raw} to compare with (test_0" in found.split_why
    assert "run `dvc repro`" in found.split_why


def test_where_no_split_is_known_it_is_said_how_one_could_be(project, copied):
    assert "score in a project where `dvc repro` ran" in score(copied).split_why
    known = published_splits.read(project / "manifest", raw=project / "raw")
    for name in ("truth", "prediction"):
        (copied / name / "test_2.png").unlink()
    assert score(copied, published=known).split_why == (
        "these 3 images are not a whole split (train 2, validation 3, test 4): choose one with --split"
    )


def test_predictions_of_one_split_alone_are_told_how_to_be_scored(project, tmp_path):
    known = published_splits.read(project / "manifest", raw=project / "raw")
    (tmp_path / "prediction").mkdir()
    for path in (project / "raw/masks").glob("test_*.png"):
        shutil.copy(path, tmp_path / "prediction")
    found = refused(tmp_path, truth=project / "raw/masks", published=known)
    assert "the predictions are those of the test split: give --split test" in found
    assert score(tmp_path, truth=project / "raw/masks", published=known, only="test").evaluation.miou == 1.0
    (tmp_path / "prediction/test_0.png").unlink()
    assert "without a prediction, of 4: 1 (test_0)" in refused(
        tmp_path, truth=project / "raw/masks", published=known, only="test"
    )


def test_images_of_no_split_are_not_scored_with_one(project, tmp_path):
    known = published_splits.read(project / "manifest", raw=project / "raw")
    for name in ("truth", "prediction"):
        shutil.copytree(project / "raw/masks", tmp_path / name)
        shutil.copy(tmp_path / name / "test_0.png", tmp_path / name / "listed_nowhere.png")
    found = score(tmp_path, published=known, only="test")
    assert (found.split, len(found.evaluation.ids)) == ("test", 4)
    (tmp_path / "truth/listed_nowhere.png").unlink()
    assert "predictions without a label: 1 (listed_nowhere.png)" in refused(tmp_path, published=known, only="test")


def test_a_split_nobody_knows_or_that_the_truth_lacks_is_refused(project, root):
    with pytest.raises(ConfigError, match=r"--split test.*no manifest"):
        score(root, only="test")
    with pytest.raises(DataError, match=r"no label of 4 of the 4 images of the test split \(test_0"):
        score(root, only="test", published=published_splits.read(project / "manifest", raw=project / "raw"))
    assert published_splits.read(root, raw=root).digests == {}


@pytest.mark.parametrize(
    ("name", "stems", "groups"),
    [
        ("cityscapes", ["ulm_000001_000019", "ulm_000002_000019", "jena_000001_000019"], ("ulm", "ulm", "jena")),
        ("cityscapes", ["one", "two"], None),
        ("kitti", ["000000_10", "000001_10", "000199_10"], ("d0", "d0", "d1")),
        ("oxford_pets", ["Bombay_1", "Bombay_2"], None),
    ],
)
def test_without_a_manifest_names_tell_the_groups_of_a_published_dataset(tmp_path, name, stems, groups):
    dataset = datasets.load(name)
    first, second = (item.raw for item in dataset.label_map.classes[:2])
    for number, stem in enumerate(stems):
        for role in ("truth", "prediction"):
            (tmp_path / role).mkdir(exist_ok=True)
            ids = np.where(np.indices((9, 9)).sum(axis=0) > 3 + number, first, second).astype(np.uint8)
            write_png(tmp_path / role / f"{stem}.png", ids)
    found = score(tmp_path, dataset, ids="raw").evaluation.groups
    if name == "kitti":  # whatever the drives are called
        assert found[0] == found[1] != found[2]
        assert "" not in found
    else:
        assert found == (groups and tuple(groups[stems.index(stem)] for stem in sorted(stems)))


def test_a_manifest_of_other_splits_than_the_protocol_says_is_stale(root):
    stale = published_splits.Published(protocol="kitti-semantics/1")
    last = datasets.load("kitti", config.Options(split="last_30"))
    assert last.protocol == "kitti-semantics/1+last_30"
    with pytest.raises(ConfigError) as error:
        score(root, last, published=stale)
    assert (error.value.found, error.value.remedy) == ("a manifest of kitti-semantics/1", "run `dvc repro`")
    road = datasets.load("kitti", config.Options(split="last_30", task="road"))
    with pytest.raises(ConfigError):
        score(root, road, published=stale)
    fresh = published_splits.Published(protocol="kitti-semantics/1+last_30")
    with pytest.raises(DataError):  # of another dataset's ids, seen only after
        score(root, road, published=fresh)
