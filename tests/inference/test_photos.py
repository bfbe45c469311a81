"""A user's photo is read in the view that people see: compared with Pillow's own `exif_transpose`."""

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from segline.data.images.decode import decode_image
from segline.errors import DataError
from segline.inference.photos import read_photo

ORIENTATION = 0x0112


def saved(path, orientation, form):
    """An image whose 8 views differ; a lossless JPEG is not needed, both readers decode the same file."""
    pixels = np.random.default_rng(2).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    exif = Pillow.Exif()
    exif[ORIENTATION] = orientation
    Pillow.fromarray(pixels).save(path, form, exif=exif)
    return path


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_is_applied(tmp_path, form, orientation):
    """Before, `predict` took the pixels as stored without a word, so that a portrait was predicted lying."""
    photo = read_photo(saved(tmp_path / "a", orientation, form), levels=None)
    with Pillow.open(tmp_path / "a") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    assert photo.pixels.shape == ((16, 24, 3) if orientation < 5 else (24, 16, 3))
    if form in ("PNG", "TIFF"):
        np.testing.assert_array_equal(photo.pixels, expected)
    else:  # OpenCV and Pillow decode lossy files with small differences
        assert np.abs(photo.pixels.astype(int) - expected).mean() < 3
    assert photo.turned == (orientation > 1)
    assert not photo.has_more


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_undefined_orientation_is_ignored(tmp_path, orientation):
    photo = read_photo(saved(tmp_path / "a.jpg", orientation, "JPEG"), levels=None)
    assert (photo.pixels.shape, photo.turned) == ((16, 24, 3), False)


def test_images_of_datasets_stay_as_they_are_stored(tmp_path):
    data = saved(tmp_path / "a.jpg", 6, "JPEG").read_bytes()
    decoded = decode_image(data, place=tmp_path / "a.jpg")
    assert (decoded.pixels.shape, decoded.orientation) == ((16, 24, 3), 6)
    assert any("not applied" in note for note in decoded.notes)


def test_a_note_about_a_tiff_says_that_it_is_turned(tmp_path):
    """Before, the note said that the orientation was not applied; Pillow applies that of a TIFF."""
    data = saved(tmp_path / "a.tif", 6, "TIFF").read_bytes()
    decoded = decode_image(data, place=tmp_path / "a.tif")
    assert (decoded.pixels.shape, decoded.orientation) == ((24, 16, 3), 1)
    assert "EXIF orientation applied, as Pillow does for TIFF" in decoded.notes


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_the_remedy_fits_a_users_photo(tmp_path, content):
    """Before, it was `dvc repro`, which extracts datasets."""
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="replace it by an intact copy, or remove it") as caught:
        read_photo(tmp_path / "a.png", levels=None)
    assert "dvc" not in str(caught.value)


def test_a_file_that_may_not_be_read_has_that_remedy_too(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read.*\n.*intact copy"):
        read_photo(tmp_path / "gone.png", levels=None)
