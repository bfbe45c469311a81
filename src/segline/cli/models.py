"""`segline models`: registered models."""

import typer

from segline.cli.application import SuggestingGroup, app
from segline.console import console

models = typer.Typer(cls=SuggestingGroup, help="Show the registered models.", no_args_is_help=True)
app.add_typer(models, name="models")


@models.command("list")
def list_models() -> None:
    """List every registered version with its score, and mark the champion."""
    from segline.registry import tracking, versions

    client = tracking.connect_nearest()
    console().print(versions.table(client))
