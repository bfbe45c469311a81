"""`segline data`: the stages of the data."""

import typer

from segline.cli.application import DatasetArgument, app
from segline.console import say

data = typer.Typer(
    help="The data stages, one dataset at a time (`dvc repro` runs them all, in order, where needed).",
    no_args_is_help=True,
)
app.add_typer(data, name="data")


@data.command()
def look(dataset: DatasetArgument) -> None:
    """See whether your own data changed since the last time (`dvc repro` asks this first)."""
    from segline.pipeline import data as stages
    from segline.project import Project

    stages.look(Project.load(), dataset, report=say)


@data.command()
def download(dataset: DatasetArgument) -> None:
    """Fetch the archives from `source` and check their digests; of your own data, list the files and theirs."""
    from segline.pipeline import data as stages
    from segline.project import Project

    stages.download(Project.load(), dataset, report=say)


@data.command()
def extract(dataset: DatasetArgument) -> None:
    """Unpack the archives, refusing hostile ones; copy your own data, and paint masks from polygons."""
    from segline.pipeline import data as stages
    from segline.project import Project

    stages.extract(Project.load(), dataset, report=say)


@data.command()
def validate(dataset: DatasetArgument) -> None:
    """Build the manifest and let Great Expectations judge it."""
    from segline.pipeline import data as stages
    from segline.project import Project

    stages.validate(Project.load(), dataset, report=say)


@data.command()
def prepare(dataset: DatasetArgument) -> None:
    """Decode everything once into memory-mapped splits."""
    from segline.pipeline import data as stages
    from segline.project import Project

    stages.prepare(Project.load(), dataset, report=say)
