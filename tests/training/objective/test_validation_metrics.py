"""Mean IoU from counts, against NumPy."""

import numpy as np
import pytest

from segline.core.labels import VOID
from segline.training.fit.checkpoint import values
from segline.training.objective.validation_metrics import MeanIoU, mean_iou


def reference(masks: np.ndarray, predictions: np.ndarray, classes: int) -> float:
    known = masks != VOID
    scores = []
    for label in range(classes):
        truth, claimed = (masks == label) & known, (predictions == label) & known
        if (truth | claimed).any():
            scores.append((truth & claimed).sum() / (truth | claimed).sum())
    return float(np.mean(scores))


@pytest.mark.parametrize("seed", range(5))
def test_it_equals_its_definition_over_batches_of_unequal_content(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = np.sort(rng.integers(0, 4, 4 * 3 * 20 * 28)).reshape(4, 3, 20, 28).astype(np.uint8)
    masks[rng.random(masks.shape) < 0.2] = VOID
    logits = rng.normal(size=(*masks.shape, 5)).astype(np.float32)
    metric = MeanIoU(5)
    for mask, logit in zip(masks, logits, strict=True):
        metric.update_state(mask, logit)
    assert mean_iou(metric.counts()) == pytest.approx(reference(masks, logits.argmax(-1), 5))
    assert float(metric.result()) == pytest.approx(reference(masks, logits.argmax(-1), 5), rel=1e-6)
    metric.reset_state()
    metric.update_state(masks[0], logits[0])
    assert float(metric.result()) == pytest.approx(reference(masks[0], logits[0].argmax(-1), 5), rel=1e-6)


def test_counts_carry_from_one_digit_to_the_next() -> None:
    """Ten images of nearly a million pixels: a digit holds 2**20, and float32 2**24."""
    mask = np.zeros((1, 1000, 999), np.uint8)
    logits = np.zeros((1, 1000, 999, 2), np.float32)
    logits[..., 0] = 1
    logits[0, 0, 0] = [0, 1]
    metric = MeanIoU(2)
    for _ in range(10):
        metric.update_state(mask, logits)
    assert metric.counts().tolist() == [
        [10 * 998_999, 0],
        [10 * 999_000, 10],
    ]
    assert values([metric._low])[0].max() < 2**20


def test_counts_beyond_int32_are_compared_right() -> None:
    metric = MeanIoU(2)
    metric._high.assign(np.array([[4_000, 2_000], [4_800, 8_000]]))  # units of 2**20: 10**9 and more
    assert float(metric.result()) == pytest.approx((4_000 / 4_800 + 2_000 / 8_000) / 2)


def test_absent_and_unpredicted_classes_do_not_count() -> None:
    metric = MeanIoU(4)
    metric.update_state(np.array([[[0, 1, VOID]]], np.uint8), np.eye(4, dtype=np.float32)[None, None, [0, 0, 3]])
    assert float(metric.result()) == pytest.approx((1 / 2 + 0) / 2)


def test_nothing_labelled_is_no_score() -> None:
    metric = MeanIoU(3)
    metric.update_state(np.full((1, 2, 3), VOID, np.uint8), np.zeros((1, 2, 3, 3), np.float32))
    assert np.isnan(float(metric.result()))
    assert np.isnan(mean_iou(metric.counts()))


def test_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="void"):
        MeanIoU(3).update_state(np.zeros((1, 2, 2)), np.zeros((1, 2, 2, 3)), sample_weight=np.ones(1))
