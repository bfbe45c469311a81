"""Answers to the questions of `segline init`, which the user gives in ``own/NAME.yaml`` and in the class table."""

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
        firm: whether `labels` is an answer; otherwise it may be an earlier guess, which --force replaces.
        layout: where images and masks are; None if it is to be guessed.
        levels: values of 16-bit images that become 0 and 255.
        table: whether there is a class table, which is kept.
        colours: the colours of its classes, for palettes.
        polygons: how to read polygon files where the files alone do not say it.
        overlap: what to do with pixels that two classes claim.
    """

    encoding: AnsweredEncoding | None = None
    labels: Encoding | None = None
    firm: bool = True
    layout: Options | None = None
    levels: tuple[int, int] | None = None
    table: bool = False
    colours: Colours | None = None
    polygons: PolygonRules = STRICT
    overlap: Literal["later"] | None = None


def read_answers(options: Options | None, table: Path, *, force: bool) -> Answers:
    """Read the answers from the definition of the folder and from its class table.

    Args:
        options: the definition; None if there is none for this folder.
        force: the class table is replaced, and so are the guesses in a complete definition.

    Raises:
        ConfigError: the definition names images without masks, or masks without images.
    """
    options = options or Options()
    stated = options.encoding if "encoding" in options.model_fields_set else None
    _refuse_half(options)
    complete = options.pairs is not None or options.images is not None
    firm = not (force and complete)
    of_palettes = stated in get_args(AnsweredEncoding) and firm
    kept = table.is_file() and not force
    return Answers(
        encoding=cast(AnsweredEncoding, stated) if of_palettes else None,
        labels=stated,
        firm=firm,
        layout=options if complete and not force else None,
        levels=options.levels,
        table=kept,
        colours=_read_colours(table) if kept else None,
        polygons=PolygonRules.of(options),
        overlap=options.overlap,
    )


def _refuse_half(options: Options) -> None:
    """Refuse a pattern for images without one for masks, or the other way round: a guess could contradict it."""
    named = "images" if options.masks is None else "masks"
    missing = "masks" if options.masks is None else "images"
    if options.pairs is None and (options.images is None) != (options.masks is None):
        raise ConfigError(
            f"own/NAME.yaml {missing}",
            found=f"nothing, but `{named}: {getattr(options, named)}`",
            expected="both `images` and `masks`, or none of them, to have them guessed",
            remedy=f"add `{missing}`, such as `{missing}: {missing}/*.png`, or delete `{named}`",
        )


def _read_colours(table: Path) -> Colours | None:
    try:
        return classes.read(table, encoding="ids", remedy="").palette_colours()
    except ConfigError:
        return None  # `segline init` reports it when it keeps the table
