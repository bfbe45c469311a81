"""The files that are written about each answer, one module each.

A module of this package has `ENDING`, what follows the image's name in the file's name; `SAYS`, one line for the help;
and `write(answer, style, path)`. Its own name is the name by which it is asked for.
"""

import importlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from pkgutil import iter_modules

from segline.inference.answer import Answer
from segline.inference.overlay import OPACITY

DEFAULT = ("ids", "overlay")
"""What is written where nothing else is asked for."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How pictures are drawn.

    Args:
        opacity: of the colours over the image, 0..1.
        shown: train ids of the classes that are coloured and named; None: all.
        legend: whether names stand beside the picture.
    """

    opacity: float = OPACITY
    shown: Collection[int] | None = None
    legend: bool = True


@dataclass(frozen=True, kw_only=True)
class Output:
    """One kind of file.

    Args:
        name: by which it is asked for.
        ending: ``_labels.png``, after the name of the image.
        says: one line for a person.
        write: writes the file of one answer to a path.
    """

    name: str
    ending: str
    says: str
    write: Callable[[Answer, Style, Path], None]


def names() -> tuple[str, ...]:
    """List the names of all outputs, without importing their modules."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def load(name: str) -> Output:
    """Load the output `name`, one of `names()`."""
    module = importlib.import_module(f"{__name__}.{name}")
    return Output(name=name, ending=module.ENDING, says=module.SAYS, write=module.write)
