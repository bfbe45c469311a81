"""Counts first, ratios second: the int64 confusion matrix and the scores read off it.

Layout: rows are true classes 0..C-1; columns are predicted classes 0..C-1 and, last, every
prediction outside them (void included), which is a miss of the true class. Void truth is not
counted at all, so a prediction on it is no false positive. This is the rule of
``cityscapesscripts`` (evalPixelLevelSemanticLabeling.py).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segline.core.labels import VOID, Mask

Counts = npt.NDArray[np.int64]
Ratios = npt.NDArray[np.float64]


def confusion(truth: Mask, prediction: Mask, *, classes: int) -> Counts:
    """Count one pair of masks.

    Args:
        truth: uint8 (H, W), train ids and `VOID`.
        prediction: uint8 (H, W), train ids; anything from `classes` up counts as outside.

    Returns:
        int64 (C, C + 1); sums over pairs are sums of these.

    Raises:
        ValueError: sizes differ, or `truth` holds an id that is neither a class nor `VOID`.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, but prediction is {prediction.shape}")
    # One bin per pair of bytes: no mask, no copy of the labelled pixels, exact for any image.
    index = truth.astype(np.uint16, copy=True).ravel()
    index <<= 8
    index |= prediction.ravel()
    pairs = np.bincount(index, minlength=1 << 16).reshape(256, 256)
    stray = np.flatnonzero(pairs[classes:VOID].any(axis=1))
    if stray.size:
        raise ValueError(f"truth holds id {classes + int(stray[0])}, but there are {classes} classes")
    outside = pairs[:classes, classes:].sum(axis=1, keepdims=True)
    return np.concatenate([pairs[:classes, :classes], outside], axis=1).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Pixels per class, int64 (..., C): right, falsely claimed, missed."""

    true_positive: Counts
    false_positive: Counts
    false_negative: Counts


def outcomes(counts: Counts) -> Outcomes:
    """Reduce confusion matrices (..., C, C + 1) to what IoU needs."""
    square = counts[..., :-1]
    true_positive = np.diagonal(square, axis1=-2, axis2=-1)
    return Outcomes(
        true_positive=true_positive,
        false_positive=square.sum(axis=-2) - true_positive,
        false_negative=counts.sum(axis=-1) - true_positive,
    )


def iou(counts: Counts) -> Ratios:
    """Intersection over union per class, float64 (..., C); NaN for a class absent from truth and prediction."""
    result = outcomes(counts)
    union = result.true_positive + result.false_positive + result.false_negative
    return _ratio(result.true_positive, union)


def mean_iou(counts: Counts) -> Ratios:
    """Mean of `iou` over the classes that are not absent, float64 (...); NaN where all are."""
    return _mean_of_present(iou(counts))


def precision(counts: Counts) -> Ratios:
    """Share of what was claimed for a class that is of it, float64 (..., C); NaN where nothing was claimed."""
    result = outcomes(counts)
    return _ratio(result.true_positive, result.true_positive + result.false_positive)


def recall(counts: Counts) -> Ratios:
    """Share of a class that was found, float64 (..., C); NaN where there is nothing of it."""
    result = outcomes(counts)
    return _ratio(result.true_positive, result.true_positive + result.false_negative)


def f1(counts: Counts) -> Ratios:
    """Harmonic mean of precision and recall, float64 (..., C); NaN for a class absent from truth and prediction."""
    result = outcomes(counts)
    both = 2 * result.true_positive + result.false_positive + result.false_negative
    return _ratio(2 * result.true_positive, both)


def macro_f1(counts: Counts) -> Ratios:
    """Mean of `f1` over the classes that are not absent, float64 (...); NaN where all are."""
    return _mean_of_present(f1(counts))


def _mean_of_present(ratios: Ratios) -> Ratios:
    present = ~np.isnan(ratios)
    return _ratio(np.where(present, ratios, 0.0).sum(axis=-1), present.sum(axis=-1))


def _ratio(part: npt.ArrayLike, whole: Counts) -> Ratios:
    """``part / whole``, NaN where `whole` is 0."""
    undefined = np.full(np.shape(whole), np.nan, dtype=np.float64)
    return np.asarray(np.divide(part, whole, out=undefined, where=whole > 0), dtype=np.float64)


def pixel_accuracy(counts: Counts) -> float:
    """Share of labelled pixels (or images, where those are counted) that are right; NaN where none is labelled."""
    total = int(counts.sum())
    return float(outcomes(counts).true_positive.sum() / total) if total else float("nan")


def constant(counts: Counts, *, prediction: int) -> Counts:
    """The matrix that always answering class `prediction` would have given on the same truth."""
    result = np.zeros_like(counts)
    result[..., :, prediction] = counts.sum(axis=-1)
    return result


def merged(counts: Counts, groups: list[list[int]]) -> Counts:
    """Join classes before scoring; a class in no group becomes void where true and outside where predicted.

    Args:
        counts: int64 (C, C + 1).
        groups: train ids of each new class.

    Returns:
        int64 (G, G + 1).
    """
    rows = np.stack([counts[group].sum(axis=0) for group in groups])
    columns = np.stack([rows[:, group].sum(axis=1) for group in groups], axis=1)
    return np.concatenate([columns, rows.sum(axis=1, keepdims=True) - columns.sum(axis=1, keepdims=True)], axis=1)
