from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_recall_fscore_support,
    recall_score,
)

from segline.core.labels import VOID
from segline.core.metrics.confusion import (
    accuracy,
    confusion,
    constant,
    f1,
    frequency_weighted_iou,
    iou,
    macro_f1,
    mean_class_accuracy,
    mean_iou,
    merged,
    outcomes,
    pixel_accuracy,
    precision,
    recall,
)

CLASSES = 4
SHAPE = (6, 9)
unhurried = settings(deadline=None)  # scikit-learn takes its time, more so on a busy machine
truths = hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 3, VOID]))
predictions = hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 3, 7, VOID]))


@unhurried
@given(truths, predictions)
def test_counts_equal_scikit_learn_with_void_left_out(truth, prediction):
    counts = confusion(truth, prediction, classes=CLASSES)
    labelled = truth != VOID
    inside = np.where(prediction < CLASSES, prediction, CLASSES)[labelled]
    if not labelled.any():
        assert counts.sum() == 0
        return
    expected = confusion_matrix(truth[labelled], inside, labels=range(CLASSES + 1))
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, expected[:CLASSES])


@unhurried
@given(truths, predictions)
def test_iou_equals_scikit_learn(truth, prediction):
    counts = confusion(truth, prediction, classes=CLASSES)
    labelled = truth != VOID
    answered = np.where(prediction < CLASSES, prediction, CLASSES)[labelled]
    for train_id, value in enumerate(iou(counts)):
        if np.isnan(value):
            assert not (truth == train_id).any()
            assert not (answered == train_id).any()
        else:
            expected = jaccard_score(truth[labelled], answered, labels=[train_id], average="macro", zero_division=0)
            assert value == pytest.approx(expected, abs=1e-12)


@unhurried
@given(truths, truths)
def test_precision_recall_and_f1_equal_scikit_learn(truth, prediction):
    labelled = (truth != VOID) & (prediction != VOID)
    truth, prediction = truth[labelled], prediction[labelled]
    counts = confusion(truth, prediction, classes=CLASSES)
    if not truth.size:
        assert np.isnan(macro_f1(counts))
        return
    expected = precision_recall_fscore_support(truth, prediction, labels=range(CLASSES), zero_division=np.nan)
    for found, column in zip((precision(counts), recall(counts), f1(counts)), expected, strict=False):
        np.testing.assert_allclose(found, column, atol=1e-12)
    assert macro_f1(counts) == pytest.approx(f1_score(truth, prediction, average="macro", zero_division=0))
    assert pixel_accuracy(counts) == pytest.approx(accuracy_score(truth, prediction))


@unhurried
@given(truths, predictions)
def test_weighted_iou_and_class_accuracy_equal_scikit_learn(truth, prediction):
    counts = confusion(truth, prediction, classes=CLASSES)
    labelled = truth != VOID
    if not labelled.any():
        assert np.isnan([frequency_weighted_iou(counts), mean_class_accuracy(counts), accuracy(counts)]).all()
        return
    answered = np.where(prediction < CLASSES, prediction, CLASSES)[labelled]
    true, present = truth[labelled], np.unique(truth[labelled])
    weighted = jaccard_score(true, answered, labels=present, average="weighted", zero_division=0)
    assert frequency_weighted_iou(counts) == pytest.approx(weighted, abs=1e-12)
    found = recall_score(true, answered, labels=present, average=None, zero_division=0).mean()
    assert mean_class_accuracy(counts) == pytest.approx(found, abs=1e-12)
    assert accuracy(counts) == pytest.approx(accuracy_score(true, answered))


@given(truths, predictions, st.integers(1, SHAPE[1] - 1))
def test_a_matrix_is_the_sum_of_its_parts_and_blind_to_flips(truth, prediction, cut):
    whole = confusion(truth, prediction, classes=CLASSES)
    parts = confusion(truth[:, :cut], prediction[:, :cut], classes=CLASSES) + confusion(
        truth[:, cut:], prediction[:, cut:], classes=CLASSES
    )
    np.testing.assert_array_equal(whole, parts)
    np.testing.assert_array_equal(whole, confusion(truth[:, ::-1], prediction[:, ::-1], classes=CLASSES))


@given(truths)
def test_void_truth_is_not_scored_whatever_is_predicted_there(truth):
    prediction = np.where(truth == VOID, 2, truth)
    counts = confusion(truth, prediction.astype(np.uint8), classes=CLASSES)
    assert outcomes(counts).false_positive.sum() == 0
    assert np.nansum(iou(counts)) == (~np.isnan(iou(counts))).sum()


def test_void_or_unknown_prediction_is_a_miss():
    truth = np.array([[0, 0, 1]], dtype=np.uint8)
    prediction = np.array([[0, VOID, 9]], dtype=np.uint8)
    counts = confusion(truth, prediction, classes=2)
    np.testing.assert_array_equal(counts, [[1, 0, 1], [0, 0, 1]])
    assert mean_iou(counts) == pytest.approx((0.5 + 0.0) / 2)
    assert pixel_accuracy(counts) == pytest.approx(1 / 3)


def test_absent_classes_are_left_out_of_the_mean():
    counts = confusion(np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8), classes=3)
    assert np.isnan(iou(counts)[1:]).all()
    assert mean_iou(counts) == 1.0


def test_nothing_labelled_scores_nan():
    counts = confusion(np.full((2, 3), VOID, np.uint8), np.zeros((2, 3), np.uint8), classes=3)
    assert np.isnan(mean_iou(counts))
    assert np.isnan(pixel_accuracy(counts))


def test_mismatches_are_refused_with_both_values():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), classes=2)
    with pytest.raises(ValueError, match="id 5"):
        confusion(np.full((2, 3), 5, np.uint8), np.zeros((2, 3), np.uint8), classes=2)


@given(truths, predictions, st.integers(0, CLASSES - 1))
def test_constant_answers_as_if_that_class_were_predicted_everywhere(truth, prediction, train_id):
    counts = confusion(truth, prediction, classes=CLASSES)
    expected = confusion(truth, np.full(SHAPE, train_id, np.uint8), classes=CLASSES)
    np.testing.assert_array_equal(constant(counts, prediction=train_id), expected)


@given(truths, predictions)
def test_merging_counts_equals_counting_merged_masks(truth, prediction):
    """Classes 0 and 2 become 0, 1 stays, 3 is void where true and outside where predicted."""
    table = np.full(256, VOID, dtype=np.uint8)
    table[[0, 2, 1]] = [0, 0, 1]
    counts = confusion(truth, prediction, classes=CLASSES)
    expected = confusion(table[truth], table[prediction], classes=2)
    np.testing.assert_array_equal(merged(counts, [[0, 2], [1]]), expected)
    np.testing.assert_array_equal(merged(np.stack([counts, 3 * counts]), [[0, 2], [1]]), [expected, 3 * expected])


def test_counts_past_32_bits_stay_exact():
    """As a split has: matrices added up. Each ratio is the fraction's nearest float64."""
    rng = np.random.default_rng(6)
    truth, prediction = rng.integers(0, CLASSES, (2, 40, 70), dtype=np.uint8)
    truth[:3] = VOID
    prediction[5] = 9
    once = confusion(truth, prediction, classes=CLASSES)
    times = (1 << 33) + 1
    total = np.zeros_like(once)
    for part in (1 << 33, 1):
        total += part * once
    assert total.dtype == np.int64
    assert total.min() > 1 << 31
    assert total.tolist() == [[times * int(count) for count in row] for row in once]
    result = outcomes(total)
    for place, value in enumerate(iou(total)):
        parts = [int(values[place]) for values in vars(result).values()]
        assert value == float(Fraction(parts[0], sum(parts)))
    whole = Fraction(sum(int(total[place, place]) for place in range(CLASSES)), sum(map(sum, total.tolist())))
    assert pixel_accuracy(total) == float(whole)


@given(st.lists(st.tuples(truths, predictions), min_size=1, max_size=4))
def test_many_matrices_are_scored_each_as_if_alone(pairs):
    per_image = np.stack([confusion(*pair, classes=CLASSES) for pair in pairs])
    for ratio in (
        iou,
        mean_iou,
        frequency_weighted_iou,
        precision,
        recall,
        mean_class_accuracy,
        f1,
        macro_f1,
        accuracy,
    ):
        np.testing.assert_array_equal(ratio(per_image), [ratio(counts) for counts in per_image])


def test_one_class_is_scored_like_any_number():
    truth = np.array([[0, 0, 0, VOID]], np.uint8)
    counts = confusion(truth, np.array([[0, 0, 5, 0]], np.uint8), classes=1)
    np.testing.assert_array_equal(counts, [[2, 1]])
    assert mean_iou(counts) == pixel_accuracy(counts) == pytest.approx(2 / 3)
    nothing = confusion(np.full((1, 4), VOID, np.uint8), truth, classes=1)
    assert np.isnan([mean_iou(nothing), macro_f1(nothing), mean_class_accuracy(nothing), accuracy(nothing)]).all()


def test_a_class_that_is_claimed_but_not_there_scores_zero_and_counts():
    counts = confusion(np.zeros((2, 3), np.uint8), np.array([[0, 0, 1]] * 2, np.uint8), classes=3)
    np.testing.assert_allclose(iou(counts), [2 / 3, 0, np.nan])
    assert mean_iou(counts) == pytest.approx(1 / 3)
    np.testing.assert_allclose(recall(counts), [2 / 3, np.nan, np.nan])
    np.testing.assert_allclose(precision(counts), [1, 0, np.nan])
    assert mean_class_accuracy(counts) == frequency_weighted_iou(counts) == pytest.approx(2 / 3)
