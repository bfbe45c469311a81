"""What `predict` answers, scored."""

import numpy as np

from segline.core.metrics.confusion import confusion, mean_iou
from segline.inference.predict import predict_scaled


def miou(bundle, split):
    """Of two classes, at the prepared scale."""
    total = np.zeros((2, 3), np.int64)
    for index in range(len(split)):
        mask = split.mask(index)
        answer = predict_scaled(bundle, split.image(index), height=mask.shape[0], width=mask.shape[1])
        total += confusion(mask, answer, classes=2)
    return float(mean_iou(total))
