"""Read the mask of a single class: black outside, one other value inside."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from segline.data.images.decode import decode_image, decode_mask
from segline.errors import DataError
from segline.pictures import open_picture, read_bytes

_MAX_VALUES_SHOWN = 5


def read_binary_mask(path: Path) -> npt.NDArray[np.bool_]:
    """Read a mask of one class, in grey or in colour.

    Returns:
        (H, W), true where it is not black.

    Raises:
        DataError: it cannot be read, is lossy, or has more than two values.
    """
    data = read_bytes(path)
    with open_picture(data, place=path) as opened:
        coloured = opened.mode in ("RGB", "RGBA", "LA") and opened.format not in ("JPEG", "MPO", "WEBP")
    values = decode_image(data, place=path).pixels.max(axis=2) if coloured else decode_mask(data, place=path)
    held = np.unique(values)
    if len(held) > 2 or (len(held) == 2 and held[0] != 0):
        some = ", ".join(map(str, held[:_MAX_VALUES_SHOWN])) + (", ..." if len(held) > _MAX_VALUES_SHOWN else "")
        raise DataError(
            path,
            found=f"{len(held)} values: {some}",
            expected="0 outside the class and one other value inside, because there is one mask for each class",
            remedy="export the mask without smoothing (two values); or correct `masks` and `encoding` in own/NAME.yaml",
        )
    return np.asarray(values > 0)
