"""How long a planned training takes: epochs, steps, trials, and the learning rates that suit."""

import math

from segline.training.plan.draft import Draft
from segline.training.plan.facts import Facts
from segline.training.plan.rules import (
    BATCH,
    EPOCHS,
    LEARNING_RATE,
    OPTIMIZERS,
    PRETRAINED_RATE,
    SEARCH_SHARE,
    TRIALS,
)


def settle_amount(draft: Draft, facts: Facts, *, images: int, batch: int) -> None:
    """Epochs, steps, and what the search takes of them."""
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
    optimizer, over_adamw = OPTIMIZERS[draft.training().optimizer]
    factor = over_adamw * math.sqrt(batch / BATCH[1])
    rates, knowing = LEARNING_RATE, ""
    if draft.given("search.weights") is not None:
        rates, knowing = PRETRAINED_RATE, " and an encoder that knows something"
    draft.settle(
        "search.learning_rate",
        [float(f"{min(1.0, rate * factor):.2g}") for rate in rates],
        f"for {optimizer}{knowing}, with the square root of the batch (1 at {BATCH[1]})",
    )
