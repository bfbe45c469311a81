"""A label map with the dataset's own ids."""

from pathlib import Path

import numpy as np

from segline.core.labels import VOID, LabelMap
from segline.data.images.decode import write_png
from segline.errors import ConfigError
from segline.inference.answer import Answer
from segline.inference.outputs import Style

ENDING = "_labels.png"
SAYS = "label map, 8-bit PNG, with the dataset's own ids"


def write(answer: Answer, style: Style, path: Path) -> None:  # noqa: ARG001
    """Write the dataset's ids; where the network abstains, its first void id, or 255."""
    mask, labels = answer.mask, answer.labels
    if answer.abstain is None:
        write_png(path, labels.decode(mask))
        return
    table = np.full(256, void_id(labels), dtype=np.uint8)
    table[: len(labels)] = [item.raw for item in labels.classes]
    write_png(path, table[mask])


def void_id(labels: LabelMap) -> int:
    """Return the dataset's id of pixels without a class.

    Raises:
        ConfigError: the dataset has no void id, and 255 is a class.
    """
    if labels.void:
        return labels.void[0]
    if VOID in {value for item in labels.classes for value in item.ids}:
        raise ConfigError(
            "--abstain",
            found="a dataset without void id, whose id 255 is a class",
            expected="an id for pixels without a class",
            remedy="write train ids: --write train_ids",
        )
    return VOID
