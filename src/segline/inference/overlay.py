"""Pictures of masks: colours, tints and the legend that tells which is which."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import VOID, Image, LabelMap, Mask

_ROW = 18  # pixels of a legend row
_COLUMN = 190  # pixels of the legend
_STRIPE = 4  # pixels


def colourise(mask: Mask, labels: LabelMap) -> Image:
    """Train ids (H, W) -> RGB (H, W, 3); void is black.

    Raises:
        ValueError: `mask` holds an id beyond the colour table.
    """
    ids = np.unique(mask)
    stray = ids[(ids >= len(labels)) & (ids != VOID)]
    if stray.size:
        raise ValueError(f"mask holds train id {int(stray[0])}, but there are {len(labels)} colours")
    return np.asarray(labels.colours[mask], dtype=np.uint8)


def overlay(image: Image, mask: Mask, labels: LabelMap, *, opacity: float = 0.5) -> Image:
    """Tint `image` with the mask's colours; pixels of void keep the image's own.

    Args:
        image: uint8 (H, W, 3).
        mask: uint8 (H, W) train ids.
        opacity: 0 shows the image, 1 the colours.
    """
    tinted = cv2.addWeighted(image, 1.0 - opacity, colourise(mask, labels), opacity, 0.0)
    return np.where((mask == VOID)[..., None], image, tinted).astype(np.uint8)


def hatched(picture: Image, where: npt.NDArray[np.bool_]) -> Image:
    """Stripe `picture` (H, W, 3) where the flags (H, W) are set, as the data's own pages show void.

    Black would pass for a dark class, and the image's own pixels for nothing at all.
    """
    stripes = np.add.outer(*(np.arange(side) for side in where.shape)) // _STRIPE % 2
    striped = picture * 0.4 + np.where(stripes, 200, 60)[..., None] * 0.6
    return np.where(where[..., None], np.rint(striped), picture).astype(np.uint8)


def with_legend(picture: Image, present: Sequence[int], labels: LabelMap) -> Image:
    """Put the names of the classes `present` (train ids) at the right of `picture`."""
    height = max(picture.shape[0], _ROW * len(present) + 8)
    canvas = np.full((height, picture.shape[1] + _COLUMN, 3), 255, dtype=np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    left = picture.shape[1] + 8
    for row, train_id in enumerate(present):
        top = 4 + row * _ROW
        item = labels.classes[train_id]
        cv2.rectangle(canvas, (left, top), (left + 14, top + 12), item.colour, thickness=-1)
        cv2.putText(
            canvas, item.name, (left + 22, top + 11), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (30, 30, 30), 1, cv2.LINE_AA
        )
    return canvas
