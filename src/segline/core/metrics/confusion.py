"""Count pixels in an int64 confusion matrix, and compute scores from it.

Rows are true classes 0..C-1. Columns are predicted classes 0..C-1; the last column counts predictions outside these
classes (void included), which are misses of the true class. Void pixels of the truth are not counted at all, so a
prediction there is no false positive. These are the rules of ``cityscapesscripts``
(evalPixelLevelSemanticLabeling.py), and the scores equal its scores to the last digit.

Every score takes one matrix or many, int64 (..., C, C + 1): the matrix of a split, or one for each image,
(N, C, C + 1), for intervals and worst images. The mean of the images' scores is not the score of the split, and needs
another name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from segline.core.labels import VOID, Mask
from segline.core.metrics.joint_histogram import (
    Counts as Counts,  # exported here, too, because most callers use confusion matrices
)
from segline.core.metrics.joint_histogram import joint_histogram

Ratios = npt.NDArray[np.float64]


def confusion(truth: Mask, prediction: Mask, *, classes: int) -> Counts:
    """Count the pixels of one pair of masks by true and predicted class.

    Args:
        truth: uint8 (H, W), train ids and `VOID`.
        prediction: uint8 (H, W), train ids; an id from `classes` up counts as outside.

    Returns:
        int64 (C, C + 1). The counts of several pairs are added.

    Raises:
        ValueError: sizes differ, a mask is not uint8, or `truth` holds an id that is neither a class nor `VOID`.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, but prediction is {prediction.shape}")
    by_id = joint_histogram(truth, prediction, width=classes + 1)
    stray = np.flatnonzero(by_id[classes:VOID].any(axis=1))
    if stray.size:
        raise ValueError(f"truth holds id {classes + int(stray[0])}, but there are {classes} classes")
    return by_id[:classes].copy()


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """True positives, false positives and false negatives of each class, in pixels, int64 (..., C).

    The counts of several images are added.
    """

    true_positive: Counts
    false_positive: Counts
    false_negative: Counts

    def __add__(self, other: Self) -> Self:
        return type(self)(
            true_positive=self.true_positive + other.true_positive,
            false_positive=self.false_positive + other.false_positive,
            false_negative=self.false_negative + other.false_negative,
        )

    @property
    def iou(self) -> Ratios:
        """Intersection over union per class, float64 (..., C); NaN for a class absent from truth and prediction."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)


def outcomes(counts: Counts) -> Outcomes:
    """Compute true positives, false positives and false negatives from confusion matrices (..., C, C + 1)."""
    square = counts[..., :-1]
    true_positive = np.diagonal(square, axis1=-2, axis2=-1)
    return Outcomes(
        true_positive=true_positive,
        false_positive=square.sum(axis=-2) - true_positive,
        false_negative=counts.sum(axis=-1) - true_positive,
    )


def iou(counts: Counts) -> Ratios:
    """Compute intersection over union per class, float64 (..., C); NaN for a class absent from truth and prediction."""
    return outcomes(counts).iou


def mean_iou(counts: Counts) -> Ratios:
    """Average `iou` over the classes that occur in truth or prediction, float64 (...); NaN where none does."""
    return mean_of_present(iou(counts))


def frequency_weighted_iou(counts: Counts) -> Ratios:
    """Average `iou` weighted by each class's share of the labelled pixels, float64 (...); NaN where none is labelled.

    Long, Shelhamer and Darrell 2015 (arXiv:1411.4038), section 5.
    """
    labelled = counts.sum(axis=-1)
    # A class that is predicted, but not in the truth, has weight 0.
    weighted = np.where(labelled > 0, labelled * iou(counts), 0.0)
    return _ratio(weighted.sum(axis=-1), labelled.sum(axis=-1))


def precision(counts: Counts) -> Ratios:
    """Compute the share of a class's predicted pixels that are right, float64 (..., C); NaN where none is predicted."""
    result = outcomes(counts)
    return _ratio(result.true_positive, result.true_positive + result.false_positive)


def recall(counts: Counts) -> Ratios:
    """Compute the share of a class's true pixels that are found, float64 (..., C); NaN where the class is absent."""
    result = outcomes(counts)
    return _ratio(result.true_positive, result.true_positive + result.false_negative)


def mean_class_accuracy(counts: Counts) -> Ratios:
    """Average `recall` over the classes that occur in the truth, float64 (...); NaN where none is labelled."""
    return mean_of_present(recall(counts))


def f1(counts: Counts) -> Ratios:
    """Compute the harmonic mean of precision and recall, which is the Dice coefficient, float64 (..., C).

    NaN for a class absent from truth and prediction.
    """
    result = outcomes(counts)
    both = 2 * result.true_positive + result.false_positive + result.false_negative
    return _ratio(2 * result.true_positive, both)


def macro_f1(counts: Counts) -> Ratios:
    """Average `f1` over the classes that occur in truth or prediction, float64 (...); NaN where none does."""
    return mean_of_present(f1(counts))


def mean_of_present(ratios: Ratios) -> Ratios:
    """Average over the classes that have a ratio, float64 (..., C) -> (...); NaN where none has."""
    present = ~np.isnan(ratios)
    # Summed from the first class to the last, as the official script does: NumPy's sum adds in another order, which
    # changes the last digit.
    total = np.where(present, ratios, 0.0).cumsum(axis=-1)[..., -1]
    return _ratio(total, present.sum(axis=-1))


def _ratio(part: npt.ArrayLike, whole: Counts) -> Ratios:
    """Divide, with NaN where `whole` is 0."""
    undefined = np.full(np.shape(whole), np.nan, dtype=np.float64)
    return np.asarray(np.divide(part, whole, out=undefined, where=whole > 0), dtype=np.float64)


def accuracy(counts: Counts) -> Ratios:
    """Compute the share of labelled pixels that are right, float64 (...); NaN where none is labelled."""
    return _ratio(outcomes(counts).true_positive.sum(axis=-1), counts.sum(axis=(-2, -1)))


def pixel_accuracy(counts: Counts) -> float:
    """Compute `accuracy` of one matrix (C, C + 1). Its counts are pixels, or images for a classifier."""
    return float(accuracy(counts))


def outside_share(counts: Counts) -> float:
    """Compute the share of one matrix's labelled pixels that are predicted void or no class; 0 if none is labelled."""
    return float(counts[:, -1].sum() / max(1, counts.sum()))


def constant(counts: Counts, *, prediction: int) -> Counts:
    """Build the matrix of a model that always answers class `prediction`, on the same truth."""
    result = np.zeros_like(counts)
    result[..., :, prediction] = counts.sum(axis=-1)
    return result


def category_counts(counts: Counts, categories: Mapping[str, Sequence[int]]) -> Counts:
    """Join the classes of each category, so that confusing two classes of one category is no error.

    Args:
        counts: int64 (..., C, C + 1).
        categories: name -> train ids, as `LabelMap.categories` has them; at least one.

    Returns:
        int64 (..., K, K + 1), in the order of `categories`. Every score of this module accepts it.
    """
    return merged(counts, list(categories.values()))


def merged(counts: Counts, groups: Sequence[Sequence[int]]) -> Counts:
    """Join classes before scoring; a class in no group becomes void where true and outside where predicted.

    Args:
        counts: int64 (..., C, C + 1).
        groups: train ids of each new class.

    Returns:
        int64 (..., G, G + 1).
    """
    rows = np.stack([counts[..., list(group), :].sum(axis=-2) for group in groups], axis=-2)
    columns = np.stack([rows[..., list(group)].sum(axis=-1) for group in groups], axis=-1)
    outside = rows.sum(axis=-1, keepdims=True) - columns.sum(axis=-1, keepdims=True)
    return np.concatenate([columns, outside], axis=-1)
