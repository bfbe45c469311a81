import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segline.core.labels import VOID
from segline.core.metrics.temperature import TEMPERATURES, Pixels, draw_pixels, fit, join_pixels, softmax

SHAPE = (4, 7)
any_logits = hnp.arrays(np.float32, (*SHAPE, 3), elements=st.floats(-(2.0**100), 2.0**100, width=32))
near = hnp.arrays(np.float32, (*SHAPE, 3), elements=st.floats(-20, 20, width=32))
temperatures = st.floats(*TEMPERATURES)


def honest(temperature=1.0, count=20_000, classes=4, seed=0):
    """Logits whose softmax is the truth's own distribution once they are divided by `temperature`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, (count, classes))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (generator.random((count, 1)) > shares.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    return pixels((temperature * logits).astype(np.float32), truth.astype(np.uint8))


def pixels(logits, truth, weights=None):
    return Pixels(logits=logits, truth=truth, weights=np.ones(len(truth)) if weights is None else weights)


def log_loss(of, temperature):
    logits = of.logits.astype(np.float64) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(of.truth)), of.truth]
    return float(of.weights @ losses)


@settings(deadline=None, max_examples=50)
@given(st.one_of(any_logits, near), temperatures)
def test_temperature_leaves_the_highest_class_the_highest(logits, temperature):
    found = softmax(logits, temperature=temperature)
    answers = logits.argmax(axis=-1)
    assert found.dtype == np.float32
    at_answer = np.take_along_axis(found, answers[..., None], axis=-1)
    np.testing.assert_array_equal(at_answer[..., 0], found.max(axis=-1))
    # Where no rounding makes two classes equal, the answer itself is the same.
    clear = np.diff(np.sort(logits, axis=-1), axis=-1)[..., -1] > 1e-3
    clear &= (np.abs(logits) < 1e3).all(axis=-1)
    np.testing.assert_array_equal(found.argmax(axis=-1)[clear], answers[clear])


@settings(deadline=None, max_examples=50)
@given(near, temperatures)
def test_probabilities_sum_to_one_and_a_higher_temperature_is_less_sure(logits, temperature):
    found = softmax(logits, temperature=temperature)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)
    warmer = softmax(logits, temperature=1.5 * temperature)
    assert (warmer.max(axis=-1) <= found.max(axis=-1) * (1 + 1e-5)).all()


@settings(deadline=None, max_examples=50)
@given(near)
def test_a_temperature_of_one_is_the_plain_softmax(logits):
    shares = np.exp(logits.astype(np.float64))
    np.testing.assert_allclose(softmax(logits), shares / shares.sum(axis=-1, keepdims=True), rtol=2e-5, atol=1e-30)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_logits_were_made_with_is_found(temperature):
    assert fit(honest(temperature)) == pytest.approx(temperature, rel=0.04)


def test_multiplied_logits_multiply_the_temperature_and_one_more_logit_for_all_changes_nothing():
    plain = honest(1.3, count=3000)
    found = fit(plain)
    assert fit(pixels(3 * plain.logits, plain.truth)) == pytest.approx(3 * found, rel=1e-5)
    assert fit(pixels(plain.logits + 8, plain.truth)) == pytest.approx(found, rel=1e-5)


def test_no_temperature_beside_the_found_one_has_a_lower_log_loss():
    of = honest(2.0, count=2000)
    found = fit(of)
    assert all(log_loss(of, found) < log_loss(of, found * factor) for factor in (0.5, 0.99, 0.999, 1.001, 1.01, 2))


def test_weights_count_as_repetition():
    of = honest(1.7, count=500)
    repeats = np.random.default_rng(1).integers(1, 5, 500)
    repeated = pixels(of.logits.repeat(repeats, axis=0), of.truth.repeat(repeats))
    assert fit(pixels(of.logits, of.truth, repeats.astype(float))) == pytest.approx(fit(repeated), rel=1e-6)


def test_what_is_never_wrong_or_always_gets_an_end_of_the_range():
    logits = np.tile(np.float32([2, 0, 0]), (50, 1))
    assert fit(pixels(logits, np.zeros(50, np.uint8))) == pytest.approx(TEMPERATURES[0], rel=1e-5)
    assert fit(pixels(logits, np.ones(50, np.uint8))) == pytest.approx(TEMPERATURES[1], rel=1e-5)


def test_drawn_pixels_are_labelled_ones_with_their_logits_and_stand_for_all():
    generator = np.random.default_rng(3)
    truth = generator.choice(np.array([0, 1, 2, VOID], np.uint8), (30, 41))
    logits = np.repeat(np.arange(truth.size, dtype=np.float32).reshape(30, 41, 1), 3, axis=2)
    few = draw_pixels(truth, logits, most=100, generator=generator)
    assert few.truth.shape == (100,)
    places = few.logits[:, 0].astype(int)
    assert len(set(places.tolist())) == 100
    np.testing.assert_array_equal(few.truth, truth.ravel()[places])
    assert few.weights.sum() == pytest.approx((truth != VOID).sum())
    every = draw_pixels(truth, logits, most=truth.size, generator=generator)
    assert len(every.truth) == (truth != VOID).sum()
    assert (every.weights == 1).all()
    nothing = draw_pixels(np.full_like(truth, VOID), logits, most=9, generator=generator)
    assert len(join_pixels([few, nothing, every]).truth) == 100 + len(every.truth)


def test_mistakes_are_refused():
    with pytest.raises(ValueError, match="above 0"):
        softmax(np.zeros((2, 3), np.float32), temperature=0)
    with pytest.raises(ValueError, match="at least one labelled pixel"):
        fit(pixels(np.zeros((0, 3), np.float32), np.zeros(0, np.uint8)))
    with pytest.raises(ValueError, match="id 3"):
        fit(pixels(np.zeros((1, 3), np.float32), np.full(1, 3, np.uint8)))
    with pytest.raises(ValueError, match=r"\(7, 4\).*\(4, 7, 3\)"):
        draw_pixels(
            np.zeros((7, 4), np.uint8), np.zeros((4, 7, 3), np.float32), most=1, generator=np.random.default_rng(0)
        )
