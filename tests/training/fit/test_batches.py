"""Batches reach Keras in order, each asked for once, ahead of need and by one thread."""

import threading

import numpy as np
import pytest

from segline.core.labels import Image, Mask
from segline.training.fit.batch_sequence import Sequence


class Asked:
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.threads: set[str] = set()
        self.ahead = threading.Event()

    def batch(self, step: int) -> tuple[Image, Mask]:
        self.steps.append(step)
        self.threads.add(threading.current_thread().name)
        if step == 12:
            self.ahead.set()
        return np.full((1, 2, 3, 3), step, np.uint8), np.zeros((1, 2, 3), np.uint8)


def test_batches_come_in_order_and_are_made_once() -> None:
    asked = Asked()
    sequence = Sequence(asked, first=10, last=15)
    found = [sequence[index][0].max() for index in range(len(sequence))]
    assert found == asked.steps == [10, 11, 12, 13, 14]
    assert len(asked.threads) == 1
    assert threading.current_thread().name not in asked.threads


def test_two_batches_are_prepared_before_they_are_asked_for() -> None:
    asked = Asked()
    sequence = Sequence(asked, first=10, last=15)
    assert sequence[0][0].max() == 10
    assert asked.ahead.wait(timeout=10)


def test_a_split_can_be_read_again() -> None:
    sequence = Sequence(Asked(), first=0, last=3)
    assert [[sequence[index][0].max() for index in range(3)] for _ in range(2)] == [[0, 1, 2]] * 2


def test_an_error_reaches_who_asks() -> None:
    class Broken(Asked):
        def batch(self, step: int) -> tuple[Image, Mask]:
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        Sequence(Broken(), first=0, last=2)[0]
