"""Read the members of a zip or tar without trusting its headers.

These are refused: absolute paths, paths that lead out of the folder, links, devices, sparse files, encryption,
duplicate names, names with invisible characters, overlapping members, archives that unpack to more than a limit,
truncated archives, and archives with unrelated bytes before or after them. The bytes that are read are counted;
sizes in headers are not trusted.
"""

import bz2
import errno
import gzip
import hashlib
import lzma
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from segline.datasets.base import Archive
from segline.errors import ArchiveError
from segline.progress import Advance, Report, silent, unseen
from segline.storage import size_text

MAX_RATIO = 50
"""Limit of unpacked size / archive size. Images hardly compress, so a larger ratio means a zip bomb."""
MAX_MEMBERS = 250_000
"""Limit of the number of members; the largest known archive (Cityscapes) has 25,000."""

_SMALL_ARCHIVE_ALLOWANCE = 1 << 20
"""Bytes that any archive may unpack to, because the ratio is not meaningful for very small archives."""
_BLOCK = 1 << 20
_TAR_BLOCK, _TAR_RECORD = 512, 10_240
_MAX_HEADER_BYTES = 4 << 20
_DAMAGE_ERRORS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
# Errors of the operating system for members with colliding or invalid names; those of bz2 and gzip have no errno.
_BAD_MEMBER_ERRORS = {None, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL}
_REMEDY = "delete the archive and run the download again; if the error persists, the archive is damaged at its source"
_HOSTILE_REMEDY = "do not use this archive: get it from the publisher, and inform the owner of the mirror"


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file or folder of an archive.

    Args:
        name: path inside the archive, safe to be joined to a folder.
        blocks: the file's bytes, which must be read to the end before the next member; None for a folder.
    """

    name: PurePosixPath
    blocks: Iterator[bytes] | None


def members(archive: Archive, path: Path, *, advance: Advance = unseen, report: Report = silent) -> Iterator[Member]:
    """Yield every member of the archive file `path`.

    Args:
        archive: its definition; its unpacked size limits the bytes that are read.
        advance: takes the number of processed bytes of the archive file.
        report: takes a line about names that are equal on some file systems.

    Raises:
        ArchiveError: the file is missing, corrupt or hostile.
    """
    budget = _Budget(path, unpacked_limit(archive, path))
    names = _Names(path, report)
    read = _read_zip if _is_zip(archive) else _read_tar
    with reporting_damage(path), closing(read(path, budget, advance)) as found:
        for member in found:
            names.add(member)
            yield member


def unpacked_limit(archive: Archive, path: Path) -> int:
    """Return the bytes that the file `path` may unpack to."""
    by_ratio = MAX_RATIO * path.stat().st_size + _SMALL_ARCHIVE_ALLOWANCE if path.is_file() else 0
    return by_ratio if archive.extracted is None else min(by_ratio, 2 * archive.extracted)


def unpacked_size(archive: Archive, path: Path) -> int:
    """Estimate the bytes that the file `path` unpacks to, without unpacking it.

    Raises:
        ArchiveError: the file is missing, or is not an archive.
    """
    with reporting_damage(path):
        size = path.stat().st_size
        if _is_zip(archive):
            with zipfile.ZipFile(path) as opened:
                size = sum(member.file_size for member in opened.infolist())
        else:
            size = expected_size(archive, size)
    return min(size, unpacked_limit(archive, path))


def expected_size(archive: Archive, size: int) -> int:
    """Estimate the unpacked size of an archive file of `size` bytes; in a mirror it may be a part of the original."""
    whole = archive.size or archive.about
    return size if archive.extracted is None or whole is None else size * archive.extracted // whole


def check_readable(archive: Archive, path: Path) -> None:
    """Check that `path` is a complete archive, and not, for example, an HTML error page.

    Raises:
        ArchiveError: it is not a complete archive.
    """
    if not _is_zip(archive):
        digest_content(archive, path)
        return
    with reporting_damage(path), zipfile.ZipFile(path) as opened:
        _check_layout(opened, path)


def _is_zip(archive: Archive) -> bool:
    return archive.name.endswith(".zip")


def digest_content(archive: Archive, path: Path) -> str:
    """Return a digest of the names and bytes of the files packed in `path`.

    Order and times of the files are ignored, and the name of the top folder if there is only one, because
    servers that pack repositories on demand change them.

    Raises:
        ArchiveError: as for `members`.
    """
    digests = {}
    for member in members(archive, path):
        if member.blocks is not None:
            digest = hashlib.sha256()
            for block in member.blocks:
                digest.update(block)
            digests[member.name] = digest.hexdigest()
    cut = len({name.parts[0] for name in digests}) == 1 and all(len(name.parts) > 1 for name in digests)
    lines = sorted(f"{digest} {'/'.join(name.parts[cut:])}\n" for name, digest in digests.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@contextmanager
def reporting_damage(path: Path) -> Iterator[None]:
    """Convert errors of the libraries about a missing or damaged archive to an `ArchiveError`."""
    try:
        yield
    except FileNotFoundError as error:
        if path.exists():
            raise
        raise ArchiveError(
            path, found="no such file", expected="a downloaded archive", remedy="run the download stage first"
        ) from error
    except _DAMAGE_ERRORS as error:
        raise _damaged(path, f"cannot be extracted ({error or type(error).__name__})") from error
    except OSError as error:
        if error.errno not in _BAD_MEMBER_ERRORS:
            raise
        raise _damaged(path, f"cannot be extracted ({error})") from error


def _damaged(path: Path, found: str) -> ArchiveError:
    with path.open("rb") as handle:
        start = handle.read(16)
    return ArchiveError(
        path,
        found=f"{found}; it has {path.stat().st_size} bytes and starts with {start!r}",
        expected="a complete archive",
        remedy=_REMEDY,
    )


def _hostile(path: Path, found: str) -> ArchiveError:
    return ArchiveError(
        path, found=found, expected="plain files and folders inside the target folder", remedy=_HOSTILE_REMEDY
    )


class _Budget:
    """Counts members and unpacked bytes, and refuses too many."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self.limit = path, limit
        self._bytes = self.members = 0

    def add_member(self) -> None:
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise _hostile(self._path, f"more than {MAX_MEMBERS} members: a bomb")

    def counted(self, stream: IO[bytes]) -> Iterator[bytes]:
        while block := stream.read(_BLOCK):
            self._bytes += len(block)
            if self._bytes > self.limit:
                raise self.bomb()
            yield block

    def bomb(self) -> ArchiveError:
        size = self._path.stat().st_size
        return _hostile(
            self._path, f"a bomb: its {size} bytes unpack to more than the limit of {size_text(self.limit)}"
        )


class _Names:
    """Refuse duplicate names, and report names that are the same on some file systems."""

    def __init__(self, path: Path, report: Report) -> None:
        self._path, self._report = path, report
        self._seen: dict[str, PurePosixPath] = {}
        self._files: set[PurePosixPath] = set()

    def add(self, member: Member) -> None:
        folded = unicodedata.normalize("NFC", str(member.name)).casefold()
        other = self._seen.setdefault(folded, member.name)
        if member.blocks is not None and member.name in self._files:
            raise _hostile(self._path, f"two members have the name {str(member.name)!r}")
        if member.blocks is not None:
            self._files.add(member.name)
        if other != member.name:
            self._report(
                f"{self._path.name}: {other} and {member.name} are the same name on file systems that ignore "
                "case or the encoding of accents (macOS, Windows): the archive cannot be extracted there"
            )


def _read_zip(path: Path, budget: _Budget, advance: Advance) -> Generator[Member, None, None]:
    with zipfile.ZipFile(path) as archive:
        _check_layout(archive, path)
        for member in archive.infolist():
            budget.add_member()
            name = _safe_name(member.filename, path)
            if (member.external_attr >> 16) & 0o170000 not in (0, 0o100000, 0o040000):
                raise _hostile(path, f"member {member.filename!r} is a link or a device")
            if member.flag_bits & 1:
                raise ArchiveError(
                    path,
                    found=f"member {member.filename!r} is encrypted",
                    expected="an archive without a password",
                    remedy="repack it without one",
                )
            if member.is_dir():
                yield Member(name=name, blocks=None)
                continue
            with archive.open(member) as source:  # reading to the end checks the CRC
                yield Member(name=name, blocks=budget.counted(source))
                if source.tell() != member.file_size:
                    raise _damaged(path, f"member {member.filename!r} has {source.tell()} of {member.file_size} bytes")
            advance(member.compress_size)


def _check_layout(archive: zipfile.ZipFile, path: Path) -> None:
    """Check that members do not overlap, and that no bytes precede the first member or follow the central directory."""
    entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    ends = [entry.header_offset for entry in entries[1:]] + [archive.start_dir]
    for entry, end in zip(entries, ends, strict=True):
        if entry.header_offset + 30 + len(entry.orig_filename) + entry.compress_size > end:
            raise _hostile(path, f"member {entry.filename!r} overlaps the next one: a bomb")
    if entries and entries[0].header_offset:
        raise _damaged(path, f"{entries[0].header_offset} unrelated bytes before its first member")
    size = path.stat().st_size
    with path.open("rb") as handle:
        handle.seek(max(0, size - 22 - len(archive.comment)))
        if handle.read(4) != b"PK\5\6":
            raise _damaged(path, "unrelated bytes after its end")


def _read_tar(path: Path, budget: _Budget, advance: Advance) -> Generator[Member, None, None]:
    with path.open("rb") as raw, _decompressing(raw) as stream:
        bounded = _Bounded(stream, budget, path)
        done = 0
        with tarfile.open(fileobj=bounded, mode="r:") as archive:  # type: ignore[call-overload]
            for member in archive:
                budget.add_member()
                yield _tar_member(archive, member, path, budget)
                advance(raw.tell() - done)
                done = raw.tell()
            _check_end(archive, bounded, path)


def _tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, budget: _Budget) -> Member:
    name = _safe_name(member.name, path)
    if member.isdir():
        return Member(name=name, blocks=None)
    if not member.isreg() or member.issparse():
        kind = "sparse (a file with holes)" if member.issparse() else "a link, a device or a pipe"
        raise _hostile(path, f"member {member.name!r} is {kind}")
    source = archive.extractfile(member)
    assert source is not None
    return Member(name=name, blocks=budget.counted(source))


@contextmanager
def _decompressing(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield the decompressed tar stream of a file; the first bytes tell the compression."""
    openers: dict[bytes, Callable[..., IO[bytes]]] = {
        b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),  # type: ignore[dict-item, return-value]
        b"BZh": bz2.BZ2File,
        b"\xfd7zXZ": lzma.LZMAFile,
    }
    start = raw.read(6)
    raw.seek(0)
    opener = next((opener for magic, opener in openers.items() if start.startswith(magic)), None)
    if opener is None:
        yield raw
        return
    with opener(raw) as stream:
        yield stream


class _Bounded:
    """Stream for `tarfile` that refuses more bytes than the budget, and headers too large for memory."""

    def __init__(self, stream: IO[bytes], budget: _Budget, path: Path) -> None:
        self._stream, self._budget, self._path = stream, budget, path

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, place: int) -> int:
        self._check(place)
        return self._stream.seek(place)

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER_BYTES:  # files are read in smaller blocks
            raise _hostile(self._path, f"a header of {size} bytes: a bomb")
        block = self._stream.read(size)
        self._check(self._stream.tell())
        return block

    def _check(self, place: int) -> None:
        headers = 4 * _TAR_BLOCK * self._budget.members + _MAX_HEADER_BYTES
        if place > self._budget.limit + headers:
            raise self._budget.bomb()


def _check_end(archive: tarfile.TarFile, stream: _Bounded, path: Path) -> None:
    """Check that only zeros follow the last member, because `tarfile` treats a damaged header as the end."""
    stream.seek(archive.offset)
    rest = stream.read(_TAR_BLOCK)
    if len(rest) < _TAR_BLOCK or rest.strip(b"\0"):
        raise ArchiveError(
            path, found=f"cut short or damaged at byte {archive.offset}", expected="a complete tar", remedy=_REMEDY
        )
    stream.read(_TAR_RECORD)  # old writers fill their last record with arbitrary bytes
    while block := stream.read(_BLOCK):  # read to the end, so that the checksum of the compression is verified
        if block.strip(b"\0"):
            raise _damaged(path, "unrelated bytes after its end")


def _safe_name(name: str, path: Path) -> PurePosixPath:
    """Return the path of a member relative to the target folder.

    Raises:
        ArchiveError: the path is absolute, leads out of the folder, is a Windows path, or holds invisible characters.
    """
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or "\\" in name or PureWindowsPath(name).drive:
        raise _hostile(path, f"member {name!r} would be written outside the folder")
    invisible = next((letter for letter in name if unicodedata.category(letter) in {"Cc", "Cf", "Cs"}), None)
    if invisible is not None:
        raise _hostile(path, f"member {name!r} has the invisible character U+{ord(invisible):04X} in its name")
    return inside
