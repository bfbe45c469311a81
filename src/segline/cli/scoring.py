"""`segline score`: scores of label maps, from any tool."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from segline.cli.application import app
from segline.console import complain, say, show
from segline.errors import ConfigError

if TYPE_CHECKING:
    from segline.datasets.base import Dataset
    from segline.evaluation.folders.score import FolderScore
    from segline.project import Project

_Split = Annotated[
    Literal["train", "validation", "test"] | None,
    typer.Option(help="Score only this split, as `dvc repro` divided the dataset in this project."),
]
_Ids = Annotated[Literal["raw", "train"] | None, typer.Option(help="Ids in the predictions, if they do not show it.")]
_TruthIds = Annotated[
    Literal["raw", "train"] | None,
    typer.Option(help="Ids in the labels, if they are not raw ids and their file names do not say so."),
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
    dataset: Annotated[str, typer.Option(help="Dataset of the labels (docs/datasets.md); folder for your own data.")],
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
    from segline.parallel import forking

    _refuse_one_file({"--json": json, "--counts": counts, "--page": page})
    if _has_many_files(truth):
        forking.begin("segline.evaluation.folders.count_pairs")
    from segline import config
    from segline.evaluation import results
    from segline.evaluation.folders import published_splits
    from segline.evaluation.folders import score as scoring
    from segline.evaluation.report import tables
    from segline.pipeline.definition import load_definition
    from segline.project import Project, workers
    from segline.storage import write_json

    project = Project.find()
    config.refuse_unknown("--dataset", dataset, config.dataset_names())
    params = config.load(project.params) if project else None
    definition = load_definition(project, params, dataset, task=task)
    wanted = params.evaluation if params else config.EvaluationRules(resamples=1000, confidence=0.95)
    result = scoring.score_folders(
        definition,
        truth=truth,
        prediction=prediction,
        ids=ids,
        truth_ids=truth_ids,
        only=split,
        published=published_splits.read(project.manifest(dataset), raw=project.raw(dataset))
        if project
        else published_splits.Published(),
        workers=project.workers if project else workers(),
        report=complain,
        boundary=boundary,
    )
    content = scoring.document(
        result,
        definition,
        truth=truth,
        prediction=prediction,
        resamples=resamples or wanted.resamples,
        confidence=wanted.confidence,
    )
    if counts:
        results.save(result.evaluation, counts)
    if json:
        write_json(json, content)
    show(*tables.evaluated(content))
    for warning in result.warnings:
        complain(f"warning: {warning}")
    _write_page(page, project, result, content, definition)


def _write_page(
    page: Path | None, project: "Project | None", result: "FolderScore", content: Mapping[str, Any], dataset: "Dataset"
) -> None:
    """Write the page where it is wanted, else among the project's reports; without a project there is no default."""
    from segline.errors import StorageError
    from segline.evaluation.report import evaluation_page
    from segline.project import Files
    from segline.storage import write_text

    prediction = Path(content["prediction"]).absolute()
    place = page
    if project and place is None:
        name = f"score-{prediction.name or 'predictions'}{f'-{result.split}' if result.split else ''}"
        place = project.evaluation_report(dataset.name, name) / Files.EVALUATION_PAGE
    if place is None:
        return
    html = evaluation_page.page(
        result.evaluation,
        {**content, **content["extra_scores"]},
        labels=dataset.label_map,
        model=f"Label maps of the folder {prediction.name or prediction}",
        pictures=[],
        origin={
            "task": content["task"],
            "split note": result.split_why,
            "prediction ids": f"{result.ids}: {result.why}",
            "predictions": content["prediction"],
            "labels": content["truth"],
        },
        warnings=result.warnings,
    )
    try:
        write_text(place, html)
    except StorageError as error:
        if page is not None:
            raise
        # Nobody asked for it: a project on a disk that is full or read-only still gets its scores.
        complain(f"warning: no page was written: {error}")
        return
    say(f"page: {place}")


def _refuse_one_file(files: Mapping[str, Path | None]) -> None:
    """Refuse two outputs in one file, where the second would overwrite the first; the null device takes all."""
    import os

    seen: dict[str, str] = {}
    for option, path in files.items():
        if path is None or (real := os.path.realpath(path)) == os.path.realpath(os.devnull):
            continue
        if real in seen:
            raise ConfigError(
                f"{seen[real]} {option} {path}",
                found="one place for both",
                expected="a file of its own for each output",
                remedy="name another file: .json for the scores, .npz for the counts, .html for the page",
            )
        seen[real] = f"{option} {path}"


def _has_many_files(folder: Path) -> bool:
    """Return whether a folder has more files than one process would handle alone."""
    from segline.parallel.forking import FEW

    return next(islice(folder.rglob("*"), FEW, None), None) is not None
