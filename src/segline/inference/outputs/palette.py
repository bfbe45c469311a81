"""A label map that image programs show in colours."""

from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from segline.inference.answer import Answer
from segline.inference.outputs import Style

ENDING = "_palette.png"
SAYS = "label map, PNG with a palette: train ids that image programs show in the classes' colours"


def write(answer: Answer, style: Style, path: Path) -> None:  # noqa: ARG001
    """Write train ids with the class colours as palette; void, 255, is black."""
    picture = Pillow.fromarray(answer.mask).convert("P")
    picture.putpalette(np.ascontiguousarray(answer.labels.colours, dtype=np.uint8).tobytes())
    picture.save(path, format="PNG")
