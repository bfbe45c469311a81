"""Derive a plan from the facts of a dataset, value after value; compare it with plans for other budgets."""

from collections.abc import Iterator

from segline import models
from segline.config import DEFAULT_MEMORY, Params, Search, Training
from segline.errors import ConfigError
from segline.training.fit.job import check_depth
from segline.training.fit.memory_estimate import GIBIBYTE
from segline.training.plan.constants import EDGE, FIXED
from segline.training.plan.crops import (
    check_given,
    choose_crop,
    find_certain,
    find_largest,
    settle_batch,
    settle_drawing,
    settle_validation_batch,
)
from segline.training.plan.facts import Facts
from segline.training.plan.image_budget import settle_epochs, settle_images
from segline.training.plan.known_weights import NO_WEIGHTS, KnownWeights
from segline.training.plan.memory_budget import MemoryBudget
from segline.training.plan.plan import Draft, Plan
from segline.training.plan.search_space import (
    choose_widths,
    count_others,
    price_compositions,
    settle_augmentation,
    settle_candidates,
    settle_compositions,
    settle_fine_tuning,
    settle_learning_rate,
    settle_options,
    settle_weights,
)


def make(
    facts: Facts,
    *,
    short_side: int | None,
    training: Training,
    search: Search,
    weights: KnownWeights = NO_WEIGHTS,
) -> Plan:
    """Make the plan for a dataset. Fields that are set in `training` and `search` keep their values.

    Args:
        weights: published weights of encoders, for ``search.weights: auto``.

    The candidates are built to estimate their memory, which takes some seconds.

    Raises:
        ConfigError: the budget is too small for any crop, for the given values, or for an image of the
            validation split; the given values contradict each other; or ``search.weights`` is `auto`, but no
            weights are on this machine.
    """
    draft = Draft(training, search)
    budget = draft.settle("training.memory", DEFAULT_MEMORY, "GiB that a fit may take, by default")
    for key, (value, why) in FIXED.items():
        draft.settle(f"training.{key}", value, why)
    settle_drawing(draft, facts)
    settle_augmentation(draft, facts)
    networks, widths = draft.given("search.networks"), draft.given("search.width")
    candidates = networks or settle_weights(draft, facts, weights)
    largest = draft.given("training.crop") or find_largest(facts, short_side)
    search = search.model_copy(update=settle_options(draft, facts, candidates, weights, largest=largest))
    memory = MemoryBudget(
        limit=round(budget * GIBIBYTE),
        classes=facts.classes,
        training=draft.training(),
        search=search,
        edge=EDGE,
        depths=draft.given("search.depth"),
    )
    widths = widths or choose_widths(facts, candidates)
    least = widths if draft.given("search.width") else widths[:1]
    memory = settle_compositions(draft, memory, weights, candidates, width=max(least))
    certain = find_certain(memory, candidates, least, given=networks is not None)
    given = draft.given("training.batch")
    derived = choose_crop(facts, certain, short_side, given=given and given // draft.given("training.accumulate", 1))
    crop = tuple(draft.settle("training.crop", *derived))
    batch, parts = settle_batch(draft, facts, certain, crop)
    check_given(certain, crop, batch // parts)
    if any(models.has_option(network, "encoder") for network in candidates):
        check_depth(crop, encoders=memory.search.encoders, output_stride=max(memory.search.output_stride))
    settle_fine_tuning(draft, candidates, images=batch // parts)
    images = settle_images(draft, crop=crop)
    peaks = settle_candidates(draft, memory, candidates, widths, crop=crop, batch=batch // parts)
    compositions = price_compositions(memory, candidates, width=max(widths), crop=crop, batch=batch // parts)
    settle_validation_batch(draft, facts, memory, peaks.values(), batch=batch // parts)
    others = count_others(list(peaks), memory.search.encoders)
    choices = len(compositions) + others if compositions else 0
    settle_epochs(draft, facts, images=images, batch=batch, choices=choices)
    settle_learning_rate(draft, batch=batch)
    return Plan(
        dataset=facts.dataset,
        fingerprint=facts.digest,
        lines=draft.lines,
        memory={network: peak.of_training(crop=crop, batch=batch // parts) for network, peak in peaks.items()},
        compositions=compositions,
    )


def asked(params: Params, *, memory: float | None = None) -> tuple[Training, Search]:
    """Return the sections of `params` whose values a plan must keep.

    Without ``plan: auto``, only the values that no plan decides are kept: memory, threads and precision.

    Args:
        memory: another budget, GiB.
    """
    training, search = params.training, params.search
    if training.plan is None:
        kept = training.model_dump(exclude_unset=True, include={"memory", "threads", "precision"})
        training, search = Training.model_validate({"plan": "auto", **kept}), Search()
    return training if memory is None else training.model_copy(update={"memory": memory}), search


def neighbours(
    made: Plan,
    facts: Facts,
    *,
    short_side: int | None,
    training: Training,
    search: Search,
    weights: KnownWeights = NO_WEIGHTS,
) -> Iterator[tuple[str, str]]:
    """Compare the plan with those for half and twice the budget: yield a name of the budget, and the changes."""
    before = {line.key: line.value for line in made.lines}
    budget = before["training.memory"]
    for name, factor in (("half the memory", 0.5), ("twice the memory", 2.0)):
        other = training.model_copy(update={"memory": budget * factor})
        try:
            lines = make(facts, short_side=short_side, training=other, search=search, weights=weights).lines
        except ConfigError as error:
            yield name, error.found
            continue
        changed = [
            f"{line.key} {line.value}"
            for line in lines
            if line.value != before[line.key] and line.key != "training.memory"
        ]
        yield name, ", ".join(changed) or "the same"
