"""`segline models`: the registered models."""

import typer

from segline.cli.application import app
from segline.console import console

models = typer.Typer(help="The registered models.", no_args_is_help=True)
app.add_typer(models, name="models")


@models.command("list")
def list_models() -> None:
    """List every registered version with its score, and who is champion."""
    from segline.project import Project
    from segline.registry import tracking, versions

    client = tracking.connect(Project.load())
    console().print(versions.table(client))
