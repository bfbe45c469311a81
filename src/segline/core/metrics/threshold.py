"""Choose the foreground threshold of a binary task from counts.

Logits are (..., 2): background, foreground. A pixel is foreground where the foreground's probability is above the
threshold, that is, where the logits differ by more than the threshold's log-odds. Comparing logits makes a threshold
of 0.5 equal to argmax to the last bit, because no probability is rounded.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segline.core.labels import BINARY, FOREGROUND, VOID, Mask
from segline.core.metrics.confusion import Counts, mean_iou

Logits = npt.NDArray[np.float32]

BINS = 256
"""The candidate thresholds are 1/256, 2/256 .. 255/256; 0.5 is one of them."""

_THRESHOLDS = np.arange(1, BINS) / BINS


def log_odds(threshold: float) -> np.float32:
    """Compute the difference of logits where the foreground's probability is `threshold`, within 0..1; 0.0 for 0.5."""
    return np.float32(math.log(threshold / (1 - threshold)))


_EDGES = np.array([log_odds(float(threshold)) for threshold in _THRESHOLDS])


def above(logits: Logits, threshold: float) -> Mask:
    """Convert logits, float32 (..., 2), to train ids, uint8 (...): foreground above the probability `threshold`."""
    return np.asarray(_subtract_background(logits) > log_odds(threshold), dtype=np.uint8)


def _subtract_background(logits: Logits) -> npt.NDArray[Any]:
    """Compute the foreground's logit minus the background's."""
    if logits.shape[-1] != BINARY:
        raise ValueError(f"a threshold needs logits of {BINARY} classes, found {logits.shape[-1]}")
    with np.errstate(over="ignore"):  # infinity is above every threshold, as it should be
        return np.asarray(logits[..., FOREGROUND] - logits[..., 1 - FOREGROUND])


def histogram(truth: Mask, logits: Logits) -> Counts:
    """Count the labelled pixels of one image by their truth and by the number of thresholds they are above.

    Args:
        truth: uint8 (H, W), train ids 0 and 1, and `VOID`.
        logits: float32 (H, W, 2).

    Returns:
        int64 (2, BINS). The counts of several images are added.

    Raises:
        ValueError: sizes differ, or `truth` contains another id.
    """
    if truth.shape != logits.shape[:-1]:
        raise ValueError(f"truth is {truth.shape}, but logits are {logits.shape}")
    labelled = truth != VOID
    ids = truth[labelled].astype(np.int64)
    if ids.size and int(ids.max()) >= BINARY:
        raise ValueError(f"truth holds id {int(ids.max())}, but there are {BINARY} classes")
    margins = _subtract_background(logits)[labelled]
    passed = np.searchsorted(_EDGES, margins, side="left")  # number of edges strictly below
    return np.bincount(ids * BINS + passed, minlength=BINARY * BINS).reshape(BINARY, BINS).astype(np.int64)


def confusions(counts: Counts) -> Counts:
    """Compute the confusion matrix at each threshold, int64 (BINS - 1, 2, 3), from a `histogram` (2, BINS)."""
    claimed = counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]  # pixels above the first threshold, above the second ..
    left = counts.sum(axis=1, keepdims=True) - claimed
    columns = [left, claimed, np.zeros_like(claimed)]  # nothing is predicted outside the two classes
    return np.stack(columns, axis=-1).swapaxes(0, 1)


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A threshold and its effect on the mean IoU.

    Args:
        value: probability above which a pixel is foreground, within 0..1.
        miou: mean IoU of the two classes with this threshold.
        miou_at_half: mean IoU with 0.5, which is argmax.
    """

    value: float
    miou: float
    miou_at_half: float


def choose_best(counts: Counts) -> Threshold:
    """Choose the threshold with the highest mean IoU of both classes; of equal ones the one nearest to 0.5.

    Models are chosen and promoted by this mean, and it does not depend on which of the two classes is called the
    foreground.

    Args:
        counts: a `histogram`, int64 (2, BINS).

    Raises:
        ValueError: no pixel is labelled.
    """
    if not counts.any():
        raise ValueError("no labelled pixel to choose a threshold by")
    scores = mean_iou(confusions(counts))
    order = np.argsort(np.abs(_THRESHOLDS - 0.5), kind="stable")  # argmax takes the first of equal scores
    chosen = order[np.argmax(scores[order])]
    half = BINS // 2 - 1
    return Threshold(value=float(_THRESHOLDS[chosen]), miou=float(scores[chosen]), miou_at_half=float(scores[half]))
