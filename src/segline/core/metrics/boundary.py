"""Compute the boundary IoU: how well predicted edges fit, independently of the size of the objects.

Cheng, Girshick, Dollár, Berg and Kirillov, CVPR 2021 (arXiv:2103.16562). The reference implementation is
``mask_to_boundary`` of bowenc0221/boundary-iou-api. The boundary of a class consists of its pixels within distance d
of a pixel of another class, or of the image's edge. The distance is the larger of the horizontal and the vertical
offset; d is 2 % of the image's diagonal. Boundary IoU is the IoU of the boundaries of truth and prediction.

The paper scores single objects. Here the counts of a class are summed over the images of a split. The score of the
split is the mean over the classes that have a boundary, as for the mean IoU.

The reference does not handle void. Here a void pixel is part of no boundary. The border between a class and void is no
boundary either, in truth and prediction alike, because the true edge of the class is not known there. So predictions
on void pixels do not change the score.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import VOID, Mask
from segline.core.metrics.confusion import Counts, Outcomes, Ratios
from segline.core.metrics.joint_histogram import joint_histogram

DILATION_RATIO = 0.02
"""The paper's d, as a share of the image's diagonal."""


def dilation(height: int, width: int, *, ratio: float = DILATION_RATIO) -> int:
    """Compute the paper's d in pixels, at least 1."""
    return max(1, round(ratio * math.sqrt(height**2 + width**2)))


def boundary_outcomes(truth: Mask, prediction: Mask, *, classes: int, ratio: float = DILATION_RATIO) -> Outcomes:
    """Count one pair of masks along the boundaries; `Outcomes.iou` of the sum is the boundary IoU per class.

    Args:
        truth: uint8 (H, W), train ids and `VOID`.
        prediction: uint8 (H, W), train ids; an id from `classes` up is outside all classes.
        ratio: d as a share of the image's diagonal.

    Returns:
        Boundary pixels of each class, (C,). True positives lie on both boundaries, false positives on the prediction's
        alone, false negatives on the truth's alone.

    Raises:
        ValueError: sizes differ, a mask is not uint8, or `truth` holds an id that is neither a class nor `VOID`.
    """
    found = joint_histogram(truth, prediction, width=1)[classes:VOID, 0]
    if found.any():
        raise ValueError(f"truth holds id {classes + int(found.argmax())}, but there are {classes} classes")
    void, reach = truth == VOID, dilation(*truth.shape, ratio=ratio)
    true, claimed = (_boundary(mask, void=void, classes=classes, reach=reach) for mask in (truth, prediction))
    counts = joint_histogram(true, claimed, width=classes + 1)[: classes + 1]  # id `classes`: on no boundary
    both = np.diagonal(counts)[:classes]
    return Outcomes(
        true_positive=both,
        false_positive=counts.sum(axis=0)[:classes] - both,
        false_negative=counts.sum(axis=1)[:classes] - both,
    )


def boundary_counts(truth: Mask, prediction: Mask, *, classes: int) -> Counts:
    """Count as `boundary_outcomes` does; return int64 (3, C): true positives, false positives, false negatives.

    The counts of several images are added.
    """
    found = boundary_outcomes(truth, prediction, classes=classes)
    return np.stack([found.true_positive, found.false_positive, found.false_negative])


def boundary_iou(counts: Counts) -> Ratios:
    """Compute the boundary IoU per class of `boundary_counts` (..., 3, C), float64 (..., C); NaN without a boundary."""
    both, claimed, missed = (counts[..., place, :] for place in range(3))
    return Outcomes(true_positive=both, false_positive=claimed, false_negative=missed).iou


def _boundary(mask: Mask, *, void: npt.NDArray[np.bool_], classes: int, reach: int) -> Mask:
    """Draw the boundaries, uint8 (H, W): train ids on boundaries, `classes` elsewhere.

    All classes are drawn at once: a pixel is on a boundary if the smallest and the largest id around it differ.
    """
    ids = np.minimum(mask, classes) + np.uint8(1)  # 0 stands for pixels beyond the image
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)

    def around(filtered: Mask) -> Mask:
        framed = cv2.copyMakeBorder(filtered, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        return np.asarray(framed, dtype=np.uint8)

    low = cv2.erode(around(np.where(void, np.uint8(VOID), ids)), kernel)[1:-1, 1:-1]  # void is never the smallest
    high = cv2.dilate(around(np.where(void, np.uint8(0), ids)), kernel)[1:-1, 1:-1]  # void is never the largest
    edge = (low != high) & ~void
    return np.where(edge, ids - np.uint8(1), np.uint8(classes)).astype(np.uint8)
