"""Cityscapes behind its publisher's login, from a loopback server with the few pages of the site."""

import hashlib
import http.server
import io
import json
import re
import threading
import time
import urllib.parse
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import tenacity

from segline import datasets
from segline.data.download import address, transfer
from segline.data.download.download import LOGINS, RECORD, SUMS, download
from segline.errors import ChecksumError, ConfigError, SourceError

FINE = "gtFine_trainvaltest.zip"


def _zip(seed: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(30):
            archive.writestr(zipfile.ZipInfo(f"{number}.png"), bytes((seed * number + k) % 256 for k in range(10_000)))
    return stream.getvalue()


class Site(http.server.ThreadingHTTPServer):
    """Answers as www.cityscapes-dataset.com does; `fault` may answer for a file, told which request of it this is."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        names = [archive.name for archive in datasets.load("cityscapes").archives]
        self.archives = {name: _zip(seed) for seed, name in enumerate(names, start=3)}
        self.ranges: dict[str, list[str | None]] = {name: [] for name in names}
        self.fault: Callable[[Page, str, int], bool | None] = lambda page, name, number: False
        self.logins = 0
        real = datasets.load("cityscapes")
        assert real.login
        login = replace(real.login, site=f"http://127.0.0.1:{self.server_port}/")
        self.dataset = replace(real, login=login)


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_POST(self) -> None:
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        right = (form["username"], form["password"]) == (["me"], ["right"])
        self.server.logins += right
        self.answer(b"", {"Set-Cookie": "session=1; Path=/", "Location": "/"} if right else {}, 302 if right else 200)

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/login":
            self.answer(b"a form")
        elif "session=1" not in self.headers.get("Cookie", ""):
            self.answer(b"", {"Location": "/login"}, 302)
        elif path == "/downloads/":
            listing = [{"name": name, "packageID": name, "size": "1KB"} for name in self.server.archives]
            self.answer(json.dumps(listing).encode())
        elif path == "/md5-sum/":
            name = query.partition("=")[2]
            self.answer(f"{hashlib.md5(self.server.archives[name]).hexdigest()}  {name}\n".encode())
        else:
            self.file(query.partition("=")[2])

    def file(self, name: str) -> None:
        ranges = self.server.ranges[name]
        ranges.append(self.headers.get("Range"))
        if self.server.fault(self, name, len(ranges)) is False:
            self.rightly(name)

    def rightly(self, name: str, *, upto: int | None = None) -> None:
        content = self.server.archives[name]
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        if start >= len(content):
            self.answer(b"", {"Content-Range": f"bytes */{len(content)}"}, 416)
        elif found:
            span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self.answer(content[start:], span, 206, upto=upto)
        else:
            self.answer(content, upto=upto)

    def answer(
        self, content: bytes, headers: dict[str, str] | None = None, status: int = 200, *, upto: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:upto])
        self.close_connection = upto is not None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    running = Site()
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()

    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transfer, "WAIT", tenacity.wait_none())
    monkeypatch.setattr(address, "TIMEOUT", httpx.Timeout(2.0, read=0.3))
    monkeypatch.setenv("CITYSCAPES_USERNAME", "me")
    monkeypatch.setenv("CITYSCAPES_PASSWORD", "right")
    yield running
    running.shutdown()
    running.server_close()


def _bring(site: Site, root: Path) -> list[str]:
    lines: list[str] = []
    folder = root / "archives" / "cityscapes"
    download(site.dataset, source="official", root=root, folder=folder, report=lines.append)
    return lines


def _brought(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "archives" / "cityscapes").glob("*.zip")}


def _parts(root: Path) -> list[Path]:
    return [path for path in (root / "archives" / ".cityscapes.partial").rglob("*") if path.is_file()]


def test_both_archives_come_and_are_pinned(site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = _bring(site, tmp_path)
    assert _brought(tmp_path) == site.archives
    assert sorted(path.name for path in (tmp_path / "archives" / "cityscapes").iterdir())[:2] == [SUMS, RECORD]
    pins = (tmp_path / "pins.yaml").read_text()
    for name, content in site.archives.items():
        assert f"{site.dataset.login.site}{name}: sha256:{hashlib.sha256(content).hexdigest()}" in pins
    assert "non-commercial" in lines[0]
    assert capfd.readouterr() == ("", "")
    before = site.logins
    _bring(site, tmp_path)
    assert site.logins == before


def test_a_refused_password_is_told(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYSCAPES_PASSWORD", "wrong")
    with pytest.raises(ConfigError, match=r"was refused.*\n  remedy: correct CITYSCAPES_USERNAME and"):
        _bring(site, tmp_path)
    assert not (tmp_path / "archives" / "cityscapes").exists()
    assert "wrong" not in "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())


ENDURED = {
    # name: (what the first answers are, what is said, ranges asked for)
    "cut": ([lambda page, name: page.rightly(name, upto=200_000)], "resuming after 0.2 MiB", [None, "bytes=200000-"]),
    "cut before a byte came": ([lambda page, name: page.rightly(name, upto=0)], "trying again", [None] * 2),
    "stalled": (
        [lambda page, name: (page.rightly(name, upto=0), page.wfile.flush(), time.sleep(0.8))],
        "no bytes received for 0.3 s",
        [None] * 2,
    ),
    "503": ([lambda page, name: page.send_error(503)] * 3, "HTTP 503; trying again", [None] * 4),
    "cut, and it knows no ranges": (
        [
            lambda page, name: page.rightly(name, upto=200_000),
            lambda page, name: page.answer(page.server.archives[name]),
        ],
        "trying again",
        [None, "bytes=200000-"],
    ),
    "cut, and a range from elsewhere": (
        [
            lambda page, name: page.rightly(name, upto=200_000),
            lambda page, name: page.answer(b"x" * 99, {"Content-Range": "bytes 1-99/300000"}, 206),
        ],
        "was sent 'bytes 1-99/300000'",
        [None, "bytes=200000-", None],
    ),
    "cut, and refused with 416": (
        [lambda page, name: page.rightly(name, upto=200_000), lambda page, name: page.answer(b"", status=416)],
        "HTTP 416; trying again",
        [None, "bytes=200000-", None],
    ),
    "changed midway, and its size": (
        [lambda page, name: page.answer(bytes(300_000), upto=200_000)],
        "300000 bytes in all before",
        [None, "bytes=200000-", None],
    ),
    "changed midway": (
        [lambda page, name: page.answer(bytes(len(page.server.archives[name])), upto=200_000)],
        "once more from the start",
        [None, "bytes=200000-", None],
    ),
}


@pytest.mark.parametrize("name", ENDURED)
def test_a_fault_of_the_site_is_endured(site: Site, tmp_path: Path, name: str) -> None:
    answers, said, ranges = ENDURED[name]

    def fault(page: Page, archive: str, number: int) -> bool | None:
        return answers[number - 1](page, archive) and None if archive == FINE and number <= len(answers) else False

    site.fault = fault
    lines = _bring(site, tmp_path)
    assert _brought(tmp_path) == site.archives
    assert said in "\n".join(lines)
    assert site.ranges[FINE] == ranges
    assert not _parts(tmp_path)


def test_many_cuts_that_get_on_are_endured(site: Site, tmp_path: Path) -> None:
    site.fault = lambda page, name, number: page.rightly(name, upto=70_000) if name == FINE else False
    _bring(site, tmp_path)
    assert _brought(tmp_path) == site.archives
    assert len(site.ranges[FINE]) >= 5


def test_a_site_that_stays_down_is_told_and_a_later_run_goes_on(site: Site, tmp_path: Path) -> None:
    def fault(page: Page, name: str, number: int) -> bool | None:
        if name != FINE:
            return False
        return page.rightly(name, upto=200_000) if number == 1 else page.send_error(500)

    site.fault = fault
    with pytest.raises(SourceError, match="could not be read in 4 attempts: HTTP 500"):
        _bring(site, tmp_path)
    assert not (tmp_path / "archives" / "cityscapes").exists()
    assert FINE in {path.name for path in _parts(tmp_path)}
    site.fault, site.ranges[FINE] = (lambda page, name, number: False), []
    _bring(site, tmp_path)
    assert site.ranges[FINE] == ["bytes=200000-"]
    assert _brought(tmp_path) == site.archives


def test_an_archive_that_is_complete_but_for_its_name_is_not_sent_again(site: Site, tmp_path: Path) -> None:
    site.fault = lambda page, name, number: page.rightly(name, upto=9) if number == 1 else page.send_error(403)
    with pytest.raises(SourceError, match="HTTP 403"):
        _bring(site, tmp_path)
    part = next(path for path in _parts(tmp_path) if path.name == FINE)
    part.write_bytes(site.archives[FINE])
    site.fault, site.ranges[FINE] = (lambda page, name, number: False), []
    _bring(site, tmp_path)
    assert site.ranges[FINE] == [f"bytes={len(site.archives[FINE])}-"]
    assert _brought(tmp_path) == site.archives


def test_other_bytes_than_the_sites_digest_are_told_with_both(site: Site, tmp_path: Path) -> None:
    site.fault = lambda page, name, number: page.answer(b"other bytes") if name == FINE else False
    with pytest.raises(ChecksumError) as caught:
        _bring(site, tmp_path)
    assert hashlib.md5(b"other bytes").hexdigest() in caught.value.found
    assert hashlib.md5(site.archives[FINE]).hexdigest() in caught.value.expected
    assert FINE not in {path.name for path in _parts(tmp_path)}


def test_an_account_without_the_licence_is_told(site: Site, tmp_path: Path) -> None:
    site.fault = lambda page, name, number: page.answer(b"", {"Location": "/login"}, 302)
    with pytest.raises(SourceError, match="HTTP 302 instead of the file: is this account's licence accepted"):
        _bring(site, tmp_path)


def test_a_package_that_is_gone_is_told(site: Site, tmp_path: Path) -> None:
    del site.archives[FINE]
    with pytest.raises(SourceError, match=r"no package gtFine.* in the list of this account.*\n.*mirror folder"):
        _bring(site, tmp_path)


def test_a_login_page_in_place_of_the_list_is_told(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "dumps", lambda _: "<!DOCTYPE html>")
    with pytest.raises(SourceError, match="HTTP 200 without a list of packages"):
        _bring(site, tmp_path)


def test_every_login_is_of_a_kind_that_can_be_fetched() -> None:
    assert {dataset.login.kind for dataset in datasets.public() if dataset.login} <= set(LOGINS)
