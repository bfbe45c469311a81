"""Time actions in turns, A B A B, so that other load on the machine affects all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(actions: Mapping[str, Callable[[], object]], *, repetitions: int) -> dict[str, list[float]]:
    """Time each action `repetitions` times; return the seconds by name.

    If an action returns a float, these are its seconds: it has timed itself.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for repetition in range(repetitions + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            result = action()
            taken = result if isinstance(result, float) else time.perf_counter() - start
            if repetition:  # the first one fills caches
                seconds[name].append(taken)
    return seconds


def ratio(above: list[float], below: list[float]) -> float:
    """Return the median ratio of neighbours in time."""
    return statistics.median(one / other for one, other in zip(above, below, strict=True))


def print_figure(
    what: str, value: float, *, most: float | None = None, least: float | None = None, digits: int = 2
) -> None:
    """Print a figure, its goal, and whether the goal was missed."""
    goal = ""
    if least is not None or most is not None:
        met = (least is None or value >= least) and (most is None or value <= most)
        wanted = f"at least {least:g}" if least is not None else f"at most {most:g}"
        goal = f" (goal: {wanted}{'' if met else '; MISSED'})"
    print(f"  {what}: {value:.{digits}f}{goal}", flush=True)
