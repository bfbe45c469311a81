"""`segline score`: scores of label maps, from any tool."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from segline.cli.application import app
from segline.console import complain, say, show

_Split = Annotated[
    Literal["train", "validation", "test"] | None,
    typer.Option(help="Score only this split, as `dvc repro` divided the dataset in this project."),
]
_Ids = Annotated[
    Literal["raw", "train"] | None, typer.Option(help="Kind of ids in the predictions, if it cannot be detected.")
]
_TruthIds = Annotated[
    Literal["raw", "train"] | None,
    typer.Option(help="Kind of ids in the labels; default: as their file names say, otherwise raw."),
]
_Boundary = Annotated[
    bool, typer.Option("--boundary", help="Also score the edges by boundary IoU; takes several times as long.")
]
_Json = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Write all scores to this file (docs/score.schema.json)."),
]
_Counts = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Write the counts of each image to this .npz, for compare."),
]
_Page = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", dir_okay=False, help="Write a page with all scores there; default in a project: in reports/."
    ),
]


@app.command()
def score(
    dataset: Annotated[str, typer.Option(help="Dataset of the labels (docs/datasets.md), or your own data's name.")],
    truth: Annotated[Path, typer.Option(metavar="DIR", help="The dataset's labels, at any depth.")],
    prediction: Annotated[Path, typer.Option(metavar="DIR", help="Label maps to score, from any tool, at any depth.")],
    task: Annotated[str | None, typer.Option(help="One of the dataset's tasks, if not its default.")] = None,
    split: _Split = None,
    ids: _Ids = None,
    truth_ids: _TruthIds = None,
    resamples: Annotated[int | None, typer.Option(min=100, help="Bootstrap resamples of the interval.")] = None,
    boundary: _Boundary = False,
    json: _Json = None,
    counts: _Counts = None,
    page: _Page = None,
) -> None:
    """Score a folder of predictions, from any tool, against a dataset's labels.

    Files are paired by name, at any depth: by Cityscapes' endings, by `<stem>_labels.png` as `segline predict` writes
    it, or by equal stems. Each prediction is a lossless label map (or a `.npy` of ids) of its label's size. Nothing is
    scored unless every image has its prediction; all problems are listed at once.
    """
    from segline.pipeline.score import score_folder
    from segline.project import Project

    scored = score_folder(
        Project.find(),
        dataset,
        truth=truth,
        prediction=prediction,
        task=task,
        split=split,
        ids=ids,
        truth_ids=truth_ids,
        resamples=resamples,
        boundary=boundary,
        json=json,
        counts=counts,
        page=page,
        report=complain,
    )
    from segline.evaluation.report import tables  # imported only now, so that the workers start sooner

    show(*tables.evaluated(scored.document))
    for warning in scored.document.warnings:
        complain(f"warning: {warning}")
    if scored.page_problem:
        complain(f"warning: no page was written: {scored.page_problem}")
    if scored.page:
        say(f"page: {scored.page}")
