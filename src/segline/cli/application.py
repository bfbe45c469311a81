"""The command line's application, and what its commands share."""

from typing import Annotated

import typer

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


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a reported problem.")] = False,
) -> None:
    """Take the options of all commands; `main` looks for ``--debug`` itself."""
