"""Score MIT DriveSeg's sample clip in two ways: as its tutorial does, and strictly.

The tutorial is ``tutorial_driving_scene_segmentation`` of lexfridman/mit-deep-learning. Networks predict Cityscapes'
19 classes, but the truth distinguishes only ten, so some predicted classes are merged before the comparison. The
tutorial then ignores pixels predicted outside the ten classes (sky, bicycle), as if they had no truth, which raises
the IoU. It also rounds each class's IoU before the mean. The strict score counts such a prediction as a miss of the
true class, and rounds nothing.
"""

from dataclasses import dataclass

import numpy as np

from segline.core.metrics.confusion import Counts, Ratios, accuracy, iou, mean_iou, merged

JOINED = {0: [0], 1: [1], 2: [2, 3, 4], 5: [5], 6: [6], 7: [7], 8: [8], 9: [9], 11: [11, 12], 13: [13, 14, 15]}
"""Scored class -> the predicted classes that count as it, in Cityscapes' train ids."""

CLASSES = 19
"""Number of Cityscapes' classes, which masks and counts are of."""


@dataclass(frozen=True, kw_only=True)
class DriveSegScores:
    """Scores of a clip.

    Args:
        pixel_accuracy: as the protocol defines it.
        iou: float64 (10,), in the order of `JOINED`.
        miou: mean of `iou`.
    """

    pixel_accuracy: float
    iou: Ratios
    miou: float


def score_strictly(frames: Counts) -> DriveSegScores:
    """Score a clip strictly: predictions outside the scored classes are misses, and the mean skips absent classes.

    Args:
        frames: int64 (N, 19, 20), one confusion matrix a frame.
    """
    counts = merged(frames.sum(axis=0), list(JOINED.values()))
    return DriveSegScores(pixel_accuracy=float(accuracy(counts)), iou=iou(counts), miou=float(mean_iou(counts)))


def score_like_tutorial(frames: Counts) -> DriveSegScores:
    """Compute the tutorial's scores: accuracy averaged over frames, IoU rounded per class before the mean.

    IoUs are rounded to 5 digits for one frame and to 4 for a clip. A class that is absent from a clip makes the mean
    NaN. A frame without labels makes the accuracy NaN.

    Args:
        frames: int64 (N, 19, 20), one confusion matrix a frame.
    """
    joined = np.stack([frames[..., ids].sum(axis=-1) for ids in JOINED.values()], axis=-1)  # (N, 19, 10)
    square = joined[:, list(JOINED)]
    right = np.trace(square, axis1=1, axis2=2)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN there too
        accuracies = right / frames.sum(axis=(1, 2))
        total = square.sum(axis=0)
        intersection = np.diagonal(total)
        ratios = intersection / (total.sum(axis=0) + total.sum(axis=1) - intersection)
    rounded = np.round(ratios, 5 if len(frames) == 1 else 4)
    return DriveSegScores(pixel_accuracy=float(np.mean(accuracies)), iou=rounded, miou=float(np.mean(rounded)))
