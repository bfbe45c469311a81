"""The drawn mirror and its extracted folders, drawn once for all test processes."""

import tarfile
import zipfile

import pytest
from filelock import FileLock
from places import REAL

from segline.datasets import sample


@pytest.fixture(scope="session")
def _drawn(tmp_path_factory, worker_id):
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "drawn"
    with FileLock(f"{folder}.lock"):
        if not (folder / "whole").exists():
            for name in sample.NAMES:
                sample.draw(name, folder / "mirror" / name)
                extract(folder / "mirror" / name, folder / "raw" / name)
            (folder / "whole").touch()
    return folder


@pytest.fixture(scope="session")
def mirror(_drawn):
    return _drawn / "mirror"


@pytest.fixture(scope="session")
def raw(_drawn):
    """Extracted by the standard library, not by Segline."""
    return _drawn / "raw"


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """Extracted folders of the real archives that are lent for development."""
    if not REAL.is_dir():
        pytest.skip("the real archives are not here")
    folder = tmp_path_factory.mktemp("real")
    for path in REAL.iterdir():
        extract(path, folder / path.name)
    return folder


def extract(archives, target):
    for path in sorted(archives.iterdir()):
        if path.suffix == ".zip":
            zipfile.ZipFile(path).extractall(target)
        elif path.suffix == ".gz":
            with tarfile.open(path) as archive:
                archive.extractall(target, filter="data")
