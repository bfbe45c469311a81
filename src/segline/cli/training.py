"""`segline train`."""

from typing import Annotated

import typer

from segline.cli.application import app
from segline.console import say, show


@app.command()
def train(
    dataset: Annotated[str | None, typer.Option(help="Default: `dataset` of params.yaml.")] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train again even if this very run is finished.")] = False,
) -> None:
    """Search, train, evaluate, register, and promote the model if it is better; needs prepared data (`dvc repro`).

    It does what the training flow does, without Prefect, and goes on where either was stopped. A finished run with
    the same data, code and parameters is reused.
    """
    from segline.pipeline.train import train as run
    from segline.progress import showing
    from segline.project import Project
    from segline.registry import run_summary

    show(run_summary.table(run(Project.load(), dataset=dataset, retrain=retrain, progress=showing(say))))
