"""Download a remote file: compute its digests on the way, retry, and resume after an interruption."""

import functools
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import tenacity

from segline.data.download.address import Body, BrokenOffError, RefusedRangeError, open_address
from segline.errors import DataError, SourceError
from segline.progress import Advance, Report
from segline.storage import require_room, size_text

Result = TypeVar("Result")

ATTEMPTS = 4
"""Number of consecutive failed attempts without progress after which a download fails."""

WAIT = tenacity.wait_exponential(multiplier=0.5, max=20) + tenacity.wait_random(0, 0.5)
LONGEST_WAIT = 120.0
"""Seconds. Upper limit for the wait that a server asks for."""

WINDOW = 60.0
"""Seconds. The average speed over this time must be at least `SLOWEST`; otherwise the transfer counts as stalled."""
SLOWEST = 1024
"""Bytes a second."""

ROOM_EVERY = 64 << 20
"""Bytes between two checks of the free disk space."""

_BLOCK = 1 << 20
_SMALL_FILE = 16 << 20
_PROGRESS_PARTS = 1000
"""An attempt makes progress if it fetches at least 1/1000 of the file. This limits the number of attempts."""


class Opener(Protocol):
    """Function that opens a remote file at a byte offset; see `segline.data.download.address.open_address`."""

    def __call__(self, *, start: int, validator: str) -> AbstractContextManager[Body]:
        """Open the file at byte `start` if it still has this validator, else at byte 0."""


@dataclass(frozen=True, kw_only=True)
class Digests:
    """SHA-256, MD5 and size in bytes of a file."""

    sha256: str
    md5: str
    size: int


def copy(
    opener: Opener,
    partial: Path,
    *,
    shown: str,
    track: Callable[[int | None, int], Advance],
    check: Callable[[Digests], None],
    held: bool = False,
    report: Report,
    stop: threading.Event,
) -> Digests:
    """Download a remote file into `partial`; resume where an earlier attempt or run was interrupted.

    Existing bytes are kept only if the remote file still has the validator (strong ETag, or else Last-Modified)
    that is stored beside `partial`. If the server gives none, they are kept only if `held` is True. If a resumed
    file does not pass `check`, it is downloaded once more from the start.

    Args:
        opener: opens the remote file.
        partial: file to fill. If the download fails, it keeps the bytes received so far.
        shown: the address as a person may see it, without secrets.
        track: called at each attempt with the total size (None if unknown) and the size of the existing bytes.
        check: raises a `DataError` if the file is not the wanted one.
        held: whether `check` compares a digest that was known before, so that it refuses a mix of two versions.
        report: takes a line before each further attempt.
        stop: when set, the download ends with `InterruptedError` at the next block.

    Raises:
        SourceError: there is no such file, or `ATTEMPTS` attempts in a row failed without progress.
        DataError: raised by `check`; `partial` is then removed.
        StorageError: the disk is nearly full.
    """
    for last in (False, True):
        growing = _PartialFile(partial, held=held)
        attempt = functools.partial(growing.fetch_rest, opener, shown=shown, track=track, report=report, stop=stop)
        digests = retry(attempt, shown=shown, report=report, made_progress=growing.made_progress, stop=stop)
        try:
            check(digests)
        except DataError as error:
            remove_partial(partial)
            if last or not growing.pieced:
                raise
            report(f"{shown}: {error.found} after a resumed download; downloading once more from the start")
        else:
            return digests
    raise AssertionError("the last attempt returns or raises")


class _PartialFile:
    """A partial file, the hashes of its content, and the validator of the remote file."""

    def __init__(self, path: Path, *, held: bool) -> None:
        self._path, self._held = path, held
        self._hashes = Hashes()
        self._total: int | None = None
        self._size_at_progress = partial_size(path)
        self.pieced = False
        """Whether the file may mix two versions, or may be incomplete."""

    def made_progress(self) -> bool:
        """Return whether the file grew enough since this method last returned True."""
        size = partial_size(self._path)
        enough = _BLOCK if self._total is None else max(1, self._total // _PROGRESS_PARTS)
        if size - self._size_at_progress < enough:
            return False
        self._size_at_progress = size
        return True

    def fetch_rest(
        self,
        opener: Opener,
        *,
        shown: str,
        track: Callable[[int | None, int], Advance],
        report: Report,
        stop: threading.Event,
    ) -> Digests:
        """Append the missing bytes.

        Raises:
            BrokenOffError: some bytes were not received.
        """
        _check_stopped(stop, shown)
        validator = _read_validator(self._path)
        start = partial_size(self._path) if validator or self._held else 0
        with self._removed_on_refusal(), opener(start=start, validator=validator) as body:
            if body.start and self._total not in (None, body.total):
                raise RefusedRangeError(f"the server announced {self._total} bytes in all before, and {body.total} now")
            self._begin(body.start, body.validator)
            if body.start:
                report(f"{shown}: resuming after {size_text(body.start)}")
            self._total = body.total
            self.pieced = bool(body.start) or body.total is None
            self._append(body, advance=track(body.total, body.start), stop=stop, shown=shown)
        digests = self._hashes.result()
        if body.total is not None and digests.size < body.total:
            raise BrokenOffError(f"only {digests.size} of {body.total} bytes received")
        return digests

    def _append(self, body: Body, *, advance: Advance, stop: threading.Event, shown: str) -> None:
        speed, room_checked_at = SpeedCheck(), body.start
        with self._path.open("ab") as target:
            for block in body.blocks:
                _check_stopped(stop, shown)
                target.write(block)
                self._hashes.add(block)
                if self._hashes.size - room_checked_at > ROOM_EVERY:  # other programs fill the disk, too
                    require_room(self._path.parent, 0, purpose="for the rest of the download")
                    room_checked_at = self._hashes.size
                advance(len(block))
                speed.add(len(block))

    @contextmanager
    def _removed_on_refusal(self) -> Iterator[None]:
        try:
            yield
        except RefusedRangeError:
            remove_partial(self._path)
            raise

    def _begin(self, start: int, validator: str) -> None:
        if start == 0:
            self._hashes = Hashes()
            self._path.write_bytes(b"")  # before the new validator is written: old bytes must not get it
            _validator_file(self._path).write_text(validator, "utf-8")
        elif self._hashes.size != start:
            self._hashes = _hash_content(self._path)


def _check_stopped(stop: threading.Event, shown: str) -> None:
    if stop.is_set():
        raise InterruptedError(f"{shown}: cancelled, because another archive failed")


class SpeedCheck:
    """Interrupt a transfer that is slower than `SLOWEST`. A read timeout would only notice complete silence."""

    def __init__(self) -> None:
        self._since, self._bytes = time.monotonic(), 0

    def add(self, amount: int) -> None:
        """Count `amount` more bytes.

        Raises:
            BrokenOffError: too few bytes were received in the last `WINDOW` seconds.
        """
        self._bytes += amount
        seconds = time.monotonic() - self._since
        if seconds < WINDOW:
            return
        if self._bytes < seconds * SLOWEST:
            raise BrokenOffError(f"only {self._bytes} bytes received in {seconds:.0f} s")
        self._since, self._bytes = time.monotonic(), 0


def partial_size(partial: Path) -> int:
    """Return the bytes that a partial file has; 0 if it does not exist."""
    return partial.stat().st_size if partial.is_file() else 0


def remove_partial(partial: Path) -> None:
    """Remove a partial file and its validator."""
    partial.unlink(missing_ok=True)
    _validator_file(partial).unlink(missing_ok=True)


def read_small_file(address: str, *, shown: str, report: Report, authorization: str | None = None) -> bytes:
    """Return the content of a remote file of at most 16 MiB.

    Raises:
        SourceError: as for `copy`, or the file is larger.
    """

    def attempt() -> bytes:
        content, speed = bytearray(), SpeedCheck()
        with open_address(address, shown=shown, authorization=authorization) as body:
            for block in body.blocks:
                content += block
                speed.add(len(block))
                if len(content) > _SMALL_FILE:
                    raise SourceError(
                        shown,
                        found=f"more than {size_text(_SMALL_FILE)}",
                        expected="a small file",
                        remedy="open the address in a browser to see what the server sends",
                    )
        return bytes(content)

    return retry(attempt, shown=shown, report=report)


def hash_file(path: Path) -> Digests:
    """Return the `Digests` of a file on disk."""
    return _hash_content(path).result()


def _hash_content(path: Path) -> "Hashes":
    hashes = Hashes()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            hashes.add(block)
    return hashes


class Hashes:
    """Digests of a growing file."""

    def __init__(self) -> None:
        self._sha256, self._md5, self.size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0

    def add(self, block: bytes) -> None:
        """Add the next bytes."""
        self._sha256.update(block)
        self._md5.update(block)
        self.size += len(block)

    def result(self) -> Digests:
        """Return the digests of all bytes so far."""
        return Digests(sha256=self._sha256.hexdigest(), md5=self._md5.hexdigest(), size=self.size)


def retry(
    attempt: Callable[[], Result],
    *,
    shown: str,
    report: Report,
    made_progress: Callable[[], bool] = lambda: False,
    stop: threading.Event | None = None,
) -> Result:
    """Call `attempt` until it succeeds; wait longer after each `BrokenOffError`.

    Args:
        made_progress: returns whether the failed attempt received enough bytes; attempts are then counted from 1.

    Raises:
        SourceError: `ATTEMPTS` attempts in a row failed without progress.
    """

    def count(state: tenacity.RetryCallState) -> None:
        if made_progress():
            state.attempt_number = 1

    def wait(state: tenacity.RetryCallState) -> float:
        asked = getattr(_failure(state), "wait", 0.0)
        return max(WAIT(state), min(asked, LONGEST_WAIT))

    def announce(state: tenacity.RetryCallState) -> None:
        assert state.next_action is not None
        report(f"{shown}: {_failure(state)}; trying again in {state.next_action.sleep:.0f} s")

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(BrokenOffError),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=wait,
        after=count,
        before_sleep=announce,
        sleep=tenacity.sleep_using_event(stop or threading.Event()),
        reraise=True,
    )
    try:
        return retrying(attempt)
    except BrokenOffError as error:
        raise SourceError(
            shown,
            found=f"could not be read in {ATTEMPTS} attempts: {error}",
            expected="the complete file",
            remedy="check that the server is up and reachable from here (proxy, firewall). Then run the same command: "
            "it resumes the download",
        ) from error


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _validator_file(partial: Path) -> Path:
    return partial.with_name(partial.name + ".validator")


def _read_validator(partial: Path) -> str:
    try:
        text = _validator_file(partial).read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return text if text.isascii() and text.isprintable() else ""  # a killed process may leave arbitrary bytes
