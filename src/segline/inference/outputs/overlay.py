"""The image, tinted with the classes' colours."""

from pathlib import Path

from segline.data.images.decode import write_png
from segline.inference import overlay as drawing
from segline.inference.answer import Answer
from segline.inference.outputs import Style

ENDING = "_overlay.png"
SAYS = "the image, tinted with the classes' colours, with a legend"


def write(answer: Answer, style: Style, path: Path) -> None:
    """Write the tinted image; its legend names the classes that are present."""
    tinted = drawing.overlay(answer.image, answer.mask, answer.labels, opacity=style.opacity, shown=style.shown)
    if style.legend:
        tinted = drawing.with_legend(tinted, listed(answer, style), answer.labels)
    write_png(path, tinted)


def listed(answer: Answer, style: Style) -> list[int]:
    """List the train ids that a legend names: those that are present, and shown."""
    return [train_id for train_id in drawing.present(answer.mask) if style.shown is None or train_id in style.shown]
