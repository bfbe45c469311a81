"""Before anything is trained: check, draw samples, set up one's own data, take a known recipe."""

from pathlib import Path
from typing import Annotated

import typer

from segline.cli.application import app
from segline.console import complain, console, say


@app.command()
def doctor(
    dataset: Annotated[
        str | None, typer.Option(help="What will be trained on, if not params.yaml's `dataset`.")
    ] = None,
) -> None:
    """Check params.yaml, the data source, the disk, git and the tracking server before anything long is started."""
    from segline import config, storage
    from segline.data.download.download import check_source
    from segline.project import Project
    from segline.registry.lineage import code_state

    project = Project.load()
    params = config.load(project.params, dataset=dataset)
    say(f"params.yaml   good: {', '.join(params.datasets)} from {params.source}, training on {params.dataset}")
    public = [name for name in params.datasets if name not in params.own]
    check_source(params.source, datasets=public, root=project.root, archives=project.archives)
    for name in params.own:
        from segline.data.look import own

        say(f"{name:13} good: {own.locate(params.options[name], root=project.root)}")
    say(f"source        good: {params.source}")
    storage.check_writable(project.root)
    free = storage.check_room(project.root, gibibytes=1.0)
    say(f"disk          {storage.size_text(free, unit='GiB')} free")
    code = code_state(project.root)
    say(f"code          {code.commit[:12]}{' with uncommitted changes' if code.dirty else ''}")
    if project.tracking_uri.startswith("http"):
        from segline.registry.tracking import check_server  # imports MLflow, which takes seconds

        check_server(project.tracking_uri)
    say(f"tracking      {project.tracking_uri}")


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
        say(f"{folder / name}")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Your images and masks, at any depth.")],
    force: Annotated[
        bool, typer.Option("--force", help="Write the class table and the params.yaml entry anew, over older ones.")
    ] = False,
    follow_links: Annotated[
        bool | None,
        typer.Option(
            "--follow-links/--no-follow-links",
            help="Whether links in FOLDER may lead out of it, as DVC's into its cache do; params.yaml remembers it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Set up your own data: guess what FOLDER holds, and write its class table and the params.yaml entry.

    Understood are image and mask files paired by name (`images/1.jpg` with `masks/1.png`, or `1.jpg` with
    `1_mask.png`, at any depth), a CSV with the columns image and mask (split and group if wanted), COCO
    and LabelMe polygons. Masks may hold ids, a palette's indices, or colours. Names of classes come from a
    classes.txt, labelmap.txt, class_dict.csv or the polygons; splits from folders or lists called train,
    val and test, or from the CSV, else a fixed share is held out.

    Nothing in FOLDER is changed but `classes.yaml`, which is yours to edit. Run it again at any time: what
    is there is kept unless --force is given. Links that lead out of FOLDER are refused, unless --follow-links
    says that they are meant.
    """
    from segline.data.look.setup import set_up
    from segline.project import Project

    written = set_up(folder, params=Project.load().params, force=force, follow_links=follow_links, report=complain)
    _show(written)


def _show(written: "Written") -> None:  # type: ignore[name-defined]  # noqa: F821
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
    say("next: look at the class table, then dvc repro validate@folder (and then make run)")


@app.command()
def preset(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Which one to write into params.yaml; without it, the list.")
    ] = None,
) -> None:
    """Set params.yaml to a well-known recipe, keeping its comments; say what was changed."""
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
    say(f"params.yaml: {len(changes)} keys changed" if changes else f"params.yaml: {name} is what it says already")
