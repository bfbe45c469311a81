"""What training minimises: weighted sums of well-known terms, void left out of each.

Logits are (N, H, W, C) of any float type, masks (N, H, W) train ids. Only 0..C-1 are classes: a
pixel with any other id, `segline.core.labels.VOID` above all, counts nowhere: what logits say there
changes neither a loss nor its gradient. All arithmetic is in float32: soft Dice in half precision
gives NaN on large batches. A term with nothing labelled is 0, and so is its gradient. Where several
devices share a batch, each gives the loss of the whole batch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from segline.config import Loss
from segline.training.backend import gathered, share_of, summed

_SMOOTH = 1e-6
_LAST = -1.0  # below every error and every cross-entropy: void sorts behind all that is labelled


@keras.saving.register_keras_serializable(package="segline")
class SegmentationLoss(keras.losses.Loss):
    """The sum that a `Loss` describes, for one batch of masks and logits.

    Args:
        settings: which terms, how heavy; its own defaults are cross-entropy plus soft Dice, nnU-Net's
            (Isensee et al. 2021, 10.1038/s41592-020-01008-z).
        class_weights: weight of each class in the cross-entropies, or none for equal ones.
    """

    def __init__(
        self,
        settings: Loss | Mapping[str, Any] | None = None,
        *,
        class_weights: Sequence[float] | None = None,
        name: str = "segmentation_loss",
        **options: Any,
    ) -> None:
        super().__init__(name=name, dtype="float32", **{key: options[key] for key in options if key != "dtype"})
        self.settings = settings if isinstance(settings, Loss) else Loss.model_validate(dict(settings or {}))
        self.class_weights = None if class_weights is None else tuple(class_weights)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Scalar float32 loss of masks `y_true` and logits `y_pred`."""
        return share_of(segmentation_loss(y_true, y_pred, self.settings, class_weights=self.class_weights))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        weights = None if self.class_weights is None else list(self.class_weights)
        return {**super().get_config(), "settings": self.settings.model_dump(), "class_weights": weights}


def segmentation_loss(
    mask: Any, logits: Any, settings: Loss | None = None, *, class_weights: Sequence[float] | None = None
) -> Any:
    """The weighted sum of `settings`, each term over all labelled pixels of the batch together.

    Returns:
        Scalar, float32: in 0 .. infinity.
    """
    chosen = settings or Loss()
    exact = ops.cast(logits, "float32")
    truth = labelled_one_hot(mask, exact.shape[-1])
    # Void goes before the arithmetic: 0 times what is no number would be none either.
    known = ops.where(ops.any(truth > 0, axis=-1, keepdims=True), exact, 0.0)
    log_probability = ops.log_softmax(known, axis=-1)
    weights = ops.convert_to_tensor(class_weights or [1.0] * log_probability.shape[-1], dtype="float32")
    entropy = pixel_cross_entropy(truth, log_probability, label_smoothing=chosen.label_smoothing)
    weighted = ops.sum(truth * weights, axis=-1)  # of each pixel's class; 0 where void
    terms: tuple[tuple[float, Callable[[], Any]], ...] = (
        (chosen.cross_entropy, lambda: _mean(weighted * entropy, weighted)),
        (chosen.focal, lambda: focal(truth, log_probability, weighted, gamma=chosen.focal_gamma)),
        (chosen.hard, lambda: hard_examples(weighted * entropy, truth, share=chosen.hard_share)),
        (chosen.dice, lambda: soft_dice(truth, ops.exp(log_probability))),
        (chosen.lovasz, lambda: lovasz_softmax(truth, ops.exp(log_probability))),
    )
    return sum(factor * term() for factor, term in terms if factor)


def labelled_one_hot(mask: Any, classes: int) -> Any:
    """One-hot float32 (..., C) of train ids (...) of any number type; all zero where void."""
    return ops.cast(ops.equal(ops.expand_dims(ops.cast(mask, "int32"), -1), ops.arange(classes)), "float32")


def balanced_weights(pixels: Sequence[int]) -> tuple[float, ...]:
    """Weights of classes by their pixels in the training split: median frequency over frequency.

    Eigen & Fergus 2015 (arXiv:1411.4734), with the square root that tames the rarest (as in Mikolov
    et al. 2013 for words); classes without a pixel get 0, and the mean over the pixels is 1.
    """
    counts: npt.NDArray[np.float64] = np.asarray(pixels, dtype=np.float64)
    present = counts > 0
    if not present.any():
        return tuple(1.0 for _ in pixels)
    weights = np.where(present, np.sqrt(np.median(counts[present]) / np.maximum(counts, 1.0)), 0.0)
    return tuple((weights * counts.sum() / (weights * counts).sum()).tolist())


def pixel_cross_entropy(truth: Any, log_probability: Any, *, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy (N, H, W) of each pixel; 0 where void.

    With label smoothing (Szegedy et al. 2016, arXiv:1512.00567) that share of each label is spread
    evenly over all classes.
    """
    target = truth
    if label_smoothing:
        labelled = ops.sum(truth, axis=-1, keepdims=True)
        target = truth * (1 - label_smoothing) + labelled * (label_smoothing / truth.shape[-1])
    return -ops.sum(target * log_probability, axis=-1)


def focal(truth: Any, log_probability: Any, weighted: Any, *, gamma: float) -> Any:
    """Cross-entropy in which what is already right counts less: (1 - p) ** gamma times as much.

    Lin et al. 2017 (arXiv:1708.02002), averaged over the labelled pixels.

    Args:
        truth: float32 (N, H, W, C), one-hot; all zero where void.
        log_probability: float32 (N, H, W, C), finite where void too.
        weighted: float32 (N, H, W), the weight of each pixel's class; 0 where void. The mean is by these.
        gamma: not below 0.

    Returns:
        Scalar, float32.
    """
    chosen = ops.sum(truth * log_probability, axis=-1)
    # A probability of 1 has no finite slope to a power below 1: kept a hair away from it.
    missed = ops.clip(1.0 - ops.exp(chosen), _SMOOTH, 1.0)
    return _mean(-weighted * ops.power(missed, gamma) * chosen, weighted)


def hard_examples(entropy: Any, truth: Any, *, share: float) -> Any:
    """Mean cross-entropy of the hardest `share` of the labelled pixels, at least one.

    Online hard example mining (Shrivastava et al. 2016, arXiv:1604.03540).

    Args:
        entropy: float32 (N, H, W), not below 0. Times the weights of the classes, where there are some: a
            rare class's pixels are harder then. What is summed is divided by the plain number of pixels.
        truth: float32 (N, H, W, C), one-hot; all zero where void.
        share: above 0, at most 1.

    Returns:
        Scalar, float32.
    """
    labelled = ops.reshape(gathered(ops.sum(truth, axis=-1)), (-1,)) > 0
    ordered = -ops.sort(-ops.where(labelled, ops.reshape(gathered(entropy), (-1,)), _LAST))
    counted = ops.cast(labelled, "int32")  # float32 cannot count beyond 2 ** 24
    count = ops.ceil(share * ops.cast(ops.sum(counted), "float32"))
    kept = ops.cumsum(ops.ones_like(counted)) <= ops.cast(count, "int32")
    return _ratio(ops.sum(ops.where(kept, ops.maximum(ordered, 0.0), 0.0)), count)


def soft_dice(truth: Any, probability: Any) -> Any:
    """Mean over present classes of 1 - 2 |truth * probability| / (|truth| + |probability|).

    Without squares, per class over the whole batch (Drozdzal et al. 2016, arXiv:1608.04117).

    Args:
        truth: float32 (N, H, W, C), one-hot; all zero where void.
        probability: float32 (N, H, W, C), no logits; finite where void too.

    Returns:
        Scalar, float32: in 0 .. 1.
    """
    labelled = ops.sum(truth, axis=-1, keepdims=True)
    axes = tuple(range(len(truth.shape) - 1))
    size, shared, claimed = summed(
        [ops.sum(part, axis=axes) for part in (truth, truth * probability, labelled * probability)]
    )
    scores = (2 * shared + _SMOOTH) / (size + claimed + _SMOOTH)
    return _mean_of_present(1 - scores, size)


def lovasz_softmax(truth: Any, probability: Any) -> Any:
    """The convex extension of 1 - IoU, averaged over the classes present in the batch.

    Berman et al. 2018 (arXiv:1705.08790), algorithm 1: errors in falling order, each weighted by what
    it adds to the Jaccard loss.

    Args:
        truth: float32 (N, H, W, C), one-hot; all zero where void.
        probability: float32 (N, H, W, C), no logits.

    Returns:
        Scalar, float32: in 0 .. 1.
    """
    classes = truth.shape[-1]
    one_hot = ops.reshape(gathered(truth), (-1, classes))
    flat = ops.cast(one_hot, "int32")  # float32 cannot count beyond 2 ** 24
    labelled = ops.sum(flat, axis=-1, keepdims=True)
    errors = ops.where(labelled > 0, ops.abs(one_hot - ops.reshape(gathered(probability), (-1, classes))), _LAST)
    order = ops.argsort(-errors, axis=0)
    ordered = ops.maximum(ops.take_along_axis(errors, order, axis=0), 0.0)
    here = ops.take_along_axis(flat, order, axis=0)
    elsewhere = ops.take_along_axis(labelled - flat, order, axis=0)
    size = ops.sum(flat, axis=0)
    shared, union = size - ops.cumsum(here, axis=0), ops.maximum(size + ops.cumsum(elsewhere, axis=0), 1)
    jaccard = 1 - ops.cast(shared, "float32") / ops.cast(union, "float32")
    added = jaccard - ops.concatenate([ops.zeros_like(jaccard[:1]), jaccard[:-1]], axis=0)
    return _mean_of_present(ops.sum(ordered * ops.stop_gradient(added), axis=0), size)


def _mean(total: Any, weight: Any) -> Any:
    """Sum over sum; 0 where nothing weighs anything."""
    return _ratio(*summed([ops.sum(total), ops.sum(weight)]))


def _ratio(total: Any, weight: Any) -> Any:
    return total / ops.where(weight > 0, weight, 1.0)


def _mean_of_present(values: Any, size: Any) -> Any:
    """Mean of a value for each class over those that have pixels."""
    present = ops.cast(size > 0, "float32")
    return ops.sum(present * values) / ops.maximum(ops.sum(present), 1.0)
