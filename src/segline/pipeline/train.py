"""Train a model: (pretrain ->) search -> train -> evaluate -> register -> gate -> promote.

Every step saves its complete result in the run's scratch folder or in MLflow before the next step starts. A killed run
is found by its run key and continues from there, in ``segline train`` and in the flow alike.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from segline import config
from segline.data.prepare.prepared import Prepared
from segline.errors import TrainingError
from segline.pipeline import champion, evaluate, fit, promote, search, short_side, weights
from segline.pipeline.definition import load_definition
from segline.pipeline.plan import plan_asked_for
from segline.pipeline.work import Work
from segline.progress import Progress
from segline.project import Artifacts, Project, Scratch, Tags
from segline.registry import lineage, owner, run_summary, tracking, training_code, versions
from segline.registry.gate.rules import Decision
from segline.registry.run_summary import RunSummary
from segline.registry.versions import Version
from segline.training.search.choice import Choice

if TYPE_CHECKING:
    from segline.models.weights.stored import Stored

NO_FLOW = "none"
"""Value of the flow run's tag outside a flow."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The steps of a training, in their order; the Prefect flow replaces each with a task."""

    begin: Callable[[Work], None]
    pretrain: Callable[[Work], None]
    search: Callable[[Work], Choice]
    train: Callable[[Work, Choice], None]
    evaluate: Callable[[Work], None]
    register: Callable[[Work], Version]
    judge: Callable[[Work, Version], Decision]
    promote: Callable[[Work, Version], None]


def begin(work: Work) -> None:
    """Log the run's parameters, tags, dataset and plan."""
    work.scratch.mkdir(parents=True, exist_ok=True)  # marks the run as started on this machine
    work.tracker.set_tags(work.tags)
    work.tracker.log_params(lineage.flatten(work.params.resolved()))
    tracking.log_dataset(work.client, work.tracker.run_id, work.params.dataset, work.tags[Tags.PREPARED_MD5])
    if work.plan:
        work.plan.write(work.scratch / Scratch.PLAN)
        work.tracker.log_artifact(work.scratch / Scratch.PLAN, Artifacts.PLAN)


PLAIN = Steps(
    begin=begin,
    pretrain=search.pretrain,
    search=search.search,
    train=fit.fit,
    evaluate=evaluate.evaluate,
    register=promote.register,
    judge=promote.judge,
    promote=promote.promote,
)
"""The steps as plain functions, without Prefect."""


def train(
    project: Project,
    *,
    dataset: str | None = None,
    retrain: bool = False,
    earlier_classes: bool = False,
    progress: Progress,
    flow_run: str = NO_FLOW,
    steps: Steps = PLAIN,
) -> RunSummary:
    """Train a model for `dataset`, and promote it if it is better.

    Args:
        dataset: one of the ``datasets`` of ``params.yaml``; default: its ``dataset``.
        retrain: train again although a finished run with the same data, code and parameters exists.
        earlier_classes: if the champion has other classes than the data, and an earlier champion had these, make that
            one the champion again. Without it, such a training is refused.
        progress: shows the progress of each step, and takes lines for a person to read.
        flow_run: id of the Prefect flow run, for the run's tags.

    Returns:
        The run's summary: scores, decision and champion.

    Raises:
        ConfigError: ``params.yaml`` is invalid, or names initial weights that are not here.
        ComparisonError: the champion has other classes, and an earlier champion had those of the data.
        DataError: the data are not prepared, or were prepared with other parameters.
        TrackingError: MLflow does not answer, or the experiment belongs to other data of the same name.
        TrainingError: the same training is running already, or a fit cannot continue.
    """
    params = config.load(project.params, dataset=dataset)
    prepared = Prepared(project.prepared(params.dataset))
    data = lineage.data_state(project, params, report=progress.report)
    params = short_side.settle(project, params)
    definition = load_definition(project, params)
    prepared.check(definition, short_side=params.prepare.pixels)
    plan = plan_asked_for(project, params)
    params = plan.applied(params) if plan else params
    initial = _resolve_weights(project, params)
    code = lineage.code_state(project.root)
    resolved = lineage.resolved(params, root=project.root, weights=weights.describe(initial))
    trained_by = training_code.digest(params)
    key = lineage.run_key(data, trained_by, resolved)
    client = tracking.connect(project)
    name = versions.model_name(definition.model)
    own = definition.own
    tags = {Tags.DATA_ID: own.id} if own and own.id else {}
    experiment = tracking.experiment(client, project, name, tags=tags)
    with tracking.reporting_tracking(project.tracking_uri), alone(project, key):
        if own:
            owner.claim(client, experiment, own)
        champion.check_before_search(  # finds an alias that the gate would refuse, too
            project, client, name, definition.label_map, earlier_classes=earlier_classes, report=progress.report
        )
        begun = tracking.unfinished(client, experiment, key)
        done = None if retrain or begun else run_summary.find_finished(client, experiment, key)
        if done:
            progress.report(f"run {done.run} has the same data, code and parameters: reused")
            return done
        tracking.end_abandoned(client, experiment, project)
        run = begun or tracking.open_parent(client, experiment, key=key, name=f"{params.dataset}-{key[:8]}")
        with tracking.closing(client, run) as tracker:
            work = Work(
                project=project,
                params=params,
                prepared=prepared,
                client=client,
                tracker=tracker,
                scratch=project.scratch(tracker.run_id),
                tags={
                    **lineage.tags(data, code, resolved, prepared.meta),
                    Tags.TRAINING_CODE: trained_by,
                    Tags.WEIGHTS: ", ".join(weights.describe(initial).values()) or "none",
                    Tags.FLOW_RUN: flow_run,
                },
                plan=plan,
                weights=initial,
                progress=progress,
            )
            _run(work, steps)
        shutil.rmtree(work.scratch, ignore_errors=True)
        return run_summary.of_run(client, tracker.run_id, reused=False)


def _resolve_weights(project: Project, params: config.Params) -> "dict[str, Stored]":
    """Find the published weights that encoders start from: encoder -> weights."""
    if params.search.weights is None:
        return {}
    from segline.training.backend import make_deterministic

    # Set first: encoders are built to check their weights, and the first computation fixes the number of threads.
    make_deterministic(seed=params.seed, threads=params.training.threads)
    return weights.resolve(project, params)


def _run(work: Work, steps: Steps) -> None:
    steps.begin(work)
    _report_unused_gpus(work)
    with tracking.watching_machine(work.tracker):
        if work.params.search.weights == config.CLASSIFICATION:
            search.check(work)  # else the pre-training would be in vain
            steps.pretrain(work)
        choice = steps.search(work)
        steps.train(work, choice)
        steps.evaluate(work)
    version = steps.register(work)
    with FileLock(work.project.gate_lock(work.name)):  # two runs at once could both beat the old champion
        decision = steps.judge(work, version)
        if decision.promote:
            steps.promote(work, version)
    work.tracker.set_tags({Tags.DECISION: decision.as_tag()})


def _report_unused_gpus(work: Work) -> None:
    from segline.training.devices import describe_unused_gpus

    if note := describe_unused_gpus():
        work.report(f"note: {note}")


@contextmanager
def alone(project: Project, key: str) -> Iterator[None]:
    """Hold the lock of run key `key`, so that the same training does not run twice at once.

    Raises:
        TrainingError: another process holds the lock.
    """
    lock = project.run_lock(key)
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout as error:
        raise TrainingError(
            lock,
            found="another process is training with the same data, code and parameters",
            expected="one process at a time",
            remedy="wait for it: its result will be reused",
        ) from error
