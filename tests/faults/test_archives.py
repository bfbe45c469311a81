"""Planted faults of archives: each is told, what was there before stays, and nothing is half-extracted."""

import bz2
import dataclasses
import gzip
import io
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from segline import storage
from segline.core.labels import label_map
from segline.data.extract import members
from segline.data.extract.archives import extract
from segline.datasets.base import Archive, Dataset
from segline.errors import ArchiveError, StorageError

DATASET = Dataset(
    name="tiny",
    title="Tiny",
    terms="made by the tests",
    archives=(),
    label_map=label_map([(0, "ground", (9, 9, 9))]),
    protocol="tiny/1",
    pairs=lambda raw: [],
)
NOISE = random.Random(3).randbytes(20_000)
WHOLE = {"images/a.png": NOISE, "masks/a.png": NOISE[::-1]}


def _zip(path: Path, extra: dict[str, bytes] | None = None, *, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in (WHOLE | (extra or {})).items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=method)


def _tar(path: Path, *extra: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> None:
    with tarfile.open(path, mode) as archive:
        for name, content in WHOLE.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for entry in extra:
            info, content = entry if isinstance(entry, tuple) else (entry, b"")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def _info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _edited(path: Path, change: Callable[[bytearray], object]) -> None:
    """Write a whole zip and change its bytes."""
    _zip(path)
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def _zip_link(path: Path, mode: int) -> None:
    _zip(path)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("images/link")
        info.external_attr = mode << 16
        archive.writestr(info, "/etc/passwd")


def _twice(path: Path) -> None:
    _zip(path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("images/a.png", b"another")


def _overlapping(path: Path, *, count: int = 400) -> None:
    """The better zip bomb, in small: many entries of the listing share one compressed kernel."""
    kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = b"\0" * 1_000_000
    packed = kernel.compress(content) + kernel.flush()
    facts = (zlib.crc32(content), len(packed), len(content))
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 33, *facts, 8, 0) + b"images/0" + packed
    listing = b"".join(
        struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 33, *facts, 8, 0, 0, 0, 0, 0, 0) + b"images/0"
        for _ in range(count)
    )
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(listing), len(local), 0)
    path.write_bytes(local + listing + end)


def _lying_size(path: Path, *, claimed: int) -> None:
    """Both headers of the last member claim another size than is packed."""
    _zip(path, {"images/lie.png": b"\0" * 3_000_000})
    data = bytearray(path.read_bytes())
    for place in range(len(data) - 4):
        if data[place : place + 4] == struct.pack("<I", 3_000_000):
            data[place : place + 4] = struct.pack("<I", claimed)
    path.write_bytes(data)


def _sparse(path: Path) -> None:
    info = _info("images/holes.png")
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "images/holes.png",
        "GNU.sparse.realsize": str(1 << 40),
    }
    content = b"1\n1099511627775\n1\n".ljust(512, b"\0") + b"x"
    _tar(path, (info, content))


def _long_header(path: Path) -> None:
    """A pax header of 64 MiB, which would be read into memory."""
    info = tarfile.TarInfo("./PaxHeaders/x")
    info.type, info.size = tarfile.XHDTYPE, 64 << 20
    with gzip.open(path, "wb") as stream:
        stream.write(info.tobuf(tarfile.USTAR_FORMAT))
        stream.write(b"\0" * info.size)


def _zeros_behind_the_end(path: Path) -> None:
    _tar(path, mode="w")
    data = path.read_bytes()
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(data)
        for _ in range(40):
            stream.write(b"\0" * (1 << 20))


def _appended(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes() + content)


HOSTILE = "plain files and folders inside"
UNUSED = "do not use this archive"
AGAIN = "run the download again"

FAULTS = {
    # name: (file name, what plants it, phrases of what was found, expected, and is to do)
    "zip: absolute path": ("t.zip", lambda path: _zip(path, {"/evil": b"x"}), "outside the folder", HOSTILE, UNUSED),
    "zip: climbs out": ("t.zip", lambda path: _zip(path, {"images/../../evil": b"x"}), "outside", HOSTILE, UNUSED),
    "zip: Windows path": ("t.zip", lambda path: _zip(path, {"C:/evil": b"x"}), "outside", HOSTILE, UNUSED),
    "zip: backslashes": ("t.zip", lambda path: _zip(path, {"images\\..\\..\\evil": b"x"}), "outside", HOSTILE, UNUSED),
    "zip: symbolic link": ("t.zip", lambda path: _zip_link(path, 0o120777), "is a link or a device", HOSTILE, UNUSED),
    "zip: device": ("t.zip", lambda path: _zip_link(path, 0o020666), "is a link or a device", HOSTILE, UNUSED),
    "zip: a member twice": ("t.zip", _twice, "two members have the name 'images/a.png'", HOSTILE, UNUSED),
    "zip: text that runs backwards": (
        "t.zip",
        lambda path: _zip(path, {"images/\u202egnp.exe": b"x"}),
        "the invisible character U+202E",
        HOSTILE,
        UNUSED,
    ),
    "zip: a letter of no width": (
        "t.zip",
        lambda path: _zip(path, {"images/a\u200b.png": b"x"}),
        "the invisible character U+200B",
        HOSTILE,
        UNUSED,
    ),
    "zip: encrypted": (
        "t.zip",
        lambda path: _edited(path, lambda data: data.__setitem__(data.index(b"PK\1\2") + 8, 1)),
        "is encrypted",
        "without a password",
        "repack",
    ),
    "zip: unknown compression": (
        "t.zip",
        lambda path: _edited(
            path,
            lambda data: [
                data.__setitem__(slice(data.index(mark) + step, data.index(mark) + step + 2), b"\x63\0")
                for mark, step in ((b"PK\1\2", 10), (b"PK\3\4", 8))
            ],
        ),
        "compression",
        "a complete archive",
        AGAIN,
    ),
    "zip: two names for one member": (
        "t.zip",
        lambda path: _edited(path, lambda data: data.__setitem__(data.index(b"images/a") + 7, ord("b"))),
        "cannot be extracted",
        "a complete archive",
        AGAIN,
    ),
    "zip: a bomb": (
        "t.zip",
        lambda path: _zip(path, {"images/bomb.png": b"\0" * 20_000_000}),
        "a bomb: its",
        HOSTILE,
        UNUSED,
    ),
    "zip: members that overlap": ("t.zip", _overlapping, "overlaps the next one: a bomb", HOSTILE, UNUSED),
    "zip: claims less than it holds": (
        "t.zip",
        lambda path: _lying_size(path, claimed=1000),
        "cannot be extracted (Bad CRC-32",
        "a complete archive",
        AGAIN,
    ),
    "zip: claims more than it holds": (
        "t.zip",
        lambda path: _lying_size(path, claimed=3_000_500),
        "has 3000000 of 3000500 bytes",
        "a complete archive",
        AGAIN,
    ),
    "zip: a flipped byte": (
        "t.zip",
        lambda path: _edited(path, lambda data: data.__setitem__(5000, data[5000] ^ 1)),
        "cannot be extracted",
        "a complete archive",
        AGAIN,
    ),
    "zip: cut short": (
        "t.zip",
        lambda path: _edited(path, lambda data: data.__delitem__(slice(30_000, None))),
        "not a zip file",
        "a complete archive",
        AGAIN,
    ),
    "zip: unrelated bytes after its end": (
        "t.zip",
        lambda path: _edited(path, lambda data: data.extend(b"<html>")),
        "unrelated bytes after its end",
        "a complete archive",
        AGAIN,
    ),
    "zip: unrelated bytes before its start": (
        "t.zip",
        lambda path: _edited(path, lambda data: data.__setitem__(slice(0, 0), b"#!/bin/sh\n")),
        "10 unrelated bytes before its first member",
        "a complete archive",
        AGAIN,
    ),
    "zip: two in one": (
        "t.zip",
        lambda path: _edited(path, lambda data: data.extend(bytes(data))),
        "unrelated bytes before its first member",
        "a complete archive",
        AGAIN,
    ),
    "a page": (
        "t.zip",
        lambda path: path.write_bytes(b"<!DOCTYPE html><title>Please log in"),
        "starts with b'<!DOCTYPE html>",
        "a complete archive",
        AGAIN,
    ),
    "an empty file": ("t.tar.gz", lambda path: path.write_bytes(b""), "it has 0 bytes", "a complete archive", AGAIN),
    "not there": ("t.zip", lambda path: None, "no such file", "a downloaded archive", "run the download stage first"),
    "no folder": (
        "t.zip",
        lambda path: (_zip(path), path.write_bytes(path.read_bytes().replace(b"masks/", b"other/"))),
        "no folder masks; at the top level are: images/, other/",
        "the folders images, masks",
        "not repacked",
    ),
    "a file and a folder of one name": (
        "t.zip",
        lambda path: _zip(path, {"images/a.png/b.png": b"x"}),
        "cannot be extracted",
        "a complete archive",
        AGAIN,
    ),
    "a name too long": (
        "t.zip",
        lambda path: _zip(path, {"images/" + "a" * 300: b"x"}),
        "name too long",
        "a complete archive",
        AGAIN,
    ),
    "tar: absolute path": ("t.tar.gz", lambda path: _tar(path, _info("/evil")), "outside", HOSTILE, UNUSED),
    "tar: climbs out": ("t.tar.gz", lambda path: _tar(path, _info("images/../../evil")), "outside", HOSTILE, UNUSED),
    "tar: symbolic link": (
        "t.tar.gz",
        lambda path: _tar(path, _info("images/l", tarfile.SYMTYPE, "a.png")),
        "is a link",
        HOSTILE,
        UNUSED,
    ),
    "tar: a member behind a link": (
        "t.tar.gz",
        lambda path: _tar(path, _info("images/l", tarfile.SYMTYPE, "../.."), _info("images/l/evil")),
        "is a link",
        HOSTILE,
        UNUSED,
    ),
    "tar: hard link": (
        "t.tar.gz",
        lambda path: _tar(path, _info("images/l", tarfile.LNKTYPE, "images/a.png")),
        "is a link",
        HOSTILE,
        UNUSED,
    ),
    "tar: device": (
        "t.tar.gz",
        lambda path: _tar(path, _info("images/null", tarfile.CHRTYPE)),
        "a device",
        HOSTILE,
        UNUSED,
    ),
    "tar: pipe": ("t.tar.gz", lambda path: _tar(path, _info("images/p", tarfile.FIFOTYPE)), "a pipe", HOSTILE, UNUSED),
    "tar: sparse": ("t.tar.gz", _sparse, "sparse (a file with holes)", HOSTILE, UNUSED),
    "tar: a member twice": ("t.tar.gz", lambda path: _tar(path, _info("images/a.png")), "two members", HOSTILE, UNUSED),
    "tar: bytes that are no text in a name": (
        "t.tar.gz",
        lambda path: _tar(path, _info("images/\udcff.png")),
        "invisible character U+DCFF",
        HOSTILE,
        UNUSED,
    ),
    "tar: a bomb": (
        "t.tar.gz",
        lambda path: _tar(path, (_info("images/bomb"), b"\0" * 20_000_000)),
        "a bomb: its",
        HOSTILE,
        UNUSED,
    ),
    "tar: a header that fills the memory": ("t.tar.gz", _long_header, "a header of 67108864 bytes", HOSTILE, UNUSED),
    "tar: zeros without end": ("t.tar.gz", _zeros_behind_the_end, "a bomb: its", HOSTILE, UNUSED),
    "tar: unrelated bytes after its end": (
        "t.tar",
        lambda path: (_tar(path, mode="w"), _appended(path, b"\0" * 20_000 + b"more")),
        "unrelated bytes after its end",
        "a complete archive",
        AGAIN,
    ),
    "tar: unrelated bytes after its compression": (
        "t.tar.gz",
        lambda path: (_tar(path), _appended(path, b"<html>")),
        "cannot be extracted",
        "a complete archive",
        AGAIN,
    ),
    "tar: cut short": (
        "t.tar.gz",
        lambda path: (_tar(path), path.write_bytes(path.read_bytes()[:-9])),
        "cannot be extracted",
        "a complete archive",
        AGAIN,
    ),
    "tar: cut between two members": (
        "t.tar",
        lambda path: (_tar(path, mode="w"), path.write_bytes(path.read_bytes()[: 512 + 20_480])),
        "cut short or damaged at byte",
        "a complete tar",
        AGAIN,
    ),
    "tar: a damaged header": (
        "t.tar",
        lambda path: (
            _tar(path, mode="w"),
            path.write_bytes(path.read_bytes().replace(b"masks/a.png", b"masks/b.png")),
        ),
        "cut short or damaged at byte 20992",
        "a complete tar",
        AGAIN,
    ),
    "tar: another compression, cut short": (
        "t.tar.bz2",
        lambda path: (_tar(path, mode="w"), path.write_bytes(bz2.compress(path.read_bytes())[:-30])),
        "cannot be extracted",
        "a complete archive",
        AGAIN,
    ),
}


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A project that has raw data of an older version."""
    raw = tmp_path / "data" / "raw" / "tiny"
    (raw / "images").mkdir(parents=True)
    (raw / "images" / "older.png").write_bytes(b"older")
    (tmp_path / "data" / "archives").mkdir()
    return tmp_path / "data"


def _state(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def _extract(data: Path, name: str, **facts: object) -> list[str]:
    lines: list[str] = []
    archive = Archive(name=name, url=None, folders=("images", "masks"), **facts)
    dataset = dataclasses.replace(DATASET, archives=(archive,))
    extract(dataset, archives=data / "archives", folder=data / "raw" / "tiny", report=lines.append)
    return lines


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_told_and_harms_nothing(before: Path, tmp_path: Path, name: str) -> None:
    file_name, plant, found, expected, remedy = FAULTS[name]
    plant(before / "archives" / file_name)
    around = _state(tmp_path)
    with pytest.raises(ArchiveError) as caught:
        _extract(before, file_name)
    assert found in caught.value.found
    assert expected in caught.value.expected
    assert remedy in caught.value.remedy
    assert caught.value.place.endswith(file_name)
    assert _state(tmp_path) == around


@pytest.mark.parametrize("name", ["t.zip", "t.tar.gz", "t.tar"])
def test_the_same_archive_without_a_fault_is_extracted(before: Path, name: str) -> None:
    path = before / "archives" / name
    _zip(path) if name == "t.zip" else _tar(path, mode="w" if name == "t.tar" else "w:gz")
    _extract(before, name)
    found = {place: content for place, content in _state(before / "raw" / "tiny").items() if content is not None}
    assert found == WHOLE


def test_the_limit_comes_from_the_known_size(before: Path) -> None:
    _zip(before / "archives" / "t.zip", {"images/b.png": b"\0" * 500_000})
    with pytest.raises(ArchiveError, match=r"unpack to more than the limit of 0\.2 MiB"):
        _extract(before, "t.zip", extracted=100_000)
    _extract(before, "t.zip", extracted=300_000)


def test_too_many_members_are_a_bomb(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MAX_MEMBERS", 3)
    _zip(before / "archives" / "t.zip", {f"images/{number}.png": b"" for number in range(2)})
    around = _state(before)
    with pytest.raises(ArchiveError, match="more than 3 members: a bomb"):
        _extract(before, "t.zip")
    assert _state(before) == around


def test_room_is_looked_for_before_the_first_byte(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _zip(before / "archives" / "t.zip")
    around = _state(before)
    monkeypatch.setattr(storage, "SPARE", 1 << 60)
    with pytest.raises(StorageError, match=r"[MG]iB free, expected 0\.0 MiB for the extracted files"):
        _extract(before, "t.zip")
    assert _state(before) == around


def test_names_that_some_disks_cannot_tell_apart_are_told(before: Path) -> None:
    _zip(before / "archives" / "t.zip", {"images/A.png": b"x", "images/\u00e9.png": b"x", "images/e\u0301.png": b"x"})
    lines = _extract(before, "t.zip")
    assert any("images/a.png and images/A.png are the same name" in line for line in lines)
    assert sum("are the same name" in line for line in lines) == 2
    assert (before / "raw/tiny/images/A.png").read_bytes() == b"x"
    assert (before / "raw/tiny/images/a.png").read_bytes() == NOISE
