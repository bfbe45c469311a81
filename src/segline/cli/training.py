"""`segline train`: the training without Prefect."""

from typing import Annotated

import typer

from segline.cli.application import app
from segline.console import say, show


@app.command()
def train(
    dataset: Annotated[str | None, typer.Option(help="Dataset to train on; default: `dataset` of params.yaml.")] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train again even if this run is finished.")] = False,
    earlier_classes: Annotated[
        bool,
        typer.Option(
            "--earlier-classes",
            help="If the champion has other classes than the data, make the last champion that had these the champion "
            "again. Without this, such a training is refused.",
        ),
    ] = False,
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

    summary = run(
        Project.load(), dataset=dataset, retrain=retrain, earlier_classes=earlier_classes, progress=showing(say)
    )
    show(run_summary.table(summary))
