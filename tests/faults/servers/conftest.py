"""No waiting, and a project with an older version of what the server has."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import tenacity
from faulty_server import TINY, Project, Server, draw_archive

from segline.data.download import address, transfer
from segline.data.download.download import SUMS, download
from segline.data.extract.archives import extract


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transfer, "WAIT", tenacity.wait_none())
    monkeypatch.setattr(transfer, "LONGEST_WAIT", 0.01)
    monkeypatch.setattr(transfer, "WINDOW", 0.3)
    monkeypatch.setattr(address, "TIMEOUT", httpx.Timeout(2.0, read=0.25))


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has an older version from a mirror."""
    root = tmp_path_factory.mktemp("older")
    content = draw_archive(root / "mirror" / "tiny" / "tiny.zip", seed=1)
    (root / "mirror" / "tiny" / SUMS).write_text(f"{hashlib.sha256(content).hexdigest()}  tiny.zip\n")
    archives = root / "data" / "archives" / "tiny"
    download(TINY, source="mirror", root=root, folder=archives)
    extract(TINY, archives=archives, folder=root / "data" / "raw" / "tiny")
    return root


@pytest.fixture
def project(older: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(older / "data", tmp_path / "data")
    new = draw_archive(tmp_path / "new.zip", seed=9)
    server = Server(new)
    yield Project(tmp_path, server, new)
    server.close()
