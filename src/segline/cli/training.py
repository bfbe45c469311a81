"""`segline train`: the training without Prefect."""

from typing import Annotated

import typer

from segline.cli.application import app
from segline.console import say, show


@app.command()
def train(
    dataset: Annotated[str | None, typer.Option(help="Dataset to train on; default: `dataset` of params.yaml.")] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train again even if this run is finished.")] = False,
) -> None:
    """Search, train, evaluate and register a model, and promote it if it is better.

    The data must be prepared: `dvc repro prepare@DATASET`.

    It runs the same steps as the training flow, without Prefect. It continues a run that was stopped here or in the
    flow. A finished run with the same data, code and parameters is reused.
    """
    from segline.pipeline.train import train as run
    from segline.progress import showing
    from segline.project import Project
    from segline.registry import run_summary

    show(run_summary.table(run(Project.load(), dataset=dataset, retrain=retrain, progress=showing(say))))
