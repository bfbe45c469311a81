import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segline.core.labels import VOID
from segline.core.metrics.boundary import boundary_outcomes, dilation

CLASSES = 3
SHAPE = (9, 14)
blocks = hnp.arrays(np.uint8, (3, 7), elements=st.sampled_from([0, 1, 2, VOID]))
ratios = st.sampled_from([0.02, 0.1, 0.2])


def enlarged(small):
    return np.kron(small, np.ones((3, 2), np.uint8))


def reference_boundary(mask, ratio):
    """``mask_to_boundary`` of boundary-iou-api, by what it says: eroded by d steps of 3 x 3, frame of zeros."""
    height, width = mask.shape
    steps = max(1, round(ratio * np.hypot(height, width)))
    framed = np.pad(mask, 1)
    for _ in range(steps):
        framed = cv2.erode(framed, np.ones((3, 3), np.uint8), borderValue=1)
    return mask & ~framed[1:-1, 1:-1].astype(bool)


@given(blocks, blocks, ratios)
def test_without_void_each_class_is_scored_as_the_reference_scores_an_object(truth, prediction, ratio):
    truth, prediction = enlarged(np.where(truth == VOID, 1, truth).astype(np.uint8)), enlarged(prediction)
    found = boundary_outcomes(truth, prediction, classes=CLASSES, ratio=ratio)
    for train_id in range(CLASSES):
        true, claimed = (
            reference_boundary((mask == train_id).astype(np.uint8), ratio).astype(bool) for mask in (truth, prediction)
        )
        assert found.true_positive[train_id] == (true & claimed).sum()
        assert found.false_negative[train_id] == (true & ~claimed).sum()
        assert found.false_positive[train_id] == (claimed & ~true).sum()


def by_definition(mask, void, train_id, reach):
    """Pixels of the class that have another class, or the image's edge, within reach; void is neither."""
    other = np.pad((mask != train_id) & ~void, reach, constant_values=True)
    windows = np.lib.stride_tricks.sliding_window_view(other, (2 * reach + 1, 2 * reach + 1))
    return (mask == train_id) & ~void & windows.any(axis=(2, 3))


@given(blocks, blocks, ratios)
def test_void_is_on_no_boundary_and_makes_none(truth, prediction, ratio):
    truth, prediction = enlarged(truth), enlarged(prediction)
    void, reach = truth == VOID, dilation(*SHAPE, ratio=ratio)
    found = boundary_outcomes(truth, prediction, classes=CLASSES, ratio=ratio)
    for train_id in range(CLASSES):
        true, claimed = (by_definition(mask, void, train_id, reach) for mask in (truth, prediction))
        assert found.true_positive[train_id] == (true & claimed).sum()
        assert found.false_negative[train_id] == (true & ~claimed).sum()
        assert found.false_positive[train_id] == (claimed & ~true).sum()


@given(blocks, blocks, blocks)
def test_what_is_predicted_on_void_never_matters(truth, prediction, other):
    truth, prediction, other = enlarged(truth), enlarged(prediction), enlarged(other)
    changed = np.where(truth == VOID, other, prediction)
    one, two = (boundary_outcomes(truth, mask, classes=CLASSES) for mask in (prediction, changed))
    np.testing.assert_array_equal(one.iou, two.iou)


@given(blocks)
def test_the_truth_itself_scores_one_for_each_class_that_is_there(truth):
    truth = enlarged(truth)
    ratio = boundary_outcomes(truth, truth, classes=CLASSES).iou
    present = np.isin(np.arange(CLASSES), truth)
    rim = np.concatenate([truth[0], truth[-1], truth[:, 0], truth[:, -1]])
    assert (ratio[np.isin(np.arange(CLASSES), rim)] == 1.0).all()  # the image's border is a boundary
    assert (np.isnan(ratio) | (ratio == 1.0)).all()  # what lies in void alone has none
    assert np.isnan(ratio[~present]).all()


def test_a_shift_costs_a_large_object_more_at_its_boundary_than_in_its_area():
    truth = np.zeros((120, 200), np.uint8)
    truth[20:100, 40:160] = 1
    truth[:, 190:] = VOID
    shifted = np.roll(truth, 3, axis=1)
    found = boundary_outcomes(truth, shifted, classes=2)
    area = np.logical_and(truth == 1, shifted == 1).sum() / np.logical_or(truth == 1, shifted == 1).sum()
    assert found.iou[1] < area - 0.2


def test_counts_of_two_images_add_up():
    rng = np.random.default_rng(2)
    truth, prediction = rng.integers(0, CLASSES, (2, 2, *SHAPE), dtype=np.uint8)
    parts = [boundary_outcomes(one, other, classes=CLASSES) for one, other in zip(truth, prediction, strict=True)]
    total = parts[0] + parts[1]
    expected = parts[0].true_positive + parts[1].true_positive
    np.testing.assert_array_equal(total.true_positive, expected)
    union = sum(part.true_positive + part.false_positive + part.false_negative for part in parts)
    np.testing.assert_allclose(total.iou, expected / union)


def test_the_reach_is_a_share_of_the_diagonal_and_at_least_one_pixel():
    assert dilation(1024, 2048) == 46
    assert dilation(375, 1242) == 26
    assert dilation(5, 9) == 1


def test_ids_beyond_the_classes_are_refused_in_the_truth_alone():
    mask = np.full(SHAPE, 7, np.uint8)
    with pytest.raises(ValueError, match="id 7"):
        boundary_outcomes(mask, mask, classes=CLASSES)
    missed = boundary_outcomes(np.zeros(SHAPE, np.uint8), mask, classes=CLASSES)
    assert missed.iou[0] == 0.0
