"""One archive to fetch: its source, its place on disk, and the digests that it must have."""

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
    """Return the folder beside `folder` that its archives are downloaded to; it keeps partial ones between runs."""
    return folder.with_name(f".{folder.name}.partial")


@dataclass(frozen=True, kw_only=True)
class WantedArchive:
    """One archive to fetch.

    Args:
        folder: where it goes once all archives of its dataset are complete.
        address: where its bytes are; None behind the publisher's login.
        shown: the same for people and records, without secrets.
        sha256: digest in the mirror's list; None at the publisher.
        pin: digest of the first download, if the publisher states none.
        authorization: header that the mirror wants; None for none, and for the publisher.
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
        """Return its official file name."""
        return self.archive.name

    @property
    def wants_pin(self) -> bool:
        """Return whether no other digest than a pin can be known."""
        return self.sha256 is None and self.archive.md5 is None

    @property
    def is_held(self) -> bool:
        """Return whether a digest is known before the download."""
        return any(known is not None for known in (self.sha256, self.archive.md5, self.pin))

    @property
    def origin(self) -> str:
        """Return a name that differs between sources of different bytes, so that parts of two are never mixed."""
        return hashlib.sha256(f"{self.shown} {self.sha256}".encode()).hexdigest()[:16]

    @property
    def partial(self) -> Path:
        """Return the path that it is downloaded to."""
        return staging(self.folder) / self.origin / self.name

    @property
    def staged(self) -> Path:
        """Return the path at which it waits, complete, for the other archives."""
        return staging(self.folder) / self.origin / f"{self.name}.whole"

    @property
    def installed(self) -> Path:
        """Return the path at which later stages read it."""
        return self.folder / self.name

    @property
    def whole(self) -> Path:
        """Return the path of the complete archive: staged by this download, or installed by an earlier one."""
        return self.staged if self.staged.is_file() else self.installed

    def pin_of(self, path: Path, sha256: str) -> str:
        """Return the pin of the file `path`: of its bytes, or of its content if the server packs it at each request."""
        return f"content:{members.digest_content(self.archive, path)}" if self.archive.volatile else f"sha256:{sha256}"

    def is_right(self, path: Path, digests: Digests) -> bool:
        """Return whether `verify` finds no fault."""
        try:
            self.verify(path, digests)
        except DataError:
            return False
        return True

    def verify(self, path: Path, digests: Digests) -> None:
        """Check the downloaded file `path` against everything that is known of the archive.

        Raises:
            ChecksumError: a digest or the size differs.
            SourceError: no digest was published, and it is no complete archive.
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
                    remedy="run the same command again; if the error stays, the publisher has changed the file: "
                    "report it as an issue of Segline"
                    if official
                    else f"the archive or {SUMS} beside it is damaged or old: copy both anew into the mirror",
                )
        if self.wants_pin:
            with self._naming_the_source():
                members.check_readable(self.archive, path)
                pin = self.pin_of(path, digests.sha256)
            if self.pin is not None:
                pins.check(self.shown, pin, pinned=self.pin)

    @contextmanager
    def _naming_the_source(self) -> Iterator[None]:
        try:
            yield
        except ArchiveError as error:
            raise SourceError(
                self.shown,
                found=error.found,
                expected="a complete archive (the publisher states no digest to compare with)",
                remedy="see with a browser what the address sends: a login page, or the notice of a proxy?",
            ) from error
