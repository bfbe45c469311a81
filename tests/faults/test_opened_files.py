"""What is opened as an image, a list or an archive: regular files of documented formats, within limits and in place.

Beside each fault stands what it did before. "Hung" means that nothing came in 12 s, when it was ended.
"""

import base64
import io
import json
import os
import re
import shutil
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image as Pillow

from segline import datasets, pictures, reading
from segline.cli import main
from segline.core.labels import label_map
from segline.data.download.download import download
from segline.data.images.decode import decode_image, read_image, read_mask, write_png
from segline.data.look.survey import survey
from segline.data.validate.build_manifest import build_manifest
from segline.datasets.base import Dataset, Pair
from segline.datasets.folder import read_samples
from segline.datasets.own.annotations import read_coco, read_json, read_labelme
from segline.errors import ArchiveError, ConfigError, DataError, LinkError, SourceError
from segline.evaluation.folders.count_pairs import _decoded_array
from segline.pictures import open_picture

pytestmark = pytest.mark.timeout(60)  # what waits for a FIFO fails, and does not keep the others waiting

PARAMS = Path(__file__).parents[2] / "params.yaml"
HEIGHT, WIDTH, SAMPLES = 24, 36, 6
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


def _draw(folder: Path) -> Path:
    generator = np.random.default_rng(3)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(SAMPLES):
        write_png(folder / f"images/{number}.png", generator.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
        write_png(folder / f"masks/{number}.png", generator.integers(0, 3, (HEIGHT, WIDTH), np.uint8))
    return folder


class Project:
    """A project whose commands run in this process, and a folder of images and masks."""

    def __init__(self, root, data, capsys):
        self.root, self.data, self.raw, self._capsys = root, data, root / "data/raw/folder", capsys

    def run(self, *command, fails=False):
        """What a command says, on both streams."""
        self._capsys.readouterr()
        code = 0
        try:
            main(list(command))
        except SystemExit as end:
            code = end.code or 0
        said = "".join(self._capsys.readouterr())
        assert code == (1 if fails else 0), said
        return said

    def init(self, *options, fails=False):
        return self.run("init", str(self.data), *options, fails=fails)

    def stages(self, *names):
        for name in names or ("look", "download", "extract"):
            self.run("data", name, "folder")

    def options(self):
        return yaml.safe_load((self.root / "params.yaml").read_text())["options"]["folder"]


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(PARAMS, root)
    monkeypatch.setenv("SEGLINE_ROOT", str(root))
    monkeypatch.setenv("SEGLINE_WORKERS", "1")
    return Project(root, _draw(tmp_path / "mine"), capsys)


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """A program of Ghostscript's name, first on PATH; the file that it would write."""
    folder, mark = tmp_path / "bin", tmp_path / "started"
    folder.mkdir()
    for name in ("gs", "gswin64c"):
        (folder / name).write_text(f"#!/bin/sh\necho started >> {mark}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return mark


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path has at most some hundred bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


IRREGULAR = {
    "FIFO": (os.mkfifo, "a FIFO"),  # hung
    "link to a FIFO": (_link_to_fifo, "a FIFO"),  # hung
    "link to a device": (lambda path: path.symlink_to("/dev/zero"), "a character device"),  # took 10 GB, then hung
    "socket": (_socket, "a socket"),  # "No such device or address", restore it from its archive
    "folder": (Path.mkdir, "a folder"),  # "Is a directory", restore it from its archive
}


@pytest.mark.parametrize(("make", "said"), IRREGULAR.values(), ids=IRREGULAR)
@pytest.mark.parametrize("read", [read_image, read_mask, read_json, read_samples])
def test_what_is_no_regular_file_is_told_and_not_read(tmp_path, make, said, read):
    path = tmp_path / "a.png"
    make(path)
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.place == str(path)
    assert caught.value.found.startswith(said)
    assert "regular file" in caught.value.expected
    assert caught.value.remedy == "put a regular file in its place, or take it away"


def test_a_file_without_end_is_read_up_to_the_limit():
    """Hung: one of /proc's that says it has no bytes, and gives some, stands for one that grows."""
    assert Path("/proc/self/maps").stat().st_size == 0
    with pytest.raises(DataError, match="more than the 100 bytes"):
        reading.read_bytes(Path("/proc/self/maps"), limit=100)
    assert len(reading.read_bytes(Path("/proc/self/maps"), limit=1 << 24)) > 100


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
        with pytest.raises(DataError, match=f"a picture in the format {form}, by its first bytes") as caught:
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
    with pytest.raises(DataError, match=r"shape 1: a mask that is no picture \(a picture in the format EPS"):
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
    with pytest.raises(DataError, match="more than the 20 bytes of SEGLINE_IMAGE_BYTES") as caught:
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
        with pytest.raises(DataError, match="no NumPy array"):
            _decoded_array(data, tmp_path / "a.npy")


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


@pytest.mark.parametrize(
    "name",
    [
        "images/9.png",  # was taken for an image: download hung
        "masks/0.png",  # all others hung in init
        "a.json",
        "a.csv",
        "classes.txt",
        "train.txt",
        "classes.yaml",
    ],
)
def test_init_refuses_a_fifo_by_name(project, name):
    (project.data / name).unlink(missing_ok=True)
    os.mkfifo(project.data / name)
    said = project.init(fails=True)
    assert f"{project.data / name}: a FIFO" in said
    assert "remedy: put a regular file in its place, or take it away" in said


def test_a_fifo_that_came_later_stops_each_stage(project):
    """`look` saw nothing in it; download and extract hung."""
    project.init()
    project.stages()
    before = {path: path.read_bytes() for path in project.raw.rglob("*") if path.is_file()}
    (project.data / "masks/0.png").unlink()
    os.mkfifo(project.data / "masks/0.png")
    for stage in ("look", "download", "extract"):
        assert "masks/0.png: a FIFO" in project.run("data", stage, "folder", fails=True)
    assert {path: path.read_bytes() for path in project.raw.rglob("*") if path.is_file()} == before


def test_images_of_the_raw_folder_may_be_links_and_no_devices(tmp_path):
    """A FIFO hung; DVC's links into its cache were read, and are."""
    _draw(tmp_path / "cache")
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(2):
        (raw / f"i{number}.png").symlink_to(tmp_path / f"cache/images/{number}.png")
        (raw / f"m{number}.png").symlink_to(tmp_path / f"cache/masks/{number}.png")
    (raw / "i1.png").unlink()
    os.mkfifo(raw / "i1.png")
    pairs = [Pair(id=f"{n}", image=f"i{n}.png", mask=f"m{n}.png", split="train") for n in range(2)]
    labels = label_map([(0, "a", (0, 0, 0)), (1, "b", (9, 9, 9)), (2, "c", (99, 99, 99))])
    dataset = Dataset(
        name="x", title="", terms="", archives=(), label_map=labels, protocol="x/1", pairs=lambda _: pairs
    )
    rows = build_manifest(dataset, pairs, raw=raw, splits={}, workers=1).to_pylist()
    assert [row["image_error"] for row in rows] == [None, "a FIFO (a named pipe)"]
    assert rows[0]["problems"] == []


def _with_sums(mirror: Path, make) -> None:
    for archive in datasets.load("kitti").archives:
        make(mirror / archive.name)
        with (mirror / "SHA256SUMS").open("a") as sums:
            sums.write(f"{'0' * 64}  {archive.name}\n")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda mirror: _with_sums(mirror, os.mkfifo), "a FIFO"),
        (lambda mirror: _with_sums(mirror, lambda path: path.symlink_to("/dev/zero")), "a character device"),
        (lambda mirror: os.mkfifo(mirror / "SHA256SUMS"), "a FIFO"),
    ],
    ids=["archive: FIFO", "archive: link to a device", "SHA256SUMS: FIFO"],
)
def test_a_mirror_holds_regular_files(tmp_path, make, said):
    """All three hung."""
    (tmp_path / "mirror/kitti").mkdir(parents=True)
    make(tmp_path / "mirror/kitti")
    kitti = datasets.load("kitti")
    for source in (str(tmp_path / "mirror"), f"file://{tmp_path}/mirror"):
        with pytest.raises(SourceError) as caught:
            download(kitti, source=source, root=tmp_path, folder=tmp_path / "archives")
        assert caught.value.found.startswith(said)


def test_an_archive_that_became_a_fifo_is_not_extracted(tmp_path):
    """Hung."""
    from segline.data.extract.archives import extract

    kitti = datasets.load("kitti")
    for archive in kitti.archives:
        os.mkfifo(tmp_path / archive.name)
    with pytest.raises(ArchiveError, match="a FIFO"):
        extract(kitti, archives=tmp_path, folder=tmp_path / "raw")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: Path("/dev/zero"), "a character device"),
        (lambda path: os.mkfifo(path) or path, "a FIFO"),
        (lambda path: path.symlink_to("pipe") or path, "a link that leads nowhere"),
        (lambda path: path.symlink_to(path.name) or path, "Too many levels of symbolic links"),
        (lambda path: path.with_name("a" * 300), "File name too long"),  # a traceback
    ],
    ids=["device", "FIFO", "dangling link", "link to itself", "long name"],
)
def test_predict_and_init_tell_what_their_source_is(tmp_path, make, said):
    """`predict` said "no such file or folder" of all of them, and `init` "a file"."""
    from segline.inference.predict import image_files

    source = make(tmp_path / "a.png")
    for read in (image_files, survey):  # of `segline init`
        with pytest.raises(DataError) as caught:
            read(source)
        assert caught.value.found.startswith(said)


def test_predict_names_devices_in_a_folder_and_does_the_links(tmp_path):
    """A FIFO hung; a link to /dev/zero took 10 GB, and hung."""
    import keras

    from segline.inference.bundle import Bundle, load
    from segline.inference.predict import predict_files

    image = keras.Input((None, None, 3))
    labels = label_map([(0, "a", (0, 0, 0)), (1, "b", (9, 9, 9)), (2, "c", (99, 99, 99))])
    network = keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    bundle = Bundle(network=network, dataset="drawn", family="unet", labels=labels, short_side=None, stride=1)
    _draw(tmp_path / "cache")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "linked.png").symlink_to(tmp_path / "cache/images/0.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    said: list[str] = []
    done: list[str] = []
    with pytest.raises(DataError, match="2 of 3 images cannot be read"):
        done.extend(path.name for path in predict_files(bundle, folder, output=tmp_path / "out", report=said.append))
    assert (tmp_path / "out/linked_labels.png").is_file()
    assert "pipe.png: a FIFO" in said[0]
    assert "zero.png: a character device" in said[1]
    os.mkfifo(tmp_path / "segline.json")  # beside a network: hung
    with pytest.raises(DataError, match=r"segline\.json: a FIFO"):
        load(tmp_path)


# Links


def _outside(project: Project) -> Path:
    """A folder outside of the data, with an image that could be one of them."""
    other = project.data.parent / "other"
    other.mkdir()
    shutil.copy(project.data / "images/0.png", other / "0.png")
    return other


def _replace(path: Path, target: Path | str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _chain(project: Project) -> None:
    _replace(project.data / "images/second", _outside(project) / "0.png")
    _replace(project.data / "images/first", "second")
    _replace(project.data / "images/0.png", "first")


def _through_a_folder(project: Project) -> None:
    (project.data / "deep").symlink_to(_outside(project))
    _replace(project.data / "images/0.png", "../deep/0.png")


def _hidden(project: Project) -> None:
    """A list names a hidden link, which no walk comes past."""
    (project.data / ".hidden").mkdir()
    (project.data / ".hidden/0.png").symlink_to("/etc/passwd")
    rows = [f"images/{number}.png,masks/{number}.png" for number in range(1, SAMPLES)]
    (project.data / "pairs.csv").write_text("\n".join(["image,mask", ".hidden/0.png,masks/0.png", *rows, ""]))


def _hidden_folder(project: Project) -> None:
    (project.data / ".hidden").symlink_to(_outside(project))
    rows = [f"images/{number}.png,masks/{number}.png" for number in range(1, SAMPLES)]
    (project.data / "pairs.csv").write_text("\n".join(["image,mask", ".hidden/0.png,masks/0.png", *rows, ""]))


LEAVING = {
    # All of them were followed, and what they lead to was copied into data/raw.
    "file": lambda project: _replace(project.data / "images/0.png", "/etc/passwd"),
    "relative": lambda project: _replace(
        project.data / "images/0.png", os.path.relpath("/etc/passwd", project.data / "images")
    ),
    "chain": _chain,
    "folder": lambda project: (project.data / "images/more").symlink_to(_outside(project)),
    "folder above": lambda project: (project.data / "images/more").symlink_to("../.."),
    "sibling of the same beginning": lambda project: _replace(
        project.data / "images/0.png", shutil.copytree(project.data, f"{project.data}2") + "/images/0.png"
    ),
    "through a linked folder": _through_a_folder,
    "hidden, in a list": _hidden,
    "in a hidden linked folder, in a list": _hidden_folder,
    "class table": lambda project: _replace(project.data / "classes.yaml", project.root / "params.yaml"),
    "leading nowhere": lambda project: _replace(project.data / "images/0.png", "/nowhere/0.png"),
    "device": lambda project: _replace(project.data / "images/0.png", "/dev/zero"),
}


@pytest.mark.parametrize("make", LEAVING.values(), ids=LEAVING)
def test_a_link_that_leaves_the_folder_is_refused_by_init(project, make):
    params = (project.root / "params.yaml").read_text()
    make(project)
    said = project.init(fails=True)
    assert "a link that leads out of the folder, to /" in said
    assert f"segline init {project.data} --follow-links" in said
    assert (project.root / "params.yaml").read_text() == params


@pytest.mark.parametrize("make", [LEAVING["file"], LEAVING["folder"], _hidden], ids=["file", "folder", "hidden"])
def test_a_link_that_came_later_is_refused_by_the_stages(project, make):
    """/etc/passwd was in data/raw."""
    if make is _hidden:
        (project.data / "pairs.csv").write_text(
            "image,mask\n" + "".join(f"images/{number}.png,masks/{number}.png\n" for number in range(SAMPLES))
        )
    project.init()
    make(project)
    for stage in ("look", "download")[make is _hidden :]:
        assert "a link that leads out of the folder" in project.run("data", stage, "folder", fails=True)
    assert not project.raw.exists()


def test_a_link_that_came_between_two_stages_is_refused(project):
    project.init()
    project.stages("look", "download")
    shutil.copy(project.data / "images/0.png", project.root.parent / "same.png")  # whose digest would be right
    _replace(project.data / "images/0.png", project.root.parent / "same.png")
    said = project.run("data", "extract", "folder", fails=True)
    assert "images/0.png: a link that leads out of the folder" in said
    assert not project.raw.exists()


def test_a_file_that_is_exchanged_for_a_link_is_not_read(tmp_path):
    """It is looked at once it is open, so that nothing can be exchanged between looking and opening."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_text("secret")
    (tmp_path / "in/link").symlink_to("../out")
    with pytest.raises(LinkError):
        reading.open_file(tmp_path / "in/link", within=tmp_path / "in")
    (tmp_path / "in/link").unlink()
    (tmp_path / "in/link").write_text("ours")
    with reading.open_file(tmp_path / "in/link", within=tmp_path / "in") as handle:
        assert handle.read() == b"ours"


def test_links_that_stay_in_the_folder_are_followed(project):
    """So they were, and so is a link to the folder itself; a circle ends."""
    _replace(project.data / "images/0.png", "../images/1.png")
    (project.data / "images/round").symlink_to("..")
    shutil.move(project.data, project.data.parent / "elsewhere")
    project.data.symlink_to("elsewhere")
    project.init()
    project.stages()
    assert (project.raw / "images/0.png").read_bytes() == (project.data / "images/1.png").read_bytes()
    assert not (project.raw / "images/0.png").is_symlink()
    assert "follow_links" not in project.options()


def test_a_link_to_itself_is_told(project):
    """`init` had a traceback of an `OSError`."""
    (project.data / "images/0.png").unlink()
    (project.data / "images/0.png").symlink_to("0.png")
    project.init()
    said = project.run("data", "download", "folder", fails=True)
    assert "images/0.png: cannot be read: Too many levels of symbolic links" in said


def _as_dvc_does(project: Project) -> Path:
    """Move all files into a cache and leave links to them."""
    cache = project.data.parent / "cache"
    cache.mkdir()
    for number, path in enumerate(sorted(project.data.rglob("*.png"))):
        shutil.move(path, cache / f"{number:032x}")
        path.symlink_to(cache / f"{number:032x}")
    return cache


def test_a_folder_of_links_is_taken_with_follow_links_which_is_remembered(project):
    """There was no such option: all links were followed."""
    cache = _as_dvc_does(project)
    project.init(fails=True)
    said = project.init("--follow-links")
    assert project.options()["follow_links"] is True
    text = (project.root / "params.yaml").read_text()
    assert "# what `dvc repro` downloads, checks and prepares" in text  # comments stay
    project.init()
    project.init("--force")
    assert (project.root / "params.yaml").read_text() == text, said
    project.stages()
    assert (project.raw / "images/0.png").read_bytes() == (cache / f"{0:032x}").read_bytes()
    assert not (project.raw / "images/0.png").is_symlink()
    seen = (project.root / "own/folder.txt").read_text()
    project.stages("look")
    assert (project.root / "own/folder.txt").read_text() == seen
    shutil.copy(cache / f"{1:032x}", cache / f"{0:032x}")  # the target changes, and the link does not
    project.stages("look")
    assert (project.root / "own/folder.txt").read_text() != seen
    project.init("--no-follow-links", fails=True)
    assert project.options()["follow_links"] is True  # nothing is written where init fails


def test_follow_links_is_added_to_an_entry_that_a_person_wrote(project):
    project.init()
    params = project.root / "params.yaml"
    params.write_text(params.read_text().replace("encoding: ids", "encoding: ids  # mine"))
    shutil.move(project.data / "images/0.png", project.data.parent / "0.png")
    (project.data / "images/0.png").symlink_to(project.data.parent / "0.png")
    before = project.options()
    assert "follow_links true" in project.init("--follow-links")
    assert project.options() == before | {"follow_links": True}
    shutil.move(project.data.parent / "0.png", project.data / "images/0.png")
    assert "follow_links false" in project.init("--no-follow-links")
    assert not project.options()["follow_links"]


def test_follow_links_follows_no_device(project):
    (project.data / "images/0.png").unlink()
    (project.data / "images/0.png").symlink_to("/dev/zero")
    assert "images/0.png: a character device" in project.init("--follow-links", fails=True)
