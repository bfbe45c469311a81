"""`segline data`: run one data stage of one dataset."""

import typer

from segline.cli.application import DatasetArgument, SuggestingGroup, app
from segline.console import say

data = typer.Typer(
    cls=SuggestingGroup,
    help="Run one data stage of one dataset (`dvc repro` runs all that are out of date, in order).",
    no_args_is_help=True,
)
app.add_typer(data, name="data")


def _run_stage(name: str, dataset: str) -> None:
    from segline.pipeline import data as stages
    from segline.project import Project

    getattr(stages, name)(Project.load(), dataset, report=say)


@data.command()
def look(dataset: DatasetArgument) -> None:
    """Check whether your own data changed since the last time (`dvc repro` runs this first)."""
    _run_stage("look", dataset)


@data.command()
def download(dataset: DatasetArgument) -> None:
    """Fetch the archives from `source` and check their digests; for your own data, list the files and digests."""
    _run_stage("download", dataset)


@data.command()
def extract(dataset: DatasetArgument) -> None:
    """Unpack the archives, and refuse unsafe ones; for your own data, copy the files and paint masks from polygons."""
    _run_stage("extract", dataset)


@data.command()
def validate(dataset: DatasetArgument) -> None:
    """Build the manifest and check it with Great Expectations."""
    _run_stage("validate", dataset)


@data.command()
def size(dataset: DatasetArgument) -> None:
    """Write the size at which images are prepared: `prepare.short_side`, or what `auto` derives from the data."""
    _run_stage("size", dataset)


@data.command()
def prepare(dataset: DatasetArgument) -> None:
    """Decode all images and masks once, into memory-mapped splits."""
    _run_stage("prepare", dataset)
