"""`segline plan`."""

from pathlib import Path
from typing import Annotated

import typer

from segline.cli.application import DatasetArgument, app
from segline.console import console, say


@app.command("plan")
def show_plan(
    dataset: DatasetArgument,
    memory: Annotated[
        float | None, typer.Option(min=0.01, help="GiB that a fit may take, if not params.yaml's `training.memory`.")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the plan there, too.")] = None,
) -> None:
    """Derive crop, batch, depth, epochs and more from the dataset's fingerprint and a memory budget.

    `training.plan: auto` in params.yaml trains so. What params.yaml says itself holds, and is marked. The
    dataset must be validated (`dvc repro validate@DATASET`); nothing is trained.
    """
    from segline.pipeline.plan import plan
    from segline.project import Project

    planned = plan(Project.load(), dataset, memory=memory)
    _show_plan(planned.plan)
    for name, other in planned.neighbours:
        say(f"{name}: {other}")
    if not planned.in_use:
        say("not in use: params.yaml has no training.plan: auto")
    if json:
        planned.plan.write(json)


def _show_plan(made: "Plan") -> None:  # type: ignore[name-defined]  # noqa: F821
    from rich.markup import escape
    from rich.table import Table

    from segline.storage import size_text

    table = Table("what", "value", "why", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for line in made.lines:
        value = f"{line.value} (given)" if line.given else f"{line.value}"
        why = f"the plan would say {line.derived}: {line.why}" if line.given else line.why
        table.add_row(*(escape(text) for text in (line.key, value, why)))
    console().print(table)
    needs = (f"{network} {size_text(taken, unit='GiB')}" for network, taken in made.memory.items())
    say(f"memory: {', '.join(needs)}")
