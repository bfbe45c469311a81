"""Planted faults of servers: each is endured, or told in words one can act on; what was there before stays."""

import hashlib
import re
import time
from collections.abc import Callable

import pytest
from faulty_server import PLACE, Handler, Project, Server, always, at_first, cut_then, cut_then_once

from segline.data.download.download import RECORD, SUMS
from segline.errors import ChecksumError, SourceError


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
        at_first(1, lambda server, request: request.rightly(upto=40_000)),
        "resuming after",
        [None, "bytes=40000-"],
    ),
    "cut again and again": (
        always(lambda server, request: request.rightly(upto=3_000)),
        "resuming after",
        [None] + [f"bytes={start}-" for start in range(3_000, 100_500, 3_000)],
    ),
    "cut, and it knows no ranges": (
        cut_then_once(lambda server, request: request.answer(server.content, {"ETag": '"1"'})),
        "trying again",
        [None, "bytes=40000-"],
    ),
    "cut, and it has no validator": (
        at_first(1, lambda server, request: request.answer(server.content, upto=40_000)),
        "trying again",
        [None, "bytes=40000-", None],  # what comes then has one
    ),
    "cut, and it never has a validator": (
        lambda server, request, number: _unmarked(server, request, upto=40_000 if number == 1 else None),
        "resuming after",
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
        at_first(1, lambda server, request: request.answer(server.content, {"ETag": 'W/"1"'}, upto=40_000)),
        "trying again",
        [None, "bytes=40000-", None],
    ),
    "cut before a byte came": (at_first(3, lambda server, request: request.cut()), "RemoteProtocolError", [None] * 4),
    "500 at times": (
        at_first(3, lambda server, request: request.send_error(500)),
        "HTTP 500; trying again",
        [None] * 4,
    ),
    "503 that asks to wait": (
        at_first(1, lambda server, request: request.answer(b"", {"Retry-After": "3600"}, status=503)),
        "HTTP 503; trying again",
        [None, None],
    ),
    "stalls once": (at_first(1, _stalling), "no bytes received for 0.25 s", [None, "bytes=1000-", None]),
    "drips once": (at_first(1, _drip), "bytes received in", None),
    "the file changes, and so does its ETag": (
        at_first(1, lambda server, request: _old_half(server, request, etag='"0"')),
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
        at_first(1, lambda server, request: _old_half(server, request, etag='"1"')),
        "after a resumed download; downloading once more from the start",
        [None, "bytes=40000-", None],
    ),
    "a range refused with 416": (
        cut_then_once(lambda server, request: request.answer(b"", status=416)),
        "HTTP 416; trying again",
        [None, "bytes=40000-", None],
    ),
    "a range from elsewhere": (cut_then_once(_elsewhere), "was sent 'bytes 7-99/", [None, "bytes=40000-", None]),
    "another size of the whole": (
        cut_then_once(
            lambda server, request: request.answer(
                b"x", {"Content-Range": "bytes 40000-40000/40001", "ETag": '"1"'}, status=206
            )
        ),
        "bytes in all before, and 40001 now",
        [None, "bytes=40000-", None],
    ),
    "a range without a Content-Range": (
        cut_then_once(lambda server, request: request.answer(b"x", status=206)),
        "Content-Range None",
        [None, "bytes=40000-", None],
    ),
    "less than the range": (always(_part_of_range), "30000 of 100", None),
    "no length": (always(_chunked), "from http", [None]),
    "no length, and an end too early": (
        lambda server, request, number: _raw(
            b"HTTP/1.0 200 OK\r\n\r\n" + server.content[: 40_000 if number == 1 else None]
        )(server, request),
        "once more from the start",
        [None, None],
    ),
    "a Content-Encoding that is not": (
        always(lambda server, request: request.answer(server.content, {"Content-Encoding": "gzip"})),
        "from http",
        [None],
    ),
    "a redirect": (
        at_first(1, lambda server, request: request.answer(b"", {"Location": PLACE + "?again"}, status=302)),
        "from http",
        [None, None],
    ),
}
TOLD = {
    # name: (what plants it, the error, phrases of what was found, expected, and is to do)
    "404": (
        always(lambda server, request: request.send_error(404)),
        SourceError,
        "no such file",
        "",
        "correct `source`",
    ),
    "403": (
        always(lambda server, request: request.send_error(403)),
        SourceError,
        "HTTP 403",
        "readable",
        "credentials",
    ),
    "500 always": (
        always(lambda server, request: request.send_error(500)),
        SourceError,
        "could not be read in 4 attempts: HTTP 500",
        "the complete file",
        "check that the server is up",
    ),
    "416 always": (
        always(lambda server, request: request.answer(b"", status=416)),
        SourceError,
        "in 4 attempts: HTTP 416",
        "the complete file",
        "",
    ),
    "no HTTP": (always(_raw(b"hello\r\n\r\n")), SourceError, "in 4 attempts: RemoteProtocolError", "", "reachable"),
    "stalls always": (
        always(_stalling),
        SourceError,
        "no bytes received for 0.25 s",
        "the complete file",
        "proxy, firewall",
    ),
    "a byte now and then": (always(_drip), SourceError, "bytes received in", "the complete file", ""),
    "a byte each time": (
        always(lambda server, request: request.rightly(upto=1)),
        SourceError,
        "in 4 attempts",
        "the complete file",
        "it resumes the download",
    ),
    "more announced than sent": (
        always(lambda server, request: request.answer(server.content, length=len(server.content) + 9)),
        SourceError,
        "in 4 attempts",
        "the complete file",
        "",
    ),
    "less announced than there is": (
        always(lambda server, request: request.answer(server.content[:-9])),
        ChecksumError,
        "sha256",
        "sha256",
        "copy both into the mirror again",
    ),
    "a redirect to itself": (
        always(lambda server, request: request.answer(b"", {"Location": PLACE}, status=302)),
        SourceError,
        "TooManyRedirects",
        "",
        "",
    ),
    "a redirect to another protocol": (
        always(lambda server, request: request.answer(b"", {"Location": "ftp://127.0.0.1/x"}, status=302)),
        SourceError,
        "redirects to a ftp: address",
        "",
        "",
    ),
    "gone midway": (cut_then(lambda server, request: request.send_error(404)), SourceError, "no such file", "", ""),
    "another file than listed": (
        always(lambda server, request: request.answer(b"another", {"ETag": '"1"'})),
        ChecksumError,
        f"sha256 {hashlib.sha256(b'another').hexdigest()}",
        "sha256",
        "damaged or outdated",
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
        "damaged or outdated",
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
        "lines of 64 hex digits, two spaces and a file name",
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
