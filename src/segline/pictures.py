"""Open untrusted image files with Pillow: only the documented formats, and only up to a limit of pixels.

Pillow supports some fifty formats, and recognises them by the first bytes, not by the file name. For PostScript it
starts Ghostscript. To prevent this, all images are opened through this module.
"""

import io
import struct
import warnings
from pathlib import Path

# `Pillow.open(formats=...)` imports all fifty plugins, unless the plugins of `formats` are already imported.
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

REMEDY = "restore the file from its archive (`dvc repro` extracts it again), or correct the source"

_PREFIX_BYTES = 16
"""Number of first bytes that Pillow needs to recognise a format."""
_TIFF_TILE_SIDE_TAGS = (322, 323)

# Not needed: Segline raises its own error about too many pixels, which names the setting.
warnings.filterwarnings("ignore", category=Pillow.DecompressionBombWarning)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        DataError: the file cannot be read, is not a regular file, or has more than SEGLINE_IMAGE_BYTES bytes.
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
        place: path of the file, for errors.

    Raises:
        DataError: `data` is not an image, has another format, or has more than SEGLINE_IMAGE_PIXELS pixels.
    """
    limit = image_pixels()
    Pillow.MAX_IMAGE_PIXELS = limit  # Pillow's own limit is meant for web pages; aerial images are larger
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
    refuse_large(
        width, height, place=place
    )  # Pillow decodes complete tiles, even if the image shows only a part of them
    return opened


def load_picture(opened: Pillow.Image, *, place: Path) -> Pillow.Image:
    """Decode the pixels of an image that `open_picture` returned.

    Raises:
        DataError: the image is damaged.
    """
    try:
        opened.load()
    except MemoryError:
        raise
    except Exception as error:  # as in `open_picture`
        raise DataError(
            place, found=f"a damaged {opened.format}: {error}", expected="a complete image", remedy=REMEDY
        ) from error
    return opened


def refuse_large(width: int, height: int, *, place: Path) -> None:
    """Refuse an image of more than SEGLINE_IMAGE_PIXELS pixels.

    Raises:
        DataError: the image has more.
    """
    if width * height > image_pixels():
        raise _too_many_pixels(place, f"{width} x {height} = {width * height} pixels")


def _too_many_pixels(place: Path, found: str) -> DataError:
    limit = image_pixels()
    return DataError(
        place,
        # Findings and lists of files show only `found`, so it names the setting.
        found=f"too many pixels: {found}, more than SEGLINE_IMAGE_PIXELS {limit}",
        expected=f"at most {limit} pixels",
        remedy="cut the image into tiles; or, if there is enough memory (about 10 bytes per pixel), "
        f"set SEGLINE_IMAGE_PIXELS to more than {limit}",
    )


def _unreadable(data: bytes, place: Path, error: Exception) -> DataError:
    name = _recognise_format(data[:_PREFIX_BYTES])
    if name and name not in FORMATS:
        return DataError(
            place,
            found=f"an image in the format {name}, according to its first bytes",
            expected="JPEG, PNG, GIF, BMP, TIFF or WebP, whatever the file name is",
            remedy="convert it to PNG, or remove it",
        )
    found = f"a damaged {name}: {error}" if name else f"no image: it starts with {data[:8]!r}"
    return DataError(place, found=found, expected="an image", remedy=REMEDY)


def _recognise_format(prefix: bytes) -> str:
    """Return the format that Pillow recognises by the first bytes, or ""; try refused formats first."""
    Pillow.init()  # imports all formats, but `open_picture` opens only `FORMATS`
    for name in sorted(Pillow.OPEN, key=lambda name: name in FORMATS):
        accept = Pillow.OPEN[name][1]
        try:
            if accept is not None and accept(prefix):
                return name
        except (IndexError, struct.error, TypeError):
            continue  # fewer bytes than it needs
    return ""
