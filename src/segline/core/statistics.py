"""How far a score can be trusted: the percentile bootstrap over images.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Images are drawn with
replacement, their counts are summed, and the ratio is taken last, as for the score itself.
"""

from dataclasses import dataclass

import numpy as np

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
    images = len(per_image)
    if images == 0:
        raise ValueError("an interval needs at least one image")
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(images, np.full(images, 1 / images), size=resamples)
    # float64 products of integers are exact up to 2^53 pixels, and BLAS is far faster than int64.
    summed = weights.astype(np.float64) @ per_image.reshape(images, -1).astype(np.float64)
    scores = mean_iou(summed.reshape(resamples, *per_image.shape[1:]).astype(np.int64))
    low, high = np.nanquantile(scores, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(low=float(low), high=float(high), confidence=confidence, images=images)
