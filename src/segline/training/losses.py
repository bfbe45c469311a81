"""What training minimises: cross-entropy plus soft Dice, void left out of both.

Logits are (N, H, W, C) of any float type, masks (N, H, W) train ids. Only 0..C-1 are classes: a
pixel with any other id, `segline.core.labels.VOID` above all, counts nowhere. All arithmetic is in
float32: soft Dice in half precision gives NaN on large batches.
"""

from typing import Any

import keras
from keras import ops

_SMOOTH = 1e-6


@keras.saving.register_keras_serializable(package="segline")
class SegmentationLoss(keras.losses.Loss):
    """Mean cross-entropy over the labelled pixels of a batch plus soft Dice over its classes."""

    def __init__(self, name: str = "segmentation_loss", **options: Any) -> None:
        super().__init__(name=name, dtype="float32", **{key: options[key] for key in options if key != "dtype"})

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Scalar float32 loss of masks `y_true` and logits `y_pred`."""
        return segmentation_loss(y_true, y_pred)


def segmentation_loss(mask: Any, logits: Any) -> Any:
    """Cross-entropy plus soft Dice, each over all labelled pixels of the batch together.

    With nothing labelled the loss is 0, and so is its gradient. What `logits` say where `mask` is
    void changes neither. The sum of the two is nnU-Net's (Isensee et al. 2021, 10.1038/s41592-020-01008-z);
    Dice is per class and without squares, averaged over the classes present in the batch.

    Returns:
        Scalar, float32: in 0 .. infinity.
    """
    log_probability = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    truth = labelled_one_hot(mask, log_probability.shape[-1])
    return _cross_entropy(truth, log_probability) + _dice(truth, ops.exp(log_probability))


def labelled_one_hot(mask: Any, classes: int) -> Any:
    """One-hot float32 (..., C) of train ids (...) of any number type; all zero where void."""
    return ops.cast(ops.equal(ops.expand_dims(ops.cast(mask, "int32"), -1), ops.arange(classes)), "float32")


def _cross_entropy(truth: Any, log_probability: Any) -> Any:
    return -ops.sum(truth * log_probability) / ops.maximum(ops.sum(truth), 1.0)


def _dice(truth: Any, probability: Any) -> Any:
    """Mean over present classes of 1 - 2 |truth * probability| / (|truth| + |probability|)."""
    labelled = ops.sum(truth, axis=-1, keepdims=True)
    axes = tuple(range(len(truth.shape) - 1))
    size = ops.sum(truth, axis=axes)
    shared = ops.sum(truth * probability, axis=axes)
    claimed = ops.sum(labelled * probability, axis=axes)
    present = ops.cast(size > 0, "float32")
    scores = (2 * shared + _SMOOTH) / (size + claimed + _SMOOTH)
    return ops.sum(present * (1 - scores)) / ops.maximum(ops.sum(present), 1.0)
