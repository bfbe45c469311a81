import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image as Pillow

from segline.data.images.decode import decode_image, decode_mask, read_image, read_mask, write_png
from segline.errors import DataError

PLACE = Path("image.file")

Array = npt.NDArray[np.uint8]


@pytest.fixture
def picture() -> Array:
    """uint8 (10, 14, 3): smooth, so that JPEG keeps it nearly."""
    rows, columns = np.mgrid[0:10, 0:14]
    return np.stack([rows * 20, columns * 15, 255 - rows * 10], axis=-1).astype(np.uint8)


def _encoded(image: Pillow.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _cut_out(array: Array) -> Pillow.Image:
    return Pillow.fromarray(array)


@given(
    arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda s: st.sampled_from([s, (*s, 3)]))
    )
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, array: Array) -> None:
    path = tmp_path_factory.mktemp("png") / "a.png"
    write_png(path, array)
    assert np.array_equal(read_image(path) if array.ndim == 3 else read_mask(path), array)


@pytest.mark.parametrize(
    ("convert", "form", "options"),
    [
        (lambda image: image, "PNG", {}),
        (lambda image: image.convert("RGBA"), "PNG", {}),
        (lambda image: image, "BMP", {}),
        (lambda image: image, "TIFF", {}),
        (lambda image: image, "WEBP", {"lossless": True}),
    ],
)
def test_lossless_forms_keep_every_pixel(
    picture: Array, convert: Callable[[Pillow.Image], Pillow.Image], form: str, options: dict[str, object]
) -> None:
    decoded = decode_image(_encoded(convert(_cut_out(picture)), form, **options), place=PLACE)
    assert np.array_equal(decoded.pixels, picture)
    assert decoded.pixels.dtype == np.uint8


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_of_any_colour_form_is_rgb(picture: Array, mode: str) -> None:
    image = _cut_out(picture).convert(mode)
    decoded = decode_image(_encoded(image, "JPEG", quality=95), place=PLACE)
    difference = np.abs(decoded.pixels.astype(int) - np.asarray(image.convert("RGB")).astype(int))
    assert decoded.pixels.shape == (10, 14, 3)
    assert difference.mean() < 6
    assert bool(decoded.notes) == (mode != "RGB")


def test_the_fast_decoder_agrees_with_pillow(picture: Array) -> None:
    data = _encoded(_cut_out(picture), "JPEG", quality=80)
    expected = np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(decode_image(data, place=PLACE).pixels, expected)


def test_a_gif_under_a_jpg_name_is_read_and_noted(picture: Array, tmp_path: Path) -> None:
    path = tmp_path / "Abyssinian_34.jpg"
    path.write_bytes(_encoded(_cut_out(picture).convert("P", palette=Pillow.Palette.ADAPTIVE), "GIF"))
    assert read_image(path).shape == (10, 14, 3)
    assert decode_image(path.read_bytes(), place=path).notes == ("GIF P read as RGB",)


def test_alpha_is_dropped_and_noted(picture: Array) -> None:
    rgba = np.dstack([picture, np.zeros((10, 14), np.uint8)])
    decoded = decode_image(_encoded(Pillow.fromarray(rgba), "PNG"), place=PLACE)
    assert np.array_equal(decoded.pixels, picture)
    assert decoded.notes == ("PNG RGBA read as RGB, alpha dropped",)


def test_sixteen_bits_keep_their_upper_eight() -> None:
    grey = np.array([[0x1234, 0xFFEE, 0x00FF], [0x8000, 0x7FFF, 0]], dtype=np.uint16)
    _, data = cv2.imencode(".png", grey)
    assert np.array_equal(decode_image(data.tobytes(), place=PLACE).pixels[..., 0], (grey >> 8).astype(np.uint8))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_pixels_stay_as_stored_whatever_exif_says(picture: Array, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    decoded = decode_image(_encoded(_cut_out(picture), "JPEG", exif=exif, quality=95), place=PLACE)
    assert decoded.pixels.shape == picture.shape
    assert np.abs(decoded.pixels.astype(int) - picture.astype(int)).mean() < 6
    assert bool(decoded.notes) == (orientation != 1)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_an_error(form: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    data = _encoded(_cut_out(noise), form)
    with pytest.raises(DataError, match=r"image\.file"):
        decode_image(data[: int(len(data) * share)], place=PLACE)


def test_a_flipped_byte_in_a_png_is_an_error(picture: Array) -> None:
    data = bytearray(_encoded(_cut_out(picture), "PNG"))
    data[len(data) // 2] ^= 0x10
    with pytest.raises(DataError, match="checksum of chunk"):
        decode_image(bytes(data), place=PLACE)


@pytest.mark.parametrize(("content", "said"), [(b"", "0 bytes"), (b"<html>busy</html>", "no image")])
def test_no_image_is_an_error(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_image(tmp_path / "a.png")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_mask(tmp_path / "gone.png")


@given(st.binary(max_size=200))
def test_noise_is_an_error_and_nothing_else(data: bytes) -> None:
    for prefix in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a"):
        with pytest.raises(DataError):
            decode_image(prefix + data, place=PLACE)
        with pytest.raises(DataError):
            decode_mask(prefix + data, place=PLACE)


def test_a_palette_mask_gives_its_indices() -> None:
    ids = np.array([[0, 1, 2], [3, 2, 1]], dtype=np.uint8)
    image = Pillow.frombytes("P", (3, 2), ids.tobytes())
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9])
    assert np.array_equal(decode_mask(_encoded(image, "PNG"), place=PLACE), ids)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_mask_of_few_bits_gives_what_is_stored(depth: int) -> None:
    ids = np.arange(6, dtype=np.uint8).reshape(2, 3) % 2**depth
    assert np.array_equal(decode_mask(_few_bits(ids, depth), place=PLACE), ids)


def _few_bits(ids: Array, depth: int) -> bytes:
    """A greyscale PNG of `depth` bits, put together by hand."""
    rows = b""
    for row in ids:
        bits = "".join(f"{value:0{depth}b}" for value in row)
        bits += "0" * (-len(bits) % 8)
        rows += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], depth, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def test_masks_with_colours_or_losses_are_refused(picture: Array) -> None:
    sixteen = cv2.imencode(".png", np.full((2, 3), 700, np.uint16))[1].tobytes()
    grey_jpeg = _encoded(_cut_out(picture).convert("L"), "JPEG")
    for data in (_encoded(_cut_out(picture), "PNG"), sixteen, grey_jpeg):
        with pytest.raises(DataError, match="mask with one 8-bit channel"):
            decode_mask(data, place=PLACE)
