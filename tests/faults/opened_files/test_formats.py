"""What is opened as an image or a list: documented formats, within limits."""

import base64
import io
import json
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from opened_project import HEIGHT, SAMPLES, WIDTH
from PIL import Image as Pillow

from segline import pictures
from segline.data.images.decode import decode_image, read_image, read_mask
from segline.datasets.own.annotation_files import read_json
from segline.datasets.own.coco import read_coco
from segline.datasets.own.labelme import read_labelme
from segline.errors import ConfigError, DataError
from segline.evaluation.folders.count_pairs import _decode_array
from segline.pictures import open_picture

pytestmark = pytest.mark.timeout(60)  # what waits for a FIFO fails, and does not keep the others waiting
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 36 24\n%%EndComments\nshowpage\n"
PNG = b"\x89PNG\r\n\x1a\n"


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(width: int, height: int, *, grey: bool = False, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG whose header says any size; its pixels, all zero, are there if they are few."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if grey else 2, 0, 0, 0)
    size = (1 + width * (1 if grey else 3)) * height
    pixels = zlib.compress(bytes(size if size < 1 << 24 else 1000), 1)
    return PNG + _chunk(b"IHDR", header) + before + _chunk(b"IDAT", pixels) + after + _chunk(b"IEND", b"")


def _stored(form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(np.full((HEIGHT, WIDTH, 3), 77, np.uint8)).save(stream, form, **options)
    return stream.getvalue()


def _tiff(entries: list[tuple[int, int, int, int]], count: int = 1) -> bytes:
    """A TIFF of `count` directories that all have these tags: (tag, type, number, value)."""
    length = 2 + 12 * len(entries) + 4
    tags = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    following = [8 + number * length for number in range(1, count)] + [0]
    directories = b"".join(tags + struct.pack("<I", place) for place in following)
    return b"II*\0" + struct.pack("<I", 8) + directories + bytes(100)


def _webp_of_a_huge_canvas() -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data

    side = struct.pack("<I", 59_999)[:3]
    frame = bytes(6) + struct.pack("<I", 15)[:3] * 2 + bytes(4) + _stored("WEBP", lossless=True)[12:]
    parts = chunk(b"VP8X", b"\2\0\0\0" + side + side) + chunk(b"ANIM", bytes(6)) + chunk(b"ANMF", frame)
    return b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WEBP" + parts


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (EPS, "EPS"),  # started Ghostscript
        (b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(EPS)) + bytes(20) + EPS, "EPS"),  # with a preview: too
        (b"8BPS\0\1" + bytes(20), "PSD"),
        (b"SIMPLE  =                    T" + bytes(50), "FITS"),
        (_stored("JPEG2000"), "JPEG2000"),  # these and the next were read
        (_stored("PPM"), "PPM"),
        (_stored("ICNS"), "ICNS"),
        (_stored("DDS"), "DDS"),
        (_stored("SGI"), "SGI"),
        (_stored("PCX"), "PCX"),
    ],
)
def test_a_format_that_is_not_documented_is_refused_by_name(tmp_path, ghostscript, data, form):
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match=f"an image in the format {form}, according to its first bytes") as caught:
            read(path)
        assert "JPEG, PNG, GIF, BMP, TIFF or WebP" in caught.value.expected
        assert "convert it" in caught.value.remedy
    assert not ghostscript.exists()


@pytest.mark.parametrize("form", ["JPEG", "MPO", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_the_documented_formats_are_read_whatever_the_name(tmp_path, form):
    (tmp_path / "a.eps").write_bytes(_stored(form))
    assert np.abs(read_image(tmp_path / "a.eps").astype(int) - 77).max() < 4


def test_a_labelme_mask_that_holds_eps_starts_nothing(tmp_path, ghostscript):
    """It started Ghostscript, and what that said was a traceback."""
    with pytest.raises(DataError, match=r"shape 1: a mask that is not an image \(an image in the format EPS"):
        _labelme(tmp_path / "a.json", EPS)
    assert not ghostscript.exists()


def _labelme(path: Path, mask: bytes, **image: object) -> None:
    shape = {"label": "a", "shape_type": "mask", "points": [[0, 0], [1, 1]], "mask": base64.b64encode(mask).decode()}
    path.write_text(json.dumps({"imagePath": "a.png", "shapes": [shape], **image}))
    read_labelme(path, ids={"a": 1}, size=lambda: (HEIGHT, WIDTH))


HUGE = {
    "PNG": _png(60_000, 60_000),
    "PNG of ids": _png(60_000, 60_000, grey=True),  # as a mask: OpenCV's error, a traceback
    "GIF whose frame outgrows it": b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    + b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x02\x02\x4c\x01\x00;",
    "WebP whose canvas outgrows its frame": _webp_of_a_huge_canvas(),
    "TIFF": _tiff([(256, 4, 1, 60_000), (257, 4, 1, 60_000), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8)]),
    "TIFF of one huge tile": _tiff([
        (256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1),
        (322, 4, 1, 60_000), (323, 4, 1, 60_000), (324, 4, 1, 8), (325, 4, 1, 50),
    ]),
    "BMP": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
}  # fmt: skip


@pytest.mark.filterwarnings("error")  # Pillow's own warnings are none of a user's business
@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("data", HUGE.values(), ids=HUGE)
def test_too_many_pixels_are_refused_by_the_header(tmp_path, data, read):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.png")
    assert "too many pixels" in caught.value.found
    assert "SEGLINE_IMAGE_PIXELS 536870912" in caught.value.found  # findings and lists of files show this alone
    assert caught.value.expected == "at most 536870912 pixels"
    assert "set SEGLINE_IMAGE_PIXELS to more than 536870912" in caught.value.remedy


@pytest.mark.filterwarnings("error")
def test_legal_aerial_images_are_within_the_limit(tmp_path):
    """182 megapixels were Pillow's error, 90 its warning."""
    for side in (9_600, 13_500, 23_000):
        with open_picture(_png(side, side), place=tmp_path) as opened:
            assert opened.size == (side, side)


@pytest.mark.filterwarnings("error")
def test_the_limits_are_settings(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(_png(30, 20))
    monkeypatch.setenv("SEGLINE_IMAGE_PIXELS", "600")
    assert read_image(path).shape == (20, 30, 3)
    monkeypatch.setenv("SEGLINE_IMAGE_PIXELS", "599")
    with pytest.raises(DataError, match="600 pixels"):
        read_image(path)
    monkeypatch.setenv("SEGLINE_IMAGE_BYTES", "20")
    with pytest.raises(DataError, match=r"more than the limit of 20 bytes \(set by SEGLINE_IMAGE_BYTES\)") as caught:
        read_image(path)
    assert "SEGLINE_IMAGE_BYTES" in caught.value.remedy
    for text in ("0", "-1", "1e9", "much"):
        monkeypatch.setenv("SEGLINE_IMAGE_BYTES", text)
        with pytest.raises(ConfigError, match="SEGLINE_IMAGE_BYTES"):
            read_image(path)


@pytest.mark.parametrize("limit", ["SEGLINE_IMAGE_PIXELS", "SEGLINE_IMAGE_BYTES"])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_init_names_the_limit_that_its_pictures_exceed(project, monkeypatch, limit, kind):
    """At 182 megapixels: a traceback of Pillow's DecompressionBombError."""
    for path in (project.data / kind).iterdir():
        path.write_bytes(_png(200, 200, grey=kind == "masks", after=_chunk(b"teSt", bytes(9000))))
    monkeypatch.setenv(limit, "8000")
    said = project.init(fails=True)
    assert f"{kind}/0.png" in said
    assert f"set {limit} to more than 8000" in said


def test_a_labelme_or_coco_file_that_claims_a_huge_image_is_refused(tmp_path):
    """A mask of that size was asked for: `MemoryError`, or 4 GB; a negative one: run lengths were blamed."""
    with pytest.raises(DataError, match="at most 536870912 pixels"):
        _labelme(tmp_path / "a.json", _png(4, 4), imageHeight=60_000, imageWidth=60_000)
    with pytest.raises(DataError, match="-9 x 9 pixels, expected its width and height"):
        _labelme(tmp_path / "a.json", _png(4, 4), imageHeight=9, imageWidth=-9)
    image = {"id": 1, "file_name": "a.png", "height": 10**9, "width": 10**9}
    (tmp_path / "c.json").write_text(json.dumps({"images": [image], "annotations": [], "categories": []}))
    with pytest.raises(DataError, match="images, entry 1: too many pixels"):
        read_coco(tmp_path / "c.json", ids={})


def test_a_png_without_its_header_is_damaged(tmp_path):
    """As a mask: a traceback of an `IndexError`."""
    (tmp_path / "a.png").write_bytes(PNG + _chunk(b"IEND", b""))
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match="a damaged PNG: it does not begin with chunk b'IHDR'"):
            read(tmp_path / "a.png")


def test_a_bomb_in_a_pngs_text_is_not_unpacked(tmp_path):
    """Behind the pixels: a traceback of a `ValueError`. Before them: no image, "it starts with" a PNG's own bytes."""
    bomb = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2 << 20)))
    assert decode_image(_png(WIDTH, HEIGHT, after=bomb), place=tmp_path).pixels.shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(DataError, match="a damaged PNG: Decompressed data too large"):
        decode_image(_png(WIDTH, HEIGHT, before=bomb), place=tmp_path)


def test_a_tiff_of_many_frames_is_read_at_once(tmp_path):
    """Hung: to count its frames each was compared with all before it."""
    entries = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1)]
    decoded = decode_image(_tiff([*entries, (278, 3, 1, 4), (279, 4, 1, 16)], count=100_000), place=tmp_path)
    assert decoded.pixels.shape == (4, 4, 3)
    assert "only the first frame read" in decoded.notes


def test_json_that_is_nested_too_deep_is_told(tmp_path):
    """A traceback of a `RecursionError`."""
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(DataError, match="cannot be read"):
        read_json(tmp_path / "a.json")


def test_an_array_that_claims_any_size_or_is_an_archive_is_told(tmp_path):
    """Tracebacks: a `MemoryError`, and an `AttributeError` of NumPy's archive."""
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (10000000, 10000000), }".ljust(117) + "\n"
    claimed = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(100)
    packed = io.BytesIO()
    np.savez(packed, a=np.zeros((2, 3)))
    for data in (claimed, packed.getvalue()):
        with pytest.raises(DataError, match="not a NumPy array"):
            _decode_array(data, tmp_path / "a.npy")


def test_a_list_may_name_what_no_file_can_be_called(project):
    """A traceback of an `OSError`: File name too long."""
    rows = [f"images/{number}.png,masks/{number}.png" for number in range(1, SAMPLES)]
    (project.data / "pairs.csv").write_text("\n".join(["image,mask", f"{'a' * 300}.png,masks/0.png", *rows, ""]))
    assert ".png, which is not there" in project.init()


def test_pictures_are_opened_at_one_place():
    """There were five."""
    sources = Path(pictures.__file__).parent.rglob("*.py")
    opening = re.compile(r"(?<![\w.])(?:Pillow|Picture|(?:PIL\.)?Image)\.open\(|cv2\.imread\(")
    assert [path.name for path in sources if opening.search(path.read_text("utf-8"))] == ["pictures.py"]
