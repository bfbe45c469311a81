"""Downloads that broke off, are too large or stand in each other's way, and the proxy of the environment."""

import http.server
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from faulty_server import PLACE, Handler, Project, Server, always, at_first, cut_then

from segline import storage
from segline.data.download import transfer
from segline.data.download.download import SUMS
from segline.errors import SourceError, StorageError


def test_a_later_run_goes_on_where_one_broke_off(project: Project) -> None:
    project.server.fault = cut_then(lambda server, request: request.send_error(404))
    with pytest.raises(SourceError):
        project.bring()
    assert "tiny.zip" in project.parts()
    project.server.fault, project.server.ranges = None, []
    project.bring()
    assert project.server.ranges == ["bytes=40000-"]
    assert (project.folder / "tiny.zip").read_bytes() == project.new


def test_what_was_complete_but_for_its_name_is_not_sent_again(project: Project) -> None:
    project.server.fault = cut_then(lambda server, request: request.send_error(404))
    with pytest.raises(SourceError):
        project.bring()
    partial = next(path for path in project.staging.rglob("tiny.zip"))
    partial.write_bytes(project.new)  # what a kill after the last byte leaves
    project.server.fault, project.server.ranges = None, []
    project.bring()
    assert project.server.ranges == [f"bytes={len(project.new)}-"]
    assert (project.folder / "tiny.zip").read_bytes() == project.new


def test_a_part_of_another_source_is_never_gone_on_with(project: Project) -> None:
    project.server.fault = cut_then(lambda server, request: request.send_error(404))
    with pytest.raises(SourceError):
        project.bring()
    other = Server(project.new)
    other.fault = always(lambda server, request: request.send_error(404))
    with pytest.raises(SourceError):
        project.bring(source=other.address)
    assert other.ranges == [None]
    assert project.parts() == []
    other.close()


def test_last_modified_is_a_validator_too(project: Project) -> None:
    project.server.etag, project.server.modified = 'W/"1"', "Wed, 01 Jan 2025 00:00:00 GMT"
    project.server.fault = at_first(1, lambda server, request: request.rightly(upto=40_000))
    project.bring()
    assert project.server.ranges == [None, "bytes=40000-"]


def test_a_body_without_end_stops_before_the_disk_is_full(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(server: Server, request: Handler) -> None:
        monkeypatch.setattr(storage, "SPARE", 1 << 60)  # as if it had filled the disk by now
        request.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(500_000))
        request.cut()

    monkeypatch.setattr(transfer, "ROOM_EVERY", 100_000)
    before = project.state()
    project.server.fault = always(endless)
    with pytest.raises(StorageError, match="for the rest of the download"):
        project.bring()
    assert project.state() == before
    assert project.parts() == []


def test_room_is_looked_for_before_the_first_byte(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = project.state()
    monkeypatch.setattr(storage, "SPARE", 1 << 60)
    with pytest.raises(StorageError, match=r"for the missing archives.*\n  remedy: free some space"):
        project.bring()
    assert project.server.ranges == []
    assert project.state() == before


def test_two_downloads_at_once_bring_it_once(project: Project) -> None:
    def slowly(server: Server, request: Handler) -> None:
        time.sleep(0.2)
        request.rightly()

    project.server.fault = always(slowly)
    with ThreadPoolExecutor(2) as executor:
        first, second = executor.map(lambda _: project.bring(), range(2))
    assert project.server.ranges == [None]
    assert (project.folder / "tiny.zip").read_bytes() == project.new
    assert sum("another download into this folder is running" in line for line in first + second) == 1
    assert sum("already downloaded" in line for line in first + second) == 1


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
