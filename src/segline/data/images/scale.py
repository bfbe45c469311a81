"""Scale and pad images to the network's input size; `prepare`, validation and `predict` all use these functions."""

import cv2
import numpy as np

from segline.core.labels import Image, Mask


def scaled_size(height: int, width: int, *, short_side: int | None) -> tuple[int, int]:
    """Compute height and width after scaling down (never up) to a shorter side of `short_side` pixels.

    None keeps every image at its own size.
    """
    if short_side is None:
        return height, width
    factor = min(1.0, short_side / min(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def scale_image(image: Image, *, short_side: int | None) -> Image:
    """Scale uint8 (H, W, 3) down to `short_side`, by pixel area."""
    height, width = scaled_size(*image.shape[:2], short_side=short_side)
    if (height, width) == image.shape[:2]:
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def pad_image(image: Image, *, multiple: int) -> Image:
    """Pad uint8 (H, W, 3) at the bottom and at the right, to sides that are multiples of `multiple`.

    Edges are replicated, which disturbs predictions near the border less than a black frame.
    """
    bottom, right = (-side % multiple for side in image.shape[:2])
    return np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE), dtype=np.uint8)


def scale_mask(mask: Mask, *, short_side: int | None) -> Mask:
    """Scale uint8 (H, W) down to `short_side`, by nearest neighbour, because ids must not be interpolated."""
    height, width = scaled_size(*mask.shape, short_side=short_side)
    if (height, width) == mask.shape:
        return mask
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
