"""How far a score, or the difference of two, can be trusted: by resampling images.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 15. Images are drawn
with replacement, their counts are summed, and the ratio is taken last, as for the score itself.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segline.core.confusion import Counts, mean_iou

HONEST_FROM = 200
"""Below this many images an interval is too narrow to be taken at its word (PROTOCOLS, rule 6)."""


def caveat(images: int) -> str:
    """What must be said beside an interval over `images` images; empty where nothing must."""
    return "" if images >= HONEST_FROM else f"{images} images: intervals are honest only from about {HONEST_FROM} up"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A score's interval at `confidence`, over `images` images."""

    low: float
    high: float
    confidence: float
    images: int

    @property
    def caveat(self) -> str:
        """What must be said beside the interval; empty where it can be taken at its word."""
        return caveat(self.images)


def bootstrap_mean_iou(per_image: Counts, *, resamples: int, confidence: float, seed: int) -> Interval:
    """Interval of the mean IoU.

    Args:
        per_image: int64 (N, C, C + 1), one confusion matrix an image.
        resamples: how often N images are drawn with replacement.
        confidence: e.g. 0.95.

    Raises:
        ValueError: no image.
    """
    scores = _weighted(per_image, _drawn(len(per_image), resamples, np.random.default_rng(seed)))
    return _interval(scores, confidence=confidence, images=len(per_image))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same images.

    Args:
        difference: mean IoU of the first less that of the second.
        interval: of the difference.
        p: how often chance alone makes a difference as large, in either direction.
    """

    difference: float
    interval: Interval
    p: float


def compare_mean_iou(first: Counts, second: Counts, *, resamples: int, confidence: float, seed: int) -> Comparison:
    """Compare two models by the same images, which takes out that some images are hard for both.

    The interval draws images, the same for both models. The p-value swaps the two models' counts of
    each image by the toss of a coin, which changes nothing but chance where they are equally good
    (Fisher's randomisation test; Good, Permutation, Parametric and Bootstrap Tests, 2005).

    Args:
        first: int64 (N, C, C + 1), one confusion matrix an image.
        second: the same of the other model, in the same order of images.

    Raises:
        ValueError: no image, or not the same images.
    """
    if first.shape != second.shape or not np.array_equal(first.sum(axis=-1), second.sum(axis=-1)):
        raise ValueError("a comparison needs counts of the same images, in the same order")
    images, generator = len(first), np.random.default_rng(seed)
    weights = _drawn(images, resamples, generator)
    interval = _interval(_weighted(first, weights) - _weighted(second, weights), confidence=confidence, images=images)
    kept = generator.integers(0, 2, (resamples, images))
    swapped = _weighted(first, kept, second, 1 - kept) - _weighted(first, 1 - kept, second, kept)
    difference = float(mean_iou(first.sum(axis=0)) - mean_iou(second.sum(axis=0)))
    # Rounding must not tell a model from itself.
    extreme = np.count_nonzero(np.abs(swapped) >= abs(difference) - 1e-12)
    return Comparison(difference=difference, interval=interval, p=(1 + extreme) / (1 + resamples))


def _drawn(images: int, resamples: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """How often each image is in each resample, (resamples, images)."""
    if images == 0:
        raise ValueError("an interval needs at least one image")
    return generator.multinomial(images, np.full(images, 1 / images), size=resamples)


def _weighted(*parts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mean IoU of each row of weights: pairs of counts (N, C, C + 1) and weights (R, N), summed -> (R,)."""
    shape = parts[0].shape
    # float64 products of integers are exact up to 2^53 pixels, and BLAS is far faster than int64.
    summed = sum(
        weights.astype(np.float64) @ counts.reshape(shape[0], -1).astype(np.float64)
        for counts, weights in zip(parts[::2], parts[1::2], strict=True)
    )
    scores: npt.NDArray[np.float64] = mean_iou(np.asarray(summed).reshape(-1, *shape[1:]).astype(np.int64))
    return scores


def _interval(values: npt.NDArray[np.float64], *, confidence: float, images: int) -> Interval:
    low, high = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(low=float(low), high=float(high), confidence=confidence, images=images)
