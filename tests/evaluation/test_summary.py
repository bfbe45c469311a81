"""The figures of a summary, beside scikit-learn's and ones worked out by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from segline.core.labels import VOID
from segline.core.metrics.boundary import boundary_counts
from segline.core.metrics.confusion import confusion
from segline.core.metrics.road import confidence_histogram
from segline.evaluation import figures, results
from segline.evaluation.summary import Summary, summarise

ROAD, PETS = ("not road", "road"), ("foreground", "background", "border")
NAMES, CATEGORIES = ("road", "path", "car", "tram"), {"flat": (0, 1), "vehicle": (2, 3)}
HALVES = np.array([[0, 0, 0, 1, 1, 1]] * 4, np.uint8)
MOVED = np.array([[0, 0, 0, 0, 1, 1]] * 4, np.uint8)


def drawn(seed=6, images=3):
    """Truths with void and no tram, and predictions with some of no class."""
    rng = np.random.default_rng(seed)
    truths = rng.choice(np.array([0, 1, 1, 2, VOID], np.uint8), (images, 9, 14))
    wrong = rng.choice(np.array([0, 1, 2, VOID], np.uint8), truths.shape)
    return truths, np.where(rng.random(truths.shape) < 0.6, truths, wrong)


def evaluation(pairs, *, names=NAMES, **fields):
    return results.Evaluation(
        dataset="drawn",
        split="test",
        protocol="drawn/1",
        split_digest="0" * 16,
        label_map="1" * 16,
        names=names,
        ids=tuple(f"image {number}" for number in range(len(pairs))),
        groups=None,
        void_pixels=sum(int((truth == VOID).sum()) for truth, _ in pairs),
        per_image=np.stack([confusion(*pair, classes=len(names)) for pair in pairs]),
        **fields,
    )


def summary(found):
    made = summarise(found, resamples=100, confidence=0.9)
    content = made.as_json()
    assert Summary.from_json(content) == made
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    return content


def test_every_figure_is_scikit_learns_and_an_absent_class_has_none():
    truths, predictions = drawn()
    content = summary(evaluation(list(zip(truths, predictions, strict=True))))
    labelled = truths != VOID
    truth, prediction = truths[labelled], predictions[labelled]
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, prediction, labels=[0, 1, 2])
    jaccard = metrics.jaccard_score(truth, prediction, labels=[0, 1, 2], average=None)
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1), ("iou", jaccard)):
        values = content[f"per_class_{name}"]
        assert list(values) == list(NAMES)
        assert values.pop("tram") is None
        assert list(values.values()) == pytest.approx(expected)
    assert content["pixel_accuracy"] == pytest.approx(metrics.accuracy_score(truth, prediction))
    assert content["mean_class_accuracy"] == pytest.approx(recall.mean())
    assert content["macro_f1"] == pytest.approx(f1.mean())
    assert content["miou"] == pytest.approx(jaccard.mean())
    assert content["frequency_weighted_iou"] == pytest.approx((jaccard * support).sum() / support.sum())


def test_a_class_that_is_only_claimed_or_never_claimed_lacks_just_what_is_undefined():
    truth, prediction = np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 0, 2, 2]], np.uint8)
    content = summary(evaluation([(truth, prediction)]))
    told = {
        name: [content[f"per_class_{kind}"][name] for kind in ("iou", "precision", "recall", "f1")] for name in NAMES
    }
    assert told == {
        "road": [1, 1, 1, 1],
        "path": [0, None, 0, 0],  # never claimed
        "car": [0, 0, None, 0],  # nothing of it there
        "tram": [None, None, None, None],
    }


def test_within_a_category_confusion_is_no_error_and_an_absent_category_is_not_in_the_mean():
    truths, predictions = drawn()
    found = evaluation(list(zip(truths, predictions, strict=True)), categories=CATEGORIES)
    content = summary(found)
    labelled = truths != VOID
    joined = [np.array([0, 0, 1, 1])[np.minimum(part[labelled], 3)] for part in (truths, predictions)]
    joined[1][predictions[labelled] == VOID] = 2  # of no category: a miss
    expected = metrics.jaccard_score(*joined, labels=[0, 1], average=None)
    assert list(content["per_category_iou"]) == ["flat", "vehicle"]
    assert list(content["per_category_iou"].values()) == pytest.approx(expected)
    assert content["mean_category_iou"] == pytest.approx(expected.mean())

    flat = evaluation([(HALVES, MOVED)], categories=CATEGORIES)
    content = summary(flat)
    assert content["per_category_iou"] == {"flat": 1.0, "vehicle": None}
    assert content["mean_category_iou"] == 1.0
    assert content["miou"] < 1


def test_boundary_iou_is_of_the_summed_counts_worked_out_by_hand():
    """At a reach of one pixel only the middle of each half is on no boundary.

    Road, moved by a column: 8 pixels in both, 4 in the prediction's alone, 2 in the truth's; path: 6, 2 and 4.
    Against itself each half has 10.
    """
    pairs = [(HALVES, MOVED), (HALVES, HALVES)]
    counts = np.stack([boundary_counts(*pair, classes=4) for pair in pairs])
    assert counts[:, :, :2].tolist() == [[[8, 6], [4, 2], [2, 4]], [[10, 10], [0, 0], [0, 0]]]
    content = summary(evaluation(pairs, boundary=counts))
    assert content["per_class_boundary_iou"] == {"road": 18 / 24, "path": 16 / 22, "car": None, "tram": None}
    assert content["boundary_miou"] == pytest.approx((18 / 24 + 16 / 22) / 2)


def test_road_scores_are_of_the_pooled_counts_and_named_after_their_view():
    """Thresholds from 101 to 200 claim half the road alone, and those up to 100 all of it with a third of the rest."""
    truth = np.array([[1, 1, 0, 0, 0, VOID]], np.uint8)
    confidence = np.array([[200, 100, 100, 0, 0, 255]], np.uint8)
    road = confidence_histogram(truth, confidence)[None]
    found = evaluation([(truth, (confidence > 127).astype(np.uint8))], names=ROAD, extra_scores=("road",), road=road)
    scores = summary(found)["extra_scores"]
    assert scores["max_f_image_space"] == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert scores["threshold_image_space"] == pytest.approx(1 / 255)  # the lowest above 0
    assert scores["average_precision_image_space"] == pytest.approx(
        (6 * 1 + 5 * 2 / 3) / 11
    )  # recalls 0 to 0.5, and 0.6 to 1
    assert (scores["recall_image_space"], scores["false_positive_rate_image_space"]) == (1.0, pytest.approx(1 / 3))

    nothing = replace(found, road=confidence_histogram(np.zeros_like(truth), confidence)[None])
    assert set(summary(nothing)["extra_scores"].values()) == {None}


def test_what_was_not_counted_is_not_in_the_summary():
    content = summary(evaluation([(HALVES, MOVED)]))
    unasked = ("boundary_miou", "per_class_boundary_iou", "mean_category_iou", "per_category_iou")
    assert not content.keys() & set(unasked)
    assert content["extra_scores"] == {}


def test_all_that_was_counted_survives_its_file_and_a_file_without_all_fields_is_refused(tmp_path):
    counts = np.stack([boundary_counts(HALVES, MOVED, classes=4)])
    road = np.arange(512).reshape(1, 2, 256)
    whole = evaluation([(HALVES, MOVED)], categories=CATEGORIES, extra_scores=("road",), boundary=counts, road=road)
    results.save(whole, tmp_path / "whole.npz")
    again = results.load(tmp_path / "whole.npz")
    assert (again.categories, again.extra_scores) == (CATEGORIES, ("road",))
    np.testing.assert_array_equal(again.boundary, counts)
    np.testing.assert_array_equal(again.road, road)
    assert summary(again) == summary(whole)

    with np.load(tmp_path / "whole.npz") as content:
        fields = json.loads(str(content["fields"]))
        del fields["extra_scores"]
        np.savez(tmp_path / "other.npz", per_image=content["per_image"], fields=np.array(json.dumps(fields)))
    with pytest.raises(ValueError, match="it lacks extra_scores"):
        results.load(tmp_path / "other.npz")


def test_classes_named_as_a_datasets_do_not_bring_its_scores():
    """A user's own data with the classes `not road` and `road` got KITTI's scores."""
    found = of_many(ROAD, alike=False)
    assert summary(replace(found, extra_scores=()))["extra_scores"] == {}
    pets = of_many(PETS, alike=False)
    assert summary(replace(pets, extra_scores=()))["extra_scores"] == {}


def told(content):
    """Figures over the whole split, and each class's and category's own: (name, of which) -> value."""
    whole = ("miou", "pixel_accuracy", "mean_class_accuracy", "frequency_weighted_iou", "macro_f1")
    single = {name: content[name] for name in (*whole, "mean_category_iou", "boundary_miou") if name in content}
    single |= {name: value for name, value in content["extra_scores"].items() if name in content["intervals"]}
    own = {
        (name, each): value
        for name, values in content.items()
        if name.startswith(("per_class_", "per_category_")) and name != "per_class_images"
        for each, value in values.items()
    }
    return {(name, None): value for name, value in single.items()} | own


def intervals(content):
    """The same of intervals."""
    return {
        (name, each): own
        for name, found in content["intervals"].items()
        for each, own in ({None: found} if "low" in found else found).items()
    }


def of_many(names, *, alike, **fields):
    """Eight images, all the same or each another, with all that can be counted of them."""
    rng = np.random.default_rng(4)
    truths = rng.integers(0, len(names), (1 if alike else 8, 24, 30)).astype(np.uint8)
    predictions = np.where(rng.random(truths.shape) < 0.7, truths, rng.integers(0, len(names), truths.shape))
    confidences = rng.integers(0, 256, truths.shape).astype(np.uint8)
    truths, predictions, confidences = (
        maps.repeat(8 // len(maps), axis=0) for maps in (truths, predictions, confidences)
    )
    pairs = list(zip(truths, predictions.astype(np.uint8), strict=True))
    if names == ROAD:
        road = [confidence_histogram(truth, seen) for truth, seen in zip(truths, confidences, strict=True)]
        fields |= {"road": np.stack(road), "extra_scores": ("road",)}
    if names == PETS:
        fields["extra_scores"] = ("foreground",)
    counts = np.stack([boundary_counts(*pair, classes=len(names)) for pair in pairs])
    return evaluation(pairs, names=names, boundary=counts, **fields)


@pytest.mark.parametrize(("names", "categories"), [(NAMES, CATEGORIES), (ROAD, {}), (PETS, {})])
def test_every_figure_over_the_split_has_an_interval_of_its_own(names, categories):
    """Where all images are alike, each interval is its figure alone, and no other's."""
    content = summary(of_many(names, alike=True, categories=categories))
    expected = told(content)
    found = intervals(content)
    assert found.keys() == expected.keys()
    assert len(set(expected.values())) > 10
    for name, value in expected.items():
        room = 1 - 0.1 ** (1 / 8)  # that the next image is otherwise
        ends = {"low": pytest.approx(value * (1 - room)), "high": pytest.approx(value + room * (1 - value))}
        assert found[name] == ends, name
    content = summary(of_many(names, alike=False, categories=categories))
    found = intervals(content)
    for name, value in told(content).items():
        assert 0 < found[name]["low"] < value < found[name]["high"] < 1, name
    assert content["intervals"]["miou"] == {"low": content["miou_low"], "high": content["miou_high"]}


def test_the_interval_of_a_class_that_one_image_shows_says_that_nothing_is_known_of_others():
    rng = np.random.default_rng(3)
    truths = rng.integers(0, 2, (6, 12, 10)).astype(np.uint8)
    truths[4, :3] = 2
    predictions = np.where(truths == 2, truths, rng.integers(0, 2, truths.shape)).astype(np.uint8)
    content = summary(evaluation(list(zip(truths, predictions, strict=True))))
    assert content["per_class_images"] == {"road": 6, "path": 6, "car": 1, "tram": 0}
    assert content["per_class_iou"]["car"] == 1
    assert content["intervals"]["per_class_iou"]["car"] == {"low": 0, "high": 1}
    assert content["intervals"]["per_class_iou"]["tram"] == {"low": None, "high": None}
    predictions[:, :, 0] = 2  # claimed everywhere: what images without one add to its IoU is no evidence of others
    content = summary(evaluation(list(zip(truths, predictions, strict=True)), categories=CATEGORIES))
    assert 0 < content["per_class_iou"]["car"] == content["per_category_iou"]["vehicle"] < 1
    assert content["intervals"]["per_class_iou"]["car"] == {"low": 0, "high": 1}
    assert content["intervals"]["per_category_iou"]["vehicle"] == {"low": 0, "high": 1}
    assert content["intervals"]["per_category_iou"]["flat"]["low"] > 0
    assert 0 < content["intervals"]["per_class_precision"]["car"]["high"] < 1
    assert content["intervals"]["per_class_iou"]["road"]["low"] > 0


def test_a_class_that_was_never_right_may_be_in_the_next_image():
    """The rule of three: after 10 failures in 10 the chance of success may still be 26 %."""
    truth, prediction = np.zeros((10, 4, 4), np.uint8), np.zeros((10, 4, 4), np.uint8)
    truth[:, 0] = 1
    content = summary(evaluation(list(zip(truth, prediction, strict=True))))["intervals"]
    assert content["per_class_iou"]["path"] == {"low": 0, "high": pytest.approx(1 - 0.1 ** (1 / 10))}
    assert content["per_class_recall"]["road"] == {"low": pytest.approx(0.1 ** (1 / 10)), "high": 1}
    assert content["per_class_precision"]["path"] == {"low": None, "high": None}


def test_of_a_difference_too_one_image_says_nothing_and_one_that_is_wholly_right_is_no_limit():
    rng = np.random.default_rng(3)
    truths = rng.integers(0, 2, (12, 12, 10)).astype(np.uint8)
    truths[4, :3] = 2
    wrong = np.where(rng.random(truths.shape) < 0.8, truths, 1 - truths % 2).astype(np.uint8)
    perfect, other = (evaluation(list(zip(truths, answers, strict=True))) for answers in (truths, wrong))
    found = figures.difference_intervals(perfect, other, resamples=100, confidence=0.9)["per_class_iou"]
    assert (found["car"].low, found["car"].high) == (-1, 1)
    apart = figures.values(perfect)["per_class_iou"]["road"] - figures.values(other)["per_class_iou"]["road"]
    assert 0 < apart - 0.1 < found["road"].low < apart < found["road"].high < apart + 0.1
