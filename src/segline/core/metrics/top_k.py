"""Compute a classifier's top-k accuracy from counts of the true class's rank."""

import numpy as np
import numpy.typing as npt

from segline.core.labels import VOID, Mask
from segline.core.metrics.joint_histogram import Counts


def ranks(truth: Mask, logits: npt.NDArray[np.float32]) -> Counts:
    """Count labelled entries by the rank of their true class among the logits.

    Of equal logits the lower train id comes first, as in argmax, so the first rank counts what argmax gets right.

    Args:
        truth: uint8 (...), train ids and `VOID`.
        logits: float32 (..., C).

    Returns:
        int64 (C,): number of entries whose true class is first, second .. The counts of several batches are added.

    Raises:
        ValueError: shapes differ, `truth` contains an id that is neither a class nor `VOID`, or a logit is NaN.
    """
    classes = logits.shape[-1]
    if truth.shape != logits.shape[:-1]:
        raise ValueError(f"truth is {truth.shape}, but logits are {logits.shape}")
    ids, answers = truth[truth != VOID].astype(np.intp), logits[truth != VOID]
    if ids.size and int(ids.max()) >= classes:
        raise ValueError(f"truth holds id {int(ids.max())}, but there are {classes} classes")
    if np.isnan(answers).any():
        raise ValueError("a logit is NaN, which cannot be ranked")  # every class would be first
    own = np.take_along_axis(answers, ids[:, np.newaxis], axis=-1)
    before = (answers > own) | ((answers == own) & (np.arange(classes) < ids[:, np.newaxis]))
    return np.bincount(before.sum(axis=-1), minlength=classes).astype(np.int64)


def top_k_accuracy(counts: Counts, k: int) -> float:
    """Compute the share of entries whose true class is among the first `k`; NaN where nothing was counted.

    Args:
        counts: a sum of `ranks`, int64 (C,).
        k: from 1 up; from C up the result is 1.

    Raises:
        ValueError: `k` is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}, but must be at least 1")
    total = int(counts.sum())
    return int(counts[:k].sum()) / total if total else float("nan")
