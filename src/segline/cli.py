"""The command line: parse, call one library function, print.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

import errno
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from segline.errors import SeglineError, StorageError

app = typer.Typer(
    name="segline",
    add_completion=False,
    help="Semantic segmentation that can be trusted, rebuilt and run.\n\n"
    "Start with `make run`; every data stage below is also a stage of `dvc repro`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
data = typer.Typer(
    help="The data stages, one dataset at a time (`dvc repro` runs them all, in order, where needed).",
    no_args_is_help=True,
)
models = typer.Typer(help="The registered models.", no_args_is_help=True)
app.add_typer(data, name="data")
app.add_typer(models, name="models")

DatasetArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATASET", help="A name from `datasets` in params.yaml (docs/datasets.md); folder for your own data."
    ),
]


def _complain(line: str) -> None:
    typer.echo(line, err=True)


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a reported problem.")] = False,
) -> None:
    """Take the options of all commands; `main` looks for ``--debug`` itself."""


@app.command()
def doctor(
    dataset: Annotated[
        str | None, typer.Option(help="What will be trained on, if not params.yaml's `dataset`.")
    ] = None,
) -> None:
    """Check params.yaml, the data source, the disk, git and the tracking server before anything long is started."""
    from segline import config, settings, storage
    from segline.data.download import check_source
    from segline.data.sources import without_secrets
    from segline.registry.lineage import code_state

    places = settings.load()
    params = config.load(places.params, dataset=dataset)
    typer.echo(f"params.yaml   good: {', '.join(params.datasets)} from {params.source}, training on {params.dataset}")
    public = [name for name in params.datasets if name not in params.own]
    check_source(params.source, datasets=public, root=places.root, archives=places.archives)
    for name in params.own:
        from segline.data import own

        typer.echo(f"{name:13} good: {own.locate(params.options[name], root=places.root)}")
    typer.echo(f"source        good: {without_secrets(params.source)}")
    free = storage.check_room(places.root, gibibytes=1.0)
    typer.echo(f"disk          {free:.0f} GiB free")
    code = code_state(places.root)
    typer.echo(f"code          {code.commit[:12]}{' with uncommitted changes' if code.dirty else ''}")
    if places.tracking_uri.startswith("http"):
        from segline.registry.tracking import check_server  # imports MLflow, which takes seconds

        check_server(places.tracking_uri)
    typer.echo(f"tracking      {without_secrets(places.tracking_uri)}")


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the mirrors; made if missing.")],
) -> None:
    """Draw miniature mirrors of the datasets, in their official archive layouts.

    Use them as `source: DIR` in params.yaml, or as a pattern for a mirror of your own.
    """
    from segline.datasets.sample import NAMES, draw

    for name in NAMES:
        draw(name, folder / name)
        typer.echo(f"{folder / name}")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Your images and masks, at any depth.")],
    force: Annotated[
        bool, typer.Option("--force", help="Write the class table and the params.yaml entry anew, over older ones.")
    ] = False,
) -> None:
    """Set up your own data: guess what FOLDER holds, and write its class table and the params.yaml entry.

    Understood are image and mask files paired by name (`images/1.jpg` with `masks/1.png`, or `1.jpg` with
    `1_mask.png`, at any depth), a CSV with the columns image and mask (split and group if wanted), COCO
    and LabelMe polygons. Masks may hold ids, a palette's indices, or colours. Names of classes come from a
    classes.txt, labelmap.txt, class_dict.csv or the polygons; splits from folders or lists called train,
    val and test, or from the CSV, else a fixed share is held out.

    Nothing in FOLDER is changed but `classes.yaml`, which is yours to edit. Run it again at any time: what
    is there is kept unless --force is given.
    """
    from segline import settings
    from segline.data.setup import set_up

    written = set_up(folder, params=settings.load().params, force=force, report=_complain)
    _show(written)


@app.command()
def preset(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Which one to write into params.yaml; without it, the list.")
    ] = None,
) -> None:
    """Set params.yaml to a well-known recipe, keeping its comments; say what was changed."""
    from segline import presets, settings

    if name is None:
        width = max(map(len, presets.names()))
        for known in presets.names():
            typer.echo(f"{known:{width}}  {presets.title(known)}")
        return
    changes = presets.apply(name, settings.load().params)
    for change in changes:
        typer.echo(f"params.yaml: {change}")
    typer.echo(
        f"params.yaml: {len(changes)} keys changed" if changes else f"params.yaml: {name} is what it says already"
    )


def _show(written: "Written") -> None:  # type: ignore[name-defined]  # noqa: F821
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "guess", "why", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for line in written.guess.lines:
        table.add_row(*(escape(text) for text in (line.what, line.guess, line.why)))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for doubt in written.guess.doubts:
        typer.echo(f"doubt: {doubt}")
    for change in written.changes:
        typer.echo(change)
    typer.echo("next: look at the class table, then dvc repro validate@folder (and then make run)")


@data.command()
def look(dataset: DatasetArgument) -> None:
    """See whether your own data changed since the last time (`dvc repro` asks this first)."""
    from segline import config, settings
    from segline.data import own

    places = settings.load()
    params = config.load(places.params, dataset=dataset)
    own.look(params.options[dataset], root=places.root, path=places.own(dataset), report=typer.echo)


@data.command()
def download(dataset: DatasetArgument) -> None:
    """Fetch the archives from `source` and check their digests; of your own data, list the files and theirs."""
    from segline import config, datasets, settings
    from segline.data.download import download as run

    places = settings.load()
    params = config.load(places.params, dataset=dataset)
    if dataset in params.own:
        from segline.data import own

        own.download(params.options[dataset], root=places.root, folder=places.archives(dataset), report=typer.echo)
        return
    run(
        datasets.load(dataset, params.options.get(dataset), raw=places.raw(dataset)),
        source=params.source,
        root=places.root,
        folder=places.archives(dataset),
        report=typer.echo,
    )


@data.command()
def extract(dataset: DatasetArgument) -> None:
    """Unpack the archives, refusing hostile ones; copy your own data, and paint masks from polygons."""
    from segline import config, datasets, settings
    from segline.data.archives import extract as run

    places = settings.load()
    params = config.load(places.params, dataset=dataset)
    if dataset in params.own:
        from segline.data import own

        own.extract(
            params.options[dataset],
            root=places.root,
            archives=places.archives(dataset),
            folder=places.raw(dataset),
            workers=places.workers,
            report=typer.echo,
        )
        return
    run(
        datasets.load(dataset, params.options.get(dataset), raw=places.raw(dataset)),
        archives=places.archives(dataset),
        folder=places.raw(dataset),
        report=typer.echo,
    )


@data.command()
def validate(dataset: DatasetArgument) -> None:
    """Build the manifest and let Great Expectations judge it."""
    from segline import config, datasets, settings
    from segline.data.checks import validate as run

    places = settings.load()
    params = config.load(places.params, dataset=dataset)
    run(
        datasets.load(dataset, params.options.get(dataset), raw=places.raw(dataset)),
        raw=places.raw(dataset),
        folder=places.manifest(dataset),
        docs=places.reports / "data" / dataset,
        validation_share=params.prepare.validation_share,
        quarantine_share=params.validation.quarantine_share,
        workers=places.workers,
        report=typer.echo,
    )


@data.command()
def prepare(dataset: DatasetArgument) -> None:
    """Decode everything once into memory-mapped splits."""
    from segline import config, datasets, settings
    from segline.data.prepare import prepare as run

    places = settings.load()
    params = config.load(places.params, dataset=dataset)
    run(
        datasets.load(dataset, params.options.get(dataset), raw=places.raw(dataset)),
        raw=places.raw(dataset),
        manifest_folder=places.manifest(dataset),
        folder=places.prepared(dataset),
        short_side=params.prepare.short_side,
        workers=places.workers,
        report=typer.echo,
    )


@app.command("plan")
def show_plan(
    dataset: DatasetArgument,
    memory: Annotated[
        float | None, typer.Option(min=0.01, help="GiB that a fit may take, if not params.yaml's `training.memory`.")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the plan there, too.")] = None,
) -> None:
    """Derive crop, batch, depth, epochs and more from the dataset's fingerprint and a memory budget.

    `training.plan: auto` in params.yaml trains so. What params.yaml says itself holds, and is marked. The
    dataset must be validated (`dvc repro validate@DATASET`); nothing is trained.
    """
    from segline import config, datasets, settings
    from segline.training import facts, plan

    places = settings.load()
    params = config.load(places.params, dataset=dataset)
    short_side = params.prepare.short_side
    definition = datasets.load(dataset, params.options.get(dataset), raw=places.raw(dataset))
    found = facts.read(places.manifest(dataset), definition, short_side=short_side)
    training, search = plan.asked(params, memory=memory)
    made = plan.make(found, short_side=short_side, training=training, search=search)
    _show_plan(made)
    for name, other in plan.neighbours(made, found, short_side=short_side, training=training, search=search):
        typer.echo(f"{name}: {other}")
    if params.training.plan is None:
        typer.echo("not in use: params.yaml has no training.plan: auto")
    if json:
        made.write(json)


def _show_plan(made: "Plan") -> None:  # type: ignore[name-defined]  # noqa: F821
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("what", "value", "why", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for line in made.lines:
        value = f"{line.value} (given)" if line.given else f"{line.value}"
        why = f"the plan would say {line.derived}: {line.why}" if line.given else line.why
        table.add_row(*(escape(text) for text in (line.key, value, why)))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    typer.echo(f"memory: {', '.join(f'{network} {size / 2**30:.2f} GiB' for network, size in made.memory.items())}")


@app.command()
def predict(
    source: Annotated[Path, typer.Argument(metavar="IMAGE_OR_FOLDER", help="An image, or a folder of images.")],
    model: Annotated[
        str, typer.Option(help="A registered model (`segline-oxford_pets@champion`, `name/3`) or a model folder.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for `<stem>_labels.png` and `<stem>_overlay.png`.")],
    head: Annotated[
        int | None, typer.Option(help="Of a U-Net++ with several heads: answer by this one alone, which is faster.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Answer each image once, without the mirror images that the model averages.")
    ] = False,
    opacity: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of the overlays' colours: 0 shows the image, 1 the colours.")
    ] = 0.5,
) -> None:
    """Label every pixel: label maps (the dataset's own ids) and overlays, at the images' own size."""
    from dataclasses import replace

    from rich.progress import track

    from segline.inference.bundle import pruned
    from segline.inference.predict import image_files, predict_files

    files = image_files(source)
    bundle = _bundle(model)
    if head is not None:
        bundle = pruned(bundle, head=head)
    if fast:
        bundle = replace(bundle, mirrors=())
    written = predict_files(bundle, source, output=output, report=_complain, opacity=opacity)
    count = sum(1 for _ in track(written, description="predict", total=len(files), disable=not sys.stderr.isatty()))
    typer.echo(f"{count} label maps and overlays are in {output}")


def _bundle(model: str) -> "Bundle":  # type: ignore[name-defined]  # noqa: F821
    from segline.inference import bundle

    with _bundle_folder(model) as (_, folder):
        return bundle.load(folder)


@contextmanager
def _bundle_folder(model: str) -> Iterator[tuple[str, Path]]:
    """The model's name for a person and its folder, fetched for as long as the block runs if it is a registered one."""
    import tempfile

    from segline import settings
    from segline.inference import bundle
    from segline.registry import promotion, tracking

    if (Path(model) / bundle.DESCRIPTION).is_file():
        yield Path(model).absolute().name, Path(model)
        return
    client = tracking.connect(settings.load())
    with tempfile.TemporaryDirectory() as folder:
        version = promotion.resolve(client, model)
        yield f"{version.name}-{version.version}", promotion.download(version, Path(folder))


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
    with _bundle_folder(model) as (name, files):
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
            calibration=judged,
        )
    _show_evaluation(summary)
    typer.echo(f"page: {written[-1]}")


def _stage(bar: "Progress", what: str) -> Callable[[int, int], None]:  # type: ignore[name-defined]  # noqa: F821
    task = bar.add_task(what, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _show_evaluation(summary: dict[str, object]) -> None:
    from segline.evaluation.tables import evaluated

    _console().print(evaluated(summary))


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
        _console().print(grid)
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


def _console() -> "Console":  # type: ignore[name-defined]  # noqa: F821
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160)


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
        Path | None, typer.Option(metavar="FILE", help="Write all of it there (docs/score.schema.json).")
    ] = None,
    counts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the counts of each image there (.npz), to compare by.")
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
        published=published.read(places.manifest(dataset)) if places else published.Published(),
        workers=places.workers if places else settings.workers(),
        report=_complain,
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
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("class", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("IoU", justify="right")
    table.add_column("labelled pixels", justify="right")
    for (name, value), row in zip(content["per_class_iou"].items(), content["confusion"], strict=True):
        table.add_row(escape(name), "absent" if value is None else f"{value:.4f}", f"{sum(row):,}")
    Console(width=None if sys.stdout.isatty() else 160).print(table)
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
        "split": f"{content['split'] or 'none that is known here'}, digest {content['split_digest']}",
        "label map": f"digest {content['label_map_digest']}",
        "predictions": f"{content['prediction_ids']} ids: {content['prediction_ids_because']}",
    }
    for name, text in lines.items():
        if text:
            typer.echo(f"{name:26}  {text}")
    for warning in content["warnings"]:
        _complain(f"warning: {warning}")


@models.command("list")
def list_models() -> None:
    """List every registered version with its score, and who is champion."""
    from rich.console import Console

    from segline import settings
    from segline.registry import promotion, tracking

    client = tracking.connect(settings.load())
    Console().print(promotion.table(client))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 on success, 1 on a reported problem, 2 on wrong usage."""
    run_reporting(lambda: app(args=arguments), debug="--debug" in (sys.argv if arguments is None else arguments))


def run_reporting(action: Callable[[], object], *, debug: bool) -> None:
    """Call `action`; print a reported problem, with its traceback only for `debug`, and exit 1."""
    try:
        action()
    except SeglineError as error:
        _fail(error, debug=debug)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        _fail(
            StorageError(
                error.filename or Path.cwd(),
                found=f"the disk is full: {error.strerror}",
                expected="free space",
                remedy="free some space, then run the same command: it continues where it stopped",
            ),
            debug=debug,
        )


def _fail(error: SeglineError, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    _complain(f"error: {error}")
    raise SystemExit(1)
