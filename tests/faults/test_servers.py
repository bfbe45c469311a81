"""Planted faults of servers: each is endured, or told in words one can act on; what was there before stays."""

import dataclasses
import hashlib
import http.server
import random
import re
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import tenacity

from segline import storage
from segline.core.labels import label_map
from segline.data.download import address, redirects, transfer
from segline.data.download.download import RECORD, SUMS, download
from segline.data.extract.archives import extract
from segline.datasets.base import Archive, Dataset
from segline.errors import ChecksumError, ConfigError, SourceError, StorageError

TINY = Dataset(
    name="tiny",
    title="Tiny",
    terms="made by the tests",
    archives=(Archive(name="tiny.zip", url=None, folders=("images",)),),
    label_map=label_map([(0, "ground", (9, 9, 9))]),
    protocol="tiny/1",
    pairs=lambda raw: [],
)
PLACE = "/tiny/tiny.zip"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transfer, "WAIT", tenacity.wait_none())
    monkeypatch.setattr(transfer, "LONGEST_WAIT", 0.01)
    monkeypatch.setattr(transfer, "WINDOW", 0.3)
    monkeypatch.setattr(address, "TIMEOUT", httpx.Timeout(2.0, read=0.25))


def _archive(path: Path, seed: int) -> bytes:
    """A zip of 100 KB that does not pack."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(4):
            info = zipfile.ZipInfo(f"images/{number}.png")
            archive.writestr(info, random.Random(seed + number).randbytes(25_000))
    return path.read_bytes()


class Server:
    """A loopback mirror that knows ranges and validators; a fault answers in its place.

    Args:
        content: of the archive.
        listed: what its SHA256SUMS is made from.
    """

    def __init__(self, content: bytes, listed: bytes | None = None) -> None:
        self.content = content
        self.sums = f"{hashlib.sha256(listed or content).hexdigest()}  tiny.zip\n".encode()
        self.etag: str | None = '"1"'
        self.modified: str | None = None
        self.ranges: list[str | None] = []
        self.logins: list[str | None] = []
        self.fault: Callable[[Server, Handler, int], bool | None] | None = None
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.served = self  # type: ignore[attr-defined]
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.send_error(405)

    def do_GET(self) -> None:
        server: Server = self.server.served  # type: ignore[attr-defined]
        server.logins.append(self.headers.get("Authorization"))
        if self.path == f"/tiny/{SUMS}":
            self.answer(server.sums)
            return
        server.ranges.append(self.headers.get("Range"))
        if server.fault is None or server.fault(server, self, len(server.ranges)) is False:
            self.rightly()

    def rightly(self, *, upto: int | None = None, conditional: bool = True) -> None:
        """Answer as a good server does, but break off after `upto` bytes."""
        server: Server = self.server.served  # type: ignore[attr-defined]
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        valid = not conditional or self.headers.get("If-Range") in (server.etag, server.modified)
        whole = server.content
        marks = {"ETag": server.etag, "Last-Modified": server.modified}
        headers = {name: value for name, value in marks.items() if value}
        if found is None or not valid:
            self.answer(whole, headers, upto=upto)
        elif int(found[1]) >= len(whole):
            self.answer(b"", headers | {"Content-Range": f"bytes */{len(whole)}"}, status=416)
        else:
            start = int(found[1])
            headers |= {"Content-Range": f"bytes {start}-{len(whole) - 1}/{len(whole)}"}
            self.answer(whole[start:], headers, status=206, upto=upto)

    def answer(
        self,
        content: bytes,
        headers: dict[str, str] | None = None,
        *,
        status: int = 200,
        upto: int | None = None,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:upto])
        if upto is not None or length is not None:
            self.cut()

    def cut(self) -> None:
        self.wfile.flush()
        self.close_connection = True

    def stall(self) -> None:
        self.wfile.flush()
        time.sleep(0.6)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@dataclasses.dataclass
class Project:
    """Archives and raw data of an older version, and a server that has a newer one."""

    root: Path
    server: Server
    new: bytes

    @property
    def folder(self) -> Path:
        return self.root / "data" / "archives" / "tiny"

    @property
    def staging(self) -> Path:
        return self.folder.with_name(".tiny.partial")

    def bring(self, dataset: Dataset = TINY, source: str | None = None) -> list[str]:
        lines: list[str] = []
        download(dataset, source=source or self.server.address, root=self.root, folder=self.folder, report=lines.append)
        return lines

    def state(self) -> dict[str, bytes]:
        """Everything but what is kept to go on with."""
        data = self.root / "data"
        found = [path for path in sorted(data.rglob("*")) if path.is_file() and self.staging not in path.parents]
        return {path.relative_to(data).as_posix(): path.read_bytes() for path in found}

    def parts(self) -> list[str]:
        return [path.name for path in self.staging.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has an older version from a mirror."""
    root = tmp_path_factory.mktemp("older")
    content = _archive(root / "mirror" / "tiny" / "tiny.zip", seed=1)
    (root / "mirror" / "tiny" / SUMS).write_text(f"{hashlib.sha256(content).hexdigest()}  tiny.zip\n")
    archives = root / "data" / "archives" / "tiny"
    download(TINY, source="mirror", root=root, folder=archives)
    extract(TINY, archives=archives, folder=root / "data" / "raw" / "tiny")
    return root


@pytest.fixture
def project(older: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(older / "data", tmp_path / "data")
    new = _archive(tmp_path / "new.zip", seed=9)
    server = Server(new)
    yield Project(tmp_path, server, new)
    server.close()


def _first(count: int, fault: Callable[[Server, Handler], object]) -> Callable[[Server, Handler, int], object]:
    """Do so for the first answers only."""
    return lambda server, request, number: fault(server, request) if number <= count else False


def _always(fault: Callable[[Server, Handler], object]) -> Callable[[Server, Handler, int], object]:
    return lambda server, request, number: fault(server, request)


def _cut_then(fault: Callable[[Server, Handler], object]) -> Callable[[Server, Handler, int], object]:
    """Cut the first answer, and plant the fault in all that follow."""
    return lambda server, request, number: request.rightly(upto=40_000) if number == 1 else fault(server, request)


def _cut_then_once(fault: Callable[[Server, Handler], object]) -> Callable[[Server, Handler, int], object]:
    faults = {1: lambda server, request: request.rightly(upto=40_000), 2: fault}
    return lambda server, request, number: faults[number](server, request) if number in faults else False


def _unmarked(server: Server, request: Handler, *, upto: int | None = None) -> None:
    """Ranges, but neither ETag nor time."""
    server.etag = None
    request.rightly(conditional=False, upto=upto)


def _old_half(server: Server, request: Handler, *, etag: str) -> None:
    """The first half of what was there before."""
    request.answer(bytes(len(server.content)), {"ETag": etag}, upto=40_000)


def _raw(text: bytes) -> Callable[[Server, Handler], None]:
    def answer(server: Server, request: Handler) -> None:
        request.wfile.write(text)
        request.cut()

    return answer


def _chunked(server: Server, request: Handler) -> None:
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    for start in range(0, len(server.content), 30_000):
        block = server.content[start : start + 30_000]
        request.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
    request.wfile.write(b"0\r\n\r\n")


def _drip(server: Server, request: Handler) -> None:
    request.answer(b"", {"ETag": '"1"'}, length=len(server.content))
    for number in range(40):
        request.wfile.write(server.content[number : number + 1])
        request.wfile.flush()
        time.sleep(0.02)


def _stalling(server: Server, request: Handler) -> None:
    request.answer(server.content[:1000], length=len(server.content))
    request.stall()


def _part_of_range(server: Server, request: Handler) -> None:
    found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    start = int(found[1]) if found else 0
    end = min(start + 30_000, len(server.content))
    span = {"Content-Range": f"bytes {start}-{end - 1}/{len(server.content)}", "ETag": '"1"'}
    request.answer(server.content[start:end], span, status=206)


def _elsewhere(server: Server, request: Handler) -> None:
    request.answer(
        server.content[7:], {"Content-Range": f"bytes 7-99/{len(server.content)}", "ETag": '"1"'}, status=206
    )


ENDURED = {
    # name: (what plants it, what is said, the ranges that are asked for, None for the whole)
    "cut once": (
        _first(1, lambda server, request: request.rightly(upto=40_000)),
        "going on after",
        [None, "bytes=40000-"],
    ),
    "cut again and again": (
        _always(lambda server, request: request.rightly(upto=3_000)),
        "going on after",
        [None] + [f"bytes={start}-" for start in range(3_000, 100_500, 3_000)],
    ),
    "cut, and it knows no ranges": (
        _cut_then_once(lambda server, request: request.answer(server.content, {"ETag": '"1"'})),
        "trying again",
        [None, "bytes=40000-"],
    ),
    "cut, and it has no validator": (
        _first(1, lambda server, request: request.answer(server.content, upto=40_000)),
        "trying again",
        [None, "bytes=40000-", None],  # what comes then has one
    ),
    "cut, and it never has a validator": (
        lambda server, request, number: _unmarked(server, request, upto=40_000 if number == 1 else None),
        "going on after",
        [None, "bytes=40000-"],
    ),
    "the file changes, and it never has a validator": (
        lambda server, request, number: (
            request.answer(bytes(len(server.content)), upto=40_000) if number == 1 else _unmarked(server, request)
        ),
        "once more from the start",
        [None, "bytes=40000-", None],
    ),
    "cut, and its ETag is weak": (
        _first(1, lambda server, request: request.answer(server.content, {"ETag": 'W/"1"'}, upto=40_000)),
        "trying again",
        [None, "bytes=40000-", None],
    ),
    "cut before a byte came": (_first(3, lambda server, request: request.cut()), "RemoteProtocolError", [None] * 4),
    "500 at times": (_first(3, lambda server, request: request.send_error(500)), "HTTP 500; trying again", [None] * 4),
    "503 that asks to wait": (
        _first(1, lambda server, request: request.answer(b"", {"Retry-After": "3600"}, status=503)),
        "HTTP 503; trying again",
        [None, None],
    ),
    "stalls once": (_first(1, _stalling), "nothing came for 0.25 s", [None, "bytes=1000-", None]),
    "drips once": (_first(1, _drip), "bytes came in", None),
    "the file changes, and so does its ETag": (
        _first(1, lambda server, request: _old_half(server, request, etag='"0"')),
        "trying again",
        [None, "bytes=40000-"],
    ),
    "the file changes, and If-Range is not heeded": (
        lambda server, request, number: (
            _old_half(server, request, etag='"0"') if number == 1 else request.rightly(conditional=False)
        ),
        'asked for byte 40000 of "0"',
        [None, "bytes=40000-", None],
    ),
    "the file changes under one ETag": (
        _first(1, lambda server, request: _old_half(server, request, etag='"1"')),
        "pieced together from several answers; once more from the start",
        [None, "bytes=40000-", None],
    ),
    "a range refused with 416": (
        _cut_then_once(lambda server, request: request.answer(b"", status=416)),
        "HTTP 416; trying again",
        [None, "bytes=40000-", None],
    ),
    "a range from elsewhere": (_cut_then_once(_elsewhere), "was sent 'bytes 7-99/", [None, "bytes=40000-", None]),
    "another size of the whole": (
        _cut_then_once(
            lambda server, request: request.answer(
                b"x", {"Content-Range": "bytes 40000-40000/40001", "ETag": '"1"'}, status=206
            )
        ),
        "bytes in all were announced before, 40001 now",
        [None, "bytes=40000-", None],
    ),
    "a range without a Content-Range": (
        _cut_then_once(lambda server, request: request.answer(b"x", status=206)),
        "Content-Range None",
        [None, "bytes=40000-", None],
    ),
    "less than the range": (_always(_part_of_range), "30000 of 100", None),
    "no length": (_always(_chunked), "from http", [None]),
    "no length, and an end too early": (
        lambda server, request, number: _raw(
            b"HTTP/1.0 200 OK\r\n\r\n" + server.content[: 40_000 if number == 1 else None]
        )(server, request),
        "once more from the start",
        [None, None],
    ),
    "a Content-Encoding that is not": (
        _always(lambda server, request: request.answer(server.content, {"Content-Encoding": "gzip"})),
        "from http",
        [None],
    ),
    "a redirect": (
        _first(1, lambda server, request: request.answer(b"", {"Location": PLACE + "?again"}, status=302)),
        "from http",
        [None, None],
    ),
}

TOLD = {
    # name: (what plants it, the error, phrases of what was found, expected, and is to do)
    "404": (
        _always(lambda server, request: request.send_error(404)),
        SourceError,
        "no such file",
        "",
        "correct `source`",
    ),
    "403": (
        _always(lambda server, request: request.send_error(403)),
        SourceError,
        "HTTP 403",
        "readable",
        "credentials",
    ),
    "500 always": (
        _always(lambda server, request: request.send_error(500)),
        SourceError,
        "could not be read in 4 attempts: HTTP 500",
        "the whole file",
        "see that the server is up",
    ),
    "416 always": (
        _always(lambda server, request: request.answer(b"", status=416)),
        SourceError,
        "in 4 attempts: HTTP 416",
        "the whole file",
        "",
    ),
    "no HTTP": (_always(_raw(b"hello\r\n\r\n")), SourceError, "in 4 attempts: RemoteProtocolError", "", "reachable"),
    "stalls always": (_always(_stalling), SourceError, "nothing came for 0.25 s", "the whole file", "proxy, firewall"),
    "a byte now and then": (_always(_drip), SourceError, "bytes came in", "the whole file", ""),
    "a byte each time": (
        _always(lambda server, request: request.rightly(upto=1)),
        SourceError,
        "in 4 attempts",
        "the whole file",
        "goes on where it stopped",
    ),
    "more announced than sent": (
        _always(lambda server, request: request.answer(server.content, length=len(server.content) + 9)),
        SourceError,
        "in 4 attempts",
        "the whole file",
        "",
    ),
    "less announced than there is": (
        _always(lambda server, request: request.answer(server.content[:-9])),
        ChecksumError,
        "sha256",
        "sha256",
        "copy both anew",
    ),
    "a redirect to itself": (
        _always(lambda server, request: request.answer(b"", {"Location": PLACE}, status=302)),
        SourceError,
        "TooManyRedirects",
        "",
        "",
    ),
    "a redirect to another protocol": (
        _always(lambda server, request: request.answer(b"", {"Location": "ftp://127.0.0.1/x"}, status=302)),
        SourceError,
        "redirects to a ftp: address",
        "",
        "",
    ),
    "gone midway": (_cut_then(lambda server, request: request.send_error(404)), SourceError, "no such file", "", ""),
    "another file than listed": (
        _always(lambda server, request: request.answer(b"another", {"ETag": '"1"'})),
        ChecksumError,
        f"sha256 {hashlib.sha256(b'another').hexdigest()}",
        "sha256",
        "damaged or old",
    ),
    "another end under one ETag, twice": (
        lambda server, request, number: (
            request.rightly(upto=40_000)
            if number in (1, 3)
            else request.answer(
                bytes(len(server.content) - 40_000),
                {"Content-Range": f"bytes 40000-{len(server.content) - 1}/{len(server.content)}", "ETag": '"1"'},
                status=206,
            )
        ),
        ChecksumError,
        "sha256",
        "sha256",
        "damaged or old",
    ),
}

SUMS_TOLD = {
    # name: (content of the list, phrases of what was found, expected, and is to do)
    "empty": (b"", "no line for tiny.zip; it lists nothing", "a line for each of tiny.zip", "sha256sum * >"),
    "a page": (b"<!DOCTYPE html>\n", "'<!DOCTYPE html>'", "64 hex digits", "sha256sum"),
    "an MD5": (b"d" * 32 + b"  tiny.zip\n", "tiny.zip'", "64 hex digits", "sha256sum"),
    "no name": (b"d" * 64 + b"\n", "'ddd", "a file name", "sha256sum"),
    "two digests for one": (
        b"d" * 64 + b"  tiny.zip\n" + b"e" * 64 + b"  tiny.zip\n",
        "a second digest for tiny.zip",
        "one line a file",
        "sha256sum",
    ),
    "other archives only": (b"d" * 64 + b"  other.zip\n", "it lists other.zip", "tiny.zip", "official name"),
    "endless": (b"d" * (17 << 20), "more than 16.0 MiB", "a small file", "see what the server sends"),
}


@pytest.mark.parametrize("name", ENDURED)
def test_a_fault_that_passes_is_endured(project: Project, name: str) -> None:
    plant, said, ranges = ENDURED[name]
    project.server.fault = plant
    lines = project.bring()
    assert (project.folder / "tiny.zip").read_bytes() == project.new
    assert said in "\n".join(lines)
    assert ranges is None or project.server.ranges == ranges
    assert not project.staging.exists()
    assert sorted(path.name for path in project.folder.iterdir()) == [SUMS, RECORD, "tiny.zip"]


def _assert_told(error: Exception, found: str, expected: str, remedy: str) -> None:
    assert found in error.found
    assert expected in error.expected
    assert remedy in error.remedy
    assert "tiny" in error.place


@pytest.mark.parametrize("name", TOLD)
def test_a_fault_that_stays_is_told_and_harms_nothing(project: Project, name: str) -> None:
    plant, kind, *phrases = TOLD[name]
    before = project.state()
    project.server.fault = plant
    with pytest.raises(kind) as caught:
        project.bring()
    _assert_told(caught.value, *phrases)
    assert project.state() == before
    assert kind is SourceError or project.parts() == []
    project.server.fault = None
    project.bring()
    assert (project.folder / "tiny.zip").read_bytes() == project.new
    assert not project.staging.exists()


@pytest.mark.parametrize("name", SUMS_TOLD)
def test_a_wrong_list_is_told_and_harms_nothing(project: Project, name: str) -> None:
    content, *phrases = SUMS_TOLD[name]
    before = project.state()
    project.server.sums = content
    with pytest.raises(SourceError) as caught:
        project.bring()
    _assert_told(caught.value, *phrases)
    assert project.state() == before
    assert project.parts() == []


def test_a_server_that_is_down_is_told(project: Project) -> None:
    before = project.state()
    project.server.close()
    with pytest.raises(SourceError, match="in 4 attempts: ConnectError"):
        project.bring()
    assert project.state() == before


def test_a_later_run_goes_on_where_one_broke_off(project: Project) -> None:
    project.server.fault = _cut_then(lambda server, request: request.send_error(404))
    with pytest.raises(SourceError):
        project.bring()
    assert "tiny.zip" in project.parts()
    project.server.fault, project.server.ranges = None, []
    project.bring()
    assert project.server.ranges == ["bytes=40000-"]
    assert (project.folder / "tiny.zip").read_bytes() == project.new


def test_what_was_complete_but_for_its_name_is_not_sent_again(project: Project) -> None:
    project.server.fault = _cut_then(lambda server, request: request.send_error(404))
    with pytest.raises(SourceError):
        project.bring()
    partial = next(path for path in project.staging.rglob("tiny.zip"))
    partial.write_bytes(project.new)  # what a kill after the last byte leaves
    project.server.fault, project.server.ranges = None, []
    project.bring()
    assert project.server.ranges == [f"bytes={len(project.new)}-"]
    assert (project.folder / "tiny.zip").read_bytes() == project.new


def test_a_part_of_another_source_is_never_gone_on_with(project: Project) -> None:
    project.server.fault = _cut_then(lambda server, request: request.send_error(404))
    with pytest.raises(SourceError):
        project.bring()
    other = Server(project.new)
    other.fault = _always(lambda server, request: request.send_error(404))
    with pytest.raises(SourceError):
        project.bring(source=other.address)
    assert other.ranges == [None]
    assert project.parts() == []
    other.close()


def test_last_modified_is_a_validator_too(project: Project) -> None:
    project.server.etag, project.server.modified = 'W/"1"', "Wed, 01 Jan 2025 00:00:00 GMT"
    project.server.fault = _first(1, lambda server, request: request.rightly(upto=40_000))
    project.bring()
    assert project.server.ranges == [None, "bytes=40000-"]


def test_a_body_without_end_stops_before_the_disk_is_full(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(server: Server, request: Handler) -> None:
        monkeypatch.setattr(storage, "SPARE", 1 << 60)  # as if it had filled the disk by now
        request.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(500_000))
        request.cut()

    monkeypatch.setattr(transfer, "ROOM_EVERY", 100_000)
    before = project.state()
    project.server.fault = _always(endless)
    with pytest.raises(StorageError, match="for what is still to come"):
        project.bring()
    assert project.state() == before
    assert project.parts() == []


def test_room_is_looked_for_before_the_first_byte(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = project.state()
    monkeypatch.setattr(storage, "SPARE", 1 << 60)
    with pytest.raises(StorageError, match=r"for the archives still to come.*\n  remedy: free some space"):
        project.bring()
    assert project.server.ranges == []
    assert project.state() == before


def test_two_downloads_at_once_bring_it_once(project: Project) -> None:
    def slowly(server: Server, request: Handler) -> None:
        time.sleep(0.2)
        request.rightly()

    project.server.fault = _always(slowly)
    with ThreadPoolExecutor(2) as executor:
        first, second = executor.map(lambda _: project.bring(), range(2))
    assert project.server.ranges == [None]
    assert (project.folder / "tiny.zip").read_bytes() == project.new
    assert sum("another download is at work here" in line for line in first + second) == 1
    assert sum("already here" in line for line in first + second) == 1


def test_a_proxy_of_the_environment_is_used(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Proxy(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer = httpx.get(project.server.address + httpx.URL(self.path).path, trust_env=False)
            self.answer(answer.content, status=answer.status_code)

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{running.server_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    project.bring(source="http://mirror.invalid")
    assert asked == [f"http://mirror.invalid/tiny/{SUMS}", "http://mirror.invalid" + PLACE]
    assert (project.folder / "tiny.zip").read_bytes() == project.new
    running.shutdown()
    running.server_close()


def _published(project: Project, **facts: object) -> Dataset:
    archive = Archive(name="tiny.zip", url=project.server.address + PLACE, folders=("images",), **facts)
    return dataclasses.replace(TINY, archives=(archive,))


def test_a_publisher_that_changes_a_pinned_file_is_told_with_both_digests(project: Project, tmp_path: Path) -> None:
    dataset = _published(project)
    lines = project.bring(dataset, "official")
    pins = (project.root / "pins.yaml").read_text()
    first = hashlib.sha256(project.new).hexdigest()
    assert first in pins
    assert any("commit pins.yaml" in line for line in lines)
    project.server.content = _archive(tmp_path / "newer.zip", seed=77)
    (project.folder / "tiny.zip").unlink()  # as on a second machine, to which pins.yaml came by git
    before = project.state()
    with pytest.raises(ChecksumError) as caught:
        project.bring(dataset, "official")
    assert caught.value.found == "sha256:" + hashlib.sha256(project.server.content).hexdigest()
    assert first in caught.value.expected
    assert "delete this address's line in pins.yaml" in caught.value.remedy
    assert project.state() == before
    assert project.parts() == []
    assert (project.root / "pins.yaml").read_text() == pins
    (project.root / "pins.yaml").unlink()
    project.bring(dataset, "official")
    assert (project.folder / "tiny.zip").read_bytes() == project.server.content


def test_a_repository_packed_anew_keeps_its_pin_until_its_content_changes(project: Project, tmp_path: Path) -> None:
    dataset = _published(project, volatile=True)

    def pack(top: str, names: list[int], *, year: int, seed: int = 1) -> bytes:
        with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for number in names:
                info = zipfile.ZipInfo(f"{top}/images/{number}.png", (year, 1, 1, 0, 0, 0))
                archive.writestr(info, random.Random(seed + number).randbytes(999))
        return (tmp_path / "packed.zip").read_bytes()

    project.server.content = pack("tiny-master", [0, 1, 2], year=2020)
    project.bring(dataset, "official")
    pins = (project.root / "pins.yaml").read_text()
    assert "content:" in pins
    (project.folder / "tiny.zip").unlink()
    project.server.content = pack("tiny-main", [2, 0, 1], year=2024)
    project.bring(dataset, "official")
    assert (project.folder / "tiny.zip").read_bytes() == project.server.content
    assert (project.root / "pins.yaml").read_text() == pins
    (project.folder / "tiny.zip").write_bytes(b"damaged")
    project.bring(dataset, "official")
    assert (project.folder / "tiny.zip").read_bytes() == project.server.content
    (project.folder / "tiny.zip").unlink()
    project.server.content = pack("tiny-main", [2, 0, 1], year=2024, seed=5)
    with pytest.raises(ChecksumError, match="content:"):
        project.bring(dataset, "official")


def test_a_page_in_place_of_a_first_seen_archive_is_not_pinned(project: Project) -> None:
    project.server.fault = _always(lambda server, request: request.answer(b"<!DOCTYPE html>Log in", {"ETag": '"1"'}))
    before = project.state()
    with pytest.raises(SourceError, match=r"starts with b'<!DOCTYPE html>.*\n  remedy: see with a browser"):
        project.bring(_published(project), "official")
    assert not (project.root / "pins.yaml").exists()
    assert project.state() == before
    assert project.parts() == []


@pytest.mark.parametrize("content", ["- a\n", "a: [1\n", "http://x: 12\n", "http://x: sha256:12\n"])
def test_pins_that_cannot_be_read_are_told(project: Project, content: str) -> None:
    (project.root / "pins.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"pins\.yaml.*\n  remedy: restore it"):
        project.bring(_published(project), "official")


def _redirected(location: str) -> Callable[[Server, Handler, int], object]:
    return _first(1, lambda server, request: request.answer(b"", {"Location": location}, status=302))


LOGINS = {
    "a token": ({"SEGLINE_SOURCE_TOKEN": "t0ken"}, "Bearer t0ken"),
    "a password": ({"SEGLINE_SOURCE_USER": "ann", "SEGLINE_SOURCE_PASSWORD": "secret"}, "Basic YW5uOnNlY3JldA=="),
}


@pytest.mark.parametrize("name", LOGINS)
def test_a_mirror_gets_its_login_and_nobody_else_does(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """There was no way but ~/.netrc, or the address itself."""
    variables, login = LOGINS[name]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    other = Server(project.new)
    project.server.fault = _redirected(other.address + PLACE)
    lines = project.bring()
    assert set(project.server.logins) == {login}
    assert set(other.logins) == {None}
    assert (project.folder / "tiny.zip").read_bytes() == project.new
    assert not {*variables.values()} & {"secret", "t0ken"} & {*" ".join(lines).split()}
    other.close()


def test_a_login_is_not_sent_again_after_a_redirect_to_the_same_host(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGLINE_SOURCE_TOKEN", "t0ken")
    project.server.fault = _redirected(PLACE + "?again")
    project.bring()
    assert project.server.logins == ["Bearer t0ken", "Bearer t0ken", None]


def test_a_publisher_is_not_sent_the_login_of_a_mirror(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGLINE_SOURCE_TOKEN", "t0ken")
    project.bring(_published(project), "official")
    assert set(project.server.logins) == {None}


def test_half_a_login_is_told_before_anything_is_asked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGLINE_SOURCE_USER", "ann")
    before = project.state()
    with pytest.raises(ConfigError, match=r"SEGLINE_SOURCE_PASSWORD: .*\n.*remedy: correct these variables"):
        project.bring()
    assert project.server.logins == []
    assert project.state() == before


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "FILE://localhost/etc/passwd", "ftp://h/x", "data:,x", "gopher://h/", "s3://b/k"]
)
def test_a_redirect_to_another_protocol_is_refused_by_name(project: Project, location: str) -> None:
    """httpx refused them, as an UnsupportedProtocol; of file:///x it told the host that had sent it."""
    project.server.fault = _always(lambda server, request: request.answer(b"", {"Location": location}, status=302))
    with pytest.raises(SourceError, match=rf"redirects to a {location.partition(':')[0].lower()}: address") as caught:
        project.bring()
    assert "name the address that it redirects to" in caught.value.remedy
    assert project.server.ranges == [None]  # it is not tried again


INSIDE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "localhost",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fd00::1]",
    "[64:ff9b:1::7f00:1]",
    "[fec0::1]",
    "[::7f00:1]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "inside.example.org",
]


def test_a_redirect_to_no_address_is_refused(project: Project) -> None:
    project.server.fault = _redirected(f"http://0177.0.0.1{PLACE}")
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 redirects to what is no address"):
        project.bring()


def _as_public(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Let names, and addresses of this machine, be taken for those of public hosts."""
    real = redirects.resolved
    told = {host: ["93.184.216.34"] for host in hosts} | {"inside.example.org": ["93.184.216.34", "10.0.0.1"]}
    monkeypatch.setattr(redirects, "resolved", lambda host: told.get(host) or real(host))


@pytest.mark.parametrize("host", INSIDE)
def test_a_public_host_may_not_redirect_into_a_private_network(
    project: Project, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Each was followed: a mirror could have this machine ask its own services, or a cloud's for its keys."""
    port = project.server.address.rpartition(":")[2]
    _as_public(monkeypatch, "mirror.localhost")
    _resolving_to_here(monkeypatch)
    location = f"http://{host}:{port}{PLACE}?inside"
    project.server.fault = _always(lambda server, request: request.answer(b"", {"Location": location}, status=302))
    with pytest.raises(SourceError, match=r"mirror\.localhost, a public host, redirects to .* in a private network"):
        project.bring(source=f"http://mirror.localhost:{port}")
    assert project.server.ranges == [None]


def _resolving_to_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the name of the public host be found, though there is no network."""
    import socket

    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **options: real(
            "127.0.0.1" if str(host).endswith("mirror.localhost") else host, *rest, **options
        ),
    )


def test_each_hop_is_judged_by_the_one_before(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """private -> public -> private: the second one is refused, though the source itself is private."""
    port = project.server.address.rpartition(":")[2]
    _as_public(monkeypatch, "mirror.localhost")
    _resolving_to_here(monkeypatch)
    hops = {1: f"http://mirror.localhost:{port}{PLACE}", 2: project.server.address + PLACE}
    project.server.fault = lambda server, request, number: request.answer(b"", {"Location": hops[number]}, status=302)
    with pytest.raises(SourceError, match=r"mirror\.localhost, a public host, redirects to 127\.0\.0\.1"):
        project.bring()
    assert len(project.server.ranges) == 2


def test_a_private_mirror_may_redirect_within_its_network(project: Project) -> None:
    other = Server(project.new)
    project.server.fault = _redirected(other.address + PLACE)
    project.bring()
    assert other.ranges == [None]
    other.close()


@pytest.mark.parametrize("host", ["93.184.216.34", "[2606:2800:220:1::1]", "[::ffff:8.8.8.8]", "nowhere.invalid"])
def test_public_hosts_are_none_of_a_private_network(host: str) -> None:
    assert not redirects.is_private(host.strip("[]"))
