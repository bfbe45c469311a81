"""One archive to bring: where it comes from and goes to, and what its bytes are held to."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from segline.data.download import pins
from segline.data.download.transfer import Digests
from segline.data.extract import members
from segline.datasets.base import Archive
from segline.errors import ArchiveError, ChecksumError, DataError, SourceError
from segline.project import Files

SUMS = Files.SUMS


def staging(folder: Path) -> Path:
    """Name the folder beside `folder` in which its archives grow, and which keeps what came across runs."""
    return folder.with_name(f".{folder.name}.partial")


@dataclass(frozen=True, kw_only=True)
class WantedArchive:
    """One archive to bring.

    Args:
        folder: where it goes once all archives of its dataset are whole.
        address: where its bytes are; None behind the publisher's login.
        shown: the same for people and records, without a secret.
        sha256: what a mirror says it must have; None for the publisher's.
        pin: what was first seen at the publisher's address, where nothing was published to hold it to.
        authorization: the header that a mirror wants; None where it wants none, and for the publisher.
    """

    archive: Archive
    folder: Path
    address: str | None
    shown: str
    sha256: str | None
    pin: str | None = None
    authorization: str | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Its official file name."""
        return self.archive.name

    @property
    def wants_pin(self) -> bool:
        """Whether there is no other digest to hold it to."""
        return self.sha256 is None and self.archive.md5 is None

    @property
    def is_held(self) -> bool:
        """Whether a digest of it is known beforehand."""
        return any(known is not None for known in (self.sha256, self.archive.md5, self.pin))

    @property
    def origin(self) -> str:
        """Differs for sources that may differ in their bytes, so that parts of two are never mixed."""
        return hashlib.sha256(f"{self.shown} {self.sha256}".encode()).hexdigest()[:16]

    @property
    def partial(self) -> Path:
        """Where it grows: the place changes with the source, so that no two are ever mixed."""
        return staging(self.folder) / self.origin / self.name

    @property
    def staged(self) -> Path:
        """Where it waits, whole, for the others."""
        return staging(self.folder) / self.origin / f"{self.name}.whole"

    @property
    def installed(self) -> Path:
        """Where it is for the stages that come after."""
        return self.folder / self.name

    @property
    def whole(self) -> Path:
        """Where it is, whole, before all are moved into place: waiting, or there from an earlier run."""
        return self.staged if self.staged.is_file() else self.installed

    def seen_pin(self, path: Path, sha256: str) -> str:
        """Say what the file `path` is pinned by: its bytes, or what is packed in it where its server packs it anew."""
        return f"content:{members.content(self.archive, path)}" if self.archive.volatile else f"sha256:{sha256}"

    def is_right(self, path: Path, digests: Digests) -> bool:
        """Say whether `verify` finds nothing."""
        try:
            self.verify(path, digests)
        except DataError:
            return False
        return True

    def verify(self, path: Path, digests: Digests) -> None:
        """Compare what came, in `path`, with what it must be.

        Raises:
            ChecksumError: it is something else.
            SourceError: it is no whole archive, and no digest was published that would tell.
        """
        official = self.sha256 is None
        expectations: tuple[tuple[Literal["sha256", "md5", "size"], str | int | None], ...] = (
            ("sha256", self.sha256),
            ("size", self.archive.size if official else None),
            ("md5", self.archive.md5 if official else None),
        )
        for name, expected in expectations:
            found = getattr(digests, name)
            if expected is not None and found != expected:
                raise ChecksumError(
                    self.shown,
                    found=f"{name} {found}",
                    expected=f"{name} {expected}",
                    remedy="run it again; if it stays, the publisher changed the file: see README, and tell us"
                    if official
                    else f"the archive or {SUMS} beside it is damaged or old: copy both anew into the mirror",
                )
        if self.wants_pin:
            with self._telling_where_from():
                members.look(self.archive, path)
                pin = self.seen_pin(path, digests.sha256)
            if self.pin is not None:
                pins.check(self.shown, pin, pinned=self.pin)

    @contextmanager
    def _telling_where_from(self) -> Iterator[None]:
        try:
            yield
        except ArchiveError as error:
            raise SourceError(
                self.shown,
                found=error.found,
                expected="a whole archive; no published digest tells",
                remedy="see with a browser what is sent there: a login page, or a notice of a proxy?",
            ) from error
