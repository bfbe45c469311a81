"""The loss against NumPy in float64, and what it must not depend on."""

import keras
import numpy as np
import pytest
import tensorflow
from hypothesis import given, settings
from hypothesis import strategies as st

from segline.config import Loss
from segline.core.labels import VOID
from segline.training.objective.losses import (
    Pixels,
    SegmentationLoss,
    balanced_weights,
    hard_examples,
    lovasz_softmax,
    segmentation_loss,
)

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


def reference(mask: np.ndarray, logits: np.ndarray, settings: Loss = Loss()) -> float:  # noqa: B008
    """Pixel by pixel, class by class, in float64, as the definitions are written."""
    known = mask != VOID
    if not known.any():
        return 0.0
    truth, chosen = mask[known], logits[known].astype(np.float64)
    chosen -= chosen.max(axis=1, keepdims=True)
    probability = np.exp(chosen) / np.exp(chosen).sum(axis=1, keepdims=True)
    logs = chosen - np.log(np.exp(chosen).sum(axis=1, keepdims=True))
    own = logs[np.arange(len(truth)), truth]
    smoothing = settings.label_smoothing
    entropy = -(1 - smoothing) * own - smoothing * logs.mean(axis=1)
    hardest = np.sort(entropy)[::-1][: int(np.ceil(np.float32(settings.hard_share) * len(truth)))]
    return float(
        settings.cross_entropy * entropy.mean()
        + settings.focal * np.mean(-((1 - np.exp(own)) ** settings.focal_gamma) * own)
        + settings.hard * hardest.mean()
        + settings.dice * np.mean([_dice(truth == label, probability[:, label]) for label in np.unique(truth)])
        + (
            settings.lovasz
            and settings.lovasz
            * np.mean([_lovasz(truth == label, probability[:, label]) for label in np.unique(truth)])
        )
    )


def _dice(here: np.ndarray, probability: np.ndarray) -> float:
    return 1 - 2 * probability[here].sum() / (here.sum() + probability.sum())


def _lovasz(here: np.ndarray, probability: np.ndarray) -> float:
    """The Jaccard loss of every set of the k largest errors, telescoped."""
    errors = np.abs(here - probability)
    order = np.argsort(-errors, kind="stable")
    total, before = 0.0, 0.0
    for count in range(1, len(order) + 1):
        wrong = np.zeros(len(order), bool)
        wrong[order[:count]] = True
        jaccard = wrong.sum() / (here | wrong).sum()
        total += errors[order[count - 1]] * (jaccard - before)
        before = jaccard
    return total


NOTHING = {"cross_entropy": 0.0, "dice": 0.0}
TERMS = {
    "own": Loss(),
    "cross_entropy": Loss(**NOTHING | {"cross_entropy": 1.0}),
    "label_smoothing": Loss(**NOTHING | {"cross_entropy": 1.0}, label_smoothing=0.1),
    "dice": Loss(**NOTHING | {"dice": 2.0}),
    "focal": Loss(**NOTHING, focal=1.0),
    "focal_0.5": Loss(**NOTHING, focal=1.0, focal_gamma=0.5),
    "lovasz": Loss(**NOTHING, lovasz=1.0),
    "hard": Loss(**NOTHING, hard=1.0, hard_share=0.3),
    "all": Loss(cross_entropy=0.5, dice=0.25, focal=1.0, lovasz=2.0, hard=0.1),
}
every_term = pytest.mark.parametrize("term", TERMS)


def loss(mask: np.ndarray, logits: np.ndarray, term: str = "own") -> float:
    return float(keras.ops.convert_to_numpy(SegmentationLoss(TERMS[term])(mask, logits)))


@every_term
@given(batch=batches())
@settings(max_examples=25, deadline=None)
def test_it_equals_its_definition(term: str, batch: Batch) -> None:
    assert loss(*batch, term) == pytest.approx(reference(*batch, TERMS[term]), rel=5e-5, abs=5e-6)


def check_gradient(mask: np.ndarray, logits: np.ndarray, term: str) -> None:
    """It is finite, and zero at void."""
    variable = tensorflow.Variable(logits)
    with tensorflow.GradientTape() as tape:
        value = segmentation_loss(mask, variable, TERMS[term])
    gradient = tape.gradient(value, variable).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[mask == VOID].any()


@every_term
@given(batch=batches(), seed=st.integers(0, 2**32), unusual=st.sampled_from([np.nan, np.inf, -np.inf, 3e38]))
@settings(max_examples=15, deadline=None)
def test_what_void_pixels_hold_does_not_matter(term: str, batch: Batch, seed: int, unusual: float) -> None:
    mask, logits = batch
    other = logits.copy()
    rng = np.random.default_rng(seed)
    other[mask == VOID] = rng.normal(0, 50, other[mask == VOID].shape)
    other[(mask == VOID)[..., None] & (rng.random(other.shape) < 0.5)] = unusual
    assert loss(mask, other, term) == loss(mask, logits, term)
    check_gradient(mask, other, term)


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


@every_term
@given(batch=batches())
@settings(max_examples=10, deadline=None)
def test_gradients_are_finite_and_zero_at_void(term: str, batch: Batch) -> None:
    mask, logits = batch
    check_gradient(mask, logits, term)


def test_an_all_void_batch_costs_and_teaches_nothing() -> None:
    mask = np.full((2, 4, 6), VOID, np.uint8)
    variable = tensorflow.Variable(np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32))
    with tensorflow.GradientTape() as tape:
        value = segmentation_loss(mask, variable)
    assert float(value) == 0.0
    assert not tape.gradient(value, variable).numpy().any()


@every_term
def test_the_gradient_is_the_slope(term: str) -> None:
    """By central differences in float64 of the independent computation."""
    rng = np.random.default_rng(4)
    mask = np.array([[[0, 1, VOID], [2, 1, 0]]], np.uint8)
    logits = rng.normal(size=(1, 2, 3, 3)).astype(np.float32)
    variable = tensorflow.Variable(logits)
    with tensorflow.GradientTape() as tape:
        value = segmentation_loss(mask, variable, TERMS[term])
    gradient = tape.gradient(value, variable).numpy()
    for place in np.ndindex(logits.shape):
        step = np.zeros(logits.shape)
        step[place] = 1e-5
        slope = (reference(mask, logits + step, TERMS[term]) - reference(mask, logits - step, TERMS[term])) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("term", [name for name in TERMS if name != "label_smoothing"])
@given(batch=batches())
@settings(max_examples=10, deadline=None)
def test_a_perfect_prediction_scores_the_minimum(term: str, batch: Batch) -> None:
    mask, logits = batch
    perfect = np.where(np.arange(logits.shape[-1]) == mask[..., None], 60.0, -60.0).astype(np.float32)
    assert loss(mask, perfect, term) == pytest.approx(0.0, abs=1e-5)
    assert loss(mask, logits, term) >= -1e-6


def test_rare_classes_weigh_more_and_the_mean_weight_of_a_pixel_is_one() -> None:
    pixels = [900, 90, 0, 10]
    weights = balanced_weights(pixels)
    assert weights[3] > weights[1] > weights[0] > weights[2] == 0.0
    assert np.dot(weights, pixels) / sum(pixels) == pytest.approx(1.0)
    mask = np.array([[[0, 1, 3, VOID]]], np.uint8)
    logits = np.random.default_rng(1).normal(size=(1, 1, 4, 4)).astype(np.float32)
    entropy = [
        reference(mask[..., place : place + 1], logits[:, :, place : place + 1], TERMS["cross_entropy"])
        for place in range(3)
    ]
    expected = np.average(entropy, weights=[weights[0], weights[1], weights[3]])
    weighted = SegmentationLoss(TERMS["cross_entropy"], class_weights=weights)(mask, logits)
    assert float(weighted) == pytest.approx(expected, rel=1e-5)


def test_certain_and_right_costs_nothing_certain_and_wrong_costs_most() -> None:
    mask = np.array([[[0, 1, 2, VOID]]], np.uint8)
    right = 60.0 * np.eye(4, dtype=np.float32)[[0, 1, 2, 3]][None, None, :, :3]
    assert loss(mask, right) == pytest.approx(0.0, abs=1e-6)
    assert loss(mask, np.roll(right, 1, axis=-1)) == pytest.approx(60 + 1)


def test_half_precision_logits_are_computed_in_float32() -> None:
    """At this size a sum of probabilities in float16 is infinite."""
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 3, (1, 1024, 1024)).astype(np.uint8)
    logits = rng.normal(0, 100, size=(1, 1024, 1024, 3)).astype(np.float16)
    for term in ("own", "all"):
        value = SegmentationLoss(TERMS[term])(mask, keras.ops.convert_to_tensor(logits, dtype="float16"))
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        assert np.isfinite(float(value))
    assert loss(mask, logits) == pytest.approx(reference(mask, logits), rel=1e-4)


@pytest.mark.slow
def test_pixels_are_counted_beyond_what_float32_can_count() -> None:
    pixels = 2**25
    truth = np.ones((1, 2, pixels // 2, 1), np.float32)
    half = np.repeat(np.float32([[[1], [0]]]), pixels // 2, axis=2)
    many = Pixels(
        truth=truth, log_probability=np.log(0.25 * truth), entropy=half[..., 0], weights=np.ones_like(half[..., 0])
    )
    assert float(hard_examples(many, Loss(hard_share=0.5))) == pytest.approx(1.0)
    assert float(lovasz_softmax(many, Loss())) == pytest.approx(0.75, rel=1e-3)


def test_it_survives_serialisation() -> None:
    restored = keras.losses.deserialize(keras.losses.serialize(SegmentationLoss(TERMS["all"], class_weights=[1, 2, 3])))
    assert isinstance(restored, SegmentationLoss)
    assert (restored.settings, restored.class_weights) == (TERMS["all"], (1, 2, 3))
    restored = keras.losses.deserialize(keras.losses.serialize(SegmentationLoss()))
    mask, logits = np.array([[[0, 2, VOID]]], np.uint8), np.ones((1, 1, 3, 3), np.float32)
    assert float(restored(mask, logits)) == loss(mask, logits)
