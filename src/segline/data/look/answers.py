"""Answers to the questions of `segline init`, which the user gives in ``params.yaml`` and in the class table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from segline.core.coding import Colours
from segline.datasets.own import classes
from segline.errors import ConfigError

AnsweredEncoding = Literal["rgb", "indices"]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the user has stated.

    Args:
        encoding: what decides where palettes contradict each other: colours or stored numbers.
        levels: values of 16-bit images that become 0 and 255.
        table: whether there is a class table, which is kept.
        colours: the colours of its classes, for palettes.
    """

    encoding: AnsweredEncoding | None = None
    levels: tuple[int, int] | None = None
    table: bool = False
    colours: Colours | None = None


def read_answers(entry: Mapping[str, Any], table: Path, *, force: bool) -> Answers:
    """Read the answers from the entry of the folder in ``params.yaml`` and from its class table.

    Args:
        force: the class table is replaced, and of a complete entry only the levels are kept.
    """
    stated = entry.get("encoding")
    complete = any(name in entry for name in ("images", "masks", "pairs"))
    kept = table.is_file() and not force
    levels = entry.get("levels")
    return Answers(
        encoding=cast(AnsweredEncoding, stated)
        if stated in get_args(AnsweredEncoding) and (not force or not complete)
        else None,
        levels=(levels[0], levels[1]) if levels else None,
        table=kept,
        colours=_read_colours(table) if kept else None,
    )


def _read_colours(table: Path) -> Colours | None:
    try:
        return classes.read(table, encoding="ids", remedy="").palette_colours()
    except ConfigError:
        return None  # `segline init` reports it when it keeps the table
