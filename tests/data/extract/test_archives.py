import dataclasses
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from segline.data.extract.archives import extract
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


def test_archives_may_share_a_file_and_the_later_one_counts(tmp_path: Path, tiny: Dataset) -> None:
    """Both archives of Cityscapes hold a README and a licence."""
    archives = tuple(Archive(name=f"{name}.zip", url=None, folders=(name,)) for name in ("images", "masks"))
    for archive in archives:
        with zipfile.ZipFile(tmp_path / archive.name, "w") as packed:
            packed.writestr(f"{archive.name[:-4]}/a.png", b"a")
            packed.writestr("README", f"of {archive.name}")
    extract(dataclasses.replace(tiny, archives=archives), archives=tmp_path, folder=tmp_path / "raw")
    assert (tmp_path / "raw/README").read_text() == "of masks.zip"
    assert (tmp_path / "raw/images/a.png").read_bytes() == b"a"


def test_an_older_extraction_is_replaced_whole(tmp_path: Path, tiny: Dataset, mirror: Path) -> None:
    folder = tmp_path / "out"
    (folder / "left").mkdir(parents=True)
    extract(tiny, archives=mirror / "tiny", folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["images", "masks"]


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


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from segline.core.labels import label_map
from segline.data.extract.archives import extract
from segline.datasets.base import Archive, Dataset
from segline.errors import StorageError
tiny = Dataset(name="tiny", title="", terms="", archives=(Archive(name="t.tar.gz", url=None, folders=()),),
               label_map=label_map([(0, "a", (0, 0, 0))]), protocol="", pairs=lambda raw: [])
try:
    extract(tiny, archives=Path(sys.argv[1]), folder=Path(sys.argv[2]))
except StorageError as error:
    print(error)
    raise SystemExit(3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    _whole_tar(tmp_path / "t.tar.gz")
    (tmp_path / "out").mkdir()
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path, tmp_path / "out" / "raw"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 3, run.stderr
    assert "the disk is full" in run.stdout
    assert "remedy: free some space" in run.stdout
    assert list((tmp_path / "out").iterdir()) == []
