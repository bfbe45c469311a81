"""`segline evaluate` and `segline compare`: scores of models."""

from pathlib import Path
from typing import Annotated

import typer

from segline.cli.application import app
from segline.console import complain, say, show


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Option(help="A registered model (`segline-oxford_pets@champion`, `name/3`), or a model folder or file."),
    ],
    dataset: Annotated[
        str, typer.Option(help="Dataset to score on; it must be prepared (`dvc repro prepare@DATASET`).")
    ],
    split: Annotated[str, typer.Option(help="test, validation, or train (at its prepared scale).")] = "test",
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to write; default: a folder in reports/DATASET.")
    ] = None,
    boundary: Annotated[
        bool, typer.Option("--boundary", help="Also score the edges by boundary IoU; takes extra time for each image.")
    ] = False,
    confidence: Annotated[
        bool,
        typer.Option(help="Also measure how well confidences are calibrated; takes a pass over validation."),
    ] = True,
) -> None:
    """Score a model on a split of prepared data; write scores, counts of each image, and a page with pictures.

    The model gets the images at the scale it was trained on. Its predictions are scored at the labels' own size.
    The files are `evaluation.html` (the page), `evaluation.json`, `cost.json`, `calibration.json`, and
    `evaluation.npz` (the counts, for `segline compare`). For a registered version they are also kept with its run in
    MLflow.
    """
    from segline.evaluation.report import tables
    from segline.pipeline.evaluate import evaluate_model
    from segline.progress import showing
    from segline.project import Project

    found = evaluate_model(
        Project.load(),
        model,
        dataset=dataset,
        split=split,
        output=output,
        boundary=boundary,
        confidence=confidence,
        progress=showing(complain),
    )
    show(*tables.evaluated(found.summary))
    say(f"page: {found.files[-1]}")
    if found.logged:
        run, folder = found.logged
        say(
            f"MLflow: run {run}, {folder}"
            if run
            else "MLflow: the files were not logged, because the version has no run"
        )


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN...",
            help="MLflow runs (id or name), models (`name@champion`, `name/3`), or evaluation.npz files or folders.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to write the page; default: in reports/DATASET.")
    ] = None,
) -> None:
    """Compare runs on the same images: scores with intervals, and each run's difference to the first with its p-value.

    Runs with different scoring rules, splits or classes are refused. The page is `comparison.html`; its
    numbers are in `comparison.json` beside it.
    """
    from segline.evaluation.report import tables
    from segline.pipeline.compare import compare as run
    from segline.project import Project

    found = run(Project.load(), runs, output=output)
    show(*tables.compared(found.summary))
    say(f"page: {found.page}")
