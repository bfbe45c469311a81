"""`segline evaluate` and `segline compare`: scores of models."""

import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segline.cli.application import app, say, show
from segline.cli.choosing import Chosen, chosen_model

if TYPE_CHECKING:
    from rich.progress import Progress

    from segline.config import Evaluation as Wanted
    from segline.core.metrics.calibration import Calibration
    from segline.data.prepare.prepared import Prepared
    from segline.evaluation.bundles.evaluate import Split
    from segline.evaluation.results import Evaluation
    from segline.inference.bundle import Bundle
    from segline.project import Settings


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
    from segline import config, project
    from segline.data.prepare.prepared import Prepared
    from segline.evaluation.report import tables, write
    from segline.inference import bundle

    places = project.load()
    wanted = config.load(places.params).evaluation
    prepared = Prepared(places.prepared(dataset))
    with chosen_model(model) as chosen:
        network = bundle.load(chosen.folder)
        samples = _fitting(network, prepared, places, split)
        fitting = partial(_fitting, network, prepared, places) if confidence else None
        found, judged = _counted(network, samples, fitting, boundary=boundary)
        summary = _summary(found, prepared, wanted)
        written = write.write(
            output or places.reports / dataset / f"{chosen.name}-{split}",
            bundle=network,
            split=samples,
            evaluation=found,
            summary=summary,
            model=f"{chosen.name} ({network.family})",
            file=chosen.folder / bundle.NETWORK,
            cost_seconds=wanted.cost_seconds,
            calibration=judged,
        )
    show(*tables.evaluated(summary))
    say(f"page: {written[-1]}")
    _log(chosen, written, places, name=f"{dataset}-{split}")


def _log(chosen: Chosen, files: Iterable[Path], places: "Settings", *, name: str) -> None:
    """Keep what was written with the run of a registered version, and say where."""
    if chosen.version is None:
        return
    from segline.registry import evaluations, tracking

    run = evaluations.log(tracking.connect(places), chosen.version, files, name=name)
    say(f"MLflow: run {run}, evaluations/{name}" if run else "MLflow: the version has no run to keep them with")


def _fitting(network: "Bundle", prepared: "Prepared", places: "Settings", name: str) -> "Split":
    """The split `name`, at the scale of `network`."""
    from segline.evaluation.bundles import splits

    dataset = prepared.meta["dataset"]
    return splits.fitting(
        network, prepared, name=name, raw=places.raw(dataset), manifest_folder=places.manifest(dataset)
    )


def _counted(
    network: "Bundle", samples: "Split", fitting: "Callable[[str], Split] | None", *, boundary: bool
) -> "tuple[Evaluation, Calibration | None]":
    """One pass over the split; confidences are judged only where `fitting` gives other splits to fit on."""
    from rich.progress import Progress

    from segline.evaluation.bundles import confidence as calibration
    from segline.evaluation.bundles import evaluate as scoring

    with Progress(disable=not sys.stderr.isatty(), transient=True) as bar:
        if fitting is None:
            return scoring.evaluate(network, samples, progress=_stage(bar, "evaluate"), boundary=boundary), None
        fitted = None
        if samples.name != "validation":  # on the split that chose the weights none can be fitted and judged at once
            fitted = calibration.fit(network, fitting("validation"), progress=_stage(bar, "fit a temperature"))
        judge = calibration.Judge(network, samples, fitted=fitted)
        found = scoring.evaluate(network, samples, progress=_stage(bar, "evaluate"), boundary=boundary, also=judge.see)
        return found, judge.judged()


def _summary(found: "Evaluation", prepared: "Prepared", wanted: "Wanted") -> dict[str, object]:
    from segline.evaluation.summary import summary

    pixels = prepared.split("train").pixels
    return summary(
        found,
        resamples=wanted.resamples,
        confidence=wanted.confidence,
        baseline=found.baseline(commonest=pixels.index(max(pixels))),
    )


def _stage(bar: "Progress", what: str) -> Callable[[int, int], None]:
    task = bar.add_task(what, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


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
    from segline import config, project
    from segline.evaluation import compare as comparison
    from segline.evaluation.report import comparison_page, tables
    from segline.storage import write_json, write_text

    places = project.load()
    wanted = config.load(places.params).evaluation
    entries = comparison.compare(_evaluations(runs, places), resamples=wanted.resamples, confidence=wanted.confidence)
    summary = comparison.summary(entries)
    folder = output or places.reports / summary["dataset"] / "comparison"
    write_json(folder / "comparison.json", summary)
    write_text(folder / "comparison.html", comparison_page.page(summary))
    show(*tables.compared(summary))
    say(f"page: {folder / 'comparison.html'}")


def _evaluations(runs: list[str], places: "Settings") -> "list[tuple[str, Evaluation]]":
    """Names that tell them apart, and what was counted; MLflow is asked only for what is no file."""
    import tempfile

    from segline.evaluation import compare as comparison

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
