"""The classes' colours alone."""

from pathlib import Path

from segline.data.images.decode import write_png
from segline.inference.answer import Answer
from segline.inference.outputs import Style
from segline.inference.overlay import colourise

ENDING = "_colours.png"
SAYS = "the classes' colours alone, RGB PNG; void is black"


def write(answer: Answer, style: Style, path: Path) -> None:  # noqa: ARG001
    """Write the colour of each pixel's class."""
    write_png(path, colourise(answer.mask, answer.labels))
