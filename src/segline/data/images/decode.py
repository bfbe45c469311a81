"""Decode image and mask files to arrays, and write PNG files.

Images become uint8 (H, W, 3) RGB, masks uint8 (H, W) raw ids, for every file format. Pixels are returned as stored:
an EXIF orientation is *not* applied, only noted, because publishers draw masks on the stored pixels, and a rotated
image would no longer match its mask. TIFF is the exception: Pillow turns it, and the note says so. A truncated file is
an error, never an image filled up with grey.
"""

import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from segline.core.coding import Colours
from segline.core.labels import Image, Mask
from segline.data.images.deep import FULL, Levels, reduce_depth
from segline.data.images.palettes import Palette, grey_palette, read_palette, translated
from segline.errors import DataError
from segline.pictures import REMEDY, load_picture, open_picture, read_bytes, refuse_large
from segline.storage import reporting_storage

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_HEADER_END = 33  # bytes of a PNG's signature and first chunk, with its checksum
_PNG_TEXTS = {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}  # chunks that can hold an orientation
_PNG_HEADER = b"\0\0\0\rIHDR"  # length and name of the first chunk
_GREY, _RGB, _PALETTE = 0, 2, 3  # PNG colour types
_DEEP_PNG = 16  # bits
_ORIENTATION = 0x0112  # EXIF tag
_MAX_COLOURS_COUNTED = 4096  # more colours than this cannot be classes
_UPRIGHT = 1  # EXIF orientation
_TURNED = range(2, 9)  # EXIF orientations that turn or mirror; other values than these and 1 are undefined

NOT_TURNED = "EXIF orientation not applied: pixels as stored"
"""Note about an image that programs which apply the orientation show turned."""

TURNED = "EXIF orientation applied, as Pillow does for TIFF"
"""Note about an image whose pixels are turned."""

FIRST_FRAME = "only the first frame read"
"""Note about a file with further frames or pages."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Image, uint8 (H, W, 3) RGB, and notes about unusual properties of its file.

    Args:
        orientation: EXIF orientation, 1..8, that is not applied to `pixels`; 1 is upright.
    """

    pixels: Image
    notes: tuple[str, ...]
    orientation: int = _UPRIGHT


@dataclass(frozen=True, kw_only=True)
class DecodedMask:
    """Mask, uint8 (H, W) raw ids, and the colours of the values that its file stores.

    Args:
        palette: empty for 8 bits without a palette.
        grey: the colours are only the grey levels of a mask of less than 8 bits.
    """

    ids: Mask
    palette: Palette
    grey: bool = False


def read_image(path: Path, *, levels: Levels | None = None) -> Image:
    """Read a JPEG, PNG, GIF (first frame), BMP, TIFF or WebP with any colour mode.

    Args:
        levels: the values of a 16-bit image that become 0 and 255. None: all 16 bits are used.

    Returns:
        uint8 (H, W, 3) RGB. Alpha is dropped.

    Raises:
        DataError: the file is missing, truncated, too large or not an image, or it has 16 bits and their range is
            not known.
    """
    return decode_image(read_bytes(path), place=path, levels=levels).pixels


def read_mask(path: Path, *, colours: Colours | None = None) -> Mask:
    """Read a mask from a lossless single-channel file. Of a palette image, read the indices, not the colours.

    If `colours` is given, read a coloured image instead, and map each colour to its id. If it is `Colours.indexed`,
    read a single-channel file; the indices of a palette become the ids of their colours if all are known.

    Returns:
        uint8 (H, W) raw ids.

    Raises:
        DataError: the file is missing, truncated, lossy, coloured (without `colours`) or has more than 8 bits.
    """
    return decode_mask(read_bytes(path), place=path, colours=colours)


def write_png(path: Path, array: npt.NDArray[np.uint8]) -> None:
    """Write uint8 (H, W) or (H, W, 3) RGB; for use inside an `atomic_folder` or `atomic_file`.

    Raises:
        StorageError: the disk is full, or writing is not permitted.
    """
    stored = cv2.cvtColor(array, cv2.COLOR_RGB2BGR) if array.ndim == 3 else array
    _, data = cv2.imencode(".png", stored)
    with reporting_storage(path):
        path.write_bytes(data.tobytes())


def decode_image(data: bytes, *, place: Path, levels: Levels | None = None) -> Decoded:
    """Decode an image as `read_image` does, from bytes; `place` names them in errors."""
    chunks = _refuse_damage(data, place)
    notes, orientation = [], _UPRIGHT
    with open_picture(data, place=place) as opened:
        form, mode = str(opened.format), opened.mode
        # Pillow decodes the whole PNG to find EXIF data, so ask only if there may be some.
        stated = _read_orientation(opened) if form != "PNG" or chunks & _PNG_TEXTS else _UPRIGHT
        if stated != _UPRIGHT:
            notes.append(TURNED if form == "TIFF" else NOT_TURNED)
            orientation = _UPRIGHT if form == "TIFF" else stated
        if form != "MPO" and _is_animated(opened):
            notes.append(FIRST_FRAME)
    if mode != "RGB" or form not in ("JPEG", "PNG", "MPO"):
        notes.append(f"{form} {mode} read as RGB" + (", alpha dropped" if mode in ("RGBA", "LA", "PA") else ""))
    if _is_deep(data, mode):
        first, last = levels or FULL
        notes.append(f"16 bits reduced to 8: {first}..{last} became 0..255")
    pixels = _decode_fast(data) if form in ("JPEG", "PNG") and mode == "RGB" else None
    return Decoded(
        pixels=_decode_any(data, place, levels) if pixels is None else pixels,
        notes=tuple(notes),
        orientation=orientation,
    )


def decode_mask(data: bytes, *, place: Path, colours: Colours | None = None) -> Mask:
    """Decode a mask as `read_mask` does, from bytes; `place` names them in errors."""
    return decode_mask_and_palette(data, place=place, colours=colours).ids


def decode_mask_and_palette(data: bytes, *, place: Path, colours: Colours | None = None) -> DecodedMask:
    """Decode a mask as `read_mask` does, from bytes, and return the palette of its file, too."""
    if colours is not None and not colours.indexed:
        return DecodedMask(ids=_decode_coloured(data, place, colours), palette={})
    stored = _decode_stored(data, place)
    table = colours.translate(stored.palette) if colours is not None and stored.palette else None
    return stored if table is None else replace(stored, ids=translated(stored.ids, table))


def _decode_stored(data: bytes, place: Path) -> DecodedMask:
    """Return the values that a mask file stores, and their colours."""
    _refuse_damage(data, place)
    depth, colour = _read_png_form(data) if data.startswith(_PNG) else (8, None)
    if depth == 8 and colour == _GREY:
        refuse_large(*struct.unpack_from(">II", data, 16), place=place)
        pixels = _decode_with_opencv(data, cv2.IMREAD_UNCHANGED)
        if pixels is not None and pixels.ndim == 2:
            return DecodedMask(ids=np.asarray(pixels, dtype=np.uint8), palette={})
    with open_picture(data, place=place) as opened:
        if opened.mode in ("RGB", "RGBA") and opened.format not in ("JPEG", "MPO", "WEBP"):
            held = _describe_colours(load_picture(opened, place=place))
            raise DataError(
                place,
                found=f"a coloured picture ({opened.format} {opened.mode}); {held}",
                expected="a mask with one 8-bit channel of ids",
                remedy="convert it to one id per pixel; for your own data, set `encoding: rgb`",
            )
        if opened.mode not in ("L", "P", "1") or opened.format in ("JPEG", "MPO", "WEBP") or depth > 8:
            raise DataError(
                place,
                found=f"a {opened.format} of mode {opened.mode}, {depth} bits",
                expected="a lossless mask with one 8-bit channel of raw ids (PNG, mode L or P)",
                remedy="convert it to PNG with one id per pixel, without colours",
            )
        loaded = load_picture(opened, place=place)
        mask = np.array(loaded, dtype=np.uint8)
        if loaded.mode == "P":
            return DecodedMask(ids=mask, palette=read_palette(loaded, mask))
        if loaded.mode == "1":
            return DecodedMask(ids=mask, palette=grey_palette(mask, depth=1), grey=True)
    if colour == _GREY and depth in (2, 4):
        # Pillow scales grey of 2 and 4 bits to 0..255; undo this, because ids are the stored values.
        mask = mask // (255 // (2**depth - 1))
        return DecodedMask(ids=mask, palette=grey_palette(mask, depth=depth), grey=True)
    return DecodedMask(ids=mask, palette={})


def stated_shape(data: bytes) -> tuple[int, int] | None:
    """Return the (H, W) in the header of a PNG of ids, without decoding it; None for any other file."""
    if len(data) < _HEADER_END or not data.startswith(_PNG) or _read_png_form(data)[1] not in (_GREY, _PALETTE):
        return None
    width, height, stated = *struct.unpack_from(">II", data, 16), *struct.unpack_from(">I", data, _HEADER_END - 4)
    return (height, width) if zlib.crc32(data[12 : _HEADER_END - 4]) == stated else None


def _describe_colours(picture: Pillow.Image) -> str:
    """Describe how many colours a picture has, and list the most frequent ones."""
    counted = picture.convert("RGB").getcolors(maxcolors=_MAX_COLOURS_COUNTED)
    if counted is None:  # counting the colours of a photograph takes seconds
        return f"it has more than {_MAX_COLOURS_COUNTED} colours, like a photograph"
    counted.sort(reverse=True)
    shown = ", ".join(str(colour) for _, colour in counted[:5])
    return f"it has {len(counted)} colours, most frequently {shown}"


def _decode_coloured(data: bytes, place: Path, colours: Colours) -> Mask:
    if data.startswith(_JPEG):
        raise DataError(
            place,
            found="a JPEG, whose colours are approximate",
            expected="a lossless coloured mask",
            remedy="draw the masks again and save them as PNG",
        )
    try:
        return colours.encode(decode_image(data, place=place).pixels)
    except ValueError as error:
        raise DataError(
            place,
            found=str(error),
            expected=f"only the {len(colours.ids)} colours of the class table",
            remedy="add them to the class table, or correct the mask",
        ) from error


def _refuse_damage(data: bytes, place: Path) -> set[bytes]:
    """Refuse an empty file and a damaged PNG. Decoders accept files with wrong checksums.

    Returns:
        Names of the chunks of a PNG; empty for other formats.
    """
    if not data:
        raise DataError(place, found="an empty file (0 bytes)", expected="an image", remedy=REMEDY)
    fault, names = _check_chunks(data) if data.startswith(_PNG) else ("", set())
    if fault:
        raise DataError(place, found=f"a damaged PNG: {fault}", expected="a complete image", remedy=REMEDY)
    return names


def _check_chunks(data: bytes) -> tuple[str, set[bytes]]:
    """Return the first fault in the chunks of a PNG ("" if there is none), and the chunks' names."""
    position, view = len(_PNG), memoryview(data)
    names: set[bytes] = set()
    if data[position : position + 8] != _PNG_HEADER:
        return "it does not begin with chunk b'IHDR'", names
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        name = data[position + 4 : position + 8]
        (stated,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != stated:
            return f"checksum of chunk {name!r} at byte {position} differs", names
        names.add(name)
        if name == b"IEND":
            return "", names
        position = end
    return f"cut short after {len(data)} bytes", names


def _read_png_form(data: bytes) -> tuple[int, int]:
    """Return bit depth and colour type."""
    return data[24], data[25]


def _read_orientation(opened: Pillow.Image) -> int:
    """Return the EXIF orientation, 1..8; 1, upright, if it is missing, undefined or unreadable."""
    try:
        stated = opened.getexif().get(_ORIENTATION)
    except MemoryError:
        raise
    except Exception:  # as in `open_picture`; faults of the pixels are reported when they are decoded
        return _UPRIGHT
    return next((value for value in _TURNED if value == stated), _UPRIGHT)


def _is_animated(opened: Pillow.Image) -> bool:
    """Return whether there is a second frame; counting them all may take hours."""
    try:
        return bool(getattr(opened, "is_animated", False))
    except MemoryError:
        raise
    except Exception:  # a second one that is damaged
        return True


def _decode_fast(data: bytes) -> Image | None:
    """Decode with OpenCV, which is a fifth faster; return None if it cannot, or would accept a damaged file."""
    if data.startswith(_JPEG) and b"\xff\xd9" not in data[-64:]:
        return None  # no end-of-image marker: OpenCV would fill the rest with grey, Pillow refuses
    if data.startswith(_PNG) and _read_png_form(data) != (8, _RGB):
        return None
    pixels = _decode_with_opencv(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        return None
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _decode_with_opencv(data: bytes, flags: int) -> Image | None:
    """Decode with OpenCV; return None if it cannot, or if the image exceeds OpenCV's own limits."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def is_deep(data: bytes, *, place: Path) -> bool:
    """Return whether an image has 16 bits per channel, without decoding it.

    Raises:
        DataError: it is not an image.
    """
    with open_picture(data, place=place) as opened:
        return _is_deep(data, opened.mode)


def _is_deep(data: bytes, mode: str) -> bool:
    """Return whether an image has 16 bits per channel; Pillow reduces coloured PNGs of 16 bits without a word."""
    return mode.startswith("I;16") or (data.startswith(_PNG) and _read_png_form(data)[0] == _DEEP_PNG)


def _decode_deep_png(data: bytes, place: Path, levels: Levels | None) -> Image | None:
    """Decode a coloured PNG of 16 bits; return None if OpenCV cannot."""
    pixels = _decode_with_opencv(data, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    return np.ascontiguousarray(reduce_depth(pixels, levels=levels, place=place)[..., ::-1])


def _decode_any(data: bytes, place: Path, levels: Levels | None) -> Image:
    with open_picture(data, place=place) as opened:
        loaded = load_picture(opened, place=place)
        if loaded.mode.startswith("I;16"):
            grey = reduce_depth(np.asarray(loaded), levels=levels, place=place)
            return np.repeat(grey[..., None], 3, axis=2)
        deep = _decode_deep_png(data, place, levels) if _is_deep(data, loaded.mode) else None
        if deep is not None:
            return deep
        if loaded.mode in ("I", "F"):
            raise DataError(
                place,
                found=f"a {loaded.format} of mode {loaded.mode}",
                expected="at most 16 bits per channel",
                remedy="convert it to 8 bits",
            )
        return np.array(loaded.convert("RGB"), dtype=np.uint8)
