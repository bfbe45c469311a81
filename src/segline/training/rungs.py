"""The rungs of successive halving: how many trials are trained for how many epochs.

All trials begin on the first rung. The best of each rung are trained further on the next one (Jamieson & Talwalkar
2016, arXiv:1502.07943).
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from segline.config import Search


@dataclass(frozen=True, kw_only=True)
class Rung:
    """Trials that are compared after the same number of epochs.

    Args:
        trials: number of trials.
        epochs: epochs that each has been trained for, those of earlier rungs included.
    """

    trials: int
    epochs: int


def list_rungs(space: Search) -> tuple[Rung, ...]:
    """List the rungs of a search; one if ``search.halving`` is not set.

    Each rung has the trials of the one before, divided by ``search.halving``, and that many times its epochs. Trials
    of the last rung are trained for ``search.epochs`` epochs. There are no more rungs than epochs allow.
    """
    sizes = [space.trials]
    if space.halving is None:
        return (Rung(trials=space.trials, epochs=space.epochs),)
    while sizes[-1] // space.halving >= 1 and space.epochs >= space.halving ** len(sizes):
        sizes.append(sizes[-1] // space.halving)
    return tuple(
        Rung(trials=size, epochs=math.ceil(space.epochs / space.halving**later))
        for size, later in zip(sizes, reversed(range(len(sizes))), strict=True)
    )


def count_epochs(rungs: tuple[Rung, ...]) -> int:
    """Count the epochs that all trials together are trained for; a trial goes on where its last rung ended."""
    first = rungs[0].trials * rungs[0].epochs
    return first + sum(after.trials * (after.epochs - before.epochs) for before, after in pairwise(rungs))
