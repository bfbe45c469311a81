"""Pictures of masks: class colours, overlays and legends."""

from collections.abc import Collection, Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import VOID, Image, LabelMap, Mask
from segline.errors import LONGEST_NAME, shown

OPACITY = 0.5
"""Default opacity of the colours over the image."""

_ROW_HEIGHT = 18  # pixels of a legend row
_NAME_OFFSET = 30  # pixels from the picture to the names of its legend
_FONT_SCALE = 0.42  # of OpenCV's font
_MAX_NAME_WIDTH = 640  # pixels
_STRIPE_WIDTH = 4  # pixels


def colourise(mask: Mask, labels: LabelMap) -> Image:
    """Colour train ids (H, W) as RGB (H, W, 3); void is black.

    Raises:
        ValueError: `mask` holds an id beyond the colour table.
    """
    _refuse_unknown_ids(np.unique(mask), labels)
    return np.asarray(labels.colours[mask], dtype=np.uint8)


def overlay(
    image: Image, mask: Mask, labels: LabelMap, *, opacity: float = OPACITY, shown: Collection[int] | None = None
) -> Image:
    """Blend the mask's colours into `image`; void pixels and classes that are not in `shown` are not changed.

    Args:
        image: uint8 (H, W, 3).
        mask: uint8 (H, W) train ids.
        opacity: 0 shows the image, 1 the colours.
        shown: train ids of the classes to tint; None: all.

    Raises:
        ValueError: `mask` or `shown` holds an id beyond the colour table, or `opacity` is outside 0..1.
    """
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f"opacity is {opacity}, but must be within 0..1")
    chosen = np.zeros(256, dtype=bool)
    chosen[: len(labels)] = True
    if shown is not None:
        _refuse_unknown_ids(np.array(sorted(shown), dtype=np.int64), labels)
        chosen[:] = False
        chosen[[train_id for train_id in shown if train_id != VOID]] = True
    tinted = cv2.addWeighted(image, 1.0 - opacity, colourise(mask, labels), opacity, 0.0)
    return np.where(chosen[mask][..., None], tinted, image).astype(np.uint8)


def present(*masks: Mask) -> list[int]:
    """List the train ids of the classes that occur in `masks`, in ascending order, without void: for a legend."""
    ids = np.unique(np.concatenate([np.unique(mask) for mask in masks]))
    return [int(train_id) for train_id in ids if train_id != VOID]


def draw_stripes(picture: Image, where: npt.NDArray[np.bool_]) -> Image:
    """Draw stripes over `picture` (H, W, 3) where the flags (H, W) are set, as the data pages show void.

    Stripes mark void clearly: black could be the colour of a class, and unchanged pixels do not look void.
    """
    stripes = np.add.outer(*(np.arange(side) for side in where.shape)) // _STRIPE_WIDTH % 2
    striped = picture * 0.4 + np.where(stripes, 200, 60)[..., None] * 0.6
    return np.where(where[..., None], np.rint(striped), picture).astype(np.uint8)


def with_legend(picture: Image, listed: Sequence[int], labels: LabelMap) -> Image:
    """Put a legend with the names of the classes `listed` (train ids) at the right of `picture`.

    The legend is as wide as the longest name of all classes, so that pictures of one size keep one size.

    Raises:
        ValueError: one of `listed` is beyond the colour table.
    """
    _refuse_unknown_ids(np.array(listed, dtype=np.int64), labels)
    height = max(picture.shape[0], _ROW_HEIGHT * len(listed) + 8)
    canvas = np.full((height, picture.shape[1] + _measure_legend(labels), 3), 255, dtype=np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    left = picture.shape[1] + 8
    for row, train_id in enumerate(listed):
        top = 4 + row * _ROW_HEIGHT
        item = labels.classes[train_id]
        cv2.rectangle(canvas, (left, top), (left + 14, top + 12), item.colour, thickness=-1)
        place = picture.shape[1] + _NAME_OFFSET, top + 11
        name = fitted(item.name, _MAX_NAME_WIDTH, letters=_FONT_SCALE)
        cv2.putText(canvas, name, place, cv2.FONT_HERSHEY_SIMPLEX, _FONT_SCALE, (30, 30, 30), 1, cv2.LINE_AA)
    return canvas


def _measure_legend(labels: LabelMap) -> int:
    """Return the width of a legend, pixels."""
    names = (fitted(item.name, _MAX_NAME_WIDTH, letters=_FONT_SCALE) for item in labels.classes)
    return _NAME_OFFSET + max((written_width(name, _FONT_SCALE) for name in names), default=0) + 8


@lru_cache(maxsize=1024)  # every image gets a new legend with the same names
def fitted(text: str, width: int, *, letters: float) -> str:
    """Shorten a name in the middle until it is at most `width` pixels wide in OpenCV's font, scaled by `letters`."""
    limit = LONGEST_NAME
    name = shown(text)
    while written_width(name, letters) > width:
        limit -= 1
        name = shown(text, limit=limit)
    return name


def written_width(text: str, letters: float) -> int:
    """Return the width of `text` in OpenCV's font, scaled by `letters`, pixels."""
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, letters, 1)[0][0])


def _refuse_unknown_ids(ids: npt.NDArray[np.integer], labels: LabelMap) -> None:
    stray = ids[((ids < 0) | (ids >= len(labels))) & (ids != VOID)]
    if stray.size:
        raise ValueError(f"mask holds train id {int(stray[0])}, but there are {len(labels)} colours")
