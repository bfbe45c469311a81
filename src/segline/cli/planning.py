"""`segline plan`: training values derived from a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from segline.cli.application import DatasetArgument, app
from segline.console import console, say


@app.command("plan")
def show_plan(
    dataset: DatasetArgument,
    memory: Annotated[
        float | None,
        typer.Option(min=0.01, help="Memory that a fit may take, GiB; default: `training.memory` of params.yaml."),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            help="Measure how long the training takes on this machine, by a few steps on noise. It takes about a "
            "minute, once for each network, crop, batch and precision; without it, only a stored time is shown."
        ),
    ] = True,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the plan to this file.")] = None,
) -> None:
    """Derive crop, batch, depth, epochs and more from the dataset's fingerprint and a memory budget.

    With `training.plan: auto` in params.yaml, training uses this plan. Values that params.yaml sets take precedence
    and are marked. The dataset must be validated (`dvc repro validate@DATASET`). The plan is the same on every machine;
    the time that it takes is measured on this one, and decides nothing.
    """
    from segline.pipeline.plan import plan
    from segline.project import Project

    planned = plan(Project.load(), dataset, memory=memory, measure=measure, report=say)
    if planned.scale is not None:
        say(f"prepare.short_side {planned.scale.pixels}: {planned.scale.why}")
        if planned.scale.larger:
            say(f"prepare.short_side larger: {planned.scale.larger}")
    _show_plan(planned.plan)
    _show_time(planned.time)
    for name, other in planned.neighbours:
        say(f"{name}: {other}")
    if not planned.in_use:
        say("this plan is not used: params.yaml does not set training.plan: auto")
    if json:
        planned.plan.write(json)


def _show_plan(made: "Plan") -> None:  # type: ignore[name-defined]  # noqa: F821
    from rich.markup import escape
    from rich.table import Table

    from segline.storage import size_text

    table = Table("what", "value", "why", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for line in made.lines:
        value = f"{line.value} (from params.yaml)" if line.given else f"{line.value}"
        why = f"the plan derives {line.derived}: {line.why}" if line.given else line.why
        table.add_row(*(escape(text) for text in (line.key, value, why)))
    console().print(table)
    needs = (f"{network} {size_text(taken, unit='GiB')}" for network, taken in made.memory.items())
    say(f"memory: {', '.join(needs)}")
    for each in made.compositions:
        taken = size_text(each.bytes, unit="GiB")
        say(
            f"{each.encoder} under {each.decoder}: {each.parameters / 1e6:.2f} M parameters, "
            f"{each.multiply_adds / 1e3:.1f} thousand multiply-adds a pixel, {taken} of memory"
        )


def _show_time(time: "TrainingTime | None") -> None:  # type: ignore[name-defined]  # noqa: F821
    from segline.progress import duration

    if time is None:
        say("time: not measured on this machine (--measure)")
        return
    say(
        f"time on this machine: about {duration(time.search + time.fit)}, of which the search takes "
        f"{duration(time.search)} (with {time.network}, the dearest candidate; measured {time.measured})"
    )
    if time.disturbed:
        say("time: other programs needed the same cores meanwhile, so this is too long; it is measured again next time")
