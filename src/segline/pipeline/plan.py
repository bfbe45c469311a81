"""Plan a training from the dataset's fingerprint and a memory budget."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from segline import config
from segline.data.recorded import content
from segline.pipeline import short_side, training_time, weights
from segline.pipeline.definition import load_definition
from segline.pipeline.training_time import TrainingTime
from segline.progress import Report, silent
from segline.project import Project

if TYPE_CHECKING:
    from segline.data.size.short_side import ShortSide
    from segline.training.plan import Plan
    from segline.training.plan.facts import Facts


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A plan.

    Args:
        neighbours: (memory budget, values that this budget would change).
        in_use: whether ``params.yaml`` sets ``training.plan``, so that a training uses the plan.
        scale: the size of prepared images and its reason, if ``prepare.short_side`` is auto.
        time: how long the training takes on this machine; None if it was never measured.
    """

    plan: "Plan"
    neighbours: tuple[tuple[str, str], ...]
    in_use: bool
    scale: "ShortSide | None"
    time: TrainingTime | None


def plan(
    project: Project, dataset: str, *, memory: float | None = None, measure: bool = False, report: Report = silent
) -> Planned:
    """Derive the plan of `dataset`, whether or not ``params.yaml`` asks for one.

    Args:
        memory: GiB that a fit may take; default: ``training.memory``.
        measure: measure how long the training takes on this machine, if that is not stored yet.
        report: receives a line before that.

    Raises:
        DataError: the dataset is not validated, or its fingerprint is not the one of ``dvc.lock``.
    """
    from segline.training import plan as rules
    from segline.training.backend import make_deterministic

    params = config.load(project.params, dataset=dataset)
    make_deterministic(seed=params.seed, threads=params.training.threads)  # as in a training, whose time is measured
    scale = short_side.choose(project, params, memory=memory)
    params = params if scale is None else params.scaled(scale.pixels)
    found, pixels = _read_facts(project, params), params.prepare.pixels
    training, search = rules.asked(params, memory=memory)
    known = weights.survey(project, dataset, search)
    made = rules.make(found, short_side=pixels, training=training, search=search, weights=known)
    others = rules.neighbours(made, found, short_side=pixels, training=training, search=search, weights=known)
    neighbours, in_use = tuple(others), params.training.plan is not None
    asked = params.model_copy(update={"training": training, "search": search})
    time = training_time.estimate(project, made, found, asked, measure=measure, report=report)
    return Planned(plan=made, neighbours=neighbours, in_use=in_use, scale=scale, time=time)


def plan_asked_for(project: Project, params: config.Params) -> "Plan | None":
    """Derive the plan that a training with `params` uses; None if `params` set no ``training.plan``.

    Args:
        params: with ``prepare.short_side`` settled.
    """
    if params.training.plan is None:
        return None
    from segline.training import plan as rules
    from segline.training.backend import make_deterministic

    # Set first: networks are built to estimate their memory, and the first computation fixes the number of threads.
    make_deterministic(seed=params.seed, threads=params.training.threads)
    found, pixels = _read_facts(project, params), params.prepare.pixels
    known = weights.survey(project, params.dataset, params.search)
    return rules.make(found, short_side=pixels, training=params.training, search=params.search, weights=known)


def _read_facts(project: Project, params: config.Params) -> "Facts":
    from segline.training.plan import facts

    manifest = project.manifest(params.dataset)
    content.check_manifest(project, params.dataset)
    return facts.read(manifest, load_definition(project, params), short_side=params.prepare.pixels)
