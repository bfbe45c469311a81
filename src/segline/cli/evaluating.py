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
    dataset: Annotated[str, typer.Option(help="What to score it on: prepared data (`dvc repro prepare@DATASET`).")],
    split: Annotated[str, typer.Option(help="test, validation, or train at its prepared scale.")] = "test",
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to write; default: a folder in reports/DATASET.")
    ] = None,
    boundary: Annotated[
        bool, typer.Option("--boundary", help="Score the edges too, by boundary IoU; takes some time an image.")
    ] = False,
    confidence: Annotated[
        bool,
        typer.Option(help="Also judge how far its confidences are probabilities; takes a pass over validation."),
    ] = True,
) -> None:
    """Score a model on a split of prepared data: figures, per-image counts and a page with pictures.

    The images are shown at the scale the model was trained on, and its answers are scored at the labels'
    own size. Written are `evaluation.html` (the page), `evaluation.json`, `cost.json`, and `evaluation.npz`
    (the counts, for `segline compare`); those of a registered version are kept with its run in MLflow too.
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
        say(f"MLflow: run {run}, {folder}" if run else "MLflow: the version has no run to keep them with")


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
    """Put scores side by side: intervals, differences a class, and the same images paired; each against the first.

    Refused is what does not compare: other rules, another split, other classes. The page is `comparison.html`,
    and its figures are in `comparison.json` beside it.
    """
    from segline.evaluation.report import tables
    from segline.pipeline.compare import compare as run
    from segline.project import Project

    found = run(Project.load(), runs, output=output)
    show(*tables.compared(found.summary))
    say(f"page: {found.page}")
