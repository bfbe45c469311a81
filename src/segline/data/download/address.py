"""An address opened from a byte on: ``http(s)://`` through httpx, which tells more, and all else through fsspec.

What the client libraries raise becomes one of ours: an error that may pass, or one to report.
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
"""Seconds; a long transfer is fine as long as bytes come."""

_BLOCK = 1 << 20
_LASTING = (
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
_BUSY = {408, 425, 429}  # HTTP answers that ask for another try, besides 5xx


class BrokenOffError(Exception):
    """Reading broke off for a reason that may pass.

    Args:
        wait: seconds after which the server wants to be asked again.
    """

    def __init__(self, said: str, *, wait: float = 0.0) -> None:
        self.wait = wait
        super().__init__(said)


class RefusedRangeError(BrokenOffError):
    """The server does not go on where it was asked to: the next attempt starts over."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """Bytes that come from an address.

    Args:
        start: how many of the file's bytes come before them.
        total: size of the whole file, where it is known.
        validator: changes when the file does; empty where nothing says so.
    """

    blocks: Iterator[bytes]
    start: int
    total: int | None
    validator: str


@contextmanager
def opened(
    address: str, *, shown: str, start: int = 0, validator: str = "", authorization: str | None = None
) -> Iterator[Body]:
    """Open an address; what comes begins at byte `start` if the file still has this validator, else at 0.

    Args:
        authorization: the header that its server wants; those to which it redirects are not sent it.

    Raises:
        BrokenOffError: now, or while its blocks are read: it may go better next time.
        SourceError: likewise: it will not.
    """
    with ExitStack() as stack:
        with _explaining(address, shown):
            ways = {"head": False, "authorization": authorization}
            body = stack.enter_context(_opener(address)(address, start, validator, **ways))
        yield replace(body, blocks=_explained_blocks(body.blocks, address, shown))


def size(address: str, *, shown: str, authorization: str | None = None) -> int | None:
    """Bytes at an address; None where its server does not say, or does not answer: the copy itself will tell."""
    try:
        opener = _opener(address)
        with _explaining(address, shown), opener(address, 0, "", head=True, authorization=authorization) as body:
            return body.total
    except (BrokenOffError, SourceError):
        return None


def _opener(address: str) -> Callable[..., AbstractContextManager[Body]]:
    return _http if address.startswith(("http://", "https://")) else _files


def _explained_blocks(blocks: Iterator[bytes], address: str, shown: str) -> Iterator[bytes]:
    with _explaining(address, shown):
        yield from blocks


@contextmanager
def _http(address: str, start: int, validator: str, *, head: bool, authorization: str | None) -> Iterator[Body]:
    headers = {"Accept-Encoding": "identity"}  # a .tar.gz sent compressed must stay what was digested
    if start:
        headers |= {"Range": f"bytes={start}-"} | ({"If-Range": validator} if validator else {})
    headers |= {"Authorization": authorization} if authorization else {}
    auth = None if authorization else _netrc()
    with (
        httpx.Client(timeout=TIMEOUT, verify=_certificates()) as client,
        redirects.following(
            client, client.build_request("HEAD" if head else "GET", address, headers=headers), auth=auth
        ) as answer,
    ):
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if not start or answer.headers.get("Content-Range") != f"bytes */{start}":
                raise RefusedRangeError("HTTP 416")
            # A kill came after the last byte: nothing is missing.
            yield Body(blocks=iter(()), start=start, total=start, validator=validator)
            return
        answer.raise_for_status()
        begin, total = _range(answer)
        seen = _validator(answer)
        if begin not in (0, start) or (begin and seen != validator):
            told = f"{answer.headers.get('Content-Range')!r} of {seen or 'a file without a validator'}"
            raise RefusedRangeError(f"asked for byte {start} of {validator}, was sent {told}")
        yield Body(blocks=iter(()) if head else answer.iter_raw(), start=begin, total=total, validator=seen)


def _validator(answer: httpx.Response) -> str:
    """The strong ETag, else the time of the last change: a weak ETag may stay when bytes change."""
    tag: str = answer.headers.get("ETag", "")
    return tag if tag.isascii() and tag.startswith('"') else answer.headers.get("Last-Modified", "")


def _range(answer: httpx.Response) -> tuple[int, int | None]:
    """First byte that is sent, and the size of the whole file."""
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


def _netrc() -> httpx.Auth | None:
    try:
        return httpx.NetRCAuth()
    except FileNotFoundError:
        return None


@contextmanager
def _files(address: str, start: int, validator: str, *, head: bool, authorization: str | None) -> Iterator[Body]:  # noqa: ARG001
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


@contextmanager
def _explaining(address: str, shown: str) -> Iterator[None]:
    try:
        yield
    except (BrokenOffError, SourceError):
        raise
    except Exception as error:  # each client library has its own exceptions; all are told below
        raise _explained(error, address, shown) from error


def _explained(error: Exception, address: str, shown: str) -> Exception:
    answer = error.response if isinstance(error, httpx.HTTPStatusError) else None
    status = None if answer is None else answer.status_code
    said = f"HTTP {status}" if status else _words(error)
    if "://" in address and not address.startswith("file:") and _may_pass(error, status):
        return BrokenOffError(said, wait=0.0 if answer is None else retry_after(answer.headers.get("Retry-After", "")))
    missing = isinstance(error, FileNotFoundError) or status in (404, 410)
    found = "no such file" if missing else f"cannot be read: {said}"
    return SourceError(shown, found=found, expected="a readable file", remedy=_remedy(error, missing=missing))


def _words(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"nothing came for {TIMEOUT.read:g} s ({type(error).__name__})"
    if isinstance(error, redirects.RefusedRedirectError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _may_pass(error: Exception, status: int | None) -> bool:
    return busy(status) if status is not None else not isinstance(error, _LASTING) and not _lacks_login(error)


def _lacks_login(error: Exception) -> bool:
    """Whether S3's client found no credentials; botocore is an extra, so it is known by name."""
    return type(error).__name__ in {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"}


def busy(status: int) -> bool:
    """Whether an HTTP status says that another try may go better."""
    return status >= 500 or status in _BUSY


def retry_after(text: str) -> float:
    """Seconds that a ``Retry-After`` asks for, which may also be a date; 0 where it is neither."""
    if text.isdecimal():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _remedy(error: Exception, *, missing: bool) -> str:
    if isinstance(error, ImportError):
        return "install what reads such addresses: pip install 'segline[s3]'"
    if isinstance(error, netrc.NetrcParseError):
        return "correct ~/.netrc"
    if _lacks_login(error):
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (~/.aws)"
    if isinstance(error, redirects.RefusedRedirectError):
        return "ask who runs the server; or, if it is right, name the address that it redirects to"
    if missing:
        return "correct `source` in params.yaml, or put the file there"
    return "see that these credentials, or this user, may read it (README: SEGLINE_SOURCE_TOKEN, or ~/.netrc)"
