"""Plan the number of crops: of the final fit, divided into epochs and steps, and of the search."""

import math

from segline.training.plan.constants import EPOCHS, PIXELS, SEARCH_SHARE, TRIALS
from segline.training.plan.facts import Facts, Size
from segline.training.plan.plan import Draft


def settle_images(draft: Draft, *, crop: Size) -> int:
    """Settle the number of crops of the final fit, all epochs together."""
    amount = max(1, round(PIXELS / math.prod(crop)))
    why = f"crops of the final fit: {PIXELS:.2g} pixels by default"
    return int(draft.settle("training.images", amount, why))


def settle_epochs(draft: Draft, facts: Facts, *, images: int, batch: int) -> None:
    """Divide `images` into epochs and steps, and settle the trials of the search and their epochs."""
    passes = images / facts.samples
    epochs = draft.settle(
        "training.epochs",
        min(max(round(passes), EPOCHS[0]), EPOCHS[1]),
        f"{passes:.3g} passes over {facts.samples} images, in {EPOCHS[0]} to {EPOCHS[1]} epochs",
    )
    draft.settle("training.steps", max(1, round(images / (epochs * batch))), f"{images} crops in {epochs} epochs")
    trials = draft.settle("search.trials", TRIALS, "random search; the ranges are narrow already")
    draft.settle(
        "search.epochs",
        max(1, round(SEARCH_SHARE * epochs / trials)),
        f"all trials together use {SEARCH_SHARE:.0%} of the crops of the final fit",
    )
