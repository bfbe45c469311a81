"""The scores beside the official ones: ``cityscapesscripts`` is the referee, to the last digit."""

import importlib
import sys
import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segline.core.labels import VOID
from segline.core.metrics import table
from segline.core.metrics.confusion import category_counts, confusion, f1, iou, mean_iou
from segline.datasets.street_labels import LABEL_MAP

CLASSES, SHAPE, PAIRS = len(LABEL_MAP), (29, 47), 24
SCORED = [item.raw for item in LABEL_MAP.classes]
VOID_IDS = [0, 1, 2, 3, 4, 5, 6]
OUT_OF_PROTOCOL = [9, 10, 14, 15, 16, 18, 29, 30]  # labelled, of a category, and not evaluated


def draw(seed):
    """Raw ids of a truth and a prediction in patches: some classes absent, void and others in both."""
    rng = np.random.default_rng(seed)
    of_truth = rng.choice(SCORED, rng.integers(3, CLASSES), replace=False)
    of_prediction = rng.choice(SCORED, rng.integers(3, CLASSES), replace=False)
    small = rng.choice([*of_truth, *of_truth, *VOID_IDS, *OUT_OF_PROTOCOL], (8, 12))
    answers = rng.choice([*of_prediction, *of_prediction, *VOID_IDS, *OUT_OF_PROTOCOL], (8, 12))
    answers = np.where(rng.random((8, 12)) < rng.random(), small, answers)
    size = SHAPE[::-1]
    truth = cv2.resize(small.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return truth, np.roll(cv2.resize(answers.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), 2, axis=1)


@pytest.fixture(scope="module")
def pairs():
    return [draw(seed) for seed in range(PAIRS)]


@pytest.fixture(scope="module")
def referee(tmp_path_factory):
    """The official evaluator; it reads the environment when it is imported, so it is imported here alone."""
    name = "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITYSCAPES_DATASET", str(tmp_path_factory.mktemp("cityscapes")))
        patch.delenv("CITYSCAPES_EXPORT_DIR", raising=False)
        before = sys.modules.pop(name, None)
        module = importlib.import_module(name)
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
    module.args.quiet, module.args.JSONOutput, module.args.evalInstLevelScore = True, False, False
    return module


@pytest.fixture(scope="module")
def official(referee, pairs, tmp_path_factory):
    """What the official evaluator says of some of the pairs."""
    folder = tmp_path_factory.mktemp("pairs")
    files = []
    for number, pair in enumerate(pairs):
        files.append([str(folder / f"{number}_{kind}.png") for kind in ("truth", "prediction")])
        for path, mask in zip(files[-1], pair, strict=True):
            assert cv2.imwrite(path, mask)

    def evaluate(numbers):
        truths, predictions = zip(*(files[number] for number in numbers), strict=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it does with NumPy is its own affair
            return referee.evaluateImgLists(list(predictions), list(truths), referee.args)

    return evaluate


def overall(counts):
    return {row.name: row.function(counts) for row in table.rows(axis="all") if row.source == "confusion"}


def per_class(counts):
    return {row.name: row.function(counts) for row in table.rows(axis="class") if row.source == "confusion"}


def counted(pair):
    truth, prediction = (LABEL_MAP.encode(mask) for mask in pair)
    return confusion(truth, prediction, classes=CLASSES)


def assert_official(counts, result):
    expected = [result["classScores"][name] for name in LABEL_MAP.names]
    np.testing.assert_array_equal(iou(counts), expected)  # NaN where theirs is
    np.testing.assert_array_equal(mean_iou(counts), result["averageScoreClasses"])
    joined = category_counts(counts, LABEL_MAP.categories)
    expected = [result["categoryScores"][name] for name in LABEL_MAP.categories]
    np.testing.assert_array_equal(iou(joined), expected)
    np.testing.assert_array_equal(mean_iou(joined), result["averageScoreCategories"])


def test_the_pairs_hold_everything_that_scorers_disagree_about(pairs):
    truth, prediction = (np.stack(masks) for masks in zip(*pairs, strict=True))
    labelled = np.isin(truth, SCORED)
    assert len(pairs) >= 20
    assert np.isin(truth, VOID_IDS).any(axis=(1, 2)).all()
    assert (labelled & np.isin(prediction, VOID_IDS)).any(axis=(1, 2)).all()
    assert np.isin(truth, OUT_OF_PROTOCOL).any(axis=(1, 2)).all()
    assert (labelled & np.isin(prediction, OUT_OF_PROTOCOL)).any(axis=(1, 2)).all()
    absent = [set(SCORED) - set(np.unique(np.stack(pair))) for pair in pairs]
    assert sum(map(bool, absent)) > 10


@pytest.mark.parametrize("number", range(PAIRS))
def test_one_pair_scores_as_cityscapesscripts_says_to_the_last_digit(official, pairs, number):
    assert_official(counted(pairs[number]), official([number]))


def test_the_whole_set_scores_as_cityscapesscripts_says_to_the_last_digit(official, pairs):
    total, result = sum(map(counted, pairs)), official(range(PAIRS))
    assert_official(total, result)
    matrix = np.asarray(result["confMatrix"]).astype(np.int64)[SCORED]
    np.testing.assert_array_equal(total[:, :-1], matrix[:, SCORED])
    np.testing.assert_array_equal(total.sum(axis=1), matrix.sum(axis=1))


def test_categories_are_those_of_cityscapesscripts():
    from cityscapesscripts.helpers.labels import trainId2label

    assert len(LABEL_MAP.categories) == 7
    for name, ids in LABEL_MAP.categories.items():
        assert all(trainId2label[train_id].category == name for train_id in ids)
    assert sorted(sum(LABEL_MAP.categories.values(), ())) == list(range(CLASSES))


masks = hnp.arrays(np.uint8, (5, 8), elements=st.sampled_from([0, 1, 2, 3, VOID]))
CATEGORIES = {"ground": (0, 3), "rest": (1, 2)}


@given(masks, masks)
def test_confusion_within_a_category_is_no_error(truth, prediction):
    within = np.where(truth == 0, 3, truth).astype(np.uint8)
    counts = category_counts(confusion(truth, within, classes=4), CATEGORIES)
    assert np.isin(iou(counts), [1.0]).sum() == (~np.isnan(iou(counts))).sum()
    images = np.stack([confusion(truth, answer, classes=4) for answer in (within, prediction)])
    np.testing.assert_array_equal(
        category_counts(images, CATEGORIES), [category_counts(counts, CATEGORIES) for counts in images]
    )


@given(masks, masks)
def test_every_score_stays_within_bounds_and_one_is_perfect(truth, prediction):
    for answer in (truth, prediction):
        counts = confusion(truth, answer, classes=4)
        for values in (overall(counts) | per_class(counts)).values():
            known = values[~np.isnan(values)]
            assert ((known >= 0) & (known <= 1)).all()
            assert answer is not truth or (known == 1).all()


@given(masks, masks)
def test_f1_is_dice_and_follows_from_iou(truth, prediction):
    counts = confusion(truth, prediction, classes=4)
    scores = per_class(counts)
    np.testing.assert_allclose(scores["f1"], 2 * scores["iou"] / (1 + scores["iou"]))
    np.testing.assert_array_equal(scores["f1"], f1(counts))


def test_scores_of_each_image_are_kept_apart_from_the_splits():
    truth = np.array([[0, 0, 0, 1]], np.uint8)
    images = np.stack([confusion(truth, truth, classes=3), confusion(truth, 1 - truth, classes=3)])
    each, split = overall(images), overall(images.sum(axis=0))
    np.testing.assert_array_equal(each["miou"], [1.0, 0.0])
    assert split["miou"] == pytest.approx((3 / 7 + 1 / 5) / 2)
    assert per_class(images)["iou"].shape == (2, 3)
