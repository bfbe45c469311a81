"""How many crops a planned training sees: those of the final fit, its epochs and steps, and the search's part."""

import math

from segline.training.plan.constants import EPOCHS, PIXELS, SEARCH_SHARE, TRIALS
from segline.training.plan.facts import Facts, Size
from segline.training.plan.plan import Draft


def settle_images(draft: Draft, *, crop: Size) -> int:
    """Settle how many crops the final fit sees, all epochs together."""
    amount = max(1, round(PIXELS / math.prod(crop)))
    why = f"the final fit's crops: {PIXELS:.2g} pixels, where none are stated"
    return int(draft.settle("training.images", amount, why))


def settle_epochs(draft: Draft, facts: Facts, *, images: int, batch: int) -> None:
    """Spread `images` over epochs and steps, and settle the search's trials and what each takes of them."""
    passes = images / facts.samples
    epochs = draft.settle(
        "training.epochs",
        min(max(round(passes), EPOCHS[0]), EPOCHS[1]),
        f"{passes:.3g} passes over {facts.samples} images, validated {EPOCHS[0]} to {EPOCHS[1]} times",
    )
    draft.settle("training.steps", max(1, round(images / (epochs * batch))), f"{images} crops in {epochs} epochs")
    trials = draft.settle("search.trials", TRIALS, "random search over ranges that are narrow already")
    draft.settle(
        "search.epochs",
        max(1, round(SEARCH_SHARE * epochs / trials)),
        f"all trials together see {SEARCH_SHARE:.0%} of what the final fit sees",
    )
