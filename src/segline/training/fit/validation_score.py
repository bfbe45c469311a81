"""Scores on the validation split, from counts over all of it."""

import keras
import numpy as np

from segline.errors import TrainingError
from segline.training.backend import test_on_batch
from segline.training.fit.batch_sequence import Sequence
from segline.training.objective.validation_metrics import MeanIoU, mean_iou

OBJECTIVE = "val_miou"
"""The metric that chooses weights and trials: mean IoU over the whole validation split, on the prepared scale."""


def validate(model: keras.Model, batches: Sequence, metric: MeanIoU, *, devices: int = 1) -> dict[str, float]:
    """Compute ``val_loss`` and ``val_miou`` of a compiled `model` with `metric` over all of `batches`.

    Keras's own ``validation_data`` expects all batches to have the sizes of the first ones, but whole images
    have different sizes. Its ``test_on_batch`` resets the metrics each time, so the counts are added up here.

    Raises:
        TrainingError: no pixel is labelled.
    """
    counts = np.zeros((2, metric.classes), np.int64)
    losses, sizes = [], []
    for images, masks in (batches[index] for index in range(len(batches))):
        losses.append(float(test_on_batch(model, images, masks, devices=devices)["loss"]))
        sizes.append(len(images))
        counts += metric.counts()
    if not counts.any():
        raise TrainingError(
            "validation",
            found="no labelled pixel in the validation split",
            expected="labelled pixels, to choose the weights by",
            remedy="check the masks, or raise prepare.validation_share",
        )
    return {"val_loss": float(np.average(losses, weights=sizes)), OBJECTIVE: mean_iou(counts)}
