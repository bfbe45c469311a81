"""The application of the command line, and code that its commands share."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

_SUGGESTED_COMMANDS: Mapping[str, Mapping[str, str]] = {
    "segline": {
        "check": "segline doctor",
        "demo": "segline sample",
        "download": "segline data download",
        "eval": "segline evaluate",
        "extract": "segline data extract",
        "fetch": "segline data download",
        "fit": "segline train",
        "help": "segline --help",
        "infer": "segline predict",
        "inference": "segline predict",
        "learn": "segline train",
        "list": "segline models list",
        "look": "segline data look",
        "metrics": "segline score",
        "new": "segline init",
        "prepare": "segline data prepare",
        "preprocess": "segline data prepare",
        "recipe": "segline preset",
        "registry": "segline models list",
        "repro": "dvc repro",
        "search": "segline train",
        "segment": "segline predict",
        "setup": "segline init",
        "test": "segline evaluate",
        "tune": "segline train",
        "validate": "segline data validate",
        "version": "segline --version",
    },
    "data": {
        "check": "segline data validate",
        "fetch": "segline data download",
        "get": "segline data download",
        "preprocess": "segline data prepare",
        "unpack": "segline data extract",
        "unzip": "segline data extract",
    },
    "models": {"ls": "segline models list", "show": "segline models list"},
    "weights": {"download": "segline weights fetch", "get": "segline weights fetch", "ls": "segline weights list"},
}
"""By group: words that are not commands, and the command that is meant."""

_PLANNED_OF_MODELS: Mapping[str, str] = {
    name: f"segline models {name}" for name in ("history", "lineage", "promote", "replay", "reproduce", "rollback")
}
_PLANNED: Mapping[str, Mapping[str, str]] = {
    "segline": {
        **{name: f"segline {name}" for name in ("classify", "explain", "export", "learning-curve", "review", "serve")},
        **_PLANNED_OF_MODELS,
    },
    "models": _PLANNED_OF_MODELS,
}
"""By group: words that name a command which does not exist yet, and that command."""

_COMMAND_CUTOFF = 0.75  # of difflib's similarity: finds "train" for "trian" (0.8), but not "plan" for "explian" (0.73)
_WORD_CUTOFF = 0.84  # for the other words: finds "version" for "versoin" (0.86), but not "export" for "report" (0.83)


class SuggestingGroup(TyperGroup):
    """Group of commands that answers an unknown word with the command that is probably meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that `args` name, or fail and suggest one."""
        word = args[0]
        if word not in self.commands and word[:1].isalpha():
            ctx.fail(f"No such command '{word}'.{self._suggest(word)}")
        return super().resolve_command(ctx, args)

    def _suggest(self, word: str) -> str:
        """Return a sentence on the command that `word` stands for, with a space before it; "" if none is near."""
        group = self.name or ""
        prefix = "segline" if group == "segline" else f"segline {group}"
        planned, meant = _PLANNED.get(group, {}), _SUGGESTED_COMMANDS.get(group, {})
        others, word = [*meant, *planned], word.lower()
        near = [name for name in others if name == word]
        near += difflib.get_close_matches(word, self.commands, n=1, cutoff=_COMMAND_CUTOFF)
        near += difflib.get_close_matches(word, others, n=1, cutoff=_WORD_CUTOFF)
        if not near:
            return ""
        name = near[0]
        if name in planned:
            return f" '{planned[name]}' is not available yet."
        command = meant.get(name, f"{prefix} {name}")
        return f" Did you mean '{command}'?"


app = typer.Typer(
    name="segline",
    cls=SuggestingGroup,
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
        metavar="DATASET", help="A name from `datasets` in params.yaml (docs/datasets.md), or of your own data."
    ),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"segline {version('segline')}")
        raise typer.Exit


@app.callback()
def _take_options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a reported problem.")] = False,
) -> None:
    """Accept the options that come before a command; `main` reads ``--debug`` itself."""
