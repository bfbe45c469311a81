"""(pretrain ->) search -> train -> evaluate -> register -> gate -> promote.

Every step leaves its result whole in the run's scratch folder, or in MLflow, before the next one
starts; a run that was killed is found by its run key and goes on from there.

    python -m flows.training --dataset kitti
    prefect deployment run 'training/local' -p dataset=kitti
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from mlflow.entities.model_registry import ModelVersion
from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows import reporting
from flows.fitting import pretrain, search, train
from flows.judging import evaluate, judge
from flows.work import Work, dataset_of
from segline import config, project
from segline.cli import startup
from segline.cli.application import show
from segline.data.prepare.prepared import Prepared
from segline.errors import TrainingError
from segline.registry import lineage, summary, tracking, versions

if TYPE_CHECKING:
    from segline.training.plan import Plan


@flow(name="training", log_prints=True)
@reporting.without_secrets
def training(dataset: str | None = None, retrain: bool = False) -> dict[str, Any]:
    """Train a model for `dataset` (default: that of params.yaml), and promote it if it is better.

    Args:
        dataset: one of params.yaml's ``datasets``.
        retrain: train again although a finished run with the same data, code and parameters exists.

    Returns:
        The run's summary: figures, decision and champion.
    """
    reporting.without_tracebacks()
    startup.quieten()  # a worker runs the flow without `main`
    places = project.load()
    params = config.load(places.params, dataset=dataset)
    prepared = Prepared(places.prepared(params.dataset))
    prepared.check(dataset_of(places, params), short_side=params.prepare.short_side)
    plan = _planned(places, params)
    params = plan.applied(params) if plan else params
    data = lineage.data_state(places, params)
    code = lineage.code_state(places.root)
    resolved = lineage.resolved(params, root=places.root)
    key = lineage.run_key(data, code, resolved)
    client = tracking.connect(places)
    experiment = tracking.experiment(client, places, versions.model_name(dataset_of(places, params).model))
    with tracking.reporting_tracking(places.tracking_uri), _alone(places, key):
        finished = [run for run in tracking.runs_with_key(client, experiment, key) if tracking.is_finished(run)]
        begun = tracking.unfinished(client, experiment, key)
        if finished and not retrain and begun is None:
            get_run_logger().info("run %s has the same data, code and parameters: reused", finished[0].info.run_name)
            return _show(summary.of_run(client, finished[0], reused=True))
        tracking.end_abandoned(client, experiment, places.runs)
        run = begun or tracking.open_parent(client, experiment, key=key, name=f"{params.dataset}-{key[:8]}")
        with tracking.closing(client, run) as tracker:
            work = Work(
                settings=places,
                params=params,
                prepared=prepared,
                tracker=tracker,
                scratch=places.runs / tracker.run_id,
                tags={
                    **lineage.tags(data, code, resolved, prepared.meta),
                    "segline.flow_run": str(runtime.flow_run.id),
                },
                plan=plan,
            )
            _run(work, client)
        shutil.rmtree(work.scratch, ignore_errors=True)
        return _show(summary.of_run(client, client.get_run(run.info.run_id), reused=False))


def _planned(places: project.Settings, params: config.Params) -> "Plan | None":
    """The plan of `params`; None where they ask for none."""
    if params.training.plan is None:
        return None
    from segline.training import plan
    from segline.training.fit.backend import make_deterministic
    from segline.training.plan import facts

    # Networks are built to count what they take, and the first thing that is computed fixes the threads.
    make_deterministic(seed=params.seed, threads=params.training.threads)
    short_side = params.prepare.short_side
    found = facts.read(places.manifest(params.dataset), dataset_of(places, params), short_side=short_side)
    return plan.make(found, short_side=short_side, training=params.training, search=params.search)


def _run(work: Work, client: Any) -> None:
    begin(work, client)
    with tracking.watching_machine(work.tracker):
        if work.params.search.weights == config.CLASSIFICATION:
            pretrain(work)
        choice = search(work)
        train(work, choice)
        evaluate(work)
    version = register(work, client)
    with FileLock(work.settings.runs / f"{work.name}.gate.lock"):  # two gates at once would both beat the old champion
        decision = judge(work, client, version)
        if decision["promote"]:
            promote(client, version)
    work.tracker.set_tags({tracking.DECISION: json.dumps(decision)})


@contextmanager
def _alone(places: project.Settings, key: str) -> Iterator[None]:
    """Refuse to train the same thing twice at once."""
    try:
        with FileLock(places.runs / f"{key}.lock", timeout=0):
            yield
    except Timeout as error:
        raise TrainingError(
            places.runs / f"{key}.lock",
            found="another process is training with the same data, code and parameters",
            expected="one at a time",
            remedy="wait for it: its result will be reused",
        ) from error


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
@reporting.without_secrets
def begin(work: Work, client: Any) -> None:
    """Log what the run is asked to do and where it comes from."""
    work.scratch.mkdir(parents=True, exist_ok=True)  # it says that this run is this machine's
    work.tracker.set_tags(work.tags)
    work.tracker.log_params(lineage.flat(work.params.resolved()))
    tracking.log_dataset(client, work.tracker.run_id, work.params.dataset, work.tags["segline.prepared_md5"])
    if work.plan:
        work.plan.write(work.scratch / "plan.json")
        work.tracker.log_artifact(work.scratch / "plan.json", "plan")


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
@reporting.without_secrets
def register(work: Work, client: Any) -> ModelVersion:
    """Put the trained network into the registry as a new version, with its lineage."""
    version = versions.register(
        client,
        run_id=work.tracker.run_id,
        name=work.name,
        bundle=work.scratch / "bundle",
        tags=work.tags | {"segline.augmentation": (work.scratch / "augmentation.json").read_text(encoding="utf-8")},
    )
    print(f"registered {version.name} version {version.version}")
    return version


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
@reporting.without_secrets
def promote(client: Any, version: ModelVersion) -> None:
    """Make `version` the champion."""
    versions.promote(client, version)


def _show(result: dict[str, Any]) -> dict[str, Any]:
    """Leave the summary on the flow run's page."""
    create_markdown_artifact(
        reporting.markdown(summary.rows(result)), key=f"training-{result['dataset'].replace('_', '-')}"
    )
    return result


def main() -> None:
    """``python -m flows.training``: run the flow here and print the table."""
    from argparse import ArgumentParser, Namespace

    parser = ArgumentParser(prog="python -m flows.training", description=training.description)
    parser.add_argument("--dataset", help="default: `dataset` of params.yaml")
    parser.add_argument("--retrain", action="store_true", help="train again even if this very run is finished")

    def action(options: Namespace) -> None:
        show(summary.table(training(dataset=options.dataset, retrain=options.retrain)))

    reporting.run(parser, action)


if __name__ == "__main__":
    main()
