"""The command line's application, and what its commands share."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segline.errors import message, printable
from segline.masking import masked

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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

DatasetArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATASET", help="A name from `datasets` in params.yaml (docs/datasets.md); folder for your own data."
    ),
]


def say(line: str) -> None:
    """Print `line`; names of files in it may hold anything, and no secret comes out."""
    typer.echo(message(masked(line)))


def complain(line: str) -> None:
    """Say `line` on stderr, as `say` does."""
    typer.echo(message(masked(line)), err=True)


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a reported problem.")] = False,
) -> None:
    """Take the options of all commands; `main` looks for ``--debug`` itself."""


def show(*tables: "Table") -> None:
    """Print tables."""
    for table in tables:
        console().print(table)


def console() -> "Console":
    """Where tables go: as wide as the terminal, or wide enough for a file."""
    from rich.console import Console
    from rich.text import Text

    class Visible(Console):
        """Makes all text of a table printable before it is measured; tables escape what could pass for markup."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text, but="\n\t"), **options)

    # A class may be called ":car:"; and the table of emoji takes a sixth of a second to load.
    return Visible(width=None if sys.stdout.isatty() else 160, emoji=False)
