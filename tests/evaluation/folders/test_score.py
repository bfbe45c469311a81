"""Folders of label maps are counted right, whoever wrote them."""

import importlib
import shutil
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scored_folders import LABELS, RAW, TINY, document, read, refused, rewritten, score

from segline import datasets
from segline.core.coding import Colours
from segline.core.metrics.confusion import confusion, iou
from segline.core.metrics.joint_histogram import histogram_and_ends
from segline.data.images.decode import write_png
from segline.data.prepare.prepared import Prepared
from segline.evaluation.folders import count_pairs, published_splits
from segline.evaluation.lock import lock_of
from segline.parallel import forking
from segline.progress import silent


def test_counts_are_those_of_each_image_with_void_predictions_as_misses(root):
    found = score(root)
    evaluation = found.evaluation
    assert evaluation.ids == tuple(f"image_{number}" for number in range(7))
    for number, name in enumerate(evaluation.ids):
        truth, prediction = (LABELS.encode(read(root / role / f"{name}.png")) for role in ("truth", "prediction"))
        np.testing.assert_array_equal(evaluation.per_image[number], confusion(truth, prediction, classes=4))
    assert evaluation.counts[:, -1].sum() > 0
    pixels = sum(read(path).size for path in (root / "truth").iterdir())
    assert evaluation.void_pixels == pixels - evaluation.counts.sum() > 0
    assert (found.ids, found.split, found.warnings) == ("raw", None, ())
    assert document(found)["outside_share"] == evaluation.counts[:, -1].sum() / evaluation.counts.sum()
    assert "image_0.png: id 5 in" in found.why


def test_processes_and_order_of_files_change_nothing(root, monkeypatch):

    monkeypatch.setattr(forking, "FEW", 0)  # so that a pool is started for seven files
    alone = score(root)
    for name in ("truth", "prediction"):  # names and folders move; sizes and contents stay
        (root / "moved" / name / "sub").mkdir(parents=True)
        for path in (root / name).iterdir():
            shutil.copy(path, root / "moved" / name / "sub" / path.name)
    pooled = score(root / "moved", workers=2)
    np.testing.assert_array_equal(pooled.evaluation.per_image, alone.evaluation.per_image)
    assert lock_of(pooled.evaluation) == lock_of(alone.evaluation)


def test_the_truth_against_itself_is_perfect_and_warned_of(root):
    found = score(root, prediction=root / "truth")
    assert found.evaluation.miou == 1.0
    assert "the same files as the labels" in found.warnings[0]
    shutil.rmtree(root / "prediction")
    shutil.copytree(root / "truth", root / "prediction")
    assert "a copy of the labels?" in score(root).warnings[0]


def test_equal_truth_has_an_equal_digest_and_other_truth_another(root):
    first = score(root).evaluation
    rewritten(root / "prediction", lambda ids: np.full_like(ids, 5))
    other = score(root).evaluation
    assert lock_of(other) == lock_of(first)
    assert other.digest != first.digest
    path = root / "truth" / "image_3.png"
    label = read(path)
    _, data = cv2.imencode(".png", label, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    path.write_bytes(data.tobytes())
    assert score(root).evaluation.split_digest == first.split_digest  # other bytes, the same pixels
    label[0, 0] = 9 if label[0, 0] != 9 else 5
    write_png(path, label)
    assert score(root).evaluation.split_digest != first.split_digest
    for name in ("truth", "prediction"):
        (root / name / "image_6.png").rename(root / name / "image_9.png")
    renamed = score(root).evaluation.split_digest
    for name in ("truth", "prediction"):
        (root / name / "image_9.png").unlink()
    assert len({first.split_digest, renamed, score(root).evaluation.split_digest}) == 3


def test_coloured_masks_take_coloured_predictions_of_their_own_colours_alone(root):
    colours = {(255, 0, 255): 3, (255, 0, 0): 5}
    coloured = replace(TINY, colours=Colours(ids=colours, otherwise=0))
    picture = np.zeros((9, 17, 3), dtype=np.uint8)
    picture[:4, :, :] = (255, 0, 255)
    picture[4:8, :, :] = (255, 0, 0)  # and a black, void row
    answer = np.full((9, 17), 3, dtype=np.uint8)
    for folder in ("truth", "prediction"):
        shutil.rmtree(root / folder)
        (root / folder).mkdir()
    write_png(root / "truth" / "a.png", picture)
    write_png(root / "prediction" / "a.png", answer)
    by_ids = score(root, coloured, ids="raw").evaluation
    assert by_ids.counts[0, 0] == by_ids.counts[1, 0] == 4 * 17
    assert by_ids.void_pixels == 17
    painted = np.full_like(picture, (255, 0, 255))
    write_png(root / "prediction" / "a.png", painted)
    assert score(root, coloured, ids="raw").evaluation.digest == by_ids.digest
    painted[0, 0] = (1, 2, 3)
    write_png(root / "prediction" / "a.png", painted)
    assert "colours that stand for no class: (1, 2, 3) in 1 pixels" in refused(root, coloured, ids="raw")


def test_what_predict_writes_scores_as_evaluate_does(project, tmp_path):
    import keras

    from segline.evaluation.bundles.evaluate import evaluate
    from segline.inference.bundle import Bundle
    from segline.inference.folder import predict_files

    image = keras.Input((None, None, 3))
    head = keras.layers.Conv2D(4, 1)
    network = Bundle(
        network=keras.Model(image, head(keras.layers.Rescaling(1 / 255)(image))),
        dataset="tiny",
        family="unet",
        labels=LABELS,
        short_side=40,
        stride=8,
    )
    head.set_weights([np.array([[[[0, 1, 2, 3]] * 3]]).reshape(1, 1, 3, 4), np.array([0.0, -0.2, -0.9, -2.0])])
    images = tmp_path / "images"
    images.mkdir()
    for path in (project / "raw/images").glob("test_*.png"):
        shutil.copy(path, images)
    assert len(list(predict_files(network, images, output=tmp_path / "answers", report=silent))) == 4
    expected = evaluate(network, Prepared(project / "prepared").split("test"), progress=lambda *_: None)
    assert 0.02 < expected.miou < 0.9
    known = published_splits.read(project / "manifest", raw=project / "raw")
    found = score(tmp_path, truth=project / "raw/masks", prediction=tmp_path / "answers", only="test", published=known)
    assert found.split == "test"
    assert found.evaluation.digest == expected.digest
    assert found.evaluation.groups == ("", "walk", "", "walk")
    assert vars(found.evaluation).keys() == vars(expected).keys()
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(found.evaluation, name), value)


@pytest.fixture(scope="module")
def referee(tmp_path_factory):
    """cityscapesscripts' pixel-level evaluator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITYSCAPES_DATASET", str(tmp_path_factory.mktemp("nothing")))
        name = "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling"
        sys.modules.pop(name, None)
        module = importlib.import_module(name)
        sys.modules.pop(name, None)
        patch.setattr(module.args, "quiet", True)
        patch.setattr(module.args, "JSONOutput", False)
        patch.setattr(module.args, "evalInstLevelScore", False)
        yield module


@pytest.mark.filterwarnings("ignore:`in1d` is deprecated:DeprecationWarning")
def test_cityscapes_folders_score_as_cityscapesscripts_does_void_predictions_included(referee, tmp_path, monkeypatch):
    if not hasattr(np, "in1d"):
        monkeypatch.setattr(np, "in1d", np.isin, raising=False)
    generator = np.random.default_rng(2)
    known = np.delete(np.arange(34, dtype=np.uint8), [12, 31])  # wall and train are absent from both
    for number in range(20):
        city = ("lindau", "munster")[number % 2]
        shape = (24 + number, 40)
        truth = generator.choice(known, (6, 8)).repeat(8, 0).repeat(5, 1)[: shape[0]]
        prediction = np.where(generator.random(truth.shape) < 0.7, truth, generator.choice(known, truth.shape))
        name = f"{city}_{number:06d}_000019"
        for path, ids in (
            (tmp_path / "truth" / city / f"{name}_gtFine_labelIds.png", truth),
            (tmp_path / "prediction" / f"{name}_leftImg8bit.png", prediction),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, ids)
    found = score(tmp_path, datasets.load("cityscapes")).evaluation
    truths = sorted(map(str, (tmp_path / "truth").rglob("*.png")))
    answers = sorted(map(str, (tmp_path / "prediction").glob("*.png")))
    expected = referee.evaluateImgLists(answers, truths, referee.args)
    assert found.miou == expected["averageScoreClasses"]
    for name, value in zip(found.names, iou(found.counts), strict=True):
        np.testing.assert_equal(value, expected["classScores"][name])
    assert found.counts[:, -1].sum() > 1000


def test_a_labels_content_is_the_same_from_its_own_runs_and_from_those_of_a_pair():
    generator = np.random.default_rng(2)
    truth = generator.choice(RAW, (30, 4)).repeat(60, axis=1)
    prediction = np.roll(truth, 7, axis=1)
    table = LABELS.encode(np.arange(256, dtype=np.uint8))
    _, ends = histogram_and_ends(truth, prediction)
    assert ends is not None
    assert count_pairs.content_digest(truth, table, ends=ends) == count_pairs.content_digest(truth, table)
    other = truth.copy()
    other[0, 0] = 9 if truth[0, 0] != 9 else 5
    _, ends = histogram_and_ends(other, prediction)
    assert count_pairs.content_digest(other, table, ends=ends) != count_pairs.content_digest(truth, table)
    noise = generator.choice(RAW, (30, 40))
    assert histogram_and_ends(noise, noise)[1] is None


def test_equal_labels_are_told_and_blank_ones_are_not(tmp_path):
    first, second = np.full((8, 8), 3, np.uint8), np.where(np.indices((8, 8))[0] > 2, 3, 5).astype(np.uint8)
    for role in ("truth", "prediction"):
        (tmp_path / role).mkdir()
        for number, label in enumerate((first, first, second, second, second.T)):
            write_png(tmp_path / role / f"{number}.png", label)
    assert "2 of the 5 labels are equal to another image's" in " ".join(score(tmp_path).warnings)
