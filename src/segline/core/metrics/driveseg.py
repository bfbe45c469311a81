"""The two ways to score MIT DriveSeg's sample clip: as its tutorial does, and strictly.

The tutorial is ``tutorial_driving_scene_segmentation`` of lexfridman/mit-deep-learning. Networks answer
Cityscapes' 19 classes; the truth tells ten of them apart, so some answers are joined before they are
compared. The tutorial then drops what was predicted outside the ten (sky, bicycle), as if those pixels
had no truth, which raises the IoU; and it rounds each class's IoU before the mean. Strictly, such a
prediction is a miss of the true class, and nothing is rounded.
"""

from dataclasses import dataclass

import numpy as np

from segline.core.metrics.confusion import Counts, Ratios, accuracy, iou, mean_iou, merged

JOINED = {0: [0], 1: [1], 2: [2, 3, 4], 5: [5], 6: [6], 7: [7], 8: [8], 9: [9], 11: [11, 12], 13: [13, 14, 15]}
"""Scored class -> the predictions that count as it, in Cityscapes' train ids."""

CLASSES = 19
"""Cityscapes' classes, which masks and counts are of."""


@dataclass(frozen=True, kw_only=True)
class DriveSegScores:
    """Scores of a clip.

    Args:
        pixel_accuracy: as the protocol means it.
        iou: float64 (10,), in the order of `JOINED`.
        miou: their mean.
    """

    pixel_accuracy: float
    iou: Ratios
    miou: float


def strict(frames: Counts) -> DriveSegScores:
    """Predictions outside the scored classes are misses; absent classes are left out of the mean.

    Args:
        frames: int64 (N, 19, 20), one confusion matrix a frame.
    """
    counts = merged(frames.sum(axis=0), list(JOINED.values()))
    return DriveSegScores(pixel_accuracy=float(accuracy(counts)), iou=iou(counts), miou=float(mean_iou(counts)))


def tutorial(frames: Counts) -> DriveSegScores:
    """What the tutorial prints: its accuracy averaged over frames, its IoU rounded per class before the mean.

    IoUs are rounded to 5 digits for one frame and to 4 for a clip. A class that is absent from a clip makes
    the mean NaN, and so does a frame without labels the accuracy.

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
