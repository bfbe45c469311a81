"""Small pictures of images and masks, inside the page that shows them.

A mask is drawn half over its image in the classes' own colours. Void is hatched, so that it does not
pass for a dark class; ids that the label map does not allow are checked in red and yellow and made
large enough to be seen, if it is only one pixel.
"""

import base64
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from segline.core.coding import Colours
from segline.core.labels import VOID, Image, LabelMap, Mask, runs
from segline.data.images.decode import read_image, read_mask
from segline.errors import DataError

HEIGHT, WIDTH = 160, 400
"""A thumbnail's greatest sides, pixels."""

_LARGEST = 8.0  # times that a tiny picture is enlarged
_OPACITY = 0.5
_QUALITY = 72  # of WebP
_STRIPE = 4  # pixels
_LOUD = ((225, 0, 0), (255, 235, 0))
_SEEN = 7  # pixels, to which an illegal spot is widened


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A picture for a page, or the words that stand in for it.

    Args:
        caption: what it shows.
        uri: ``data:`` address; empty where nothing can be shown.
        width: pixels, as height.
        fault: why it cannot be shown.
    """

    caption: str
    uri: str = ""
    width: int = WIDTH // 2
    height: int = HEIGHT
    fault: str = ""


class Album:
    """Makes thumbnails of one dataset's files."""

    def __init__(self, raw: Path, *, label_map: LabelMap, colours: Colours | None) -> None:
        self._raw, self._label_map, self._colours = raw, label_map, colours
        self._cached = lru_cache(maxsize=512)(self._pictures)

    def pictures(self, image: str | None, mask: str | None, *, caption: str) -> list[Thumbnail]:
        """The image with its mask over it; side by side where one does not fit or cannot be read.

        Args:
            image: path relative to the raw folder; None where it is missing.
            mask: the same.
        """
        return [
            Thumbnail(
                caption=f"{caption}{found.caption}",
                uri=found.uri,
                width=found.width,
                height=found.height,
                fault=found.fault,
            )
            for found in self._cached(image, mask)
        ]

    def _pictures(self, image: str | None, mask: str | None) -> list[Thumbnail]:
        pixels, image_fault = self._image(image)
        ids, mask_fault = self._mask(mask)
        if pixels is not None and ids is not None and pixels.shape[:2] == ids.shape:
            if not _foreign(ids, self._label_map):
                return [_thumbnail(drawn(pixels, ids, self._label_map), "")]
            levels = cv2.cvtColor(cv2.normalize(ids, None, 0, 255, cv2.NORM_MINMAX), cv2.COLOR_GRAY2RGB)
            held = runs(np.unique(ids).tolist())
            return [
                _thumbnail(drawn(pixels, None, self._label_map), ": image"),
                _thumbnail(drawn(levels, None, self._label_map), f": mask, its ids {held} as greys"),
            ]
        return [
            _thumbnail(drawn(pixels, None, self._label_map), f": image, {_size(pixels)}")
            if pixels is not None
            else Thumbnail(caption=": image", fault=image_fault),
            _thumbnail(drawn(None, ids, self._label_map), f": mask, {_size(ids)}")
            if ids is not None
            else self._unreadable(mask, mask_fault),
        ]

    def _image(self, path: str | None) -> tuple[Image | None, str]:
        if path is None:
            return None, "there is no image"
        try:
            return read_image(self._raw / path), ""
        except DataError as error:
            return None, f"{path}: {error.found}"

    def _mask(self, path: str | None) -> tuple[Mask | None, str]:
        if path is None:
            return None, "there is no mask"
        try:
            return read_mask(self._raw / path, colours=self._colours), ""
        except DataError as error:
            return None, f"{path}: {error.found}"

    def _unreadable(self, path: str | None, fault: str) -> Thumbnail:
        """A mask that is no mask, as the picture that it is."""
        picture, _ = self._image(path)
        if picture is None:
            return Thumbnail(caption=": mask", fault=fault)
        return _thumbnail(drawn(picture, None, self._label_map), ": mask file as a picture")


def drawn(image: Image | None, mask: Mask | None, label_map: LabelMap) -> Image:
    """Draw one small picture.

    Args:
        image: uint8 (H, W, 3) RGB.
        mask: uint8 (H, W) raw ids, drawn over the image, or alone.

    Returns:
        uint8 (h, w, 3) RGB, within `HEIGHT` and `WIDTH`.

    Raises:
        ValueError: neither is given.
    """
    given = image if image is not None else mask
    if given is None:
        raise ValueError("there is nothing to draw")
    height, width = given.shape[:2]
    scale = min(HEIGHT / height, WIDTH / width, _LARGEST)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.full((size[1], size[0], 3), 128, np.uint8) if image is None else _resized(image, size)
    if mask is None:
        return canvas
    ids = label_map.encode(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))
    opacity = 1.0 if image is None else _OPACITY
    tinted = canvas * (1 - opacity) + label_map.colours[ids] * opacity
    stripes = np.add.outer(np.arange(size[1]), np.arange(size[0])) // _STRIPE % 2
    hatched = canvas * 0.4 + np.where(stripes, 200, 60)[..., None] * 0.6
    result = np.where((ids == VOID)[..., None], hatched, tinted)
    illegal = _widened(~label_map.legal[mask], size)
    rows, columns = np.indices(illegal.shape) // _STRIPE
    loud = np.array(_LOUD)[(rows + columns) % 2]
    return np.where(illegal[..., None], loud, np.rint(result)).astype(np.uint8)


def uri(picture: Image) -> str:
    """Uint8 (H, W, 3) RGB -> a WebP as a ``data:`` address; equal pictures give equal text."""
    _, data = cv2.imencode(".webp", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    return f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode()}"


def tinted_uri(shares: np.ndarray, colour: tuple[int, int, int]) -> str:
    """Shares 0..1 (H, W) -> a PNG of one colour that is as opaque as they are large, as a ``data:`` address."""
    bgra = np.empty((*shares.shape, 4), dtype=np.uint8)
    bgra[..., :3] = colour[::-1]
    bgra[..., 3] = np.rint(shares * 255)
    _, data = cv2.imencode(".png", bgra)
    return f"data:image/png;base64,{base64.b64encode(data.tobytes()).decode()}"


def _thumbnail(picture: Image, caption: str) -> Thumbnail:
    return Thumbnail(caption=caption, uri=uri(picture), width=picture.shape[1], height=picture.shape[0])


def _resized(image: Image, size: tuple[int, int]) -> Image:
    smaller = size[0] < image.shape[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST))


def _widened(flags: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Flags at a thumbnail's size: each spot that is set at least `_SEEN` pixels across."""
    if not flags.any():
        return np.zeros(size[::-1], dtype=bool)
    rows, columns = (
        (2 * places + 1) * side // (2 * length)
        for places, side, length in zip(np.nonzero(flags), size[::-1], flags.shape, strict=True)
    )
    small = cv2.resize(flags.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    spots = np.zeros_like(small)
    spots[rows, columns] = 1  # the resized flags may have stepped over them
    return np.asarray(small | cv2.dilate(spots, np.ones((_SEEN, _SEEN), np.uint8)), dtype=bool)


def _foreign(mask: Mask, label_map: LabelMap) -> bool:
    """Whether most of a mask is illegal: marking it all would hide what it shows."""
    return bool(np.count_nonzero(label_map.legal[mask]) < mask.size / 2)


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[0]}x{pixels.shape[1]}"
