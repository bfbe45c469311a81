"""Draw thumbnails of images and masks, and embed them in HTML pages.

A mask is drawn half transparent over its image in the colours of the classes. Void is hatched, so that it
is not mistaken for a dark class. Illegal ids have a red and yellow chequered pattern, and are enlarged so that a
single pixel is visible.
"""

import base64
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from segline.core.coding import Colours
from segline.core.labels import VOID, Image, LabelMap, Mask, runs
from segline.data.images.decode import read_image, read_mask
from segline.data.images.deep import Levels
from segline.errors import DataError

HEIGHT, WIDTH = 160, 400
"""Largest height and width of a thumbnail, pixels."""

_MAX_ENLARGEMENT = 8.0
_MASK_OPACITY = 0.5
_WEBP_QUALITY = 72
_STRIPE_WIDTH = 4  # pixels
_ILLEGAL_COLOURS = ((225, 0, 0), (255, 235, 0))
_ILLEGAL_SPOT_WIDTH = 7  # pixels


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """Picture for a page, or a placeholder text if it cannot be drawn.

    Args:
        caption: text below the picture.
        uri: ``data:`` address; empty if the picture cannot be drawn.
        width: pixels.
        height: pixels.
        fault: why the picture cannot be drawn.
    """

    caption: str
    uri: str = ""
    width: int = WIDTH // 2
    height: int = HEIGHT
    fault: str = ""


class Album:
    """Makes thumbnails of one dataset's files."""

    def __init__(
        self, raw: Path, *, label_map: LabelMap, colours: Colours | None, levels: Levels | None = None
    ) -> None:
        self._raw, self._label_map, self._colours, self._levels = raw, label_map, colours, levels
        self._cached = lru_cache(maxsize=512)(self._draw_pair)

    def draw_pair(self, image: str | None, mask: str | None, *, caption: str) -> list[Thumbnail]:
        """Draw an image with its mask over it; draw both side by side if sizes differ or the mask cannot be read.

        Args:
            image: path relative to the raw folder; None if it is missing.
            mask: path relative to the raw folder; None if it is missing.
        """
        return [replace(found, caption=f"{caption}{found.caption}") for found in self._cached(image, mask)]

    def _draw_pair(self, image: str | None, mask: str | None) -> list[Thumbnail]:
        pixels, image_fault = self._read_image(image)
        ids, mask_fault = self._read_mask(mask)
        if pixels is not None and ids is not None and pixels.shape[:2] == ids.shape:
            if not _is_mostly_illegal(ids, self._label_map):
                return [_make_thumbnail(draw(pixels, ids, self._label_map), "")]
            levels = cv2.cvtColor(cv2.normalize(ids, None, 0, 255, cv2.NORM_MINMAX), cv2.COLOR_GRAY2RGB)
            held = runs(np.unique(ids).tolist())
            return [
                _make_thumbnail(draw(pixels, None, self._label_map), ": image"),
                _make_thumbnail(draw(levels, None, self._label_map), f": mask, ids {held} as grey levels"),
            ]
        return [
            _make_thumbnail(draw(pixels, None, self._label_map), f": image, {_format_size(pixels)}")
            if pixels is not None
            else Thumbnail(caption=": image", fault=image_fault),
            _make_thumbnail(draw(None, ids, self._label_map), f": mask, {_format_size(ids)}")
            if ids is not None
            else self._draw_unreadable(mask, mask_fault),
        ]

    def _read_image(self, path: str | None) -> tuple[Image | None, str]:
        if path is None:
            return None, "there is no image"
        try:
            return read_image(self._raw / path, levels=self._levels), ""
        except DataError as error:
            return None, f"{path}: {error.found}"

    def _read_mask(self, path: str | None) -> tuple[Mask | None, str]:
        if path is None:
            return None, "there is no mask"
        try:
            return read_mask(self._raw / path, colours=self._colours), ""
        except DataError as error:
            return None, f"{path}: {error.found}"

    def _draw_unreadable(self, path: str | None, fault: str) -> Thumbnail:
        """Draw a file that cannot be read as a mask as an image, if possible."""
        picture, _ = self._read_image(path)
        if picture is None:
            return Thumbnail(caption=": mask", fault=fault)
        return _make_thumbnail(draw(picture, None, self._label_map), ": mask file as a picture")


def draw(image: Image | None, mask: Mask | None, label_map: LabelMap) -> Image:
    """Draw a small picture of an image, a mask, or both.

    Args:
        image: uint8 (H, W, 3) RGB.
        mask: uint8 (H, W) raw ids, drawn over the image, or alone.

    Returns:
        uint8 (h, w, 3) RGB, within `HEIGHT` and `WIDTH`.

    Raises:
        ValueError: neither image nor mask is given.
    """
    given = image if image is not None else mask
    if given is None:
        raise ValueError("there is nothing to draw")
    height, width = given.shape[:2]
    scale = min(HEIGHT / height, WIDTH / width, _MAX_ENLARGEMENT)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.full((size[1], size[0], 3), 128, np.uint8) if image is None else _resize(image, size)
    if mask is None:
        return canvas
    ids = label_map.encode(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))
    opacity = 1.0 if image is None else _MASK_OPACITY
    tinted = canvas * (1 - opacity) + label_map.colours[ids] * opacity
    stripes = np.add.outer(np.arange(size[1]), np.arange(size[0])) // _STRIPE_WIDTH % 2
    hatched = canvas * 0.4 + np.where(stripes, 200, 60)[..., None] * 0.6
    result = np.where((ids == VOID)[..., None], hatched, tinted)
    illegal = _widen(~label_map.legal[mask], size)
    rows, columns = np.indices(illegal.shape) // _STRIPE_WIDTH
    alarm = np.array(_ILLEGAL_COLOURS)[(rows + columns) % 2]
    return np.where(illegal[..., None], alarm, np.rint(result)).astype(np.uint8)


def uri(picture: Image) -> str:
    """Encode uint8 (H, W, 3) RGB as WebP in a ``data:`` address; equal pictures give equal text."""
    _, data = cv2.imencode(".webp", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY])
    return f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode()}"


def tinted_uri(shares: np.ndarray, colour: tuple[int, int, int]) -> str:
    """Encode shares 0..1 (H, W) as the opacity of one colour: a PNG in a ``data:`` address."""
    bgra = np.empty((*shares.shape, 4), dtype=np.uint8)
    bgra[..., :3] = colour[::-1]
    bgra[..., 3] = np.rint(shares * 255)
    _, data = cv2.imencode(".png", bgra)
    return f"data:image/png;base64,{base64.b64encode(data.tobytes()).decode()}"


def _make_thumbnail(picture: Image, caption: str) -> Thumbnail:
    return Thumbnail(caption=caption, uri=uri(picture), width=picture.shape[1], height=picture.shape[0])


def _resize(image: Image, size: tuple[int, int]) -> Image:
    smaller = size[0] < image.shape[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST))


def _widen(flags: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize flags to a thumbnail; widen each set pixel to at least `_ILLEGAL_SPOT_WIDTH` pixels."""
    if not flags.any():
        return np.zeros(size[::-1], dtype=bool)
    rows, columns = (
        (2 * places + 1) * side // (2 * length)
        for places, side, length in zip(np.nonzero(flags), size[::-1], flags.shape, strict=True)
    )
    small = cv2.resize(flags.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    spots = np.zeros_like(small)
    spots[rows, columns] = 1  # nearest-neighbour scaling may have skipped these pixels
    return np.asarray(
        small | cv2.dilate(spots, np.ones((_ILLEGAL_SPOT_WIDTH, _ILLEGAL_SPOT_WIDTH), np.uint8)), dtype=bool
    )


def _is_mostly_illegal(mask: Mask, label_map: LabelMap) -> bool:
    """Return whether more than half of a mask is illegal. Marking all of it would hide its content."""
    return bool(np.count_nonzero(label_map.legal[mask]) < mask.size / 2)


def _format_size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[0]}x{pixels.shape[1]}"
