"""Run the training as a Prefect flow, with one task for each step of `segline.pipeline.train`.

python -m flows.training --dataset kitti
prefect deployment run 'training/local' -p dataset=kitti
"""

from collections.abc import Callable
from typing import Any

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE

from flows import abandoned, reporting
from segline import startup
from segline.console import show
from segline.pipeline import train
from segline.progress import FlowLines
from segline.project import Project
from segline.registry import run_summary
from segline.registry.run_summary import RunSummary


def _make_task(step: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Make a task of `step`, without caching, because steps have side effects."""
    return task(cache_policy=NO_CACHE, **options)(reporting.without_secrets(step))


_RETRIED = {"retries": 2, "retry_delay_seconds": 5}  # for steps that only talk to MLflow
_TASKS = train.Steps(
    begin=_make_task(train.PLAIN.begin, **_RETRIED),
    pretrain=_make_task(train.PLAIN.pretrain),
    search=_make_task(train.PLAIN.search),
    train=_make_task(train.PLAIN.train, name="train"),
    evaluate=_make_task(train.PLAIN.evaluate),
    register=_make_task(train.PLAIN.register, **_RETRIED),
    judge=_make_task(train.PLAIN.judge),
    promote=_make_task(train.PLAIN.promote, **_RETRIED),
)


@flow(name="training", log_prints=True)
@reporting.without_secrets
def training(dataset: str | None = None, retrain: bool = False, earlier_classes: bool = False) -> RunSummary:
    """Train a model for `dataset`, and promote it if it is better than the champion.

    Args:
        dataset: one of the ``datasets`` of params.yaml; default: its ``dataset``.
        retrain: train again even if a finished run with the same data, code and parameters exists.
        earlier_classes: if the champion has other classes than the data, make the last champion that had these the
            champion again; without it, such a training is refused.

    Returns:
        The run's summary: scores, decision and champion.
    """
    reporting.without_tracebacks()
    startup.quieten()  # needed here, because a worker does not run `main`
    project = Project.load()
    abandoned.hold_lock(project)
    flow_run = str(runtime.flow_run.id)
    result = train.train(
        project,
        dataset=dataset,
        retrain=retrain,
        earlier_classes=earlier_classes,
        progress=FlowLines(print),
        flow_run=flow_run,
        steps=_TASKS,
    )
    reporting.publish(run_summary.rows(result), key=f"training-{result.dataset.replace('_', '-')}")
    return result


def main() -> None:
    """Run the flow in this process and print its table (``python -m flows.training``)."""
    from argparse import ArgumentParser, Namespace

    parser = ArgumentParser(prog="python -m flows.training", description=training.description)
    parser.add_argument("--dataset", help="dataset to train on; default: `dataset` of params.yaml")
    parser.add_argument("--retrain", action="store_true", help="train again even if this run is finished")
    parser.add_argument(
        "--earlier-classes",
        action="store_true",
        help="make the last champion with the classes of the data the champion again",
    )

    def action(options: Namespace) -> None:
        result = training(dataset=options.dataset, retrain=options.retrain, earlier_classes=options.earlier_classes)
        show(run_summary.table(result))

    reporting.run(parser, action)


if __name__ == "__main__":
    main()
