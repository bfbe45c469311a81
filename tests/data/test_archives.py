import dataclasses
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from segline.data.archives import extract
from segline.datasets.base import Archive, Dataset
from segline.errors import ArchiveError


def _with_archive(dataset: Dataset, name: str) -> Dataset:
    return dataclasses.replace(dataset, archives=(Archive(name=name, url=None, folders=("images", "masks")),))


def _tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> None:
    with tarfile.open(path, mode) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


WHOLE = [("images/train_0.png", b"image"), ("masks/train_0.png", b"mask" * 500)]


def _whole_tar(path: Path, mode: str = "w:gz") -> None:
    _tar(path, [(_member(name), content) for name, content in WHOLE], mode)


@pytest.mark.parametrize("name", ["tiny.tar.gz", "tiny.tar", "tiny.zip"])
def test_everything_is_extracted(tmp_path: Path, tiny: Dataset, name: str) -> None:
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, content in [*WHOLE, ("images/._x", b"apple"), ("images/x.mat", b"matlab")]:
                archive.writestr(member, content)
    else:
        _whole_tar(tmp_path / name, "w:gz" if name.endswith("gz") else "w")
    lines: list[str] = []
    extract(_with_archive(tiny, name), archives=tmp_path, folder=tmp_path / "raw", report=lines.append)
    for member, content in WHOLE:
        assert (tmp_path / "raw" / member).read_bytes() == content
    assert (tmp_path / "raw/images/x.mat").exists() == name.endswith(".zip")
    assert name in lines[0]


def test_an_older_extraction_is_replaced_whole(tmp_path: Path, tiny: Dataset, mirror: Path) -> None:
    folder = tmp_path / "out"
    (folder / "left").mkdir(parents=True)
    extract(tiny, archives=mirror / "tiny", folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["images", "masks"]


HOSTILE_TAR = {
    "absolute": [_member("/tmp/segline-evil")],
    "traversal": [_member("images/../../evil")],
    "symlink out": [_member("images/link", tarfile.SYMTYPE, "../../evil")],
    "absolute symlink": [_member("images/link", tarfile.SYMTYPE, "/etc/passwd")],
    "hard link out": [_member("images/link", tarfile.LNKTYPE, "../evil")],
    "write through a link": [_member("images/link", tarfile.SYMTYPE, "."), _member("images/link/evil")],
    "overwrite a link": [_member("images/link", tarfile.SYMTYPE, "x"), _member("images/link")],
    "device": [_member("images/null", tarfile.CHRTYPE)],
    "pipe": [_member("images/pipe", tarfile.FIFOTYPE)],
    "windows": [_member("C:\\evil")],
}


@pytest.mark.parametrize("kind", HOSTILE_TAR)
def test_a_hostile_tar_is_refused(tmp_path: Path, tiny: Dataset, kind: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    whole = [(_member(name), content) for name, content in WHOLE]
    _tar(tmp_path / "t.tar.gz", whole + [(member, b"") for member in HOSTILE_TAR[kind]])
    with pytest.raises(ArchiveError) as caught:
        extract(_with_archive(tiny, "t.tar.gz"), archives=tmp_path, folder=home / "raw")
    assert "t.tar.gz" in str(caught.value)
    assert "do not use this archive" in str(caught.value)
    assert list(home.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "t.tar.gz"]


@pytest.mark.parametrize("name", ["/evil", "../evil", "images/../../evil", "C:/evil", "images\\..\\..\\evil"])
def test_a_hostile_zip_is_refused(tmp_path: Path, tiny: Dataset, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("images/a.png", b"")
        archive.writestr("masks/a.png", b"")
        archive.writestr(name, b"evil")
    with pytest.raises(ArchiveError, match="outside the folder"):
        extract(_with_archive(tiny, "t.zip"), archives=tmp_path, folder=tmp_path / "raw")
    assert [path.name for path in tmp_path.iterdir()] == ["t.zip"]


def test_a_link_in_a_zip_is_refused(tmp_path: Path, tiny: Dataset) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        link = zipfile.ZipInfo("images/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="is a link or a device"):
        extract(_with_archive(tiny, "t.zip"), archives=tmp_path, folder=tmp_path / "raw")


def test_an_encrypted_zip_is_refused(tmp_path: Path, tiny: Dataset) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("images/a.png", b"x")
    data = bytearray((tmp_path / "t.zip").read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "t.zip").write_bytes(data)
    with pytest.raises(ArchiveError, match="encrypted"):
        extract(_with_archive(tiny, "t.zip"), archives=tmp_path, folder=tmp_path / "raw")


@pytest.mark.parametrize("name", ["t.tar", "t.tar.gz", "t.tar.bz2", "t.tar.xz", "t.zip"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.97])
def test_a_truncated_archive_is_an_error(tmp_path: Path, tiny: Dataset, name: str, share: float) -> None:
    path = tmp_path / name
    noise = os.urandom(40_000)
    members = [("images/a.png", noise), ("masks/a.png", noise)]
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in members:
                archive.writestr(member, content)
    else:
        mode = {"tar": "w", "gz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}[name.rpartition(".")[2]]
        _tar(path, [(_member(member), content) for member, content in members], mode)
    data = path.read_bytes()
    # A tar ends in up to 10 KiB of zeros, of which only the first block means something.
    whole = len(data.rstrip(b"\0")) if name == "t.tar" else len(data)
    path.write_bytes(data[: int(whole * share)])
    with pytest.raises(ArchiveError, match=r"t\."):
        extract(_with_archive(tiny, name), archives=tmp_path, folder=tmp_path / "raw")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path: Path, tiny: Dataset) -> None:
    _whole_tar(tmp_path / "t.tar", "w")
    data = bytearray((tmp_path / "t.tar").read_bytes())
    data[1024:1030] = b"\xffdamag"  # the second member's header
    (tmp_path / "t.tar").write_bytes(data)
    with pytest.raises(ArchiveError, match="at byte 1024"):
        extract(_with_archive(tiny, "t.tar"), archives=tmp_path, folder=tmp_path / "raw")


def test_a_flipped_byte_is_noticed(tmp_path: Path, tiny: Dataset, mirror: Path) -> None:
    path = mirror / "tiny" / "tiny.zip"
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"tiny\.zip"):
        extract(tiny, archives=path.parent, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_page_instead_of_an_archive_shows_its_start(tmp_path: Path, tiny: Dataset) -> None:
    (tmp_path / "tiny.zip").write_text("<!DOCTYPE html><title>Please log in</title>")
    with pytest.raises(ArchiveError, match="<!DOCTYPE html>"):
        extract(tiny, archives=tmp_path, folder=tmp_path / "raw")


def test_a_missing_archive_names_the_stage_to_run(tmp_path: Path, tiny: Dataset) -> None:
    with pytest.raises(ArchiveError, match="run the download stage"):
        extract(tiny, archives=tmp_path, folder=tmp_path / "raw")


def test_missing_folders_are_listed_with_what_is_there(tmp_path: Path, tiny: Dataset) -> None:
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        archive.writestr("tiny-master/images/a.png", b"")
        archive.writestr("README", b"")
    with pytest.raises(ArchiveError, match=r"no folder images, masks; at the top are: README, tiny-master/"):
        extract(tiny, archives=tmp_path, folder=tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_a_file_where_a_folder_must_be_is_an_error(tmp_path: Path, tiny: Dataset) -> None:
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        archive.writestr("images", b"")
        archive.writestr("images/a.png", b"")
    with pytest.raises(ArchiveError):
        extract(tiny, archives=tmp_path, folder=tmp_path / "raw")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from segline.data.archives import _unpack
from segline.errors import StorageError
from segline.storage import atomic_folder
try:
    with atomic_folder(Path(sys.argv[2])) as partial:
        _unpack(Path(sys.argv[1]), partial)
except StorageError as error:
    print(error)
    raise SystemExit(3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    _whole_tar(tmp_path / "t.tar.gz")
    (tmp_path / "out").mkdir()
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path / "t.tar.gz", tmp_path / "out" / "raw"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 3, run.stderr
    assert "the disk is full" in run.stdout
    assert "remedy: free some space" in run.stdout
    assert list((tmp_path / "out").iterdir()) == []
