"""Medians over repetitions, A B A B: what else the machine does then weighs on all alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(actions: Mapping[str, Callable[[], object]], *, repetitions: int) -> dict[str, list[float]]:
    """Seconds of each action, a list of as many as `repetitions`.

    An action that returns a number has taken its own time.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for repetition in range(repetitions + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            told = action()
            taken = told if isinstance(told, float) else time.perf_counter() - start
            if repetition:  # the first warms caches
                seconds[name].append(taken)
    return seconds


def ratio(above: list[float], below: list[float]) -> float:
    """Median of the ratios of neighbours in time."""
    return statistics.median(one / other for one, other in zip(above, below, strict=True))
