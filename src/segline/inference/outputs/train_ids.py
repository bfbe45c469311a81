"""A label map with train ids."""

from pathlib import Path

from segline.data.images.decode import write_png
from segline.inference.answer import Answer
from segline.inference.outputs import Style

ENDING = "_train_ids.png"
SAYS = "label map, 8-bit PNG, with train ids 0, 1, 2 ..; 255 is void"


def write(answer: Answer, style: Style, path: Path) -> None:  # noqa: ARG001
    """Write train ids; 255 where the network abstains."""
    write_png(path, answer.mask)
