"""How sure the network is of each pixel."""

from pathlib import Path

import numpy as np

from segline.data.images.decode import write_png
from segline.inference.answer import Answer
from segline.inference.outputs import Style

ENDING = "_confidence.png"
SAYS = "probability of the predicted class, grey PNG: 0 is 0 %, 255 is 100 %"


def write(answer: Answer, style: Style, path: Path) -> None:  # noqa: ARG001
    """Write the confidence, in steps of 1/255."""
    write_png(path, np.rint(answer.confidence * 255).astype(np.uint8))
