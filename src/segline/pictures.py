"""Pictures that others made, opened by Pillow: the documented formats only, and no more pixels than are allowed.

Pillow knows some fifty formats, and guesses by the first bytes, whatever a file is called. One of them is
PostScript, for which it starts Ghostscript. So every picture is opened here.
"""

import io
import struct
import warnings
from pathlib import Path

# Only formats whose plugins are imported can be asked for without importing all fifty.
from PIL import (
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)
from PIL import Image as Pillow

from segline import reading
from segline.errors import DataError
from segline.project import image_bytes, image_pixels

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
"""What Pillow may take a file for; MPO, which some cameras write, is a kind of JPEG to it."""

REMEDY = "restore the file from its archive (`dvc repro` extracts it anew), or correct the source"

_PREFIX = 16  # bytes that Pillow knows formats by
_TIFF_TILE_SIDES = (322, 323)  # tags

# Where there are too many pixels we say it, as an error that names the setting.
warnings.filterwarnings("ignore", category=Pillow.DecompressionBombWarning)


def read_bytes(path: Path) -> bytes:
    """The bytes of an image's file.

    Raises:
        DataError: it cannot be read, is no regular file, or has more than SEGLINE_IMAGE_BYTES.
    """
    try:
        return reading.read_bytes(
            path,
            limit=image_bytes(),
            expected="an image in a regular file",
            setting="SEGLINE_IMAGE_BYTES",
        )
    except OSError as error:
        raise DataError(
            path, found=f"cannot be read: {error.strerror}", expected="an image file", remedy=REMEDY
        ) from error


def open_picture(data: bytes, *, place: Path) -> Pillow.Image:
    """The picture that `data` holds, its header read and its pixels not.

    Args:
        place: names it in errors.

    Raises:
        DataError: it is none, is of another format, or has more than SEGLINE_IMAGE_PIXELS.
    """
    limit = image_pixels()
    Pillow.MAX_IMAGE_PIXELS = limit  # Pillow's own is for pages of the web: legal aerial images have more
    try:
        opened = Pillow.open(io.BytesIO(data), formats=FORMATS)
    except MemoryError:
        raise
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise _too_many_pixels(place, str(error).partition(" exceeds ")[0]) from error
    except Exception as error:  # what a decoder raises on hostile bytes is not a closed set
        raise _no_picture(data, place, error) from error
    refuse_large(opened.width, opened.height, place=place)
    tile = [_number(opened.tag_v2.get(tag)) for tag in _TIFF_TILE_SIDES] if hasattr(opened, "tag_v2") else [0, 0]
    refuse_large(*tile, place=place)  # one is decoded whole, however little of it is seen
    return opened


def load_picture(opened: Pillow.Image, *, place: Path) -> Pillow.Image:
    """Decode the pixels of what `open_picture` opened.

    Raises:
        DataError: they are damaged.
    """
    try:
        opened.load()
    except MemoryError:
        raise
    except Exception as error:  # as in `open_picture`
        raise DataError(
            place, found=f"a damaged {opened.format}: {error}", expected="a whole image", remedy=REMEDY
        ) from error
    return opened


def refuse_large(width: int, height: int, *, place: Path) -> None:
    """Refuse a picture of more than SEGLINE_IMAGE_PIXELS.

    Raises:
        DataError: it has more.
    """
    if width * height > image_pixels():
        raise _too_many_pixels(place, f"{width} x {height} = {width * height} pixels")


def _too_many_pixels(place: Path, found: str) -> DataError:
    limit = image_pixels()
    return DataError(
        place,
        found=f"too many pixels to be decoded: {found}, of SEGLINE_IMAGE_PIXELS {limit}",
        expected=f"at most {limit} pixels",
        remedy="cut it into tiles; or, if the memory suffices (some 10 bytes a pixel), "
        f"set SEGLINE_IMAGE_PIXELS to more than {limit}",
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _no_picture(data: bytes, place: Path, error: Exception) -> DataError:
    kind = _other_format(data[:_PREFIX])
    if kind:
        return DataError(
            place,
            found=f"a picture in the format {kind}, by its first bytes",
            expected="JPEG, PNG, GIF, BMP, TIFF or WebP, whatever the file is called",
            remedy="convert it to PNG, or take it away",
        )
    known = _other_format(data[:_PREFIX], FORMATS)
    found = f"a damaged {known}: {error}" if known else f"no image: it starts with {data[:8]!r}"
    return DataError(place, found=found, expected="an image", remedy=REMEDY)


def _other_format(prefix: bytes, among: tuple[str, ...] | None = None) -> str:
    """The format that Pillow would take a file for by its first bytes: one of `among`, or one that we do not read."""
    Pillow.init()  # the names of all formats; `open_picture` states which may be opened
    names = among or tuple(name for name in Pillow.OPEN if name not in FORMATS)
    for name in names:
        accept = Pillow.OPEN[name][1]
        try:
            if accept is not None and accept(prefix):
                return name
        except (IndexError, struct.error, TypeError):
            continue  # fewer bytes than it looks at
    return ""
