"""`segline score`: scores of label maps, from any tool."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from segline.cli.application import app, complain, console


@app.command()
def score(
    dataset: Annotated[str, typer.Option(help="What the labels are of (docs/datasets.md); folder for your own data.")],
    truth: Annotated[Path, typer.Option(metavar="DIR", help="The dataset's labels, at any depth.")],
    prediction: Annotated[Path, typer.Option(metavar="DIR", help="Label maps to score, from any tool, at any depth.")],
    task: Annotated[str | None, typer.Option(help="One of the dataset's tasks, if not its own.")] = None,
    split: Annotated[
        Literal["train", "validation", "test"] | None,
        typer.Option(help="Only the images of that split, as `dvc repro` divided the dataset in this project."),
    ] = None,
    ids: Annotated[
        Literal["raw", "train"] | None, typer.Option(help="What predictions hold, if that cannot be seen from them.")
    ] = None,
    truth_ids: Annotated[
        Literal["raw", "train"] | None, typer.Option(help="What labels hold, if not raw ids and not named so.")
    ] = None,
    resamples: Annotated[int | None, typer.Option(min=100, help="Bootstrap resamples of the interval.")] = None,
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write all of it there (docs/score.schema.json)."),
    ] = None,
    counts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help="Write the counts of each image there (.npz), to compare by."
        ),
    ] = None,
) -> None:
    """Score a folder of predictions, from any tool, against a dataset's labels.

    Files are paired by name: Cityscapes' endings, `<stem>_labels.png` as `segline predict` writes it, or equal
    stems, at any depth. Each is a lossless label map at its label's own size (or a `.npy` of ids). Nothing is
    scored unless every image has its prediction; all that is wrong is named at once.
    """
    import json as library

    from segline import settings
    from segline.evaluation import published, results
    from segline.evaluation import score as scoring
    from segline.storage import atomic_file

    places = settings.find()
    definition, wanted = _scored(dataset, task, places)
    result = scoring.score_folders(
        definition,
        truth=truth,
        prediction=prediction,
        ids=ids,
        truth_ids=truth_ids,
        only=split,
        published=published.read(places.manifest(dataset), raw=places.raw(dataset))
        if places
        else published.Published(),
        workers=places.workers if places else settings.workers(),
        report=complain,
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
        with atomic_file(json) as partial:
            partial.write_text(library.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    _show_score(content)


def _scored(
    name: str,
    task: str | None,
    places: "Settings | None",  # type: ignore[name-defined]  # noqa: F821
) -> "tuple[Dataset, Evaluation]":  # type: ignore[name-defined]  # noqa: F821
    """The dataset's definition and how scores get their intervals: params.yaml's, in a project."""
    from segline import config, datasets

    config.refuse_unknown("--dataset", name, config.dataset_names())
    params = config.load(places.params) if places else None
    options = (params.options.get(name) if params else None) or config.Options()
    raw = places.raw(name) if places else None
    if task is not None:
        plain = datasets.load(name, options.model_copy(update={"task": None}), raw=raw)
        config.refuse_unknown("--task", task, [plain.task, *plain.tasks])
        options = options.model_copy(update={"task": task})
    wanted = params.evaluation if params else config.Evaluation(resamples=1000, confidence=0.95)
    return datasets.load(name, options, raw=raw), wanted


def _show_score(content: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("class", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("IoU", justify="right")
    table.add_column("labelled pixels", justify="right")
    for (name, value), row in zip(content["per_class_iou"].items(), content["confusion"], strict=True):
        table.add_row(escape(name), "absent" if value is None else f"{value:.4f}", f"{sum(row):,}")
    console().print(table)
    share = f"{100 * content['confidence']:g} %"
    lines = {
        "mIoU": f"{content['miou']:.4f}  [{content['miou_low']:.4f}, {content['miou_high']:.4f}] ({share}, bootstrap)",
        "caveat": content["caveat"],
        "pixel accuracy": f"{content['pixel_accuracy']:.4f}",
        **{
            name.replace("_", " "): "undefined" if value is None else f"{value:.4f}"
            for name, value in content["extra_scores"].items()
        },
        "images": f"{content['images']}",
        "pixels": f"{content['labelled_pixels']:,} labelled, {content['void_pixels']:,} void",
        "dataset": f"{content['dataset']}, task {content['task']}",
        "protocol": content["protocol"],
        "split": f"{content['split'] or 'none'}: {content['split_because']}",
        "split digest": content["split_digest"],
        "label map": f"digest {content['label_map_digest']}",
        "predictions": f"{content['prediction_ids']} ids: {content['prediction_ids_because']}",
    }
    for name, text in lines.items():
        if text:
            typer.echo(f"{name:26}  {text}")
    for warning in content["warnings"]:
        complain(f"warning: {warning}")
