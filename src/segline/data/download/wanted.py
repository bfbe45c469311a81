"""Describe one archive to download: its source, its paths on disk, and its expected digests."""

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
    """Return the staging folder beside `folder`; it keeps partial archives between runs."""
    return folder.with_name(f".{folder.name}.partial")


@dataclass(frozen=True, kw_only=True)
class WantedArchive:
    """One archive to download.

    Args:
        folder: folder that it is moved to when all archives of its dataset are complete.
        address: URL or path; None if the publisher needs a login.
        shown: `address` for messages and records, without secrets.
        sha256: digest in the mirror's list; None for the publisher.
        pin: digest of the first download, if the publisher states none.
        authorization: ``Authorization`` header for the mirror; None if it needs none, and for the publisher.
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
        """Return whether a pin is the only possible digest: no mirror or publisher states one."""
        return self.sha256 is None and self.archive.md5 is None

    @property
    def is_held(self) -> bool:
        """Return whether a digest is known before the download."""
        return any(known is not None for known in (self.sha256, self.archive.md5, self.pin))

    @property
    def origin(self) -> str:
        """Return a folder name that depends on address and digest, so that parts of two sources are never mixed."""
        return hashlib.sha256(f"{self.shown} {self.sha256}".encode()).hexdigest()[:16]

    @property
    def partial(self) -> Path:
        """Return the path of the incomplete download."""
        return staging(self.folder) / self.origin / self.name

    @property
    def staged(self) -> Path:
        """Return the path of the complete archive in the staging folder, until all archives are complete."""
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
        """Return the pin of the file `path`: of its content if the archive is volatile, else of its bytes."""
        return f"content:{members.digest_content(self.archive, path)}" if self.archive.volatile else f"sha256:{sha256}"

    def is_right(self, path: Path, digests: Digests) -> bool:
        """Return whether `verify` accepts the file."""
        try:
            self.verify(path, digests)
        except DataError:
            return False
        return True

    def verify(self, path: Path, digests: Digests) -> None:
        """Compare the downloaded file `path` with all known digests and sizes of the archive.

        Raises:
            ChecksumError: a digest or the size differs.
            SourceError: no digest was published, and the file is not a complete archive.
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
                    remedy="run the same command again; if the error persists, the publisher has changed the file: "
                    "report it as an issue of Segline"
                    if official
                    else f"the archive or {SUMS} beside it is damaged or outdated: copy both into the mirror again",
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
                remedy="open the address in a browser: does it send a login page, or a message of a proxy?",
            ) from error
