"""Read the images of a request to a served model, and check them before the network sees them.

A request is an array, a list of arrays, or one or more image files: as bytes, or as text in base64. An image array is
(H, W) grey, or (H, W, C) with C channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha; a batch is (N, H, W, C).
Values are 0..255. Alpha is dropped, as ``segline predict`` does with files.

Nothing is guessed. Floats within 0..1 could be a bright image in another range, or a nearly black one, so they are
refused. So is an array (3, H, W), which could be three grey images.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segline.core.labels import Image
from segline.data.images.deep import Levels
from segline.errors import DataError, shortened
from segline.inference.photos import decode_photo
from segline.pictures import refuse_large

_SHAPES = "(H, W), (H, W, C) or (N, H, W, C) with C of 1 grey, 2 grey and alpha, 3 RGB or 4 RGB and alpha"
_RANGE = "whole numbers within 0..255"
_NUMBERS = "buif"  # NumPy's kinds: booleans, whole numbers, floats
_MAX_CHANNELS = 4
_COLOUR_CHANNELS = 3
_MAX_VALUE = 255


@dataclass(frozen=True, kw_only=True)
class Request:
    """The images of a request.

    Args:
        images: uint8 (H, W, 3) RGB each, of any sizes.
        single: the request is one image, not a batch.
        stacked: the request is one array (N, H, W, C).
        warnings: sentences about what was not as in most files.
    """

    images: tuple[Image, ...]
    single: bool = False
    stacked: bool = False
    warnings: tuple[str, ...] = ()


def read_request(given: Any, *, levels: Levels | None) -> Request:
    """Read the images that `given` holds.

    Args:
        given: array, nested list, bytes, base64 text, or a list of them.
        levels: the values of 16-bit image files that become 0 and 255; None: they were not stated.

    Raises:
        DataError: there is no image, or one of another shape, range or type; the error names its position.
    """
    if isinstance(given, str | bytes | bytearray):
        return _decode_files([given], levels, single=True)
    if isinstance(given, list | tuple):
        return _read_list(given, levels)
    array = np.asarray(given)
    if array.dtype.kind in "US":
        texts = array.reshape(-1).tolist()
        return _decode_files(texts, levels, single=array.ndim == 0)
    if array.dtype == object:
        return _read_list(array.reshape(-1).tolist(), levels)
    if array.ndim == 4:
        _refuse_empty(array, "images")
        checked = _check_image(array, place="images")
        return Request(images=tuple(map(_to_rgb, checked)), stacked=True)
    return Request(images=(_read_array(array, place="image"),), single=True)


def _read_list(given: Sequence[Any], levels: Levels | None) -> Request:
    """Read a list of images, or a nested list that is one array."""
    if not given:
        raise _report_empty("images", "a list without images")
    if all(isinstance(each, str | bytes | bytearray) for each in given):
        return _decode_files(given, levels, single=False)
    whole = _to_array(given)
    if whole is not None and whole.dtype.kind in _NUMBERS and not any(isinstance(each, np.ndarray) for each in given):
        return read_request(whole, levels=levels)  # nested lists of numbers
    images: list[Image] = []
    warnings: list[str] = []
    for position, each in enumerate(given, start=1):
        read = _read_one(each, f"image {position}", levels)
        images += read.images
        warnings += read.warnings
    return Request(images=tuple(images), warnings=tuple(warnings))


def _read_one(given: Any, place: str, levels: Levels | None) -> Request:
    """Read one image of a list."""
    if isinstance(given, str | bytes | bytearray):
        return _decode_file(given, place, levels)
    array = _to_array(given)
    if array is None or array.dtype.kind not in _NUMBERS:
        raise DataError(
            place,
            found="no array of numbers" if array is None else f"values of type {array.dtype}",
            expected="an array, or an image file as bytes or base64 text",
            remedy="send every image in one of these forms; rows of an image have equal lengths",
        )
    return Request(images=(_read_array(array, place=place),))


def _to_array(given: Any) -> npt.NDArray[Any] | None:
    """Make an array of nested lists; None if their lengths differ."""
    try:
        return np.asarray(given)
    except ValueError:
        return None


def _decode_files(given: Sequence[Any], levels: Levels | None, *, single: bool) -> Request:
    if not given:
        raise _report_empty("images", "a list without images")
    read = [_decode_file(each, f"image {position}", levels) for position, each in enumerate(given, start=1)]
    return Request(
        images=tuple(image for each in read for image in each.images),
        single=single,
        warnings=tuple(warning for each in read for warning in each.warnings),
    )


def _decode_file(given: str | bytes | bytearray, place: str, levels: Levels | None) -> Request:
    """Decode an image file exactly as ``segline predict`` reads it."""
    data = _decode_base64(given, place) if isinstance(given, str) else bytes(given)
    photo = decode_photo(data, place=Path(place), levels=levels)
    warnings = (f"{place}: only the first page or frame is predicted",) if photo.has_more else ()
    return Request(images=(photo.pixels,), warnings=warnings)


def _decode_base64(text: str, place: str) -> bytes:
    """Decode base64; line ends, and the prefix of a ``data:`` address, are allowed."""
    _, _, encoded = text.partition("base64,") if text.startswith("data:") else ("", "", text)
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(
            place,
            found=f"text that is not base64 ({shortened(str(error))}): {shortened(repr(text[:24]))}",
            expected="the bytes of an image file in base64",
            remedy="encode the whole file, with the standard alphabet (in Python: base64.b64encode)",
        ) from error


def _read_array(array: npt.NDArray[Any], *, place: str) -> Image:
    """Check an array that is one image, and convert it to uint8 (H, W, 3)."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3:
        raise _report_shape(array, place)
    _refuse_empty(array, place)
    return _to_rgb(_check_image(array, place=place))


def _check_image(array: npt.NDArray[Any], *, place: str) -> Image:
    """Check shape, size and values of an array (..., H, W, C); return it as uint8."""
    height, width, channels = array.shape[-3:]
    if channels > _MAX_CHANNELS:
        raise _report_shape(array, place)
    refuse_large(width, height, place=Path(place))
    return _check_values(array, place)


def _check_values(array: npt.NDArray[Any], place: str) -> Image:
    """Return `array` as uint8 if its values are pixel values 0..255."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "uif":
        raise _report_values(place, f"values of type {array.dtype}", "send pixel values as numbers")
    low, high = array.min(), array.max()
    if not np.isfinite(low) or not np.isfinite(high):
        raise _report_values(place, "values that are NaN or infinite", "correct how the image is computed")
    if low < 0 or high > _MAX_VALUE:
        remedy = "undo a normalisation, and scale to 0..255; send an image of 16 bits as a PNG or TIFF file"
        raise _report_values(place, f"values {low:g}..{high:g}", remedy)
    if array.dtype.kind == "f":
        if 0 < high <= 1:
            raise _report_values(place, f"floats {low:g}..{high:g}", "multiply them by 255 and round them")
        if (array != np.floor(array)).any():
            raise _report_values(place, f"floats {low:g}..{high:g} with fractions", "round them, if they are 0..255")
    return array.astype(np.uint8)


def _to_rgb(image: Image) -> Image:
    """Repeat grey (H, W, 1 or 2) in three channels, drop alpha."""
    if image.shape[-1] < _COLOUR_CHANNELS:
        return np.repeat(image[..., :1], _COLOUR_CHANNELS, axis=-1)
    return np.ascontiguousarray(image[..., :_COLOUR_CHANNELS])


def _refuse_empty(array: npt.NDArray[Any], place: str) -> None:
    if not array.size:
        raise _report_empty(place, f"an array of shape {array.shape}")


def _report_empty(place: str, found: str) -> DataError:
    return DataError(place, found=f"{found}: no pixels", expected="at least one image", remedy="send an image")


def _report_shape(array: npt.NDArray[Any], place: str) -> DataError:
    if not array.size:
        return _report_empty(place, f"an array of shape {array.shape}")
    return DataError(
        place,
        found=f"an array of shape {array.shape}",
        expected=_SHAPES,
        remedy="move the channels to the last axis; add one to a batch of grey images (images[..., None])",
    )


def _report_values(place: str, found: str, remedy: str) -> DataError:
    return DataError(place, found=found, expected=_RANGE, remedy=remedy)
