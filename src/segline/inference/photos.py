"""Read images that a user gives to a network, in the view that people see.

Images of datasets are read as they are stored, see `segline.data.images.decode`, because their masks are drawn on the
stored pixels. A user's photo has no mask. Its label map must fit the photo as programs show it, so that an EXIF
orientation is applied.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segline.core.labels import Image
from segline.data.images.decode import FIRST_FRAME, TURNED, decode_image
from segline.data.images.deep import Levels
from segline.errors import DataError
from segline.pictures import REMEDY, read_bytes

_UPRIGHT = 1
_REPLACE = "replace it by an intact copy, or remove it"


@dataclass(frozen=True, kw_only=True)
class Photo:
    """An image as people see it.

    Args:
        pixels: uint8 (H, W, 3) RGB.
        turned: whether its pixels were turned or mirrored, as its EXIF orientation says.
        has_more: whether its file has further pages or frames, which are not read.
    """

    pixels: Image
    turned: bool
    has_more: bool


def read_photo(path: Path, *, levels: Levels | None) -> Photo:
    """Read an image file as `segline.data.images.decode.read_image` does, and turn it upright.

    Raises:
        DataError: as `read_image`, with a remedy for a user's own file.
    """
    return decode_photo(read_file(path), place=path, levels=levels)


def read_file(path: Path) -> bytes:
    """Return the content of an image file, with an error for a user's own file if it cannot be read."""
    try:
        return read_bytes(path)
    except DataError as error:
        raise _for_users(error) from error


def decode_photo(data: bytes, *, place: Path, levels: Levels | None) -> Photo:
    """Decode the content of an image file as `read_photo` does; `place` names it in errors."""
    try:
        decoded = decode_image(data, place=place, levels=levels)
    except DataError as error:
        raise _for_users(error) from error
    return Photo(
        pixels=upright(decoded.pixels, orientation=decoded.orientation),
        turned=decoded.orientation != _UPRIGHT or TURNED in decoded.notes,
        has_more=FIRST_FRAME in decoded.notes,
    )


def upright(image: Image, *, orientation: int) -> Image:
    """Turn and mirror an image (H, W, 3) as its EXIF orientation, 1..8, says.

    The numbers are those of the tag 0x0112 in CIPA DC-008 (Exif 2.32).
    """
    if orientation in (5, 7):  # mirrored and turned
        image = image.transpose(1, 0, 2)
    quarters = {3: 2, 6: -1, 7: 2, 8: 1}.get(orientation, 0)
    axis = {2: 1, 4: 0}.get(orientation)
    turned = np.rot90(image, quarters)
    return np.ascontiguousarray(turned if axis is None else np.flip(turned, axis))


def _for_users(error: DataError) -> DataError:
    """Replace a remedy that only helps with a dataset's file."""
    if error.remedy != REMEDY:
        return error
    return DataError(error.place, found=error.found, expected=error.expected, remedy=_REPLACE)
