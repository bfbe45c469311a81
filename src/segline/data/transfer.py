"""Bytes from an address into a file, hashed on the way, tried again where that may help.

An address is whatever fsspec opens: a local path, ``file://``, ``http(s)://``, ``s3://``.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import fsspec
import tenacity

from segline.data.progress import Advance, Report
from segline.errors import SourceError

Result = TypeVar("Result")

ATTEMPTS = 4
WAIT = tenacity.wait_exponential(multiplier=0.5, max=20) + tenacity.wait_random(0, 0.5)

_BLOCK = 1 << 20
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ImportError)
_BUSY = {408, 425, 429}  # HTTP answers that ask for another try, besides 5xx


@dataclass(frozen=True, kw_only=True)
class Digests:
    """What a file's bytes amount to."""

    sha256: str
    md5: str
    size: int


class _BrokenOffError(Exception):
    """Reading broke off for a reason that may pass."""


def copy(
    address: str,
    destination: Path,
    *,
    shown: str,
    track: Callable[[int | None], Advance],
    report: Report,
    stop: threading.Event,
) -> Digests:
    """Write the bytes at `address` into `destination`.

    Args:
        address: what fsspec opens.
        destination: file to write; what is there is replaced.
        shown: the address as a person may see it (without a password).
        track: is given the total size where it is known; called again for another attempt.
        report: takes a line before every further attempt.
        stop: when set, the copy ends with `InterruptedError` at the next block.

    Raises:
        SourceError: there is no such file, or it could not be read after `ATTEMPTS` attempts.
    """

    def attempt() -> Digests:
        with destination.open("wb") as target:
            digests = _Hashes()
            for block in _blocks(address, shown, track):
                if stop.is_set():
                    raise InterruptedError(f"{shown}: given up, because another archive failed")
                target.write(block)
                digests.add(block)
            return digests.result()

    return _patiently(attempt, shown, report)


def read(address: str, *, shown: str, report: Report) -> bytes:
    """The bytes of a small file.

    Raises:
        SourceError: as for `copy`.
    """
    return _patiently(lambda: b"".join(_blocks(address, shown, _untracked)), shown, report)


def digest(path: Path) -> Digests:
    """`Digests` of a file on disk."""
    hashes = _Hashes()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            hashes.add(block)
    return hashes.result()


class _Hashes:
    def __init__(self) -> None:
        self._sha256, self._md5, self._size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0

    def add(self, block: bytes) -> None:
        self._sha256.update(block)
        self._md5.update(block)
        self._size += len(block)

    def result(self) -> Digests:
        return Digests(sha256=self._sha256.hexdigest(), md5=self._md5.hexdigest(), size=self._size)


def _patiently(attempt: Callable[[], Result], shown: str, report: Report) -> Result:
    def tell(state: tenacity.RetryCallState) -> None:
        assert state.outcome is not None
        assert state.next_action is not None
        report(f"{shown}: {state.outcome.exception()}; trying again in {state.next_action.sleep:.0f} s")

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_BrokenOffError),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=WAIT,
        before_sleep=tell,
        reraise=True,
    )
    try:
        return retrying(attempt)
    except _BrokenOffError as error:
        raise SourceError(
            shown,
            found=f"could not be read in {ATTEMPTS} attempts: {error}",
            expected="the whole file",
            remedy="see that the server is up and reachable from here (proxy, firewall), then run the same command",
        ) from error


def _untracked(_: int | None) -> Advance:
    return lambda _: None


def _blocks(address: str, shown: str, track: Callable[[int | None], Advance]) -> Iterator[bytes]:
    """Yield the bytes at `address`; whatever the file system's client library raises becomes one of ours."""
    try:
        files, path = _open(address)
        with files.open(path, "rb", **_streaming(address)) as stream:
            advance = track(_size(files, path))
            while block := stream.read(_BLOCK):
                yield block
                advance(len(block))
    except Exception as error:  # each client library has its own exceptions; all are told below
        raise _explained(error, address, shown) from error


def _open(address: str) -> tuple[Any, str]:
    options: dict[str, Any] = {}
    if address.startswith(("http://", "https://")):
        import aiohttp

        options["client_kwargs"] = {
            # aiohttp gives up after five minutes in all, whatever is still flowing; silence is what counts.
            "timeout": aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60),
            "trust_env": True,  # proxies
            "auto_decompress": False,  # a .tar.gz sent with a Content-Encoding must stay what was digested
            "headers": {"Accept-Encoding": "identity"},
        }
    files, path = fsspec.core.url_to_fs(address, skip_instance_cache=True, **options)
    return files, path


def _streaming(address: str) -> dict[str, Any]:
    """One request for the whole file, not one for every block."""
    return {"block_size": 0} if address.startswith(("http://", "https://")) else {}


def _size(files: Any, path: str) -> int | None:
    size = files.info(path).get("size")
    return None if size is None else int(size)


def _explained(error: Exception, address: str, shown: str) -> Exception:
    # fsspec tells every failed HTTP look-up as a missing file; what happened is its cause.
    behind = error.__cause__ if isinstance(error, FileNotFoundError) else None
    cause = behind if isinstance(behind, Exception) else error
    status = getattr(cause, "status", None)
    if "://" in address and not address.startswith("file:") and _may_pass(cause, status):
        return _BrokenOffError(f"{type(cause).__name__}: {cause}")
    missing = isinstance(cause, FileNotFoundError) or status in (404, 410)
    found = "no such file" if missing else f"cannot be read: {f'HTTP {status}' if status else cause}"
    return SourceError(shown, found=found, expected="a readable file", remedy=_remedy(cause, missing=missing))


def _may_pass(cause: Exception, status: int | None) -> bool:
    if status is not None:
        return status >= 500 or status in _BUSY
    return not isinstance(cause, _LASTING)


def _remedy(cause: Exception, *, missing: bool) -> str:
    if isinstance(cause, ImportError):
        return "install what reads such addresses: pip install 'segline[s3]'"
    if missing:
        return "correct `source` in params.yaml, or put the file there"
    return "see that these credentials, or this user, may read it"
