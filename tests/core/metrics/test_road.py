import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score

from segline.core.labels import VOID
from segline.core.metrics.road import THRESHOLDS, as_bytes, confidence_histogram, road_scores

SHAPE = (8, 11)
truths = hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 1, VOID]))
confidences = hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 255))


def kit(pairs):
    """The development kit's rules, written anew from its text: pooled counts per threshold, then figures."""
    thresholds = np.array(range(256)) / 255.0
    missed, claimed, positives, negatives = np.zeros(256), np.zeros(256), 0, 0
    for truth, confidence in pairs:
        probability = np.clip(confidence.astype("f4") / 255, 0.0, 1.0)
        road, other = probability[truth == 1], probability[truth == 0]
        for place, threshold in enumerate(thresholds):
            missed[place] += (road.astype(np.float64) < threshold).sum()
            claimed[place] += (other.astype(np.float64) >= threshold).sum()
        positives, negatives = positives + road.size, negatives + other.size
    right = positives - missed
    recall, precision = right / float(positives), right / (right + claimed + 1e-10)
    kept = ~((recall == 0) & (precision == 0))
    recall, precision = recall[kept], precision[kept]
    average = 0.0
    for least in np.arange(0, 1.1, 0.1):
        average += max(precision[np.where(recall >= least)])
    f1 = (1 + 1.0) * (precision * recall) / (1.0 * precision + recall + 1e-10)
    best = f1.argmax()
    return {
        "max_f": f1[best],
        "average_precision": average / 11,
        "threshold": thresholds[best],
        "recall": recall[best],
        "false_positive_rate": claimed[best] / negatives,
    }


@settings(deadline=None)
@given(st.lists(st.tuples(truths, confidences), min_size=1, max_size=3))
def test_scores_are_the_development_kits_to_the_last_digit(pairs):
    counts = sum(confidence_histogram(*pair) for pair in pairs)
    found = road_scores(counts)
    if not counts.sum(axis=1).all():
        assert math.isnan(found.max_f)
        assert math.isnan(found.average_precision)
        return
    for name, value in kit(pairs).items():
        assert getattr(found, name) == value, name


def test_max_f_is_the_best_f1_that_one_threshold_for_all_images_reaches():
    rng = np.random.default_rng(4)
    truth = (rng.random((40, 70)) < 0.4).astype(np.uint8)
    confidence = np.clip(rng.normal(100 + 50 * truth, 40), 0, 255).astype(np.uint8)
    truth[:5] = VOID
    labelled = truth != VOID
    found = road_scores(confidence_histogram(truth, confidence))
    levels = [f1_score(truth[labelled], confidence[labelled] >= level) for level in range(256)]
    assert found.max_f == pytest.approx(max(levels), abs=1e-9)
    assert THRESHOLDS[int(np.argmax(levels))] == found.threshold
    claimed = confidence[labelled] >= np.argmax(levels)
    assert found.precision == pytest.approx(truth[labelled][claimed].mean())
    assert found.false_negative_rate == pytest.approx(1 - claimed[truth[labelled] == 1].mean())


def test_pooled_counts_are_not_the_mean_of_the_images():
    """One image's best threshold is the other's worst: pooled, no threshold suits both."""
    truth = np.array([[0, 0, 1, 1, 1, VOID]], np.uint8)
    low, high = np.array([[0, 0, 90, 90, 90, 9]], np.uint8), np.array([[150, 150, 250, 250, 250, 9]], np.uint8)
    counts = [confidence_histogram(truth, confidence) for confidence in (low, high)]
    assert [road_scores(part).max_f for part in counts] == pytest.approx([1.0, 1.0])
    assert road_scores(counts[0] + counts[1]).max_f == pytest.approx(2 * 6 / (2 * 6 + 2))


def test_no_road_or_nothing_else_is_undefined():
    for train_id in (0, 1, VOID):
        found = road_scores(confidence_histogram(np.full(SHAPE, train_id, np.uint8), np.full(SHAPE, 200, np.uint8)))
        assert all(math.isnan(value) for value in vars(found).values())


def test_truth_is_road_not_road_or_void():
    with pytest.raises(ValueError, match="id 2"):
        confidence_histogram(np.full(SHAPE, 2, np.uint8), np.zeros(SHAPE, np.uint8))


@given(hnp.arrays(np.float32, 20, elements=st.floats(0, 1, width=32)))
def test_probabilities_become_the_nearest_bytes(probabilities):
    np.testing.assert_allclose(as_bytes(probabilities) / 255, probabilities, atol=0.5 / 255 + 1e-6)
