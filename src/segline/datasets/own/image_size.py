"""Read the size of an image from its header, for annotations that do not state it."""

from pathlib import Path

from segline.errors import DataError
from segline.pictures import open_picture, read_bytes

_ORIENTATION = 0x0112  # EXIF tag
_TURNED = range(2, 9)


def image_size(path: Path) -> tuple[int, int]:
    """Return height and width of an image.

    Raises:
        DataError: it cannot be read; or an EXIF orientation turns it, so that it is not known which view was labelled.
    """
    with open_picture(read_bytes(path), place=path) as opened:
        height, width = opened.height, opened.width
        try:
            orientation = opened.getexif().get(_ORIENTATION)
        except Exception:  # on hostile bytes a decoder may raise any exception; the image itself is checked later
            orientation = None
    if orientation in _TURNED:
        raise DataError(
            path,
            found=f"EXIF orientation {orientation}, and annotations that do not say which view of it was labelled",
            expected="an image that is stored upright",
            remedy="if the upright view was labelled, store it: `mogrify -auto-orient FILE` (ImageMagick); if the "
            "stored pixels were labelled, delete the tag: `exiftool -Orientation= FILE`",
        )
    return height, width
