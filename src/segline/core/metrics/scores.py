"""Every ratio that is read off a confusion matrix, under one name each.

They take one matrix or many, as `segline.core.metrics.confusion` does: given one of each image, (N, C, C + 1),
they are of each image, and say nothing of the split.
"""

from collections.abc import Callable, Mapping, Sequence

from segline.core.metrics.confusion import (
    Counts,
    Ratios,
    accuracy,
    f1,
    frequency_weighted_iou,
    iou,
    macro_f1,
    mean_class_accuracy,
    mean_iou,
    merged,
    precision,
    recall,
)

OVERALL: Mapping[str, Callable[[Counts], Ratios]] = {
    "miou": mean_iou,
    "frequency_weighted_iou": frequency_weighted_iou,
    "pixel_accuracy": accuracy,
    "mean_class_accuracy": mean_class_accuracy,
    "macro_f1": macro_f1,
    "mean_dice": macro_f1,
}
"""Name -> (..., C, C + 1) -> (...)."""

PER_CLASS: Mapping[str, Callable[[Counts], Ratios]] = {
    "iou": iou,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "dice": f1,
}
"""Name -> (..., C, C + 1) -> (..., C). A class's accuracy is its recall."""


def overall(counts: Counts) -> dict[str, Ratios]:
    """`OVERALL` of `counts`, each float64 (...)."""
    return {name: ratio(counts) for name, ratio in OVERALL.items()}


def per_class(counts: Counts) -> dict[str, Ratios]:
    """`PER_CLASS` of `counts`, each float64 (..., C); NaN where a ratio is undefined."""
    return {name: ratio(counts) for name, ratio in PER_CLASS.items()}


def category_counts(counts: Counts, categories: Mapping[str, Sequence[int]]) -> Counts:
    """The same counts by category: confusing two classes of one is no error. Every ratio takes them.

    Args:
        counts: int64 (..., C, C + 1).
        categories: name -> train ids, as `LabelMap.categories` has them; at least one.

    Returns:
        int64 (..., K, K + 1), in the order of `categories`.
    """
    return merged(counts, list(categories.values()))
