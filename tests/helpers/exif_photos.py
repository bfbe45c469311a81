"""Photos as a camera stores them: turned, with the EXIF orientation that turns them upright again."""

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

STORE = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT, 3: Pillow.Transpose.ROTATE_180, 4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE, 6: Pillow.Transpose.ROTATE_90, 7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_270,
}  # fmt: skip


def stored(orientation):
    """How a camera stores an upright picture with an EXIF orientation."""

    def store(picture):
        turned = Pillow.fromarray(picture).transpose(STORE[orientation])
        turned.getexif()[0x0112] = orientation
        return turned

    return store


def as_shown(mask, orientation):
    """A stored mask as a viewer shows a photo of that orientation; Pillow is the referee."""
    picture = Pillow.fromarray(mask)
    picture.getexif()[0x0112] = orientation
    return np.array(ImageOps.exif_transpose(picture))
