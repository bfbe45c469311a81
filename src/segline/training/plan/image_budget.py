"""Plan the number of crops: of the final fit, divided into epochs and steps, and of the search."""

import math

from segline.config import Search
from segline.training.plan.constants import (
    COMPOSED_SHARE,
    COMPOSED_TRIALS,
    EPOCHS,
    HALVING,
    PIXELS,
    SEARCH_SHARE,
    TRIALS,
)
from segline.training.plan.facts import Facts, Size
from segline.training.plan.plan import Draft
from segline.training.rungs import count_epochs, list_rungs


def settle_images(draft: Draft, *, crop: Size) -> int:
    """Settle the number of crops of the final fit, all epochs together."""
    amount = max(1, round(PIXELS / math.prod(crop)))
    why = f"crops of the final fit: {PIXELS:.2g} pixels by default"
    return int(draft.settle("training.images", amount, why))


def settle_epochs(draft: Draft, facts: Facts, *, images: int, batch: int, choices: int = 0) -> None:
    """Divide `images` into epochs and steps, and settle the trials of the search and their epochs.

    Args:
        draft: the plan so far.
        facts: of the dataset.
        images: crops of the final fit.
        batch: crops in a batch.
        choices: number of networks to choose from, if some are compositions; else 0.
    """
    passes = images / facts.samples
    epochs = draft.settle(
        "training.epochs",
        min(max(round(passes), EPOCHS[0]), EPOCHS[1]),
        f"{passes:.3g} passes over {facts.samples} images, in {EPOCHS[0]} to {EPOCHS[1]} epochs",
    )
    draft.settle("training.steps", max(1, round(images / (epochs * batch))), f"{images} crops in {epochs} epochs")
    if choices > 1:
        _settle_halving(draft, epochs=epochs, choices=choices)
        return
    trials = draft.settle("search.trials", TRIALS, "random search; the ranges are narrow already")
    draft.settle(
        "search.epochs",
        max(1, round(SEARCH_SHARE * epochs / trials)),
        f"all trials together use {SEARCH_SHARE:.0%} of the crops of the final fit",
    )


def _settle_halving(draft: Draft, *, epochs: int, choices: int) -> None:
    """Settle a search by successive halving over the epochs, in which each network has a trial."""
    why = f"one for each network, at most {COMPOSED_TRIALS}"
    trials = draft.settle("search.trials", min(choices, COMPOSED_TRIALS), why)
    halving = draft.settle(
        "search.halving", HALVING, f"the best one in {HALVING} goes on; so bad compositions cost few epochs"
    )

    def cost(last: int) -> int:
        return count_epochs(list_rungs(Search(trials=trials, epochs=last, halving=halving)))

    longest = next((last for last in range(epochs, 1, -1) if cost(last) <= COMPOSED_SHARE * epochs), 1)
    draft.settle(
        "search.epochs", longest, f"all trials together use {COMPOSED_SHARE:.0%} of the crops of the final fit"
    )
