"""Commands to start with: check the setup, draw samples, set up own data, apply a preset."""

from pathlib import Path
from typing import Annotated

import typer

from segline.cli.application import app
from segline.console import complain, console, say


@app.command()
def doctor(
    dataset: Annotated[str | None, typer.Option(help="Dataset to train on; default: `dataset` of params.yaml.")] = None,
) -> None:
    """Check params.yaml, the data, the disk, git, the tracking server and the devices before a long run.

    Only a problem with the data that are trained on is an error. For the other datasets it is a note.
    """
    from segline import config, storage
    from segline.project import Project
    from segline.registry import location
    from segline.registry.lineage import code_state

    project = Project.load()
    params = config.load(project.params, dataset=dataset)
    say(f"params.yaml   ok: {', '.join(params.datasets)} from {params.source}, training on {params.dataset}")
    _check_data(project, params)
    storage.check_writable(project.root)
    free = storage.check_room(project.root, gibibytes=1.0)
    say(f"disk          {storage.size_text(free, unit='GiB')} free")
    code = code_state(project.root)
    say(f"code          {code.commit[:12]}{' with uncommitted changes' if code.dirty else ''}")
    if project.tracking_uri.startswith("http"):
        from segline.registry.tracking import check_server  # imports MLflow, which takes seconds

        check_server(project.tracking_uri)
    if moved := location.follow_move(project):
        say(f"moved         {moved}")
    say(f"tracking      {project.tracking_uri}")
    _show_devices()


def _check_data(project: "Project", params: "Params") -> None:  # type: ignore[name-defined]  # noqa: F821
    """Check the source of each dataset; raise only for the one that is trained on."""
    from segline.errors import SeglineError

    for name in sorted(params.datasets, key=lambda name: name != params.dataset):
        try:
            say(f"{name:13} ok: {_check_source(project, params, name)}")
        except SeglineError as error:
            if name == params.dataset:
                raise
            say(f"{name:13} note: {error}")
            say(f"{'':13} needed only for dvc repro prepare@{name}, and for dvc repro, which prepares all")


def _check_source(project: "Project", params: "Params", name: str) -> str:  # type: ignore[name-defined]  # noqa: F821
    """Check where the data `name` come from, and return it."""
    if name in params.own:
        from segline.data.look import own
        from segline.datasets.own.naming import naming

        with naming(name):
            return str(own.locate(params.options[name], root=project.root))
    from segline.data.download.download import check_source

    check_source(params.source, datasets=[name], root=project.root, archives=project.archives)
    return str(params.source)


def _show_devices() -> None:
    """Name the devices that the backend sees, and GPUs that it does not see."""
    from segline.training import backend, devices  # import TensorFlow, which takes seconds

    say(f"devices       {backend.name()} sees {', '.join(backend.describe_devices()) or 'none'}")
    if note := devices.describe_unused_gpus():
        say(f"devices       note: {note}")


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the mirrors; created if missing.")],
) -> None:
    """Draw miniature mirrors of the datasets, in their official archive layouts.

    Use them as `source: DIR` in params.yaml, or as a template for your own mirror.
    """
    from segline.datasets.sample import NAMES, draw

    for name in NAMES:
        draw(name, folder / name)
        say(f"{folder / name}")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Your images and masks, at any depth.")],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            help="Name of your data; the model is registered as segline-NAME. Default: the folder's name.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite an existing class table and own/NAME.yaml.")
    ] = False,
    follow_links: Annotated[
        bool | None,
        typer.Option(
            "--follow-links/--no-follow-links",
            help="Allow links that lead out of FOLDER, such as links into DVC's cache; saved in own/NAME.yaml.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Set up your own data: guess what FOLDER contains, and write a class table, own/NAME.yaml and params.yaml.

    FOLDER can contain image and mask files paired by name (`images/1.jpg` with `masks/1.png`, or `1.jpg` with
    `1_mask.png`, at any depth), a CSV with the columns image and mask (and optionally split and group), COCO,
    LabelMe or YOLO polygons, Kaggle's run lengths, or one mask for each class. Masks can contain ids, palette
    indices or colours. Class names come from classes.txt, labelmap.txt, class_dict.csv, _classes.csv or the
    annotations. Splits come from folders or lists called train, val and test, or from the CSV; otherwise a fixed
    share is held out.

    A project can hold several data sets of your own: run this for each folder, with another --name. Only
    `classes.yaml` is written into FOLDER, for you to edit. You can run this again at any time: existing files are kept
    unless you give --force. Links that lead out of FOLDER are refused unless you give --follow-links. If own/NAME.yaml
    already says where images and masks are, only the classes are guessed.
    """
    from segline.data.look.setup import set_up
    from segline.project import Project

    written = set_up(
        folder, params=Project.load().params, force=force, name=name, follow_links=follow_links, report=complain
    )
    _show_guess(written)


def _show_guess(written: "Written") -> None:  # type: ignore[name-defined]  # noqa: F821
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "guess", "why", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for line in written.guess.lines:
        table.add_row(*(escape(text) for text in (line.what, line.guess, line.why)))
    console().print(table)
    for doubt in written.guess.doubts:
        say(f"doubt: {doubt}")
    for change in written.changes:
        say(change)
    say(f"next: check the class table, then run dvc repro validate@{written.name}, then make run")


@app.command()
def preset(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Preset to write into params.yaml; without it, presets are listed."),
    ] = None,
) -> None:
    """Set params.yaml to a well-known recipe, keep its comments, and print what changed."""
    from segline.config import presets
    from segline.project import Project

    if name is None:
        width = max(map(len, presets.names()))
        for known in presets.names():
            say(f"{known:{width}}  {presets.title(known)}")
        return
    changes = presets.apply(name, Project.load().params)
    for change in changes:
        say(f"params.yaml: {change}")
    say(f"params.yaml: {len(changes)} keys changed" if changes else f"params.yaml: no change, it is already {name}")
