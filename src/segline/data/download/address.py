"""Open a remote file at a byte offset: ``http(s)://`` with httpx, all other addresses with fsspec.

httpx gives more detailed errors than fsspec. Every exception of these libraries becomes a `BrokenOffError`, after which
another attempt may succeed, or a `SourceError`.
"""

import email.utils
import functools
import netrc
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import httpx
from fsspec.implementations.local import LocalFileSystem

from segline.data.download import redirects
from segline.errors import SourceError
from segline.reading import open_file, require_regular

TIMEOUT = httpx.Timeout(30.0, read=60.0)
"""Seconds to connect, and to wait for the next bytes. The whole transfer may take longer."""

_BLOCK = 1 << 20
_LASTING_ERRORS = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    ImportError,
    netrc.NetrcParseError,
    httpx.TooManyRedirects,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    redirects.RefusedRedirectError,
)
_RETRY_STATUSES = {408, 425, 429}
"""HTTP statuses that ask for another attempt, besides 5xx."""


class BrokenOffError(Exception):
    """Reading was interrupted; another attempt may succeed.

    Args:
        reason: what happened.
        wait: seconds to wait before the next attempt, as the server asks; 0 if it does not.
    """

    def __init__(self, reason: str, *, wait: float = 0.0) -> None:
        self.wait = wait
        super().__init__(reason)


class RefusedRangeError(BrokenOffError):
    """The server does not resume at the requested byte; the next attempt must start from byte 0."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """Response body.

    Args:
        start: offset of the first byte in the file.
        total: size of the whole file in bytes; None if unknown.
        validator: identifies the version of the file; empty if the server gives none.
    """

    blocks: Iterator[bytes]
    start: int
    total: int | None
    validator: str


@contextmanager
def open_address(
    address: str, *, shown: str, start: int = 0, validator: str = "", authorization: str | None = None
) -> Iterator[Body]:
    """Open an address at byte `start` if the file still has this validator, else at byte 0.

    Args:
        authorization: value of the ``Authorization`` header; it is not sent to the targets of redirects.

    Raises:
        BrokenOffError: reading failed, but another attempt may succeed. May also be raised while blocks are read.
        SourceError: reading failed for good. May also be raised while blocks are read.
    """
    with ExitStack() as stack:
        with _translating_errors(address, shown):
            ways = {"head": False, "authorization": authorization}
            body = stack.enter_context(_opener(address)(address, start, validator, **ways))
        yield replace(body, blocks=_translated_blocks(body.blocks, address, shown))


def get_size(address: str, *, shown: str, authorization: str | None = None) -> int | None:
    """Return the size of a remote file in bytes; None if it is unknown, or if the request fails."""
    try:
        opener = _opener(address)
        with (
            _translating_errors(address, shown),
            opener(address, 0, "", head=True, authorization=authorization) as body,
        ):
            return body.total
    except (BrokenOffError, SourceError):
        return None


def new_client() -> httpx.Client:
    """Return an HTTP client with this module's time limits; it asks servers not to compress bodies."""
    # A .tar.gz must arrive byte by byte as published, or its digest differs.
    return httpx.Client(timeout=TIMEOUT, verify=_certificates(), headers={"Accept-Encoding": "identity"})


def read_answer(answer: httpx.Response, *, start: int, validator: str | None, head: bool = False) -> Body:
    """Describe the body of an answer by its headers.

    Args:
        start: the requested byte.
        validator: expected validator of a resumed file; None to skip the check, if the caller knows the digest.

    Raises:
        RefusedRangeError: the answer starts elsewhere, or is of another version of the file.
        httpx.HTTPStatusError: the status is no success.
    """
    if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        if not start or answer.headers.get("Content-Range") != f"bytes */{start}":
            raise RefusedRangeError("HTTP 416")
        # The process was killed after the last byte: the file is complete.
        return Body(blocks=iter(()), start=start, total=start, validator=validator or "")
    answer.raise_for_status()
    begin, total = _read_range(answer)
    seen = "" if validator is None else _read_validator(answer)
    if begin not in (0, start) or (begin and seen != (validator or "")):
        sent = f"{answer.headers.get('Content-Range')!r} of {seen or 'a file without a validator'}"
        raise RefusedRangeError(f"asked for byte {start} of {validator or 'the file'}, was sent {sent}")
    return Body(blocks=iter(()) if head else answer.iter_raw(), start=begin, total=total, validator=seen)


def _opener(address: str) -> Callable[..., AbstractContextManager[Body]]:
    return _open_http if address.startswith(("http://", "https://")) else _open_files


@contextmanager
def _open_http(address: str, start: int, validator: str, *, head: bool, authorization: str | None) -> Iterator[Body]:
    headers: dict[str, str] = {}
    if start:
        headers |= {"Range": f"bytes={start}-"} | ({"If-Range": validator} if validator else {})
    headers |= {"Authorization": authorization} if authorization else {}
    auth = None if authorization else _read_netrc()
    with new_client() as client:
        request = client.build_request("HEAD" if head else "GET", address, headers=headers)
        with redirects.send_following(client, request, auth=auth) as answer:
            yield read_answer(answer, start=start, validator=validator, head=head)


def _read_validator(answer: httpx.Response) -> str:
    """Return the strong ETag, or else Last-Modified. A weak ETag may stay the same when bytes change."""
    tag: str = answer.headers.get("ETag", "")
    return tag if tag.isascii() and tag.startswith('"') else answer.headers.get("Last-Modified", "")


def _read_range(answer: httpx.Response) -> tuple[int, int | None]:
    """Return the first byte that is sent, and the size of the whole file."""
    if answer.status_code == httpx.codes.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if found is None:
            raise RefusedRangeError(f"Content-Range {answer.headers.get('Content-Range')!r}")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


@functools.cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # reading them takes longer than a small answer


def _read_netrc() -> httpx.Auth | None:
    try:
        return httpx.NetRCAuth()
    except FileNotFoundError:
        return None


@contextmanager
def _open_files(address: str, start: int, validator: str, *, head: bool, authorization: str | None) -> Iterator[Body]:  # noqa: ARG001
    files, path = fsspec.core.url_to_fs(address, skip_instance_cache=True)
    facts = files.info(path)
    if facts.get("type") == "directory":
        raise IsADirectoryError(f"{path} is a folder")
    local = isinstance(files, LocalFileSystem)
    if local:
        require_regular(Path(path), error=SourceError)
    total = None if facts.get("size") is None else int(facts["size"])
    seen = " ".join(str(facts[name]) for name in ("ETag", "LastModified", "mtime", "ino", "size") if facts.get(name))
    begin = start if seen == validator and (total is None or start <= total) else 0
    if head:
        yield Body(blocks=iter(()), start=0, total=total, validator=seen)
        return
    with open_file(Path(path), error=SourceError) if local else files.open(path, "rb") as stream:
        stream.seek(begin)
        yield Body(blocks=iter(lambda: stream.read(_BLOCK), b""), start=begin, total=total, validator=seen)


def _translated_blocks(blocks: Iterator[bytes], address: str, shown: str) -> Iterator[bytes]:
    with _translating_errors(address, shown):
        yield from blocks


@contextmanager
def _translating_errors(address: str, shown: str) -> Iterator[None]:
    try:
        yield
    except (BrokenOffError, SourceError):
        raise
    except Exception as error:  # each client library has its own exceptions; all of them are reported below
        raise _translate(error, address, shown) from error


def _translate(error: Exception, address: str, shown: str) -> Exception:
    answer = error.response if isinstance(error, httpx.HTTPStatusError) else None
    status = None if answer is None else answer.status_code
    reason = f"HTTP {status}" if status else describe(error)
    if "://" in address and not address.startswith("file:") and _may_pass(error, status):
        return BrokenOffError(reason, wait=0.0 if answer is None else read_retry_after(answer))
    missing = isinstance(error, FileNotFoundError) or status in (404, 410)
    found = "no such file" if missing else f"cannot be read: {reason}"
    return SourceError(shown, found=found, expected="a readable file", remedy=_choose_remedy(error, missing=missing))


def describe(error: Exception) -> str:
    """Describe an exception of a client library for people."""
    if isinstance(error, httpx.TimeoutException):
        return f"no bytes received for {TIMEOUT.read:g} s ({type(error).__name__})"
    if isinstance(error, redirects.RefusedRedirectError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _may_pass(error: Exception, status: int | None) -> bool:
    if status is not None:
        return is_busy(status)
    return not isinstance(error, _LASTING_ERRORS) and not _lacks_login(error)


def _lacks_login(error: Exception) -> bool:
    """Return whether S3's client found no credentials. Compares class names, because botocore is optional."""
    return type(error).__name__ in {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"}


def is_busy(status: int) -> bool:
    """Return whether another attempt may succeed after this HTTP status."""
    return status >= 500 or status in _RETRY_STATUSES


def read_retry_after(answer: httpx.Response) -> float:
    """Return the seconds that the header ``Retry-After`` asks for, which may also be a date; 0 if it is neither."""
    text = answer.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _choose_remedy(error: Exception, *, missing: bool) -> str:
    if isinstance(error, ImportError):
        return "install the support for S3 addresses: pip install 'segline[s3]'"
    if isinstance(error, netrc.NetrcParseError):
        return "correct ~/.netrc"
    if _lacks_login(error):
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (~/.aws)"
    if isinstance(error, redirects.RefusedRedirectError):
        return "ask the operator of the server; if you trust the redirect, set `source` to the address that it leads to"
    if missing:
        return "correct `source` in params.yaml, or put the file there"
    return "check that your user or credentials may read it (see SEGLINE_SOURCE_TOKEN in the README, or ~/.netrc)"
