"""A request to a served model is read as `segline predict` reads files, or refused in one line."""

import base64
import io

import numpy as np
import pytest
from PIL import Image as Pillow

from segline.data.images.decode import read_image
from segline.errors import DataError
from segline.inference.request import read_request

RGB = np.random.default_rng(1).integers(0, 256, (9, 13, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def encoded(array, form="PNG", **options):
    """An image file with the pixels of `array`."""
    stream = io.BytesIO()
    Pillow.fromarray(array).save(stream, form, **options)
    return stream.getvalue()


def text(data):
    return base64.b64encode(data).decode()


def read(given):
    return read_request(given, levels=None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(RGB, RGB, id="one image, which was refused: only batches were taken"),
        pytest.param(RGB.tolist(), RGB, id="nested lists"),
        pytest.param(RGB.astype(np.int64), RGB, id="whole numbers of another type"),
        pytest.param(RGB.astype(np.float64), RGB, id="floats that are whole numbers, as some JSON writers send"),
        pytest.param(GREY, np.stack([GREY] * 3, axis=-1), id="grey, which was refused"),
        pytest.param(GREY[..., None], np.stack([GREY] * 3, axis=-1), id="grey with an axis"),
        pytest.param(np.dstack([GREY, GREY]), np.stack([GREY] * 3, axis=-1), id="grey and alpha"),
        pytest.param(np.dstack([RGB, GREY]), RGB, id="RGBA, which was refused"),
        pytest.param(text(encoded(RGB)), RGB, id="a PNG in base64, which could not be sent"),
        pytest.param(np.array(text(encoded(RGB))), RGB, id="base64 as MLflow's server hands it over"),
        pytest.param("data:image/png;base64," + text(encoded(RGB)), RGB, id="an address of data"),
        pytest.param(base64.encodebytes(encoded(RGB)).decode(), RGB, id="base64 with line ends"),
        pytest.param(encoded(RGB), RGB, id="bytes"),
        pytest.param(encoded(np.dstack([RGB, GREY])), RGB, id="a file with alpha"),
        pytest.param(encoded(RGB, "TIFF"), RGB, id="a TIFF"),
    ],
)
def test_one_image_in_every_form(given, expected):
    found = read(given)
    assert found.single
    (image,) = found.images
    assert (image.dtype, image.flags.c_contiguous) == (np.uint8, True)
    np.testing.assert_array_equal(image, expected)


def test_a_jpeg_in_base64_has_the_pixels_that_predict_reads(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(RGB, "JPEG"))
    (image,) = read(text((tmp_path / "a.jpg").read_bytes())).images
    np.testing.assert_array_equal(image, read_image(tmp_path / "a.jpg"))


@pytest.mark.parametrize(
    ("given", "stacked"),
    [
        (np.stack([RGB, RGB[::-1]]), True),
        (np.stack([RGB, RGB[::-1]]).tolist(), True),
        ([RGB, RGB[::-1]], False),
        ([RGB.tolist(), RGB[::-1]], False),
        ([text(encoded(RGB)), text(encoded(RGB[::-1]))], False),
        (np.array([text(encoded(RGB)), text(encoded(RGB[::-1]))]), False),
        ([encoded(RGB), RGB[::-1]], False),
    ],
    ids=["array", "nested lists", "arrays", "mixed lists", "base64", "array of base64", "mixed"],
)
def test_a_batch_keeps_its_order(given, stacked):
    found = read(given)
    assert (found.single, found.stacked) == (False, stacked)
    for image, expected in zip(found.images, (RGB, RGB[::-1]), strict=True):
        np.testing.assert_array_equal(image, expected)


def test_images_of_several_sizes_are_a_batch():
    sizes = [image.shape for image in read([RGB, RGB[:4], GREY[:, :5]]).images]
    assert sizes == [(9, 13, 3), (4, 13, 3), (9, 5, 3)]


WHITE = np.ones((4, 5, 3))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param(RGB / 255, r"image: floats 0(\.\d+)?\.\.1.*multiply them by 255", id="0..1: it became black"),
        pytest.param(WHITE, r"floats 1\.\.1.*multiply", id="a white image within 0..1, whose floats are whole"),
        pytest.param((RGB / 255).tolist(), "multiply", id="JSON floats 0..1, cast to uint8 before: black"),
        pytest.param(RGB / 2, "with fractions", id="fractions"),
        pytest.param(RGB / 127.5 - 1, r"values -1\.\.1, expected whole numbers within 0\.\.255", id="normalised"),
        pytest.param(RGB.astype(int) + 1, r"values \d+\.\.256", id="too bright"),
        pytest.param(RGB.astype(np.uint16) * 257, "send an image of 16 bits as a PNG", id="16 bits"),
        pytest.param(np.full((4, 4), np.nan), "NaN", id="NaN"),
        pytest.param(RGB > 3, "values of type bool", id="booleans"),
        pytest.param(RGB.transpose(2, 0, 1), r"shape \(3, 9, 13\).*move the channels", id="channels first"),
        pytest.param(np.stack([RGB] * 2).transpose(0, 3, 1, 2), r"shape \(2, 3, 9, 13\)", id="batch, channels first"),
        pytest.param(np.zeros((2, 9, 13)), r"shape \(2, 9, 13\).*images\[\.\.\., None\]", id="a batch of grey images"),
        pytest.param(np.zeros((1, 2, 9, 13, 3)), r"shape \(1, 2, 9, 13, 3\)", id="five axes"),
        pytest.param(7, r"shape \(\)", id="a number"),
        pytest.param(RGB[0, 0], r"shape \(3,\)", id="a pixel"),
        pytest.param([], "a list without images", id="an empty list"),
        pytest.param(np.array([]), "no pixels", id="an empty batch as JSON: an error of NumPy's"),
        pytest.param(np.zeros((0, 9, 13, 3), np.uint8), "no pixels", id="an empty batch"),
        pytest.param(np.zeros((9, 0, 3), np.uint8), "no pixels", id="an empty image"),
        pytest.param([RGB, RGB / 255], "image 2: floats", id="the second of a list"),
        pytest.param([None], "image 1: values of type object", id="null"),
        pytest.param([[1, 2], [3]], "image 1: an array of shape", id="rows of unequal lengths"),
        pytest.param([RGB.tolist(), [[1, 2], [3]]], "image 2: no array of numbers", id="such a second image"),
        pytest.param({"b64": "x"}, "values of type object", id="a dict inside"),
        pytest.param("not base64!", "image 1: text that is not base64", id="text"),
        pytest.param("", "an empty file", id="no text"),
        pytest.param([text(encoded(RGB)), text(b"hello")], "image 2: no image: it starts with", id="another file"),
        pytest.param(text(encoded(RGB)[:60]), r"a damaged PNG.*replace it by an intact copy", id="a part of a file"),
    ],
)
def test_what_is_no_image_is_refused_in_one_short_line(given, said):
    with pytest.raises(DataError, match=f"(?s){said}") as caught:
        read(given)
    assert "\n" not in caught.value.line
    assert len(caught.value.line) < 400
    assert "dvc" not in caught.value.line


def test_too_many_pixels_are_refused_before_they_are_copied(monkeypatch):
    monkeypatch.setenv("SEGLINE_IMAGE_PIXELS", "100")
    for given in (RGB, np.stack([RGB]), text(encoded(RGB))):
        with pytest.raises(DataError, match="SEGLINE_IMAGE_PIXELS"):
            read(given)


def test_further_pages_are_a_warning():
    pages = [Pillow.fromarray(RGB), Pillow.fromarray(RGB[::-1])]
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    found = read([text(stream.getvalue()), RGB])
    assert found.warnings == ("image 1: only the first page or frame is predicted",)
    np.testing.assert_array_equal(found.images[0], RGB)
