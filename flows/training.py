"""The training as a Prefect flow: one task a step of `segline.pipeline.train`.

python -m flows.training --dataset kitti
prefect deployment run 'training/local' -p dataset=kitti
"""

from collections.abc import Callable
from typing import Any

from prefect import flow, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows import reporting
from segline import startup
from segline.console import show
from segline.pipeline import train
from segline.progress import FlowLines
from segline.project import Project
from segline.registry import run_summary
from segline.registry.run_summary import RunSummary


def _task(step: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Make a task of `step`; nothing that has side effects is cached."""
    return task(cache_policy=NO_CACHE, **options)(reporting.without_secrets(step))


_AGAIN = {"retries": 2, "retry_delay_seconds": 5}  # of steps that only speak to MLflow
_TASKS = train.Steps(
    begin=_task(train.PLAIN.begin, **_AGAIN),
    pretrain=_task(train.PLAIN.pretrain),
    search=_task(train.PLAIN.search),
    train=_task(train.PLAIN.train, name="train"),
    evaluate=_task(train.PLAIN.evaluate),
    register=_task(train.PLAIN.register, **_AGAIN),
    judge=_task(train.PLAIN.judge),
    promote=_task(train.PLAIN.promote, **_AGAIN),
)


@flow(name="training", log_prints=True)
@reporting.without_secrets
def training(dataset: str | None = None, retrain: bool = False) -> RunSummary:
    """Train a model for `dataset` (default: that of params.yaml), and promote it if it is better.

    Args:
        dataset: one of params.yaml's ``datasets``.
        retrain: train again although a finished run with the same data, code and parameters exists.

    Returns:
        The run's summary: figures, decision and champion.
    """
    reporting.without_tracebacks()
    startup.quieten()  # a worker runs the flow without `main`
    flow_run = str(runtime.flow_run.id)
    result = train.train(
        Project.load(), dataset=dataset, retrain=retrain, progress=FlowLines(print), flow_run=flow_run, steps=_TASKS
    )
    create_markdown_artifact(
        reporting.markdown(run_summary.rows(result)), key=f"training-{result.dataset.replace('_', '-')}"
    )
    return result


def main() -> None:
    """``python -m flows.training``: run the flow here and print the table."""
    from argparse import ArgumentParser, Namespace

    parser = ArgumentParser(prog="python -m flows.training", description=training.description)
    parser.add_argument("--dataset", help="default: `dataset` of params.yaml")
    parser.add_argument("--retrain", action="store_true", help="train again even if this very run is finished")

    def action(options: Namespace) -> None:
        show(run_summary.table(training(dataset=options.dataset, retrain=options.retrain)))

    reporting.run(parser, action)


if __name__ == "__main__":
    main()
