import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import top_k_accuracy_score

from segline.core.labels import VOID
from segline.core.metrics.top_k import ranks, top_k_accuracy

CLASSES = 5
truths = hnp.arrays(np.uint8, 12, elements=st.sampled_from([*range(CLASSES), VOID]))
tied = hnp.arrays(np.float32, (12, CLASSES), elements=st.sampled_from([-1.0, 0.0, 2.0]))


def test_top_k_accuracy_equals_scikit_learn_where_no_logits_are_equal():
    rng = np.random.default_rng(5)
    truth, logits = rng.integers(0, CLASSES, 80, dtype=np.uint8), rng.random((80, CLASSES), dtype=np.float32)
    counts = ranks(truth[:30], logits[:30]) + ranks(truth[30:], logits[30:])
    for k in range(1, CLASSES):
        expected = top_k_accuracy_score(truth, logits, k=k, labels=range(CLASSES))
        assert top_k_accuracy(counts, k) == pytest.approx(expected)
    assert top_k_accuracy(counts, CLASSES) == top_k_accuracy(counts, 99) == 1.0


@given(truths, tied)
def test_the_first_place_is_what_argmax_gets_right_and_void_is_not_counted(truth, logits):
    counts = ranks(truth, logits)
    labelled = truth != VOID
    assert counts.sum() == labelled.sum()
    assert counts[0] == (logits.argmax(axis=-1) == truth)[labelled].sum()


@given(truths, tied)
def test_places_are_those_of_a_stable_sort(truth, logits):
    order = np.argsort(-logits, axis=-1, kind="stable")
    labelled = truth != VOID
    places = (order[labelled] == truth[labelled][:, np.newaxis]).argmax(axis=-1)
    np.testing.assert_array_equal(ranks(truth, logits), np.bincount(places, minlength=CLASSES))


def test_a_classifiers_masks_of_one_pixel_are_counted_too():
    truth, logits = np.array([[[2]], [[0]]], np.uint8), np.zeros((2, 1, 1, 3), np.float32)
    np.testing.assert_array_equal(ranks(truth, logits), [1, 0, 1])


def test_what_cannot_be_counted_is_refused_or_undefined():
    logits = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"\(3,\).*\(2, 3\)"):
        ranks(np.zeros(3, np.uint8), logits)
    with pytest.raises(ValueError, match="id 3"):
        ranks(np.full(2, 3, np.uint8), logits)
    with pytest.raises(ValueError, match="NaN"):
        ranks(np.zeros(2, np.uint8), np.array([[0, 1, 2], [np.nan, 1, 2]], np.float32))
    with pytest.raises(ValueError, match="at least 1"):
        top_k_accuracy(np.ones(3, np.int64), 0)
    assert math.isnan(top_k_accuracy(ranks(np.full(2, VOID, np.uint8), logits), 1))
