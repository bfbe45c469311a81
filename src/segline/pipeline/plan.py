"""Plan a training from the dataset's fingerprint and a memory budget."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from segline import config
from segline.pipeline import weights
from segline.pipeline.definition import load_definition
from segline.project import Project

if TYPE_CHECKING:
    from segline.training.plan import Plan
    from segline.training.plan.facts import Facts


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A plan.

    Args:
        neighbours: (memory budget, values that this budget would change).
        in_use: whether ``params.yaml`` sets ``training.plan``, so that a training uses the plan.
    """

    plan: "Plan"
    neighbours: tuple[tuple[str, str], ...]
    in_use: bool


def plan(project: Project, dataset: str, *, memory: float | None = None) -> Planned:
    """Derive the plan of `dataset`, whether or not ``params.yaml`` asks for one.

    Args:
        memory: GiB that a fit may take; default: ``training.memory``.

    Raises:
        DataError: the dataset is not validated.
    """
    from segline.training import plan as rules

    params = config.load(project.params, dataset=dataset)
    found, short_side = _read_facts(project, params), params.prepare.short_side
    training, search = rules.asked(params, memory=memory)
    known = weights.survey(project, dataset, search)
    made = rules.make(found, short_side=short_side, training=training, search=search, weights=known)
    others = rules.neighbours(made, found, short_side=short_side, training=training, search=search, weights=known)
    return Planned(plan=made, neighbours=tuple(others), in_use=params.training.plan is not None)


def plan_asked_for(project: Project, params: config.Params) -> "Plan | None":
    """Derive the plan that a training with `params` uses; None if `params` set no ``training.plan``."""
    if params.training.plan is None:
        return None
    from segline.training import plan as rules
    from segline.training.backend import make_deterministic

    # Set first: networks are built to estimate their memory, and the first computation fixes the number of threads.
    make_deterministic(seed=params.seed, threads=params.training.threads)
    found, short_side = _read_facts(project, params), params.prepare.short_side
    known = weights.survey(project, params.dataset, params.search)
    return rules.make(found, short_side=short_side, training=params.training, search=params.search, weights=known)


def _read_facts(project: Project, params: config.Params) -> "Facts":
    from segline.training.plan import facts

    manifest = project.manifest(params.dataset)
    return facts.read(manifest, load_definition(project, params), short_side=params.prepare.short_side)
