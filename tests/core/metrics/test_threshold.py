import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import jaccard_score

from segline.core.labels import VOID
from segline.core.metrics.confusion import confusion, mean_iou
from segline.core.metrics.threshold import BINS, above, choose_best, confusions, histogram, log_odds

SHAPE = (5, 8)
truths = hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, VOID]))
likely = st.floats(-12, 12, width=32)
edges = st.integers(1, BINS - 1).map(lambda place: float(log_odds(place / BINS)))
any_logit = st.floats(allow_nan=False, allow_infinity=False, width=32)
close = hnp.arrays(np.float32, (*SHAPE, 2), elements=st.one_of(likely, edges, st.just(0.0)))
extreme = hnp.arrays(np.float32, (*SHAPE, 2), elements=any_logit)


def noisy(seed=0, size=(40, 60), shift=0.0):
    """A task that is learnt but for an offset: truth, and logits whose best threshold lies beside 0.5."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(size) < 0.25).astype(np.uint8)
    margin = rng.normal(2.0 * truth - 1.0 + shift, 0.8).astype(np.float32)
    truth[:4] = VOID
    return truth, np.stack([np.zeros(size, np.float32), margin], axis=-1)


@given(st.one_of(close, extreme))
def test_a_threshold_of_one_half_is_argmax_to_the_last_bit(logits):
    np.testing.assert_array_equal(above(logits, 0.5), logits.argmax(axis=-1))


@given(close, st.floats(0.001, 0.999))
def test_the_foreground_is_where_its_probability_is_above_the_threshold(logits, threshold):
    margin = logits[..., 1].astype(np.float64) - logits[..., 0]
    probability = 1 / (1 + np.exp(-margin))
    clear = np.abs(probability - threshold) > 1e-5
    np.testing.assert_array_equal(above(logits, threshold)[clear], (probability > threshold)[clear])


@given(truths, st.one_of(close, extreme))
def test_one_histogram_gives_the_confusion_matrix_of_every_threshold(truth, logits):
    found = confusions(histogram(truth, logits))
    assert found.shape == (BINS - 1, 2, 3)
    for place in (0, 1, 100, BINS // 2 - 1, BINS - 2):
        expected = confusion(truth, above(logits, (place + 1) / BINS), classes=2)
        np.testing.assert_array_equal(found[place], expected)


@given(truths, close, st.integers(1, SHAPE[1] - 1))
def test_a_histogram_is_the_sum_of_its_parts_and_blind_to_void(truth, logits, cut):
    whole = histogram(truth, logits)
    assert whole.dtype == np.int64
    assert whole.sum() == (truth != VOID).sum()
    parts = histogram(truth[:, :cut], logits[:, :cut]) + histogram(truth[:, cut:], logits[:, cut:])
    np.testing.assert_array_equal(whole, parts)
    changed = np.where((truth == VOID)[..., None], np.float32(7.0), logits) * np.array([1, -1], np.float32)
    unchanged = np.where((truth == VOID)[..., None], changed, logits)
    np.testing.assert_array_equal(histogram(truth, unchanged), whole)


@given(truths.filter(lambda truth: (truth != VOID).any()), close)
def test_no_threshold_of_the_grid_beats_the_best_one_and_half_is_told(truth, logits):
    counts = histogram(truth, logits)
    chosen, scores = choose_best(counts), list(mean_iou(confusions(counts)))
    assert chosen.miou == mean_iou(confusion(truth, above(logits, chosen.value), classes=2))
    assert chosen.miou == max(scores) == scores[round(chosen.value * BINS) - 1]
    assert chosen.miou_at_half == scores[BINS // 2 - 1]
    if chosen.miou == chosen.miou_at_half:
        assert chosen.value == 0.5


@pytest.mark.parametrize(("shift", "side"), [(1.5, 1), (-1.5, -1)])
def test_what_the_network_is_too_sure_of_is_made_good(shift, side):
    truth, logits = noisy(shift=shift)
    chosen = choose_best(histogram(truth, logits))
    assert (chosen.value - 0.5) * side > 0.1
    assert chosen.miou > chosen.miou_at_half + 0.1
    labelled = truth != VOID
    expected = jaccard_score(truth[labelled], above(logits, chosen.value)[labelled], average="macro")
    assert chosen.miou == pytest.approx(expected)


def test_exchanging_the_classes_mirrors_the_threshold():
    truth, logits = noisy(shift=0.7)
    swapped = np.where(truth == VOID, VOID, 1 - truth).astype(np.uint8)
    one, other = choose_best(histogram(truth, logits)), choose_best(histogram(swapped, logits[..., ::-1]))
    assert one.value + other.value == 1
    assert one.miou == other.miou


def test_mistakes_are_refused():
    logits = np.zeros((*SHAPE, 2), np.float32)
    with pytest.raises(ValueError, match=r"\(8, 5\).*\(5, 8, 2\)"):
        histogram(np.zeros(SHAPE[::-1], np.uint8), logits)
    with pytest.raises(ValueError, match="id 2"):
        histogram(np.full(SHAPE, 2, np.uint8), logits)
    with pytest.raises(ValueError, match="classes, found 3"):
        above(np.zeros((*SHAPE, 3), np.float32), 0.5)
    with pytest.raises(ValueError, match="no labelled pixel"):
        choose_best(histogram(np.full(SHAPE, VOID, np.uint8), logits))
