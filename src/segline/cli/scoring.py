"""`segline score`: scores of label maps, from any tool."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import typer

from segline.cli.application import app
from segline.console import complain, show
from segline.errors import ConfigError

_Split = Annotated[
    Literal["train", "validation", "test"] | None,
    typer.Option(help="Only the images of that split, as `dvc repro` divided the dataset in this project."),
]
_Ids = Annotated[
    Literal["raw", "train"] | None, typer.Option(help="What predictions hold, if that cannot be seen from them.")
]
_TruthIds = Annotated[
    Literal["raw", "train"] | None, typer.Option(help="What labels hold, if not raw ids and not named so.")
]
_Boundary = Annotated[
    bool, typer.Option("--boundary", help="Score the edges too, by boundary IoU; takes several times as long.")
]
_Json = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Write all of it there (docs/score.schema.json)."),
]
_Counts = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Write the counts of each image there (.npz), to compare by."),
]


@app.command()
def score(
    dataset: Annotated[str, typer.Option(help="What the labels are of (docs/datasets.md); folder for your own data.")],
    truth: Annotated[Path, typer.Option(metavar="DIR", help="The dataset's labels, at any depth.")],
    prediction: Annotated[Path, typer.Option(metavar="DIR", help="Label maps to score, from any tool, at any depth.")],
    task: Annotated[str | None, typer.Option(help="One of the dataset's tasks, if not its own.")] = None,
    split: _Split = None,
    ids: _Ids = None,
    truth_ids: _TruthIds = None,
    resamples: Annotated[int | None, typer.Option(min=100, help="Bootstrap resamples of the interval.")] = None,
    boundary: _Boundary = False,
    json: _Json = None,
    counts: _Counts = None,
) -> None:
    """Score a folder of predictions, from any tool, against a dataset's labels.

    Files are paired by name: Cityscapes' endings, `<stem>_labels.png` as `segline predict` writes it, or equal
    stems, at any depth. Each is a lossless label map at its label's own size (or a `.npy` of ids). Nothing is
    scored unless every image has its prediction; all that is wrong is named at once.
    """
    from segline.parallel import forking

    _refuse_one_file(json, counts)
    if _many(truth):
        forking.begin("segline.evaluation.folders.count_pairs")
    from segline import config
    from segline.evaluation import results
    from segline.evaluation.folders import published_splits
    from segline.evaluation.folders import score as scoring
    from segline.evaluation.folders.document import document
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
    content = document(
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
        write_json(json, content.as_json())
    show(*tables.evaluated(content))
    for warning in result.warnings:
        complain(f"warning: {warning}")


def _refuse_one_file(json: Path | None, counts: Path | None) -> None:
    """Refuse to write both of what a score gives to one place, where the second would take that of the first."""
    import os

    if json is None or counts is None or os.path.realpath(json) != os.path.realpath(counts):
        return
    if os.path.realpath(json) == os.path.realpath(os.devnull):
        return
    raise ConfigError(
        f"--json {json} --counts {counts}",
        found="one place for both",
        expected="a file for the scores and another for the counts",
        remedy="name the counts' file .npz, which segline compare reads",
    )


def _many(folder: Path) -> bool:
    """Whether there is more in a folder than one process would do alone."""
    from segline.parallel.forking import FEW

    return next(islice(folder.rglob("*"), FEW, None), None) is not None
