import dataclasses
import hashlib
import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import requests
import tenacity
from places import REAL

from segline import datasets
from segline.data.download import transfer
from segline.data.download.download import RECORD, SUMS, check_source, download
from segline.datasets.base import Archive, Dataset
from segline.errors import ChecksumError, ConfigError, SourceError


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "WAIT", tenacity.wait_none())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archives" / "tiny"


@pytest.fixture
def whole(mirror: Path) -> bytes:
    return (mirror / "tiny" / "tiny.zip").read_bytes()


class _Server:
    """A loopback mirror; `answers` may say otherwise than the files do, a list of them in turn."""

    def __init__(self, root: Path) -> None:
        self.requests: list[str] = []
        self.answers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(root))

            def do_GET(self) -> None:
                outer.requests.append(self.path)
                answer = outer.answers.get(self.path)
                if answer is None:
                    super().do_GET()
                else:
                    answer(self)

            def do_HEAD(self) -> None:
                if self.path not in outer.answers:
                    super().do_HEAD()
                else:
                    self.send_error(405)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(mirror: Path) -> Iterator[_Server]:
    running = _Server(mirror)
    yield running
    running.close()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_folder_mirror_is_copied_and_recorded(
    tiny: Dataset, mirror: Path, folder: Path, whole: bytes, tmp_path: Path
) -> None:
    lines: list[str] = []
    download(tiny, source="mirror", root=tmp_path, folder=folder, report=lines.append)
    digest = hashlib.sha256(whole).hexdigest()
    assert _names(folder) == [SUMS, RECORD, "tiny.zip"]
    assert (folder / "tiny.zip").read_bytes() == whole
    assert (folder / SUMS).read_text() == f"{digest}  tiny.zip\n"
    assert json.loads((folder / RECORD).read_text()) == {
        "source": "mirror",
        "terms": tiny.terms,
        "archives": [{"name": "tiny.zip", "sha256": digest, "size": len(whole), "url": "mirror/tiny/tiny.zip"}],
    }
    assert tiny.terms in lines[0]


@pytest.mark.parametrize("kind", ["absolute", "file", "http"])
def test_every_kind_of_mirror_gives_the_same_archive(
    tiny: Dataset, mirror: Path, folder: Path, whole: bytes, server: _Server, kind: str
) -> None:
    source = {"absolute": str(mirror), "file": f"file://{mirror}", "http": server.address + "/"}[kind]
    download(tiny, source=source, root=Path("/nowhere"), folder=folder)
    assert (folder / "tiny.zip").read_bytes() == whole


def test_an_s3_mirror(tiny: Dataset, mirror: Path, folder: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs", reason="the extra `s3` is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    # A process of its own: moto patches botocore wherever it is imported.
    moto = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stderr=-3)
    try:
        _fill_bucket(port, mirror)
        download(tiny, source="s3://bucket/mirror", root=mirror, folder=folder)
        assert (folder / "tiny.zip").read_bytes() == whole
        with pytest.raises(SourceError, match="no such file"):
            download(tiny, source="s3://bucket/elsewhere", root=mirror, folder=folder)
    finally:
        moto.terminate()
        moto.wait()


def _fill_bucket(port: int, mirror: Path) -> None:
    base = f"http://127.0.0.1:{port}/bucket"
    for attempt in tenacity.Retrying(stop=tenacity.stop_after_delay(60), wait=tenacity.wait_fixed(0.2)):
        with attempt:
            requests.put(base, timeout=5).raise_for_status()
    for name in ("tiny.zip", SUMS):
        content = (mirror / "tiny" / name).read_bytes()
        requests.put(f"{base}/mirror/tiny/{name}", data=content, timeout=5).raise_for_status()


def test_whole_archives_are_kept_and_strangers_removed(
    tiny: Dataset, folder: Path, whole: bytes, server: _Server
) -> None:
    folder.mkdir(parents=True)
    (folder / "tiny.zip").write_bytes(whole)
    (folder / "older.zip").write_bytes(b"of another source")
    (folder / ".tiny.zip.1.partial").write_bytes(b"half")
    (folder / "unpacked").mkdir()
    lines: list[str] = []
    download(tiny, source=server.address, root=folder, folder=folder, report=lines.append)
    assert _names(folder) == [SUMS, RECORD, "tiny.zip"]
    assert server.requests == ["/tiny/SHA256SUMS"]
    assert any("already downloaded" in line for line in lines)


def test_an_archive_of_another_source_is_replaced(tiny: Dataset, mirror: Path, folder: Path, whole: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "tiny.zip").write_bytes(whole[:-1])
    download(tiny, source=str(mirror), root=mirror, folder=folder)
    assert (folder / "tiny.zip").read_bytes() == whole


@pytest.mark.parametrize("over_http", [False, True])
def test_a_differing_digest_shows_both_and_leaves_nothing(
    tiny: Dataset, mirror: Path, folder: Path, whole: bytes, server: _Server, over_http: bool
) -> None:
    (mirror / "tiny" / SUMS).write_text(f"{'0' * 64}  tiny.zip\n")
    with pytest.raises(ChecksumError) as caught:
        download(tiny, source=server.address if over_http else str(mirror), root=mirror, folder=folder)
    assert "0" * 64 in str(caught.value)
    assert hashlib.sha256(whole).hexdigest() in str(caught.value)
    assert _names(folder) == []


def test_a_failed_download_leaves_the_last_one_as_it_was(tiny: Dataset, mirror: Path, folder: Path) -> None:
    download(tiny, source=str(mirror), root=mirror, folder=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (mirror / "tiny" / SUMS).write_text(f"{'0' * 64}  tiny.zip\n")
    with pytest.raises(ChecksumError):
        download(tiny, source=str(mirror), root=mirror, folder=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_missing_mirror_names_the_folder(tiny: Dataset, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=rf"no folder {tmp_path}/gone.*\n  remedy: correct `source`"):
        download(tiny, source="gone", root=tmp_path, folder=folder)


def test_a_mirror_without_the_dataset_says_what_it_holds(tiny: Dataset, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / "kitti").mkdir(parents=True)
    with pytest.raises(SourceError, match=r"no folder tiny in .*other, which holds: kitti"):
        download(tiny, source="other", root=tmp_path, folder=folder)


@pytest.mark.parametrize(
    ("sums", "said"),
    [("", "no line for tiny.zip; it lists nothing"), ("abc tiny.zip\n", r"SHA256SUMS:1"), (None, "no such file")],
)
def test_unusable_sums_are_told(tiny: Dataset, mirror: Path, folder: Path, sums: str | None, said: str) -> None:
    path = mirror / "tiny" / SUMS
    path.unlink() if sums is None else path.write_text(sums)
    with pytest.raises(SourceError, match=said):
        download(tiny, source=str(mirror), root=mirror, folder=folder)


def test_an_archive_that_is_listed_but_missing_is_told(tiny: Dataset, mirror: Path, folder: Path) -> None:
    (mirror / "tiny" / "tiny.zip").unlink()
    with pytest.raises(SourceError, match=r"tiny/tiny\.zip: no such file"):
        download(tiny, source=str(mirror), root=mirror, folder=folder)
    assert _names(folder) == []


def test_a_404_is_not_tried_again(tiny: Dataset, folder: Path, server: _Server) -> None:
    server.answers["/tiny/tiny.zip"] = lambda request: request.send_error(404)
    with pytest.raises(SourceError, match=rf"{server.address}/tiny/tiny.zip: no such file"):
        download(tiny, source=server.address, root=folder, folder=folder)
    assert server.requests.count("/tiny/tiny.zip") <= 2  # one look for the size, one for the file


def test_a_forbidden_file_is_told_with_its_status(tiny: Dataset, folder: Path, server: _Server) -> None:
    server.answers["/tiny/SHA256SUMS"] = lambda request: request.send_error(403)
    with pytest.raises(SourceError, match="HTTP 403"):
        download(tiny, source=server.address, root=folder, folder=folder)


def test_a_server_that_is_down_is_told_after_some_attempts(tiny: Dataset, folder: Path, server: _Server) -> None:
    server.close()
    lines: list[str] = []
    with pytest.raises(SourceError, match=r"in 4 attempts: .*Connection refused"):
        download(tiny, source=server.address, root=folder, folder=folder, report=lines.append)
    assert sum("trying again" in line for line in lines) == 3


def test_a_server_that_stumbles_is_tried_again(tiny: Dataset, folder: Path, whole: bytes, server: _Server) -> None:
    failures = iter([503, 503, 503])

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        status = next(failures, None)
        if status:
            request.send_error(status)
        else:
            _send(request, whole, length=len(whole))

    server.answers["/tiny/tiny.zip"] = answer
    download(tiny, source=server.address, root=folder, folder=folder)
    assert (folder / "tiny.zip").read_bytes() == whole


def _send(request: http.server.BaseHTTPRequestHandler, content: bytes, *, length: int) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(length))
    request.end_headers()
    request.wfile.write(content)
    request.close_connection = True


def test_a_compressed_transfer_keeps_the_archive_as_it_is(
    tiny: Dataset, folder: Path, whole: bytes, server: _Server
) -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Encoding", "gzip")  # what servers say of .tar.gz files at times
        request.send_header("Content-Length", str(len(whole)))
        request.end_headers()
        request.wfile.write(whole)

    server.answers["/tiny/tiny.zip"] = answer
    download(tiny, source=server.address, root=folder, folder=folder)
    assert (folder / "tiny.zip").read_bytes() == whole


def test_a_password_in_the_address_is_neither_recorded_nor_shown(tiny: Dataset, folder: Path, server: _Server) -> None:
    source = server.address.replace("http://", "http://me:secret@")
    lines: list[str] = []
    download(tiny, source=source, root=folder, folder=folder, report=lines.append)
    assert "secret" not in (folder / RECORD).read_text() + "".join(lines)
    server.close()
    with pytest.raises(SourceError) as caught:
        download(tiny, source=source, root=folder, folder=folder)
    assert "secret" not in str(caught.value)


def test_an_unknown_kind_of_address_is_told(tiny: Dataset, folder: Path) -> None:
    with pytest.raises(SourceError, match="an address with the unknown scheme ftp://"):
        download(tiny, source="ftp://example.org/mirror", root=folder, folder=folder)


def _published(tiny: Dataset, server: _Server, **facts: Any) -> Dataset:
    archive = Archive(name="tiny.zip", url=f"{server.address}/tiny/tiny.zip", folders=("images",), **facts)
    return dataclasses.replace(tiny, archives=(archive,))


def test_the_publisher_is_checked_by_size_and_md5(tiny: Dataset, folder: Path, whole: bytes, server: _Server) -> None:
    md5 = hashlib.md5(whole).hexdigest()
    download(_published(tiny, server, md5=md5, size=len(whole)), source="official", root=folder, folder=folder)
    assert (folder / "tiny.zip").read_bytes() == whole
    for facts, said in (({"md5": "f" * 32}, md5), ({"size": 7}, f"size {len(whole)}, expected size 7")):
        shutil.rmtree(folder, ignore_errors=True)
        with pytest.raises(ChecksumError, match=said):
            download(_published(tiny, server, **facts), source="official", root=folder, folder=folder)


def test_what_the_publisher_gave_is_kept_even_without_a_published_digest(
    tiny: Dataset, folder: Path, server: _Server
) -> None:
    dataset = _published(tiny, server)
    download(dataset, source="official", root=folder.parent, folder=folder)
    before = len(server.requests)
    download(dataset, source="official", root=folder.parent, folder=folder)
    assert len(server.requests) == before
    (folder / RECORD).unlink()
    download(dataset, source="official", root=folder.parent, folder=folder)  # by its pin
    assert len(server.requests) == before
    (folder / "tiny.zip").write_bytes(b"touched")
    download(dataset, source="official", root=folder.parent, folder=folder)
    assert len(server.requests) > before


def test_one_failed_archive_ends_the_others(tiny: Dataset, mirror: Path, folder: Path) -> None:
    two = (*tiny.archives, Archive(name="second.zip", url=None, folders=()))
    (mirror / "tiny" / SUMS).write_text(f"{'0' * 64}  tiny.zip\n{'1' * 64}  second.zip\n")
    with pytest.raises((ChecksumError, SourceError)):
        download(dataclasses.replace(tiny, archives=two), source=str(mirror), root=mirror, folder=folder)
    assert _names(folder) == []


def test_an_archive_that_is_whole_waits_for_the_others(
    tiny: Dataset, mirror: Path, folder: Path, whole: bytes, server: _Server
) -> None:
    (mirror / "tiny" / "second.zip").write_bytes(whole[::-1])
    files = {name: (mirror / "tiny" / name).read_bytes() for name in ("tiny.zip", "second.zip")}
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()]
    (mirror / "tiny" / SUMS).write_text("".join(lines))
    two = dataclasses.replace(tiny, archives=(*tiny.archives, Archive(name="second.zip", url=None, folders=())))
    server.answers["/tiny/second.zip"] = lambda request: request.send_error(404)
    with pytest.raises(SourceError, match=r"second\.zip: no such file"):
        download(two, source=server.address, root=folder, folder=folder, workers=1)
    assert not folder.exists()
    del server.answers["/tiny/second.zip"]
    server.requests.clear()
    download(two, source=server.address, root=folder, folder=folder)
    assert server.requests == [f"/tiny/{SUMS}", "/tiny/second.zip"]
    assert (folder / "tiny.zip").read_bytes() == whole
    assert _names(folder.parent) == [".tiny.lock", "tiny"]


def test_pins_that_came_by_git_are_compared_with_what_is_here(tmp_path: Path) -> None:
    address = datasets.load("kitti").archives[0].url
    here = tmp_path / "archives"
    here.mkdir()
    got = {"name": "data_semantics.zip", "sha256": "a" * 64, "size": 1, "url": address}
    (here / RECORD).write_text(json.dumps({"archives": [got]}))
    for digest, right in (("a", True), ("b", False)):
        (tmp_path / "pins.yaml").write_text(f"{address}: sha256:{digest * 64}\n")
        with nullcontext() if right else pytest.raises(ChecksumError, match=r"b{64} in pins\.yaml.*a{64}.*\n.*--force"):
            check_source("official", datasets=["kitti"], root=tmp_path, archives=lambda name: here)


def test_a_login_without_credentials_names_the_variables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cityscapes = datasets.load("cityscapes")
    for name in cityscapes.login.credentials:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"CITYSCAPES_USERNAME and CITYSCAPES_PASSWORD.*\n.*mirror folder"):
        download(cityscapes, source="official", root=folder, folder=folder)
    with pytest.raises(ConfigError, match="CITYSCAPES_PASSWORD"):
        check_source("official", datasets=["kitti", "cityscapes"], root=folder)


def test_a_dataset_without_a_public_address_is_not_looked_for_elsewhere(
    tiny: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "load", lambda name: tiny)
    expected = r"tiny: tiny\.zip: no public address.*\n.*into a mirror folder and name it as `source`"
    with pytest.raises(SourceError, match=expected):
        download(tiny, source="official", root=folder, folder=folder)
    with pytest.raises(SourceError, match=expected):
        check_source("official", datasets=["tiny"], root=folder)
    assert not folder.exists()


def test_the_sample_goes_through_the_mirror_code(tmp_path: Path) -> None:
    pets = datasets.load("oxford_pets")
    download(pets, source="sample", root=tmp_path, folder=tmp_path / "a")
    download(pets, source="sample", root=tmp_path / "elsewhere", folder=tmp_path / "b")
    assert _names(tmp_path / "a") == [SUMS, RECORD, "annotations.tar.gz", "images.tar.gz"]
    for name in _names(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert str(tmp_path) not in (tmp_path / "a" / RECORD).read_text()


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no development mirror at {REAL}")
def test_the_development_mirror_is_usable() -> None:
    check_source(str(REAL), datasets=["kitti", "oxford_pets"], root=REAL)
    with pytest.raises(SourceError, match="no folder cityscapes in"):
        check_source(str(REAL), datasets=["cityscapes"], root=REAL)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
from segline.data.download.download import download
from segline.datasets.base import Archive, Dataset
from segline.core.labels import label_map
from segline.errors import StorageError
tiny = Dataset(name="tiny", title="", terms="", archives=(Archive(name="tiny.zip", url=None, folders=()),),
               label_map=label_map([(0, "a", (0, 0, 0))]), protocol="", pairs=lambda raw: [])
try:
    download(tiny, source=sys.argv[1], root=Path(), folder=Path(sys.argv[2]))
except StorageError as error:
    print(error)
    raise SystemExit(3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")
def test_a_full_disk_leaves_nothing(mirror: Path, folder: Path) -> None:
    run = subprocess.run([sys.executable, "-c", FULL_DISK, mirror, folder], capture_output=True, text=True, check=False)
    assert run.returncode == 3, run.stderr
    assert "the disk is full" in run.stdout
    assert not [path for path in folder.parent.rglob("*") if path.is_file() and path.stat().st_size]
