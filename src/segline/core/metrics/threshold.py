"""The foreground threshold of a binary task, chosen from counts.

Logits are (..., 2): background, foreground. A pixel is foreground where the foreground's probability is
above the threshold, which is where the logits differ by more than the threshold's log-odds. Compared
that way, a threshold of 0.5 is argmax to the last bit: no probability is rounded on the way.
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
"""Thresholds are looked for among 1/256, 2/256 .. 255/256; 0.5 is one of them."""

_GRID = np.arange(1, BINS) / BINS


def log_odds(threshold: float) -> np.float32:
    """The difference of logits at which the foreground's probability is `threshold`, within 0..1; 0.0 for 0.5."""
    return np.float32(math.log(threshold / (1 - threshold)))


_EDGES = np.array([log_odds(float(threshold)) for threshold in _GRID])


def above(logits: Logits, threshold: float) -> Mask:
    """Train ids uint8 (...) of logits float32 (..., 2): the foreground where its probability is above `threshold`."""
    return np.asarray(_margin(logits) > log_odds(threshold), dtype=np.uint8)


def _margin(logits: Logits) -> npt.NDArray[Any]:
    """Foreground minus background."""
    if logits.shape[-1] != BINARY:
        raise ValueError(f"a threshold is for two classes, but there are {logits.shape[-1]}")
    with np.errstate(over="ignore"):  # beyond the largest number is still above every threshold
        return np.asarray(logits[..., FOREGROUND] - logits[..., 1 - FOREGROUND])


def histogram(truth: Mask, logits: Logits) -> Counts:
    """Count the labelled pixels of one image by truth and by how many of the thresholds they are above.

    Args:
        truth: uint8 (H, W), train ids 0 and 1, and `VOID`.
        logits: float32 (H, W, 2).

    Returns:
        int64 (2, BINS); sums over images are sums of these, whatever the number of images.

    Raises:
        ValueError: sizes differ, or `truth` holds another id.
    """
    if truth.shape != logits.shape[:-1]:
        raise ValueError(f"truth is {truth.shape}, but logits are {logits.shape}")
    labelled = truth != VOID
    ids = truth[labelled].astype(np.int64)
    if ids.size and int(ids.max()) >= BINARY:
        raise ValueError(f"truth holds id {int(ids.max())}, but there are {BINARY} classes")
    passed = np.searchsorted(_EDGES, _margin(logits)[labelled], side="left")  # edges that are strictly below
    return np.bincount(ids * BINS + passed, minlength=BINARY * BINS).reshape(BINARY, BINS).astype(np.int64)


def confusions(counts: Counts) -> Counts:
    """The confusion matrix at each threshold, int64 (BINS - 1, 2, 3), of a `histogram` (2, BINS)."""
    claimed = counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]  # pixels above the first threshold, the second ..
    left = counts.sum(axis=1, keepdims=True) - claimed
    columns = [left, claimed, np.zeros_like(claimed)]  # nothing is predicted outside the two classes
    return np.stack(columns, axis=-1).swapaxes(0, 1)


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A threshold and what it brings.

    Args:
        value: above which a probability means foreground, within 0..1.
        miou: mean IoU of the two classes with it.
        miou_at_half: the same with 0.5, which is argmax.
    """

    value: float
    miou: float
    miou_at_half: float


def best(counts: Counts) -> Threshold:
    """The threshold with the highest mean IoU over both classes, of equal ones that nearest to 0.5.

    The mean over both is what models are chosen and promoted by, and does not care which of the two
    classes is called the foreground.

    Args:
        counts: a `histogram`, int64 (2, BINS).

    Raises:
        ValueError: no pixel is labelled.
    """
    if not counts.any():
        raise ValueError("no labelled pixel to choose a threshold by")
    scores = mean_iou(confusions(counts))
    order = np.argsort(np.abs(_GRID - 0.5), kind="stable")  # argmax takes the first of equal ones
    chosen = order[np.argmax(scores[order])]
    half = BINS // 2 - 1
    return Threshold(value=float(_GRID[chosen]), miou=float(scores[chosen]), miou_at_half=float(scores[half]))
