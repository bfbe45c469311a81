"""Figures of a classifier are those worked out by hand from its answers."""

import json

import keras
import numpy as np
import pytest

from segline.core.labels import Image, Mask
from segline.training.classification.classifier_scores import AnswerCounts, ClassifierScores, choose_k, count_answers

NAMES = ("cat", "dog", "owl")
# Truth, and the logits that are answered.
ANSWERS = [
    [(0, (9, 5, 1)), (0, (3, 8, 1)), (0, (7, 0, 0)), (1, (1, 7, 4)), (1, (1, 2, 5))],
    [(2, (6, 5, 4)), (2, (2, 3, 9)), (2, (4, 4, 1))],  # of the last one's equal logits the first class is answered
]


class Drawn:
    """Images of one pixel, whose channels are the logits that `echo` gives back."""

    def __len__(self) -> int:
        return len(ANSWERS)

    def batch(self, index: int) -> tuple[Image, Mask]:
        truth, logits = zip(*ANSWERS[index], strict=True)
        return np.array(logits, np.uint8)[:, None, None], np.array(truth, np.uint8)[:, None, None]


@pytest.fixture(scope="module")
def echo() -> keras.Model:
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Activation("linear")(image))


@pytest.fixture(scope="module")
def answers(echo: keras.Model) -> AnswerCounts:
    return count_answers(echo, Drawn(), names=NAMES)


def score(answers: AnswerCounts) -> ClassifierScores:
    return answers.score(task="kind", encoder="echo", best_epoch=1)


def test_answers_are_counted_over_all_batches(answers: AnswerCounts) -> None:
    np.testing.assert_array_equal(answers.confusion, [[2, 1, 0, 0], [0, 1, 1, 0], [2, 0, 1, 0]])
    np.testing.assert_array_equal(answers.places, [4, 2, 2])


def test_figures_are_those_worked_out_by_hand(answers: AnswerCounts) -> None:
    scores = score(answers)
    assert (scores.images, scores.accuracy) == (8, 4 / 8)
    assert (scores.top_k, scores.top_k_accuracy) == (2, 6 / 8)
    assert scores.macro_f1 == pytest.approx((4 / 7 + 1 / 2 + 2 / 5) / 3)
    by_hand = {"cat": (3, 1 / 2, 2 / 3, 4 / 7), "dog": (2, 1 / 2, 1 / 2, 1 / 2), "owl": (3, 1 / 2, 1 / 3, 2 / 5)}
    for name, figures in by_hand.items():
        assert tuple(scores.per_class[name].model_dump().values()) == pytest.approx(figures)
    assert scores.confusion == ((2, 1, 0, 0), (0, 1, 1, 0), (2, 0, 1, 0))


def test_the_file_has_the_same_keys_as_ever(answers: AnswerCounts) -> None:
    written = score(answers).model_dump_json()
    assert list(json.loads(written)) == [
        "task", "encoder", "best_epoch", "images", "accuracy", "top_k", "top_k_accuracy", "macro_f1", "per_class",
        "confusion", "places",
    ]  # fmt: skip
    assert ClassifierScores.model_validate_json(written) == score(answers)


def test_metrics_say_their_k(answers: AnswerCounts) -> None:
    found = score(answers).metrics()
    assert (found["accuracy"], found["top_2_accuracy"], found["f1/owl"]) == (4 / 8, 6 / 8, pytest.approx(2 / 5))
    assert len(found) == 3 + 3 * 3


def test_a_person_is_told_the_scores_and_what_goes_wrong_most(answers: AnswerCounts) -> None:
    assert score(answers).describe() == [
        "accuracy 0.5000, top-2 accuracy 0.7500, macro-F1 0.4905 of 3 classes and 8 images",
        "lowest F1: owl 0.4000, dog 0.5000, cat 0.5714",
        "most frequent confusions (true class as predicted class): owl as cat (2), cat as dog (1), dog as owl (1)",
    ]


def test_five_answers_are_looked_at_where_there_are_more_classes() -> None:
    assert [choose_k(classes) for classes in (2, 3, 5, 6, 37)] == [None, 2, 2, 5, 5]
    counts = np.zeros((7, 8), np.int64)
    counts[:, 0] = 10
    names = tuple("abcdefg")
    scores = score(AnswerCounts(names=names, confusion=counts, places=np.array([10, 20, 5, 5, 9, 12, 9])))
    assert (scores.accuracy, scores.top_k_accuracy) == (10 / 70, 49 / 70)
    assert scores.metrics()["top_5_accuracy"] == 49 / 70


def test_of_two_classes_there_is_no_second_answer_to_look_at() -> None:
    perfect = AnswerCounts(names=("cat", "dog"), confusion=np.array([[3, 0, 0], [0, 0, 0]]), places=np.array([3, 0]))
    scores = score(perfect)
    assert (scores.top_k, scores.top_k_accuracy) == (None, None)
    assert scores.per_class["dog"].model_dump() == {"images": 0, "precision": None, "recall": None, "f1": None}
    assert scores.metrics() == {
        "accuracy": 1.0,
        "macro_f1": 1.0,
        "precision/cat": 1.0,
        "recall/cat": 1.0,
        "f1/cat": 1.0,
    }
    assert scores.describe() == ["accuracy 1.0000, macro-F1 1.0000 of 2 classes and 3 images", "lowest F1: cat 1.0000"]
