"""Bytes from an address into a file, hashed on the way, tried again, and gone on with after a cut."""

import functools
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import tenacity

from segline.data.download.address import Body, BrokenOffError, RefusedRangeError, opened
from segline.errors import DataError, SourceError
from segline.progress import Advance, Report
from segline.storage import require_room, size_text

Result = TypeVar("Result")

ATTEMPTS = 4
"""Failures in a row, without getting on, after which a copy gives up."""

WAIT = tenacity.wait_exponential(multiplier=0.5, max=20) + tenacity.wait_random(0, 0.5)
LONGEST_WAIT = 120.0
"""Seconds, however long a server asks to wait."""

WINDOW = 60.0
"""Seconds over which at least `SLOWEST` bytes a second must come: drops now and then are a stall, too."""
SLOWEST = 1024

ROOM_EVERY = 64 << 20
"""Bytes after which the room on the disk is looked at again."""

_BLOCK = 1 << 20
_SMALL = 16 << 20
_SHARE = 1000  # getting on by less than this part of the whole does not count: so attempts are bounded, too


@dataclass(frozen=True, kw_only=True)
class Digests:
    """What a file's bytes amount to."""

    sha256: str
    md5: str
    size: int


def copy(
    address: str,
    partial: Path,
    *,
    shown: str,
    track: Callable[[int | None, int], Advance],
    check: Callable[[Digests], None],
    held: bool = False,
    authorization: str | None = None,
    report: Report,
    stop: threading.Event,
) -> Digests:
    """Write the bytes at `address` into `partial`, going on where an earlier attempt, or run, broke off.

    What was there is used only if the file at the address still has the validator (strong ETag, else
    time of the last change) that lies beside it; or, where the server gives none, if it is `held`.
    Where the bytes are wrong all the same, the copy is made once more from the start.

    Args:
        address: what `segline.data.download.address` opens.
        partial: file to fill; it is left there, as far as it got, when the address fails.
        shown: the address as a person may see it (without a secret).
        track: is given the total size where it is known, and what was there already; again for each attempt.
        check: raises a `DataError` where it is not what was wanted.
        held: whether `check` knows the file's digest, so that pieces of two versions cannot pass.
        authorization: the header that the address wants.
        report: takes a line before every further attempt.
        stop: when set, the copy ends with `InterruptedError` at the next block.

    Raises:
        SourceError: there is no such file, or `ATTEMPTS` attempts in a row failed without getting on.
        DataError: what `check` raises; nothing is left in `partial`.
        StorageError: the disk is nearly full.
    """

    def bring() -> tuple[Digests, bool]:
        growing = _Growing(partial, held=held)
        opener = functools.partial(opened, address, shown=shown, authorization=authorization)
        go_on = functools.partial(growing.go_on, opener, shown=shown, track=track, report=report, stop=stop)
        return patiently(go_on, shown=shown, report=report, got_on=growing.reach.got_on, stop=stop), growing.pieced

    return until_right(bring, partial, shown=shown, check=check, report=report)


def until_right(
    bring: Callable[[], tuple[Digests, bool]],
    partial: Path,
    *,
    shown: str,
    check: Callable[[Digests], None],
    report: Report,
) -> Digests:
    """Call `bring`, and once more where what it pieced together does not pass `check`.

    Args:
        bring: fills `partial`; returns its digests, and whether it may be of several versions, or not whole.

    Raises:
        DataError: what `check` raises; nothing is left in `partial`.
    """
    for last in (False, True):
        digests, pieced = bring()
        try:
            check(digests)
        except DataError as error:
            forget(partial)
            if last or not pieced:
                raise
            report(f"{shown}: {error.found}, pieced together from several answers; once more from the start")
        else:
            return digests
    raise AssertionError("the last attempt returns or raises")


class _Growing:
    """A partial file, with the hashes of what is in it and the validator of what it is a part of."""

    def __init__(self, path: Path, *, held: bool) -> None:
        self._path, self._held = path, held
        self._hashes = Hashes()
        self.reach = Reach(path)
        self.pieced = False
        """Whether its bytes may be of several versions, or fewer than all."""

    def go_on(
        self,
        opener: Callable[..., AbstractContextManager[Body]],
        *,
        shown: str,
        track: Callable[[int | None, int], Advance],
        report: Report,
        stop: threading.Event,
    ) -> Digests:
        """Add what is missing; raises `BrokenOffError` where it did not come."""
        heed(stop, shown)
        validator = _read_validator(self._path)
        start = size_of(self._path) if validator or self._held else 0
        with self._starting_over(), opener(start=start, validator=validator) as body:
            if body.start and self.reach.total not in (None, body.total):
                raise RefusedRangeError(f"{self.reach.total} bytes in all were announced before, {body.total} now")
            self._begin(body.start, body.validator)
            if body.start:
                report(f"{shown}: going on after {size_text(body.start)}")
            self.reach.total = body.total
            self.pieced = bool(body.start) or body.total is None
            advance, pace = track(body.total, body.start), Pace()
            looked = body.start
            with self._path.open("ab") as target:
                for block in body.blocks:
                    heed(stop, shown)
                    target.write(block)
                    self._hashes.add(block)
                    if self._hashes.size - looked > ROOM_EVERY:  # some send without end, and others fill the disk, too
                        require_room(self._path.parent, 0, purpose="for what is still to come")
                        looked = self._hashes.size
                    advance(len(block))
                    pace.see(len(block))
        digests = self._hashes.result()
        if body.total is not None and digests.size < body.total:
            raise BrokenOffError(f"{digests.size} of {body.total} bytes came")
        return digests

    @contextmanager
    def _starting_over(self) -> Iterator[None]:
        try:
            yield
        except RefusedRangeError:
            forget(self._path)
            raise

    def _begin(self, start: int, validator: str) -> None:
        if start == 0:
            self._hashes = Hashes()
            self._path.write_bytes(b"")  # before the validator: never old bytes beside a new one
            _validator_file(self._path).write_text(validator, "utf-8")
        elif self._hashes.size != start:
            self._hashes = hashed(self._path)


def heed(stop: threading.Event, shown: str) -> None:
    """Raise `InterruptedError` once it is over."""
    if stop.is_set():
        raise InterruptedError(f"{shown}: given up, because another archive failed")


class Reach:
    """How far a partial file ever came."""

    def __init__(self, partial: Path) -> None:
        self._partial = partial
        self._mark = size_of(partial)
        self.total: int | None = None

    def got_on(self) -> bool:
        """Whether it came further since this was last said: by a share that bounds how often it can be said."""
        size = size_of(self._partial)
        worth = _BLOCK if self.total is None else max(1, self.total // _SHARE)
        if size - self._mark < worth:
            return False
        self._mark = size
        return True


class Pace:
    """Breaks off what only drips; the read timeout sees silence alone."""

    def __init__(self) -> None:
        self._since, self._came = time.monotonic(), 0

    def see(self, amount: int) -> None:
        """Take how many bytes came.

        Raises:
            BrokenOffError: too few over the last `WINDOW`.
        """
        self._came += amount
        seconds = time.monotonic() - self._since
        if seconds < WINDOW:
            return
        if self._came < seconds * SLOWEST:
            raise BrokenOffError(f"only {self._came} bytes came in {seconds:.0f} s")
        self._since, self._came = time.monotonic(), 0


def size_of(partial: Path) -> int:
    """Bytes of it that are there."""
    return partial.stat().st_size if partial.is_file() else 0


def forget(partial: Path) -> None:
    """Remove a partial file and its validator."""
    partial.unlink(missing_ok=True)
    _validator_file(partial).unlink(missing_ok=True)


def read(address: str, *, shown: str, report: Report, authorization: str | None = None) -> bytes:
    """The bytes of a small file.

    Raises:
        SourceError: as for `copy`, or it is not small.
    """

    def attempt() -> bytes:
        content, pace = bytearray(), Pace()
        with opened(address, shown=shown, authorization=authorization) as body:
            for block in body.blocks:
                content += block
                pace.see(len(block))
                if len(content) > _SMALL:
                    raise SourceError(
                        shown,
                        found=f"more than {size_text(_SMALL)}",
                        expected="a small file",
                        remedy="see what the server sends there",
                    )
        return bytes(content)

    return patiently(attempt, shown=shown, report=report)


def digest(path: Path) -> Digests:
    """`Digests` of a file on disk."""
    return hashed(path).result()


def hashed(path: Path) -> "Hashes":
    """`Hashes` of a file on disk, to which more can be added."""
    hashes = Hashes()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            hashes.add(block)
    return hashes


class Hashes:
    """Digests in the making."""

    def __init__(self) -> None:
        self._sha256, self._md5, self.size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0

    def add(self, block: bytes) -> None:
        """Take the next bytes."""
        self._sha256.update(block)
        self._md5.update(block)
        self.size += len(block)

    def result(self) -> Digests:
        """The digests of all bytes so far."""
        return Digests(sha256=self._sha256.hexdigest(), md5=self._md5.hexdigest(), size=self.size)


def patiently(
    attempt: Callable[[], Result],
    *,
    shown: str,
    report: Report,
    got_on: Callable[[], bool] = lambda: False,
    stop: threading.Event | None = None,
) -> Result:
    """Call `attempt` until it succeeds, with growing waits after a `BrokenOffError`.

    Args:
        got_on: whether the attempt that failed brought something: then counting starts again.

    Raises:
        SourceError: `ATTEMPTS` attempts in a row failed and brought nothing.
    """

    def count(state: tenacity.RetryCallState) -> None:
        if got_on():
            state.attempt_number = 1

    def wait(state: tenacity.RetryCallState) -> float:
        asked = getattr(_failure(state), "wait", 0.0)
        return max(WAIT(state), min(asked, LONGEST_WAIT))

    def tell(state: tenacity.RetryCallState) -> None:
        assert state.next_action is not None
        report(f"{shown}: {_failure(state)}; trying again in {state.next_action.sleep:.0f} s")

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(BrokenOffError),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=wait,
        after=count,
        before_sleep=tell,
        sleep=tenacity.sleep_using_event(stop or threading.Event()),
        reraise=True,
    )
    try:
        return retrying(attempt)
    except BrokenOffError as error:
        raise SourceError(
            shown,
            found=f"could not be read in {ATTEMPTS} attempts: {error}",
            expected="the whole file",
            remedy="see that the server is up and reachable from here (proxy, firewall), then run the same command: "
            "it goes on where it stopped",
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
    return text if text.isascii() and text.isprintable() else ""  # a kill may leave anything
