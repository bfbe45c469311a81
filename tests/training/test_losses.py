"""The loss against NumPy in float64, and what it must not depend on."""

import keras
import numpy as np
import pytest
import tensorflow
from hypothesis import given, settings
from hypothesis import strategies as st

from segline.core.labels import VOID
from segline.training.losses import SegmentationLoss, segmentation_loss

Batch = tuple[np.ndarray, np.ndarray]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Masks with void and logits, not square, 2 to 5 classes of which some may be absent."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    classes = draw(st.integers(2, 5))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 9)))
    mask = rng.integers(0, draw(st.integers(1, classes)), shape).astype(np.uint8)
    mask[rng.random(shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = VOID
    logits = rng.normal(0, draw(st.sampled_from([0.1, 1.0, 20.0])), (*shape, classes)).astype(np.float32)
    return mask, logits


def reference(mask: np.ndarray, logits: np.ndarray) -> float:
    """Pixel by pixel, class by class, as the definitions are written."""
    known = mask != VOID
    if not known.any():
        return 0.0
    truth, chosen = mask[known], logits[known].astype(np.float64)
    chosen -= chosen.max(axis=1, keepdims=True)
    probability = np.exp(chosen) / np.exp(chosen).sum(axis=1, keepdims=True)
    entropy = np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(chosen, truth, strict=True)])
    dice = []
    for label in np.unique(truth):
        here = truth == label
        dice.append(1 - 2 * probability[here, label].sum() / (here.sum() + probability[:, label].sum()))
    return float(entropy + np.mean(dice))


def loss(mask: np.ndarray, logits: np.ndarray) -> float:
    return float(keras.ops.convert_to_numpy(SegmentationLoss()(mask, logits)))


@given(batches())
@settings(max_examples=40, deadline=None)
def test_it_equals_its_definition(batch: Batch) -> None:
    assert loss(*batch) == pytest.approx(reference(*batch), rel=2e-5, abs=2e-6)


@given(batches(), st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_what_void_pixels_hold_does_not_matter(batch: Batch, seed: int) -> None:
    mask, logits = batch
    other = logits.copy()
    other[mask == VOID] = np.random.default_rng(seed).normal(0, 50, other[mask == VOID].shape)
    assert loss(mask, other) == loss(mask, logits)


@given(batches())
@settings(max_examples=15, deadline=None)
def test_flipping_image_and_mask_together_changes_nothing(batch: Batch) -> None:
    mask, logits = batch
    assert loss(mask[:, :, ::-1], logits[:, :, ::-1]) == pytest.approx(loss(mask, logits), rel=1e-5, abs=1e-6)


@given(batches())
@settings(max_examples=15, deadline=None)
def test_padding_with_void_changes_nothing(batch: Batch) -> None:
    mask, logits = batch
    padded = np.pad(mask, ((0, 1), (0, 2), (0, 3)), constant_values=VOID)
    assert loss(padded, np.pad(logits, ((0, 1), (0, 2), (0, 3), (0, 0)))) == pytest.approx(
        loss(mask, logits), rel=1e-5, abs=1e-6
    )


@given(batches())
@settings(max_examples=15, deadline=None)
def test_gradients_are_finite_and_zero_at_void(batch: Batch) -> None:
    mask, logits = batch
    variable = tensorflow.Variable(logits)
    with tensorflow.GradientTape() as tape:
        value = segmentation_loss(mask, variable)
    gradient = tape.gradient(value, variable).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[mask == VOID].any()


def test_an_all_void_batch_costs_and_teaches_nothing() -> None:
    mask = np.full((2, 4, 6), VOID, np.uint8)
    variable = tensorflow.Variable(np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32))
    with tensorflow.GradientTape() as tape:
        value = segmentation_loss(mask, variable)
    assert float(value) == 0.0
    assert not tape.gradient(value, variable).numpy().any()


def test_certain_and_right_costs_nothing_certain_and_wrong_costs_most() -> None:
    mask = np.array([[[0, 1, 2, VOID]]], np.uint8)
    right = 60.0 * np.eye(4, dtype=np.float32)[[0, 1, 2, 3]][None, None, :, :3]
    assert loss(mask, right) == pytest.approx(0.0, abs=1e-6)
    assert loss(mask, np.roll(right, 1, axis=-1)) == pytest.approx(60 + 1)


def test_half_precision_logits_are_computed_in_float32() -> None:
    """At this size a sum of probabilities in float16 is infinite."""
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 3, (1, 512, 520)).astype(np.uint8)
    logits = rng.normal(size=(1, 512, 520, 3)).astype(np.float16)
    value = SegmentationLoss()(mask, keras.ops.convert_to_tensor(logits, dtype="float16"))
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert float(value) == pytest.approx(reference(mask, logits), rel=1e-5)


def test_it_survives_serialisation() -> None:
    restored = keras.losses.deserialize(keras.losses.serialize(SegmentationLoss()))
    assert isinstance(restored, SegmentationLoss)
    mask, logits = np.array([[[0, 2, VOID]]], np.uint8), np.ones((1, 1, 3, 3), np.float32)
    assert float(restored(mask, logits)) == loss(mask, logits)
