"""FIFOs, devices, sockets and folders in the place of files: told by name, and never waited for."""

import os
import socket
from pathlib import Path

import pytest
from opened_project import draw_data

from segline import datasets, reading
from segline.core.labels import label_map
from segline.data.download.download import download
from segline.data.images.decode import read_image, read_mask
from segline.data.look.survey import survey
from segline.data.validate.build_manifest import build_manifest
from segline.datasets.base import Dataset, Pair
from segline.datasets.own.annotation_files import read_json
from segline.datasets.own.definition import read_samples
from segline.errors import ArchiveError, DataError, SourceError

pytestmark = pytest.mark.timeout(60)  # what waits for a FIFO fails, and does not keep the others waiting


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
    assert caught.value.remedy == "replace it by a regular file, or remove it"


def test_a_file_without_end_is_read_up_to_the_limit():
    """Hung: one of /proc's that says it has no bytes, and gives some, stands for one that grows."""
    assert Path("/proc/self/maps").stat().st_size == 0
    with pytest.raises(DataError, match="more than the limit of 100 bytes"):
        reading.read_bytes(Path("/proc/self/maps"), limit=100)
    assert len(reading.read_bytes(Path("/proc/self/maps"), limit=1 << 24)) > 100


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
    assert "remedy: replace it by a regular file, or remove it" in said


def test_a_fifo_that_came_later_stops_each_stage(project):
    """`look` saw nothing in it; download and extract hung."""
    project.init()
    project.stages()
    before = {path: path.read_bytes() for path in project.raw.rglob("*") if path.is_file()}
    (project.data / "masks/0.png").unlink()
    os.mkfifo(project.data / "masks/0.png")
    for stage in ("look", "download", "extract"):
        assert "masks/0.png: a FIFO" in project.run("data", stage, project.data.name, fails=True)
    assert {path: path.read_bytes() for path in project.raw.rglob("*") if path.is_file()} == before


def test_images_of_the_raw_folder_may_be_links_and_no_devices(tmp_path):
    """A FIFO hung; DVC's links into its cache were read, and are."""
    draw_data(tmp_path / "cache")
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
    from segline.inference.sources import find_images

    source = make(tmp_path / "a.png")
    for read in (find_images, survey):  # of `segline init`
        with pytest.raises(DataError) as caught:
            read(source)
        assert caught.value.found.startswith(said)


def test_predict_names_devices_in_a_folder_and_does_the_links(tmp_path):
    """A FIFO hung; a link to /dev/zero took 10 GB, and hung."""
    import keras

    from segline.inference.bundle import Bundle, load
    from segline.inference.folder import predict_files

    image = keras.Input((None, None, 3))
    labels = label_map([(0, "a", (0, 0, 0)), (1, "b", (9, 9, 9)), (2, "c", (99, 99, 99))])
    network = keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    bundle = Bundle(network=network, dataset="drawn", family="unet", labels=labels, short_side=None, stride=1)
    draw_data(tmp_path / "cache")
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
