"""Open images that others made with Pillow: the documented formats only, up to a limit of pixels.

Pillow knows some fifty formats, and chooses by the first bytes, whatever the file name is. For one of them,
PostScript, it starts Ghostscript. So every image is opened here.
"""

import io
import struct
import warnings
from pathlib import Path

# `Pillow.open(formats=...)` imports all fifty plugins, unless those of the named formats have been imported.
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
"""Formats that Pillow may read; it reads MPO, which some cameras write, as JPEG."""

REMEDY = "restore the file from its archive (`dvc repro` extracts it anew), or correct the source"

_PREFIX_BYTES = 16
"""Bytes by which Pillow recognises a format."""
_TIFF_TILE_SIDE_TAGS = (322, 323)

# Segline's own error about too many pixels names the setting.
warnings.filterwarnings("ignore", category=Pillow.DecompressionBombWarning)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        DataError: it cannot be read, is no regular file, or has more than SEGLINE_IMAGE_BYTES.
    """
    try:
        return reading.read_bytes(
            path, limit=image_bytes(), expected="an image in a regular file", setting="SEGLINE_IMAGE_BYTES"
        )
    except OSError as error:
        raise DataError(
            path, found=f"cannot be read: {error.strerror}", expected="an image file", remedy=REMEDY
        ) from error


def open_picture(data: bytes, *, place: Path) -> Pillow.Image:
    """Open the image in `data`: read its header, but not its pixels.

    Args:
        place: its name in errors.

    Raises:
        DataError: `data` are no image, are of another format, or have more than SEGLINE_IMAGE_PIXELS.
    """
    limit = image_pixels()
    Pillow.MAX_IMAGE_PIXELS = limit  # Pillow's own limit is for web pages: aerial images have more
    try:
        opened = Pillow.open(io.BytesIO(data), formats=FORMATS)
    except MemoryError:
        raise
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise _too_many_pixels(place, str(error).partition(" exceeds ")[0]) from error
    except Exception as error:  # on hostile bytes a decoder may raise any exception
        raise _unreadable(data, place, error) from error
    refuse_large(opened.width, opened.height, place=place)
    tags = getattr(opened, "tag_v2", {})
    height, width = (side if isinstance(side := tags.get(tag), int) else 0 for tag in _TIFF_TILE_SIDE_TAGS)
    refuse_large(width, height, place=place)  # a tile is decoded whole, however little of it is in the image
    return opened


def load_picture(opened: Pillow.Image, *, place: Path) -> Pillow.Image:
    """Decode the pixels of an image that `open_picture` returned.

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
    """Refuse an image of more than SEGLINE_IMAGE_PIXELS.

    Raises:
        DataError: it has more.
    """
    if width * height > image_pixels():
        raise _too_many_pixels(place, f"{width} x {height} = {width * height} pixels")


def _too_many_pixels(place: Path, found: str) -> DataError:
    limit = image_pixels()
    return DataError(
        place,
        # Findings and lists of files show `found` alone, so it names the setting.
        found=f"too many pixels: {found}, more than SEGLINE_IMAGE_PIXELS {limit}",
        expected=f"at most {limit} pixels",
        remedy="cut the image into tiles; or, if the memory suffices (about 10 bytes a pixel), "
        f"set SEGLINE_IMAGE_PIXELS to more than {limit}",
    )


def _unreadable(data: bytes, place: Path, error: Exception) -> DataError:
    name = _recognise_format(data[:_PREFIX_BYTES])
    if name and name not in FORMATS:
        return DataError(
            place,
            found=f"an image in the format {name}, by its first bytes",
            expected="JPEG, PNG, GIF, BMP, TIFF or WebP, whatever the file name is",
            remedy="convert it to PNG, or remove it",
        )
    found = f"a damaged {name}: {error}" if name else f"no image: it starts with {data[:8]!r}"
    return DataError(place, found=found, expected="an image", remedy=REMEDY)


def _recognise_format(prefix: bytes) -> str:
    """Return the format that Pillow recognises by the first bytes, those that Segline refuses first; "" for none."""
    Pillow.init()  # imports all formats; `open_picture` states which may be opened
    for name in sorted(Pillow.OPEN, key=lambda name: name in FORMATS):
        accept = Pillow.OPEN[name][1]
        try:
            if accept is not None and accept(prefix):
                return name
        except (IndexError, struct.error, TypeError):
            continue  # fewer bytes than it needs
    return ""
