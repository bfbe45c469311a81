"""Compute the mean intersection over union (IoU) during training, from pixel counts over all batches.

The IoU of a class is the ratio of its counts over the whole split, not a mean of the batches' ratios. It is exact:
counts are integers up to 2**51. The best weights are chosen by this score, on images of the prepared size.
Reported scores come from ``evaluation``, at the labels' native size.
"""

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from segline.training.objective.losses import encode_one_hot

Counts = npt.NDArray[np.int64]

_DIGIT_BITS = 20  # a count is two int32 digits, because float32 is exact to 2**24 and int32 ends at 2**31


@keras.saving.register_keras_serializable(package="segline")
class MeanIoU(keras.metrics.Metric):
    """Mean IoU of masks (N, H, W) against logits (N, H, W, C); void pixels do not count.

    Classes that neither occur nor are predicted are left out of the mean. If none is left, the result is NaN.
    """

    def __init__(self, classes: int, name: str = "miou", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.classes = classes
        self._low = self._add_digit("low")
        self._high = self._add_digit("high")

    def _add_digit(self, name: str) -> Any:
        """Add one digit of the counts: whole numbers (2, C), intersections and unions."""
        return self.add_weight(shape=(2, self.classes), initializer="zeros", dtype="int32", name=name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch; `sample_weight` is refused, because counts have no weights."""
        if sample_weight is not None:
            raise ValueError("MeanIoU takes no sample_weight: to leave pixels out, mark them as void in the mask")
        truth = encode_one_hot(y_true, self.classes)
        labelled = ops.sum(truth, axis=-1, keepdims=True)
        claimed = labelled * encode_one_hot(ops.argmax(y_pred, axis=-1), self.classes)
        # First sum per image, in float32, which is exact up to 16.7 million pixels. Integer sums would run on the CPU.
        shared = ops.sum(truth * claimed, axis=(1, 2))
        union = ops.sum(truth + claimed, axis=(1, 2)) - shared
        counts = ops.sum(ops.cast(ops.stack([shared, union]), "int32"), axis=1)
        low = self._low + counts
        self._high.assign_add(ops.right_shift(low, _DIGIT_BITS))
        self._low.assign(ops.bitwise_and(low, 2**_DIGIT_BITS - 1))

    def counts(self) -> Counts:
        """Return intersections and unions since the last reset: (2, C), pixels; sums of them are counts again."""
        low, high = (ops.convert_to_numpy(ops.copy(digit)).astype(np.int64) for digit in (self._low, self._high))
        counts: Counts = low + (high << _DIGIT_BITS)
        return counts

    def result(self) -> Any:
        """Compute the mean IoU of all batches since the last reset, scalar float32."""
        counts = ops.cast(self._high, "float32") * 2.0**_DIGIT_BITS + ops.cast(self._low, "float32")
        shared, union = counts[0], counts[1]
        present = ops.cast(union > 0, "float32")
        return ops.sum(shared / ops.maximum(union, 1.0)) / ops.sum(present)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "classes": self.classes}


def mean_iou(counts: Counts) -> float:
    """Compute the mean IoU of the counts (2, C) of `MeanIoU`, in float64; NaN if no pixel is labelled."""
    shared, union = counts
    present = union > 0
    return float(np.mean(shared[present] / union[present])) if present.any() else math.nan
