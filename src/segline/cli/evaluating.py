"""`segline evaluate` and `segline compare`: scores of models."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from segline.cli.application import app, console
from segline.cli.choosing import bundle_folder


@app.command()
def evaluate(
    model: Annotated[
        str, typer.Option(help="A registered model (`segline-oxford_pets@champion`, `name/3`) or a model folder.")
    ],
    dataset: Annotated[str, typer.Option(help="What to score it on: prepared data (`dvc repro prepare@DATASET`).")],
    split: Annotated[str, typer.Option(help="test, validation, or train at its prepared scale.")] = "test",
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to write; default: a folder in reports/DATASET.")
    ] = None,
    confidence: Annotated[
        bool,
        typer.Option(help="Also judge how far its confidences are probabilities; takes a pass more over both splits."),
    ] = True,
) -> None:
    """Score a model on a split of prepared data: figures, per-image counts and a page with pictures.

    The images are shown at the scale the model was trained on, and its answers are scored at the labels'
    own size. Written are `evaluation.html` (the page), `evaluation.json`, `cost.json`, and `evaluation.npz`
    (the counts, for `segline compare`).
    """
    from functools import partial

    from rich.progress import Progress

    from segline import config, settings
    from segline.data.prepared import Prepared
    from segline.evaluation import evaluate as scoring
    from segline.evaluation import record, splits
    from segline.inference import bundle

    places = settings.load()
    wanted = config.load(places.params).evaluation
    prepared = Prepared(places.prepared(dataset))
    with bundle_folder(model) as (name, files):
        network = bundle.load(files)
        fitting = partial(
            splits.fitting, network, prepared, raw=places.raw(dataset), manifest_folder=places.manifest(dataset)
        )
        samples = fitting(name=split)
        with Progress(disable=not sys.stderr.isatty(), transient=True) as bar:
            found = scoring.evaluate(network, samples, progress=_stage(bar, "evaluate"))
            judged = None
            if confidence:
                from segline.evaluation import calibration

                # On the split that chose the weights no temperature can be fitted and judged at once.
                fitted = (
                    None
                    if split == "validation"
                    else calibration.fit(network, fitting(name="validation"), progress=_stage(bar, "fit a temperature"))
                )
                judged = calibration.calibrate(
                    network,
                    samples,
                    fitted=fitted,
                    fitted_on=None if fitted is None else "validation",
                    progress=_stage(bar, "judge confidences"),
                )
        pixels = prepared.split("train").pixels
        summary = scoring.summary(
            found,
            interval=found.interval(resamples=wanted.resamples, confidence=wanted.confidence),
            baseline=found.baseline(commonest=pixels.index(max(pixels))),
        )
        folder = output or places.reports / dataset / f"{name}-{split}"
        written = record.write(
            folder,
            bundle=network,
            split=samples,
            evaluation=found,
            summary=summary,
            model=f"{name} ({network.family})",
            file=files / bundle.NETWORK,
            cost_seconds=wanted.cost_seconds,
            calibration=judged,
        )
    _show_evaluation(summary)
    typer.echo(f"page: {written[-1]}")


def _stage(bar: "Progress", what: str) -> Callable[[int, int], None]:  # type: ignore[name-defined]  # noqa: F821
    task = bar.add_task(what, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _show_evaluation(summary: dict[str, object]) -> None:
    from segline.evaluation.tables import evaluated

    console().print(evaluated(summary))


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
    import json

    from segline import config, settings
    from segline.evaluation import comparison
    from segline.evaluation.page import compared
    from segline.evaluation.tables import compared as table
    from segline.storage import atomic_file

    places = settings.load()
    wanted = config.load(places.params).evaluation
    entries = comparison.compare(_evaluations(runs, places), resamples=wanted.resamples, confidence=wanted.confidence)
    summary = comparison.summary(entries)
    folder = output or places.reports / summary["dataset"] / "comparison"
    for name, text in (
        ("comparison.json", json.dumps(summary, indent=2) + "\n"),
        ("comparison.html", compared.page(summary)),
    ):
        with atomic_file(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")
    for grid in table(summary):
        console().print(grid)
    typer.echo(f"page: {folder / 'comparison.html'}")


def _evaluations(runs: list[str], places: "Settings") -> list[tuple[str, "Evaluation"]]:  # type: ignore[name-defined]  # noqa: F821
    """Names that tell them apart, and what was counted; MLflow is asked only for what is no file."""
    import tempfile

    from segline.evaluation import comparison

    read = {run: comparison.read(Path(run)) for run in runs}
    files = [run for run, found in read.items() if found is not None]
    names = dict(zip(files, comparison.short_names([Path(run) for run in files]), strict=True))
    if len(files) < len(read):
        from segline.registry import evaluations, tracking

        client = tracking.connect(places)
        for run in read.keys() - names.keys():
            with tempfile.TemporaryDirectory() as folder:
                names[run], file = evaluations.fetch(client, run, Path(folder))
                read[run] = comparison.read(file)
    return [(names[run], found) for run in runs if (found := read[run]) is not None]
