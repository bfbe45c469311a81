"""One picture to show: the image, the map, the overlay, and the names of what is present."""

from pathlib import Path

import cv2
import numpy as np

from segline.core.labels import Image
from segline.data.images.decode import write_png
from segline.inference.answer import Answer
from segline.inference.outputs import Style
from segline.inference.outputs.overlay import listed
from segline.inference.overlay import colourise, overlay, with_legend

ENDING = "_figure.png"
SAYS = "one picture: the image, the map, the overlay, and a legend of what is present"

_HEIGHT = 320  # pixels of each panel, so that figures of a folder can be compared
_GAP = 6


def write(answer: Answer, style: Style, path: Path) -> None:
    """Write the figure."""
    tinted = overlay(answer.image, answer.mask, answer.labels, opacity=style.opacity, shown=style.shown)
    panels = [_scale(panel) for panel in (answer.image, colourise(answer.mask, answer.labels), tinted)]
    gap = np.full((_HEIGHT, _GAP, 3), 255, dtype=np.uint8)
    row = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)
    write_png(path, with_legend(row, listed(answer, style), answer.labels))


def _scale(panel: Image) -> Image:
    width = max(1, round(panel.shape[1] * _HEIGHT / panel.shape[0]))
    shrinks = panel.shape[0] > _HEIGHT
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(panel, (width, _HEIGHT), interpolation=kind), dtype=np.uint8)
