"""Answers to the questions of `segline init`, which the user gives in ``params.yaml`` and in the class table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from segline.config import Encoding, Options
from segline.core.coding import Colours
from segline.datasets.own import classes
from segline.datasets.own.polygon_rules import STRICT, PolygonRules
from segline.errors import ConfigError

AnsweredEncoding = Literal["rgb", "indices"]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the user has stated.

    Args:
        encoding: what decides where palettes contradict each other: colours or stored numbers.
        labels: the encoding of the labels to use, if there are several kinds of labels.
        layout: where images and masks are; None if it is to be guessed.
        levels: values of 16-bit images that become 0 and 255.
        table: whether there is a class table, which is kept.
        colours: the colours of its classes, for palettes.
        polygons: how to read polygon files where the files alone do not say it.
    """

    encoding: AnsweredEncoding | None = None
    labels: Encoding | None = None
    layout: Options | None = None
    levels: tuple[int, int] | None = None
    table: bool = False
    colours: Colours | None = None
    polygons: PolygonRules = STRICT


def read_answers(options: Options | None, table: Path, *, force: bool) -> Answers:
    """Read the answers from the entry of the folder in ``params.yaml`` and from its class table.

    Args:
        options: the entry; None if there is none for this folder.
        force: the class table is replaced, and so are the guesses in a complete entry.
    """
    options = options or Options()
    stated = options.encoding if "encoding" in options.model_fields_set else None
    complete = options.pairs is not None or (options.images is not None and options.masks is not None)
    of_palettes = stated in get_args(AnsweredEncoding) and (not force or not complete)
    kept = table.is_file() and not force
    return Answers(
        encoding=cast(AnsweredEncoding, stated) if of_palettes else None,
        labels=stated,
        layout=options if complete and not force else None,
        levels=options.levels,
        table=kept,
        colours=_read_colours(table) if kept else None,
        polygons=PolygonRules.of(options),
    )


def _read_colours(table: Path) -> Colours | None:
    try:
        return classes.read(table, encoding="ids", remedy="").palette_colours()
    except ConfigError:
        return None  # `segline init` reports it when it keeps the table
