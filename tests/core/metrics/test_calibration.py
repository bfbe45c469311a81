import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segline.core.labels import VOID
from segline.core.metrics.calibration import (
    BINS,
    FINE,
    Calibration,
    compute_abstention,
    count,
    count_nothing,
    summarise_calibration,
)
from segline.core.metrics.confusion import confusion, mean_iou, pixel_accuracy
from segline.core.metrics.temperature import softmax

SHAPE, CLASSES = (5, 8), 3
truths = hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, VOID]))
many_logits = hnp.arrays(np.float32, (*SHAPE, CLASSES), elements=st.floats(-25, 25, width=32))


def counted(truth, logits, temperature=1.0):
    return count(truth, logits.argmax(axis=-1).astype(np.uint8), softmax(logits, temperature=temperature))


def confident(confidence, right, *, pixels=1000, classes=3):
    """A row of pixels answered 0 with one confidence, of which a share is right and the others are of class 1."""
    rest = (1 - confidence) / (classes - 1)
    probabilities = np.tile(np.float32([confidence] + [rest] * (classes - 1)), (1, pixels, 1))
    truth = (np.arange(pixels) >= round(right * pixels)).astype(np.uint8)[None]
    return count(truth, np.zeros_like(truth), probabilities)


def assert_same(found, expected):
    np.testing.assert_array_equal(found.confusions, expected.confusions)
    np.testing.assert_allclose(found.sums, expected.sums, atol=1e-9)
    assert found.log_loss == pytest.approx(expected.log_loss, abs=1e-6)
    assert found.brier == pytest.approx(expected.brier, abs=1e-6)


def test_the_calibration_error_of_constructed_probabilities_is_the_known_one():
    sure = summarise_calibration(confident(0.9, right=0.6), temperature=1).overall
    assert sure.ece == pytest.approx(0.3, abs=1e-6)
    assert sure.mce == pytest.approx(0.3, abs=1e-6)
    assert sure.pixels == (0,) * 13 + (1000, 0)  # (13/15, 14/15] holds 0.9
    assert sure.accuracy[13] == 0.6
    assert sure.confidence[13] == pytest.approx(0.9)
    assert sure.accuracy[12] is None
    # 1000 pixels off by 0.3 and 3000 right as often as they say
    both = confident(0.9, right=0.6) + confident(0.5, right=0.5, pixels=3000)
    assert summarise_calibration(both, temperature=1).overall.ece == pytest.approx(0.3 / 4, abs=1e-6)
    assert summarise_calibration(both, temperature=1).overall.mce == pytest.approx(0.3, abs=1e-6)


def test_log_loss_and_brier_score_are_the_known_ones():
    found = summarise_calibration(confident(0.8, right=0.75), temperature=1)
    assert found.log_loss == pytest.approx(-0.75 * np.log(0.8) - 0.25 * np.log(0.1), abs=1e-6)
    right, wrong = 0.2**2 + 2 * 0.1**2, 0.8**2 + 0.9**2 + 0.1**2
    assert found.brier == pytest.approx(0.75 * right + 0.25 * wrong, abs=1e-6)
    certain = summarise_calibration(confident(1.0, right=1.0), temperature=1)
    assert (certain.log_loss, certain.brier, certain.overall.ece) == (0, 0, 0)


def test_errors_of_opposite_sign_in_one_bin_cancel_as_the_definition_has_it_but_not_by_class():
    over, under = confident(0.85, right=0.75), confident(0.85, right=0.95)
    swapped = type(under)(  # the same pixels answered 1 instead of 0
        confusions=under.confusions[:, [1, 0, 2]][:, :, [1, 0, 2, 3]],
        sums=under.sums[:, [1, 0, 2]],
        log_loss=under.log_loss,
        brier=under.brier,
    )
    found = summarise_calibration(over + swapped, temperature=1)
    assert found.overall.ece == pytest.approx(0, abs=1e-6)
    assert [each.ece for each in found.per_class] == [pytest.approx(0.1, abs=1e-6), pytest.approx(0.1, abs=1e-6), None]


def test_a_bin_holds_its_upper_edge():
    quarter = confident(0.2, right=0.0, classes=6)  # 0.2 is 3/15; float32 has it a little above
    exact = count(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), np.float32([[[0.25, 0.75]]]))
    assert np.flatnonzero(exact.confusions.sum(axis=(1, 2))).tolist() == [14]  # (14/60, 15/60]
    assert sum(summarise_calibration(quarter, temperature=1).overall.pixels[2:4]) == 1000


@settings(deadline=None, max_examples=50)
@given(truths, many_logits)
def test_the_error_is_that_of_its_definition(truth, logits):
    found = summarise_calibration(counted(truth, logits), temperature=1).overall
    probabilities, labelled = softmax(logits), truth != VOID
    confidence = probabilities.max(axis=-1)[labelled].astype(np.float64)
    right = (logits.argmax(axis=-1) == truth)[labelled]
    edges = np.arange(BINS + 1) / BINS
    total, gaps = labelled.sum(), []
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gaps.append((inside.sum(), abs(right[inside].mean() - confidence[inside].mean())))
    if not total:
        assert found.ece is None
        return
    assert found.ece == pytest.approx(sum(pixels * gap for pixels, gap in gaps) / total, abs=1e-9)
    assert found.mce == pytest.approx(max(gap for _, gap in gaps), abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(truths, many_logits, st.integers(1, SHAPE[1] - 1), st.randoms(use_true_random=False))
def test_counts_are_the_sum_of_their_parts_whatever_the_order_of_pixels(truth, logits, cut, shuffled):
    whole = counted(truth, logits)
    assert_same(counted(truth[:, :cut], logits[:, :cut]) + counted(truth[:, cut:], logits[:, cut:]), whole)
    order = list(range(truth.size))
    shuffled.shuffle(order)
    assert_same(counted(truth.reshape(1, -1)[:, order], logits.reshape(1, -1, CLASSES)[:, order]), whole)
    assert_same(whole + count_nothing(CLASSES), whole)


@settings(deadline=None, max_examples=50)
@given(truths, many_logits)
def test_void_is_not_counted(truth, logits):
    found = counted(truth, logits)
    assert found.confusions.dtype == np.int64
    assert found.confusions.shape == (FINE, CLASSES, CLASSES + 1)
    assert found.pixels == (truth != VOID).sum()
    other = np.where((truth == VOID)[..., None], np.float32(3) - logits, logits)
    assert_same(counted(truth, other), found)


@settings(deadline=None, max_examples=50)
@given(truths, many_logits, st.floats(0.1, 10))
def test_bins_together_are_the_confusion_matrix_at_any_temperature(truth, logits, temperature):
    expected = confusion(truth, logits.argmax(axis=-1).astype(np.uint8), classes=CLASSES)
    np.testing.assert_array_equal(counted(truth, logits, temperature).confusions.sum(axis=0), expected)


@settings(deadline=None, max_examples=50)
@given(truths.filter(lambda truth: (truth != VOID).any()), many_logits)
def test_every_point_of_the_abstention_curve_is_the_score_of_the_pixels_above_its_threshold(truth, logits):
    curve = compute_abstention(counted(truth, logits))
    answer, confidence = logits.argmax(axis=-1).astype(np.uint8), softmax(logits).max(axis=-1)
    labelled = (truth != VOID).sum()
    all_classes = np.union1d(truth[truth != VOID], answer[truth != VOID])
    assert curve.threshold[0] == 0
    assert curve.answered[0] == 1
    assert (np.diff(curve.answered) < 0).all()
    assert (np.diff(curve.threshold) > 0).all()
    for place, threshold in enumerate(curve.threshold):
        kept = np.where(confidence.astype(np.float64) > threshold, truth, np.uint8(VOID))
        counts = confusion(kept, answer, classes=CLASSES)
        assert curve.answered[place] == pytest.approx(counts.sum() / labelled)
        assert curve.pixel_accuracy[place] == pytest.approx(pixel_accuracy(counts))
        seen = np.union1d(kept[kept != VOID], answer[kept != VOID])
        assert curve.classes[place] == len(seen)
        assert curve.miou_lost_as_0[place] == pytest.approx(float(mean_iou(counts)) * len(seen) / len(all_classes))


def test_who_answers_only_when_sure_is_right_more_often_and_a_lost_class_is_told():
    sure, unsure = confident(0.99, right=1.0), confident(0.55, right=0.5)
    curve = compute_abstention(sure + unsure)
    assert curve.answered == (1.0, 0.5)
    assert curve.pixel_accuracy == (0.75, 1.0)
    assert curve.classes == (2, 1)
    assert curve.miou_lost_as_0 == (0.375, 0.5)  # the lost class counts 0: of one class alone it would be 1


def test_without_a_labelled_pixel_nothing_is_said():
    empty = counted(np.full(SHAPE, VOID, np.uint8), np.zeros((*SHAPE, CLASSES), np.float32))
    found = summarise_calibration(empty, temperature=1)
    assert (found.overall.ece, found.overall.mce, found.log_loss, found.brier) == (None,) * 4
    assert compute_abstention(empty).answered == ()


def calibration(before, after):
    return Calibration(
        dataset="drawn",
        split="test",
        protocol="drawn/1",
        split_digest="0123",
        label_map="4567",
        names=("a", "b", "c"),
        images=1,
        labelled_pixels=before.pixels,
        before=summarise_calibration(before, temperature=1.0),
        after=summarise_calibration(after, temperature=1.6) if after else None,
        fitted_on="validation" if after else None,
        abstention=compute_abstention(before),
    )


def test_a_report_gets_plain_values_and_what_must_be_said():
    found = calibration(confident(0.9, right=0.6), confident(0.65, right=0.6))
    assert found.statement == (
        "Softmax outputs are not probabilities. On test their calibration error (ECE) is 0.300, "
        "and 0.050 with the temperature 1.60 that was fitted on validation."
    )
    plain = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert plain["before"]["overall"]["ece"] == pytest.approx(0.3, abs=1e-6)
    assert len(plain["after"]["per_class"]) == 3
    assert plain["statement"] == found.statement
    assert "no temperature was fitted" in calibration(confident(0.9, right=0.6), None).statement
    assert "no labelled pixel" in calibration(count_nothing(3), None).statement


def test_it_is_said_which_errors_a_temperature_made_worse():
    good, bad = confident(0.65, right=0.6), confident(0.9, right=0.6)
    losses = [summarise_calibration(counts, temperature=1).log_loss for counts in (good, bad)]
    briers = [summarise_calibration(counts, temperature=1).brier for counts in (good, bad)]
    assert calibration(good, bad).statement == (
        "Softmax outputs are not probabilities. On test their calibration error (ECE) is 0.050, and 0.300 with the "
        "temperature 1.60 that was fitted on validation. On test the temperature made some errors worse: "
        "ECE 0.050 to 0.300, "
        f"log loss {losses[0]:.3f} to {losses[1]:.3f}, Brier score {briers[0]:.3f} to {briers[1]:.3f}."
    )
    mixed = replace(
        calibration(good, good),
        after=replace(summarise_calibration(bad, temperature=1.6), log_loss=0.5, brier=briers[0]),
    )
    assert mixed.statement.endswith(
        f"the temperature made some errors worse: ECE 0.050 to 0.300; better: log loss {losses[0]:.3f} to 0.500."
    )
    unseen = replace(
        calibration(good, good), after=replace(summarise_calibration(good, temperature=1.6), brier=briers[0] + 1e-9)
    )
    assert "worse" not in unseen.statement


def test_mistakes_are_refused():
    truth, logits = np.zeros(SHAPE, np.uint8), np.zeros((*SHAPE, CLASSES), np.float32)
    with pytest.raises(ValueError, match=r"\(8, 5\)"):
        count(truth.T, truth, softmax(logits))
    with pytest.raises(ValueError, match="are they logits"):
        count(truth, truth, logits)
    with pytest.raises(ValueError, match="are they logits"):
        count(truth, truth, np.full_like(logits, np.nan))
    with pytest.raises(ValueError, match="truth holds id 3"):
        count(truth + np.uint8(3), truth, softmax(logits))
    with pytest.raises(ValueError, match="answer holds id 7"):
        count(truth, truth + np.uint8(7), softmax(logits))
