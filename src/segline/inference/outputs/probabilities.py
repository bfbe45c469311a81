"""The probability of every class."""

from pathlib import Path

import numpy as np

from segline.inference.answer import Answer
from segline.inference.outputs import Style

ENDING = "_probabilities.npz"
SAYS = "probabilities of all classes, float16 (H, W, C), by the model's temperature where it has one"


def write(answer: Answer, style: Style, path: Path) -> None:  # noqa: ARG001
    """Write ``probabilities`` float16 (H, W, C) and ``classes``, their names."""
    with path.open("wb") as handle:  # given a path, NumPy would add another suffix
        np.savez_compressed(
            handle, probabilities=answer.probabilities.astype(np.float16), classes=np.array(answer.labels.names)
        )
