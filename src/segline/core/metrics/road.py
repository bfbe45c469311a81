"""Compute KITTI road's scores: MaxF and average precision over 256 thresholds, from counts summed over images.

Fritsch, Kuehnl and Geiger, ITSC 2013. The scores equal those of the benchmark's development kit (``evalExp`` and
``pxEval_maximizeFMeasure``) to the last digit. The kit reads confidences from the bytes of a PNG.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segline.core.labels import BINARY, VOID, Mask
from segline.core.metrics.confusion import Ratios
from segline.core.metrics.joint_histogram import BYTES, Counts, joint_histogram

THRESHOLDS = np.arange(BYTES) / 255
"""Confidences from which a pixel is predicted as road: byte k reaches thresholds 0..k."""

_TINY = 1e-10
"""The kit adds this to avoid a division by zero. It changes the scores slightly, so it is needed here, too."""


def as_bytes(probability: npt.NDArray[np.float32]) -> Mask:
    """Round probabilities, 0..1, to the bytes that the kit reads, uint8."""
    return np.rint(np.clip(probability, 0, 1) * 255).astype(np.uint8)


def confidence_histogram(truth: Mask, confidence: Mask) -> Counts:
    """Count the labelled pixels of one image by truth and by confidence in the road.

    Args:
        truth: uint8 (H, W), train ids 0 and 1 (road), and `VOID`.
        confidence: uint8 (H, W), 0..255.

    Returns:
        int64 (2, 256). The counts of several images are added.

    Raises:
        ValueError: sizes differ, a map is not uint8, or `truth` holds another id.
    """
    counts = joint_histogram(truth, confidence)
    stray = np.flatnonzero(counts[BINARY:VOID].any(axis=1))
    if stray.size:
        raise ValueError(f"truth holds id {BINARY + int(stray[0])}, but there are {BINARY} classes")
    return counts[:BINARY].copy()


@dataclass(frozen=True, kw_only=True)
class RoadScores:
    """Scores of the benchmark's table, as shares 0..1; all are NaN if the truth has no road pixel, or only road pixels.

    Args:
        max_f: highest F1 of the road over all thresholds.
        average_precision: as in Pascal VOC 2007: for each recall 0, 0.1 .. 1 the highest precision at this recall or
            above, averaged.
        precision: at `threshold`, as are the recall and the two rates.
        threshold: the lowest threshold with the highest F1, 0..1.
    """

    max_f: float
    average_precision: float
    precision: float
    recall: float
    false_positive_rate: float
    false_negative_rate: float
    threshold: float


def road_score(counts: Counts, *, name: str) -> Ratios:
    """Compute the field `name` of `RoadScores` for each of many counts, int64 (..., 2, 256) -> float64 (...)."""
    pooled = counts.reshape(-1, *counts.shape[-2:])
    return np.array([getattr(road_scores(each), name) for each in pooled]).reshape(counts.shape[:-2])


def road_scores(counts: Counts) -> RoadScores:
    """Compute the scores from counts that are summed over images, int64 (2, 256): `confidence_histogram`."""
    negatives, positives = counts.sum(axis=1)
    false_positive, true_positive = counts[:, ::-1].cumsum(axis=1)[:, ::-1]  # at each threshold
    if not (negatives and positives):
        return RoadScores(**dict.fromkeys(RoadScores.__annotations__, float("nan")))
    recall = true_positive / positives
    precision = true_positive / (true_positive + false_positive + _TINY)
    f1 = 2 * (precision * recall) / (precision + recall + _TINY)
    best = int(f1.argmax())
    # Some of these recalls are slightly above the round number (0.30000000000000004), as in the kit.
    at_recall = [precision[recall >= least].max() for least in np.arange(0, 1.1, 0.1)]
    return RoadScores(
        max_f=float(f1[best]),
        average_precision=float(sum(at_recall) / len(at_recall)),
        precision=float(true_positive[best] / max(1, true_positive[best] + false_positive[best])),
        recall=float(recall[best]),
        false_positive_rate=float(false_positive[best] / negatives),
        false_negative_rate=float(1 - recall[best]),
        threshold=float(THRESHOLDS[best]),
    )
