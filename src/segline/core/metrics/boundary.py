"""Boundary IoU: how well the edges fit, whatever the size of what they enclose.

Cheng, Girshick, Dollár, Berg and Kirillov, CVPR 2021 (arXiv:2103.16562); the reference is
``mask_to_boundary`` of bowenc0221/boundary-iou-api. A class's boundary is those of its pixels that are
within d pixels (by the larger of the two offsets) of a pixel that is not of it, or of the image's edge;
d is 2 % of the image's diagonal. Boundary IoU is the IoU of the two boundaries.

The paper scores single objects. A class of a split is scored by its counts summed over the images, and the
split by the mean over the classes that have a boundary, as for the mean IoU.

The reference knows no void. Here nothing about a void pixel counts: it is of no boundary, and beside it
there is none, in truth and prediction alike, for where the class ends there is not known. So what is
predicted on void never matters.
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
        prediction: uint8 (H, W), train ids; anything from `classes` up is outside.
        ratio: d as a share of the image's diagonal.

    Returns:
        Pixels of the boundaries, (C,): in both, in the prediction's alone, in the truth's alone.

    Raises:
        ValueError: sizes differ, a mask is not uint8, or `truth` holds an id that is neither a class nor `VOID`.
    """
    found = joint_histogram(truth, prediction, width=1)[classes:VOID, 0]
    if found.any():
        raise ValueError(f"truth holds id {classes + int(found.argmax())}, but there are {classes} classes")
    void, reach = truth == VOID, dilation(*truth.shape, ratio=ratio)
    true, claimed = (_boundary(mask, void=void, classes=classes, reach=reach) for mask in (truth, prediction))
    counts = joint_histogram(true, claimed, width=classes + 1)[: classes + 1]  # the last: on no boundary
    both = np.diagonal(counts)[:classes]
    return Outcomes(
        true_positive=both,
        false_positive=counts.sum(axis=0)[:classes] - both,
        false_negative=counts.sum(axis=1)[:classes] - both,
    )


def boundary_counts(truth: Mask, prediction: Mask, *, classes: int) -> Counts:
    """`boundary_outcomes` as one array: int64 (3, C), in both, in the prediction's alone, in the truth's alone.

    Sums over images are sums of these.
    """
    found = boundary_outcomes(truth, prediction, classes=classes)
    return np.stack([found.true_positive, found.false_positive, found.false_negative])


def boundary_iou(counts: Counts) -> Ratios:
    """Compute the boundary IoU per class of `boundary_counts` (..., 3, C), float64 (..., C); NaN without a boundary."""
    both, claimed, missed = (counts[..., place, :] for place in range(3))
    return Outcomes(true_positive=both, false_positive=claimed, false_negative=missed).iou


def _boundary(mask: Mask, *, void: npt.NDArray[np.bool_], classes: int, reach: int) -> Mask:
    """Train ids on the boundaries, `classes` elsewhere.

    All classes at once: around a pixel that is on no boundary the smallest id is the largest one.
    """
    ids = np.minimum(mask, classes) + np.uint8(1)  # 0 is for what lies beyond the image
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)

    def around(filtered: Mask) -> Mask:
        framed = cv2.copyMakeBorder(filtered, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        return np.asarray(framed, dtype=np.uint8)

    low = cv2.erode(around(np.where(void, np.uint8(VOID), ids)), kernel)[1:-1, 1:-1]  # void is never the smallest
    high = cv2.dilate(around(np.where(void, np.uint8(0), ids)), kernel)[1:-1, 1:-1]  # nor the largest
    edge = (low != high) & ~void
    return np.where(edge, ids - np.uint8(1), np.uint8(classes)).astype(np.uint8)
