import numpy as np
import pytest

from segline.errors import ComparisonError
from segline.evaluation import results
from segline.evaluation.lock import Lock, lock_of, refuse_differences
from segline.evaluation.summary import summarise

EVALUATION = results.Evaluation(
    dataset="kitti",
    split="test",
    protocol="kitti-semantics/1",
    split_digest="0123456789abcdef",
    label_map="b6df76be2bc4ec07",
    names=("a", "b"),
    ids=("x", "y", "z"),
    groups=None,
    void_pixels=3,
    per_image=np.arange(18, dtype=np.int64).reshape(3, 2, 3),
)
LOCK = Lock(
    protocol="kitti-semantics/1", split_digest="0123456789abcdef", label_map_digest="b6df76be2bc4ec07", images=3
)


def test_an_evaluation_and_its_summary_are_bound_to_the_same():
    summary = summarise(EVALUATION, resamples=100, confidence=0.9, baseline=0.1)
    assert lock_of(EVALUATION) == lock_of(summary) == LOCK
    refuse_differences({"file": lock_of(summary), "memory": lock_of(EVALUATION)})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "protocol",
            "kitti-semantics/2",
            "protocol is 'kitti-semantics/1' of first, but 'kitti-semantics/2' of second",
        ),
        ("split_digest", "ffff", "split digest is '0123456789abcdef' of first, but 'ffff' of second"),
        ("label_map_digest", "eeee", "label-map digest is 'b6df76be2bc4ec07' of first, but 'eeee' of second"),
        ("images", 4, "number of images is 3 of first, but 4 of second"),
    ],
)
def test_any_one_difference_is_refused_with_both_values(name, value, said):
    other = Lock(**{**vars(LOCK), name: value})
    with pytest.raises(ComparisonError) as refused:
        refuse_differences({"first": LOCK, "second": other})
    assert refused.value.found == said
    assert refused.value.place == "comparison of first, second"


def test_all_differences_of_all_scores_are_named():
    other = Lock(protocol="p/1", split_digest="ffff", label_map_digest=LOCK.label_map_digest, images=3)
    with pytest.raises(ComparisonError) as refused:
        refuse_differences({"a": LOCK, "b": LOCK, "c": other})
    assert refused.value.found.count(" of c") == 2
    assert "of b" not in refused.value.found


def test_one_score_or_none_differs_from_nothing():
    for locks in ({}, {"only": LOCK}, {"one": LOCK, "same": Lock(**vars(LOCK))}):
        refuse_differences(locks)
    with pytest.raises(ComparisonError, match="number of images"):  # so that the silence above says something
        refuse_differences({"one": LOCK, "other": Lock(**{**vars(LOCK), "images": LOCK.images + 1})})
