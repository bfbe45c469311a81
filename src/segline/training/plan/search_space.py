"""The search space of a planned training: networks, their sizes, augmentation and learning rates."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from segline import models
from segline.config import AUTO, CLASSIFICATION, IMAGENET
from segline.training.fit.memory_estimate import Footprint
from segline.training.objective.optimizers import OPTIMIZERS
from segline.training.plan.compositions import choose_compositions, price
from segline.training.plan.constants import (
    BATCH,
    COMPOSED_TRIALS,
    COMPOSED_WIDTHS,
    DEAREST,
    DECODERS,
    EDGE,
    ENCODER_RATES,
    ENCODERS,
    FEW,
    FROZEN_EPOCHS,
    LEARNING_RATE,
    MANY,
    NETWORKS,
    NORM_IMAGES,
    PRETRAINED,
    PRETRAINED_RATE,
    SPREAD,
    STRENGTH,
    STRIDES,
    WIDTHS,
)
from segline.training.plan.facts import Facts, Size
from segline.training.plan.known_weights import KnownWeights
from segline.training.plan.memory_budget import MemoryBudget
from segline.training.plan.plan import Composition, Draft


def settle_weights(draft: Draft, facts: Facts, known: KnownWeights) -> tuple[str, ...]:
    """Settle the initial weights of encoders; return the candidate networks that go with them.

    Raises:
        ConfigError: `auto` is given, but no published weights are on this machine.
    """
    why = f"none; {known.describe_offer(facts.pixels)}; with initial weights, the plan chooses networks with an encoder"
    if draft.given("search.weights") == AUTO:
        encoders = draft.given("search.encoders") or known.choose(facts.pixels)
        why = "; ".join(known.describe(encoder, facts.pixels) for encoder in encoders)
    return NETWORKS if draft.settle("search.weights", None, why) is None else PRETRAINED


def settle_options(
    draft: Draft, facts: Facts, candidates: Sequence[str], known: KnownWeights, *, largest: Size
) -> dict[str, tuple[Any, ...]]:
    """Settle the options that only some of the candidates have: fields of `Search` -> values.

    Encoders and decoders are only derived here. `settle_compositions` settles those that fit.

    Args:
        draft: the plan so far.
        facts: of the dataset.
        candidates: networks to choose from.
        known: published weights.
        largest: height and width of the largest crop.
    """
    options: dict[str, tuple[Any, ...]] = {}
    if any(models.has_option(network, "skips") for network in candidates):
        skips = draft.settle("search.skips", [True], "they keep edges and small objects, which the bottom loses")
        options["skips"] = tuple(skips)
    if any(models.has_option(network, "encoder") for network in candidates):
        weights = draft.given("search.weights")
        derived: tuple[str, ...] = next(encoders for least, encoders in reversed(ENCODERS) if facts.pixels >= least)
        if weights == AUTO and not draft.given("search.encoders"):
            derived = known.choose(facts.pixels)
        elif weights not in (None, IMAGENET, CLASSIFICATION):  # a file holds the weights of one encoder
            derived = derived[:1]
        options["encoders"] = tuple(draft.given("search.encoders", derived))
    if any(models.has_option(network, "decoder") for network in candidates):
        options["decoders"] = tuple(draft.given("search.decoders", DECODERS))
        stride = next((each for each in STRIDES if min(largest) >= EDGE[0] * each), STRIDES[-1])
        why = f"the deepest features of the largest crop are {min(largest) // stride} pixels high or wide"
        options["output_stride"] = tuple(draft.settle("search.output_stride", [stride], why))
    return options


def settle_compositions(
    draft: Draft, memory: MemoryBudget, known: KnownWeights, candidates: Sequence[str], *, width: int
) -> MemoryBudget:
    """Settle encoders and decoders: of those that the plan derives, the ones whose compositions fit.

    Returns:
        `memory`, of these encoders and decoders alone.

    Raises:
        ConfigError: none fits.
    """
    if not any(models.has_option(network, "encoder") for network in candidates):
        return memory
    encoders, decoders = memory.search.encoders, memory.search.decoders
    why = "those with published weights; larger for more pixels"
    if draft.given("search.weights") == AUTO:
        why = "as an earlier run chose (weights.yaml)" if known.chosen else "the first whose weights are here"
    composed = any(models.has_option(network, "decoder") for network in candidates)
    if composed and not (draft.given("search.encoders") and draft.given("search.decoders")):
        fitting = choose_compositions(memory, encoders, decoders, width=width)
        left_out = [
            name
            for before, after in zip((encoders, decoders), fitting, strict=True)
            for name in before
            if name not in after
        ]
        if left_out:
            why += f"; {', '.join(left_out)} would not fit, or take more than {DEAREST:g} times the arithmetic"
        encoders, decoders = fitting
    update = {"encoders": tuple(draft.settle("search.encoders", encoders, why))}
    if composed:
        why = "one that decodes to full resolution, which keeps borders sharp, and one that sums features of all sizes"
        update["decoders"] = tuple(draft.settle("search.decoders", decoders, why))
    return replace(memory, search=memory.search.model_copy(update=update))


def price_compositions(
    memory: MemoryBudget, candidates: Sequence[str], *, width: int, crop: Size, batch: int
) -> tuple[Composition, ...]:
    """Price the compositions of a plan, if there are so few that the plan may have chosen them."""
    pairs = list(product(memory.search.encoders, memory.search.decoders))
    if not any(models.has_option(network, "decoder") for network in candidates) or len(pairs) > COMPOSED_TRIALS:
        return ()
    return tuple(price(memory, *pair, width=width, crop=crop, batch=batch) for pair in pairs)


def count_others(networks: Sequence[str], encoders: Sequence[str]) -> int:
    """Count the networks that are no compositions, each with each encoder that it can have."""
    others = [network for network in networks if not models.has_option(network, "decoder")]
    return sum(len(encoders) if models.has_option(network, "encoder") else 1 for network in others)


def settle_fine_tuning(draft: Draft, candidates: Sequence[str], *, images: int) -> None:
    """Settle how a pretrained encoder is trained further; nothing without initial weights, or with frozen encoders.

    Args:
        draft: the plan so far.
        candidates: networks to choose from.
        images: number of images that pass batch norm together.
    """
    has_encoder = any(models.has_option(network, "encoder_rate") for network in candidates)
    if draft.given("search.weights") is None or draft.given("search.freeze") or not has_encoder:
        return
    draft.settle("search.encoder_rate", ENCODER_RATES, "the encoder has learned already: smaller steps keep that")
    draft.settle(
        "training.fine_tuning.frozen_epochs",
        FROZEN_EPOCHS,
        "at first the rest of the network is random, and its gradients would spoil the encoder",
    )
    draft.settle(
        "training.fine_tuning.norms",
        "frozen" if images < NORM_IMAGES else "trained",
        f"{images} images at a time; statistics of fewer than {NORM_IMAGES} are poor (Wu & He 2018)",
    )


def choose_widths(facts: Facts, candidates: Sequence[str]) -> tuple[int, ...]:
    """Choose the filters of the first level, if ``params.yaml`` gives none: more filters for more training pixels."""
    if tuple(candidates) == PRETRAINED:
        return COMPOSED_WIDTHS
    return next(widths for least, widths in reversed(WIDTHS) if facts.pixels >= least)


def settle_candidates(
    draft: Draft, memory: MemoryBudget, networks: Sequence[str], widths: Sequence[int], *, crop: Size, batch: int
) -> dict[str, Footprint]:
    """Settle networks, widths and depths: all that fit; return the memory of the largest of each network."""

    def fitting(network: str, width: int) -> bool:
        return memory.fits(network, width, crop=crop, batch=batch)

    kept = [network for network in networks if fitting(network, min(widths))]
    wide = [width for width in widths if all(fitting(network, width) for network in kept)]
    dropped = ", ".join(name for name in networks if name not in kept)
    draft.settle("search.networks", kept, f"{dropped} would not fit" if dropped else "all candidates fit")
    every_width = len(wide) == len(widths)
    why = "the usual filters of decoders" if tuple(networks) == PRETRAINED else "more filters for more pixels"
    draft.settle("search.width", wide, why + ("" if every_width else ", those that fit"))
    depths = memory.choose_depths(crop)
    edges = " or ".join(str(min(crop) // 2**depth) for depth in depths)
    halving = [name for name in draft.given("search.networks", kept) if models.has_option(name, "depth")]
    why = f"the deepest features are {edges} pixels high or wide" if halving else "unused: these networks have no depth"
    draft.settle("search.depth", depths, why)
    widest = max(draft.given("search.width", wide))
    return {name: memory.footprint(name, widest, crop) for name in draft.given("search.networks", kept)}


def settle_augmentation(draft: Draft, facts: Facts) -> None:
    """Settle the range of the augmentation's strength."""
    draft.settle(
        "search.augmentation",
        _choose_strengths(facts.samples),
        f"{facts.samples} training images: the fewer, the stronger",
    )


def _choose_strengths(samples: int) -> tuple[float, float]:
    """Compute the range of the augmentation strength, which falls with the logarithm of the number of images."""
    share = min(1.0, max(0.0, math.log(samples / FEW) / math.log(MANY / FEW)))
    middle = STRENGTH[0] + share * (STRENGTH[1] - STRENGTH[0])
    return round(max(0.0, middle - SPREAD), 2), round(min(1.0, middle + SPREAD), 2)


def settle_learning_rate(draft: Draft, *, batch: int) -> None:
    """Settle the range of the peak learning rate, by optimizer, batch and initial weights."""
    optimizer = OPTIMIZERS[draft.training().optimizer]
    factor = optimizer.rate * math.sqrt(batch / BATCH[1])
    rates, pretrained = LEARNING_RATE, ""
    if draft.given("search.weights") is not None:
        rates, pretrained = PRETRAINED_RATE, " and a pretrained encoder"
    draft.settle(
        "search.learning_rate",
        [float(f"{min(1.0, rate * factor):.2g}") for rate in rates],
        f"for {optimizer.title}{pretrained}, multiplied by sqrt(batch / {BATCH[1]})",
    )
