"""Compute the loss: a weighted sum of well-known terms. Void pixels are ignored in each term.

Logits are (N, H, W, C) of any float type, masks (N, H, W) train ids. Only 0..C-1 are classes. A pixel with any
other id is ignored, `segline.core.labels.VOID` in particular: its logits change neither a loss nor a gradient. All
arithmetic is in float32, because soft Dice in half precision gives NaN on large batches. If no pixel is labelled,
a term and its gradient are 0. If several devices share a batch, each device computes the loss of the whole batch.

To add a term, add a function and a row of `TERMS`, here and nowhere else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from segline.config import Loss
from segline.training.backend import divide_among_devices, gather, sum_over_devices

_SMOOTH = 1e-6
_VOID_SORT_KEY = -1.0  # below every error and every cross-entropy, so that void pixels are sorted last


@keras.saving.register_keras_serializable(package="segline")
class SegmentationLoss(keras.losses.Loss):
    """The sum that a `Loss` describes, for one batch of masks and logits.

    Args:
        settings: the weights of the terms. The defaults are cross-entropy plus soft Dice, as in nnU-Net
            (Isensee et al. 2021, 10.1038/s41592-020-01008-z).
        class_weights: weight of each class in the cross-entropies; None for equal weights.
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
        """Compute the scalar float32 loss of masks `y_true` and logits `y_pred`."""
        return divide_among_devices(segmentation_loss(y_true, y_pred, self.settings, class_weights=self.class_weights))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        weights = None if self.class_weights is None else list(self.class_weights)
        return {**super().get_config(), "settings": self.settings.model_dump(), "class_weights": weights}


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """A batch, prepared for the terms of the loss; all float32.

    Args:
        truth: (N, H, W, C), one-hot; all zero for void pixels.
        log_probability: (N, H, W, C), finite for void pixels too.
        entropy: (N, H, W), the cross-entropy of each pixel, at least 0; 0 where void.
        weights: (N, H, W), the weight of each pixel's class; 0 where void.
    """

    truth: Any
    log_probability: Any
    entropy: Any
    weights: Any


def segmentation_loss(
    mask: Any, logits: Any, settings: Loss | None = None, *, class_weights: Sequence[float] | None = None
) -> Any:
    """Compute the weighted sum of `settings`, each term over all labelled pixels of the batch together.

    Returns:
        Scalar, float32: in 0 .. infinity.
    """
    chosen = settings or Loss()
    exact = ops.cast(logits, "float32")
    truth = encode_one_hot(mask, exact.shape[-1])
    # Void logits are replaced before the arithmetic. A factor of 0 would not remove a NaN: 0 times NaN is NaN.
    known = ops.where(ops.any(truth > 0, axis=-1, keepdims=True), exact, 0.0)
    log_probability = ops.log_softmax(known, axis=-1)
    weights = ops.convert_to_tensor(class_weights or [1.0] * log_probability.shape[-1], dtype="float32")
    pixels = Pixels(
        truth=truth,
        log_probability=log_probability,
        entropy=pixel_cross_entropy(truth, log_probability, label_smoothing=chosen.label_smoothing),
        weights=ops.sum(truth * weights, axis=-1),
    )
    factors = {name: getattr(chosen, name) for name in TERMS}
    return sum(factor * TERMS[name].function(pixels, chosen) for name, factor in factors.items() if factor)


def encode_one_hot(mask: Any, classes: int) -> Any:
    """Encode train ids (...) of any number type as one-hot float32 (..., C); all zero where void."""
    return ops.cast(ops.equal(ops.expand_dims(ops.cast(mask, "int32"), -1), ops.arange(classes)), "float32")


def balanced_weights(pixels: Sequence[int]) -> tuple[float, ...]:
    """Compute class weights from the pixels of each class in the training split, by median frequency balancing.

    A weight is the square root of the median frequency divided by the class's frequency. Frequency balancing is
    from Eigen & Fergus 2015 (arXiv:1411.4734). The square root limits the weight of the rarest classes (as in
    Mikolov et al. 2013 for words). Classes without a pixel get 0. The mean weight over all pixels is 1.
    """
    counts: npt.NDArray[np.float64] = np.asarray(pixels, dtype=np.float64)
    present = counts > 0
    if not present.any():
        return tuple(1.0 for _ in pixels)
    weights = np.where(present, np.sqrt(np.median(counts[present]) / np.maximum(counts, 1.0)), 0.0)
    return tuple((weights * counts.sum() / (weights * counts).sum()).tolist())


def pixel_cross_entropy(truth: Any, log_probability: Any, *, label_smoothing: float = 0.0) -> Any:
    """Compute the cross-entropy (N, H, W) of each pixel; 0 where void.

    Label smoothing (Szegedy et al. 2016, arXiv:1512.00567) distributes the share `label_smoothing` of each label
    evenly over all classes.
    """
    target = truth
    if label_smoothing:
        labelled = ops.sum(truth, axis=-1, keepdims=True)
        target = truth * (1 - label_smoothing) + labelled * (label_smoothing / truth.shape[-1])
    return -ops.sum(target * log_probability, axis=-1)


def cross_entropy(pixels: Pixels, settings: Loss) -> Any:  # noqa: ARG001
    """Average the cross-entropy over the labelled pixels, weighted by class."""
    return _mean(pixels.weights * pixels.entropy, pixels.weights)


def focal(pixels: Pixels, settings: Loss) -> Any:
    """Average the cross-entropy times (1 - p) ** ``focal_gamma``, so that pixels already classified well count less.

    Lin et al. 2017 (arXiv:1708.02002), over the labelled pixels, weighted by class, without label smoothing.
    """
    chosen = ops.sum(pixels.truth * pixels.log_probability, axis=-1)
    # At a probability of exactly 1, a power below 1 would have an infinite slope.
    missed = ops.clip(1.0 - ops.exp(chosen), _SMOOTH, 1.0)
    return _mean(-pixels.weights * ops.power(missed, settings.focal_gamma) * chosen, pixels.weights)


def hard_examples(pixels: Pixels, settings: Loss) -> Any:
    """Average the cross-entropy of the hardest ``hard_share`` of the labelled pixels, at least one.

    Online hard example mining (Shrivastava et al. 2016, arXiv:1604.03540). Cross-entropies are multiplied by class
    weights before the hardest are chosen. Their sum is divided by the number of chosen pixels, not by weights.
    """
    labelled = ops.reshape(gather(ops.sum(pixels.truth, axis=-1)), (-1,)) > 0
    entropy = ops.reshape(gather(pixels.weights * pixels.entropy), (-1,))
    ordered = -ops.sort(-ops.where(labelled, entropy, _VOID_SORT_KEY))
    counted = ops.cast(labelled, "int32")  # float32 cannot count beyond 2 ** 24
    count = ops.ceil(settings.hard_share * ops.cast(ops.sum(counted), "float32"))
    kept = ops.cumsum(ops.ones_like(counted)) <= ops.cast(count, "int32")
    return _divide(ops.sum(ops.where(kept, ops.maximum(ordered, 0.0), 0.0)), count)


def soft_dice(pixels: Pixels, settings: Loss) -> Any:  # noqa: ARG001
    """Average 1 - 2 |truth * probability| / (|truth| + |probability|) over the present classes.

    The sums are over the whole batch, and without squares (Drozdzal et al. 2016, arXiv:1608.04117). In 0 .. 1.
    """
    truth, probability = pixels.truth, ops.exp(pixels.log_probability)
    labelled = ops.sum(truth, axis=-1, keepdims=True)
    axes = tuple(range(len(truth.shape) - 1))
    size, shared, claimed = sum_over_devices(
        [ops.sum(part, axis=axes) for part in (truth, truth * probability, labelled * probability)]
    )
    scores = (2 * shared + _SMOOTH) / (size + claimed + _SMOOTH)
    return _average_present(1 - scores, size)


def lovasz_softmax(pixels: Pixels, settings: Loss) -> Any:  # noqa: ARG001
    """Average the Lovász extension of 1 - IoU over the classes present in the batch; in 0 .. 1.

    Berman et al. 2018 (arXiv:1705.08790), algorithm 1: errors are sorted in descending order, and each is weighted
    by the increase of the Jaccard loss that it causes.
    """
    classes = pixels.truth.shape[-1]
    one_hot = ops.reshape(gather(pixels.truth), (-1, classes))
    probability = ops.reshape(gather(ops.exp(pixels.log_probability)), (-1, classes))
    flat = ops.cast(one_hot, "int32")  # float32 cannot count beyond 2 ** 24
    labelled = ops.sum(flat, axis=-1, keepdims=True)
    errors = ops.where(labelled > 0, ops.abs(one_hot - probability), _VOID_SORT_KEY)
    order = ops.argsort(-errors, axis=0)
    ordered = ops.maximum(ops.take_along_axis(errors, order, axis=0), 0.0)
    here = ops.take_along_axis(flat, order, axis=0)
    elsewhere = ops.take_along_axis(labelled - flat, order, axis=0)
    size = ops.sum(flat, axis=0)
    shared, union = size - ops.cumsum(here, axis=0), ops.maximum(size + ops.cumsum(elsewhere, axis=0), 1)
    jaccard = 1 - ops.cast(shared, "float32") / ops.cast(union, "float32")
    added = jaccard - ops.concatenate([ops.zeros_like(jaccard[:1]), jaccard[:-1]], axis=0)
    return _average_present(ops.sum(ordered * ops.stop_gradient(added), axis=0), size)


def _mean(total: Any, weight: Any) -> Any:
    """Divide the sum of `total` by that of `weight`; return 0 if all weights are 0."""
    return _divide(*sum_over_devices([ops.sum(total), ops.sum(weight)]))


def _divide(total: Any, weight: Any) -> Any:
    return total / ops.where(weight > 0, weight, 1.0)


def _average_present(values: Any, size: Any) -> Any:
    """Average one value for each class over the classes that have pixels."""
    present = ops.cast(size > 0, "float32")
    return ops.sum(present * values) / ops.maximum(ops.sum(present), 1.0)


@dataclass(frozen=True, kw_only=True)
class Term:
    """One term of the loss.

    Args:
        function: computes it, a float32 scalar.
        weight: its weight if ``training.loss`` of ``params.yaml`` gives none.
        options: its parameters in ``training.loss``: name -> default and limits, as arguments of Pydantic's `Field`.
        floats: additional memory that it needs, in floats for each pixel and class.
    """

    function: Callable[[Pixels, Loss], Any]
    weight: float = 0.0
    options: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    floats: float = 0.0


TERMS = {
    "cross_entropy": Term(function=cross_entropy, weight=1.0),
    "focal": Term(function=focal, options={"focal_gamma": {"default": 2.0, "ge": 0.0}}),
    "hard": Term(function=hard_examples, options={"hard_share": {"default": 0.25, "gt": 0.0, "le": 1.0}}),
    "dice": Term(function=soft_dice, weight=1.0),
    "lovasz": Term(function=lovasz_softmax, floats=12.0),
}
"""The terms, in the order in which they are added up.

`segline.config` reads this table from the file without importing it. So every value except the functions must be
a literal.
"""
