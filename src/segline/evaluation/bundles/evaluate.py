"""Score a network on a prepared split, at the labels' native size, from counts."""

from collections.abc import Callable

import numpy as np

from segline.core.labels import FOREGROUND, VOID, Mask
from segline.core.metrics import road, table, temperature
from segline.core.metrics.boundary import boundary_counts
from segline.core.metrics.confusion import Counts, confusion
from segline.core.metrics.threshold import Logits
from segline.errors import DataError
from segline.evaluation.bundles.scored_split import ScoredSplit
from segline.evaluation.results import Evaluation, grouping, load, save
from segline.inference.bundle import Bundle
from segline.inference.predict import logits_of, mask_of, resized
from segline.progress import Advance

__all__ = [
    "Evaluation",
    "evaluate",
    "load",
    "predict_sample",
    "refuse_mismatch",
    "save",
]


def evaluate(
    bundle: Bundle,
    split: ScoredSplit,
    *,
    progress: Advance,
    boundary: bool = False,
    also: Callable[[Mask, Mask, Logits], None] | None = None,
) -> Evaluation:
    """Predict all images of `split` with `bundle`, and count the predictions in confusion matrices.

    If the dataset declares scores of the road's probabilities, they are counted in the same pass.

    Args:
        boundary: also count for the boundary IoU; this takes two image filters for each mask.
        progress: called with 1 after each image.
        also: called with each image's label and predicted mask, uint8 (H, W), and its logits, float32 (H, W, C), to
            count something else in the same pass.

    Raises:
        DataError: the network predicts other classes than those of the split's labels, or no pixel is labelled.
    """
    refuse_mismatch(bundle, split)
    classes = len(bundle.labels)
    per_image = np.zeros((len(split), classes, classes + 1), dtype=np.int64)
    edges = np.zeros((len(split), 3, classes), dtype=np.int64) if boundary else None
    road_wanted = table.needs("road", split.extra_scores)
    confidences = np.zeros((len(split), 2, road.THRESHOLDS.size), dtype=np.int64) if road_wanted else None
    void_pixels = 0
    for index in range(len(split)):
        label, mask, logits = predict_sample(bundle, split, index)
        per_image[index] = confusion(label, mask, classes=classes)
        if edges is not None:
            edges[index] = boundary_counts(label, mask, classes=classes)
        if confidences is not None:
            probability = temperature.softmax(logits)[..., FOREGROUND]
            confidences[index] = road.confidence_histogram(label, road.as_bytes(probability))
        void_pixels += int(np.count_nonzero(label == VOID))
        if also is not None:
            also(label, mask, logits)
        progress(1)
    _refuse_unlabelled(split, per_image)
    return Evaluation(
        dataset=split.dataset,
        split=split.name,
        protocol=split.protocol,
        split_digest=split.digest,
        label_map=split.label_map,
        unnamed=bundle.labels.unnamed_digest,
        names=bundle.labels.names,
        ids=tuple(split.ids),
        groups=grouping(split.groups),
        void_pixels=void_pixels,
        per_image=per_image,
        categories=bundle.labels.categories,
        extra_scores=split.extra_scores,
        boundary=edges,
        road=confidences,
    )


def predict_sample(bundle: Bundle, split: ScoredSplit, index: int) -> tuple[Mask, Mask, Logits]:
    """Predict one image of a split.

    Returns:
        Its label and the predicted mask, uint8 (H, W), and the logits at that size, float32 (H, W, C).
    """
    label = split.label(index)
    height, width = label.shape
    logits = resized(logits_of(bundle, split.image(index)), height=height, width=width)
    return label, mask_of(logits, height=height, width=width, threshold=bundle.threshold), logits


def _refuse_unlabelled(split: ScoredSplit, per_image: Counts) -> None:
    if not per_image.any():
        raise DataError(
            f"{split.dataset} {split.name} split",
            found="no labelled pixel",
            expected="labelled pixels to score by",
            remedy="correct the masks",
        )


def refuse_mismatch(bundle: Bundle, split: ScoredSplit) -> None:
    """Check that `bundle` can be scored on `split`, before the first image is predicted.

    Raises:
        DataError: the network predicts other classes than the labels have, the images are at another scale, or there
            is no image.
    """
    if bundle.labels.digest != split.label_map:
        raise DataError(
            f"{split.dataset} {split.name} split",
            found=f"label map {split.label_map}",
            expected=f"{bundle.labels.digest}, that of the network, which was trained on {bundle.dataset}",
            remedy="score it on data with its own label map, or train again",
        )
    if bundle.short_side != split.short_side:
        raise DataError(
            f"{split.dataset} {split.name} split",
            found=f"images at short side {split.short_side}",
            expected=f"{bundle.short_side}, the scale this network was trained on",
            remedy="use PreparedSplit.rescaled",
        )
    if len(split) == 0:
        raise DataError(
            f"{split.dataset} {split.name} split", found="no sample", expected="at least one", remedy="run dvc repro"
        )
