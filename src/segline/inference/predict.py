"""Predict the mask of an image at its own size."""

from collections.abc import Sequence
from itertools import combinations

import cv2
import keras
import numpy as np

from segline.core.labels import Image, Mask
from segline.core.metrics.temperature import softmax
from segline.core.metrics.threshold import Logits, above
from segline.data.images.scale import pad_image, scale_image
from segline.errors import DataError
from segline.inference.bundle import Bundle

_FLIPPED_AXES = {"left_right": 1, "up_down": 0}  # of an image (H, W, C)


def logits_of(bundle: Bundle, image: Image) -> Logits:
    """Compute logits float32 (h, w, C) of an image that is already scaled, uint8 (h, w, 3), as `logits_of_batch`."""
    return logits_of_batch(bundle, [image])[0]


def logits_of_batch(bundle: Bundle, images: Sequence[Image]) -> list[Logits]:
    """Compute logits float32 (h, w, C) of images of one size that are already scaled, uint8 (h, w, 3).

    With `Bundle.mirrors`, probabilities are averaged over each image and its mirror images, and the logits are
    the logarithms of the mean, as in nnU-Net (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z).

    Raises:
        DataError: the network's output is NaN or infinite.
    """
    height, width = images[0].shape[:2]
    views = _list_views(bundle)
    batch = np.stack([pad_image(np.flip(image, axes), multiple=bundle.stride) for image in images for axes in views])
    answer = keras.ops.convert_to_numpy(bundle.network.predict_on_batch(batch))
    logits: Logits = np.asarray(answer, dtype=np.float32)[:, :height, :width]
    if not np.isfinite(logits.sum(dtype=np.float64)):  # finds every bad value, faster than a test of each
        raise DataError(
            f"network {bundle.family}, trained on {bundle.dataset}",
            found="logits that are NaN or infinite",
            expected="finite logits",
            remedy="train it again, or name another model",
        )
    each = np.split(logits, len(images))
    return [_average(answers, views) for answers in each]


def _average(logits: Logits, views: list[tuple[int, ...]]) -> Logits:
    """Average the answers (V, h, w, C) to the views of one image."""
    if len(views) == 1:
        return np.asarray(logits[0])
    mean = np.mean([np.flip(softmax(each), axes) for each, axes in zip(logits, views, strict=True)], axis=0)
    return np.asarray(np.log(np.maximum(mean, np.finfo(np.float32).tiny)), dtype=np.float32)


def _list_views(bundle: Bundle) -> list[tuple[int, ...]]:
    """List the axes to flip for each view: none, those of each single flip, and those of all flips together."""
    axes = [_FLIPPED_AXES[flip] for flip in bundle.mirrors]
    return [view for count in range(len(axes) + 1) for view in combinations(axes, count)]


def resized(logits: Logits, *, height: int, width: int) -> Logits:
    """Resize logits (h, w, C) to (height, width), bilinearly; return them unchanged if they have that size."""
    if logits.shape[:2] != (height, width):
        logits = np.asarray(cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    return logits.reshape(height, width, -1)


def mask_of(logits: Logits, *, height: int, width: int, threshold: float | None) -> Mask:
    """Resize logits (h, w, C) to (height, width), then choose each pixel's class.

    Args:
        threshold: as in `Bundle`; None for the highest logit.

    Returns:
        Train ids uint8 (height, width).
    """
    whole = resized(logits, height=height, width=width)
    return np.asarray(whole.argmax(axis=-1), dtype=np.uint8) if threshold is None else above(whole, threshold)


def predict_scaled(bundle: Bundle, image: Image, *, height: int, width: int) -> Mask:
    """Predict train ids uint8 (height, width) of an image that is already scaled, uint8 (h, w, 3)."""
    return mask_of(logits_of(bundle, image), height=height, width=width, threshold=bundle.threshold)


def predict(bundle: Bundle, image: Image) -> Mask:
    """Predict train ids uint8 (H, W) of an image uint8 (H, W, 3) of any size."""
    height, width = image.shape[:2]
    return predict_scaled(bundle, scale_image(image, short_side=bundle.short_side), height=height, width=width)
