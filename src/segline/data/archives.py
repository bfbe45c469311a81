"""Archives -> one raw folder, without trusting what is in them.

Refused: absolute paths, paths that climb out, links that leave the folder or lie on another
member's path, devices, encryption, and anything cut short. Everything else is kept as it is.
"""

import errno
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from segline.data.progress import Report, mebibytes, silent
from segline.datasets.base import Archive, Dataset
from segline.errors import ArchiveError
from segline.storage import atomic_folder

_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
# What the operating system says of members that collide or have impossible names; bz2 and gzip give no number.
_BAD_MEMBER = {None, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL}
_BLOCK = 512  # of a tar
_REMEDY = "delete the archive and run the download again; if it comes back the same, its source is damaged"
_HOSTILE_REMEDY = "do not use this archive: get it from the publisher, and tell whoever made the mirror"


def extract(dataset: Dataset, *, archives: Path, folder: Path, report: Report = silent) -> None:
    """Extract every archive of `dataset` into `folder`, which appears whole or not at all.

    Raises:
        ArchiveError: an archive is missing, corrupt, hostile, or lacks the folders it should hold.
        StorageError: no room or no right to write.
    """
    with atomic_folder(folder) as partial:
        for archive in dataset.archives:
            path = archives / archive.name
            report(f"{dataset.name}: extracting {archive.name}" + _size(path))
            with _reporting_damage(path):
                _unpack(path, partial)
            _check_folders(archive, path, partial)


def _size(path: Path) -> str:
    return f" ({mebibytes(path.stat().st_size)})" if path.is_file() else ""


@contextmanager
def _reporting_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if path.exists():
            raise
        raise ArchiveError(
            path, found="no such file", expected="a downloaded archive", remedy="run the download stage first"
        ) from error
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno not in _BAD_MEMBER:
            raise
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ArchiveError:
    with path.open("rb") as handle:
        start = handle.read(16)
    return ArchiveError(
        path,
        found=f"cannot be extracted ({error or type(error).__name__}); it has {path.stat().st_size} bytes "
        f"and starts with {start!r}",
        expected="a whole archive",
        remedy=_REMEDY,
    )


def _unpack(path: Path, folder: Path) -> None:
    if path.suffix == ".zip":
        _unpack_zip(path, folder)
    else:
        _unpack_tar(path, folder)


def _unpack_tar(path: Path, folder: Path) -> None:
    links: set[PurePosixPath] = set()
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            name = _safe_name(member.name, path)
            if not links.isdisjoint([name, *name.parents]):
                # Never write through a link, wherever it seems to lead: filters have been fooled about that.
                raise _hostile(path, f"member {member.name!r} lies behind a link of the same archive")
            if member.issym() or member.islnk():
                links.add(name)
            try:
                archive.extract(member, folder, filter="data")
            except tarfile.FilterError as error:
                raise _hostile(path, str(error)) from error
        _check_end(archive, path)


def _check_end(archive: tarfile.TarFile, path: Path) -> None:
    """`tarfile` takes a damaged header after the first for the end, so make sure that zeros follow."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    rest = archive.fileobj.read(_BLOCK)
    if len(rest) < _BLOCK or rest.strip(b"\0"):
        raise ArchiveError(
            path, found=f"cut short or damaged at byte {archive.offset}", expected="a whole tar", remedy=_REMEDY
        )
    while archive.fileobj.read(1 << 20):
        pass  # to the end, so that the compression's own checksum is verified


def _unpack_zip(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = _safe_name(member.filename, path)
            kind = (member.external_attr >> 16) & 0o170000
            if kind not in (0, 0o100000, 0o040000):
                raise _hostile(path, f"member {member.filename!r} is a link or a device")
            if member.flag_bits & 1:
                raise ArchiveError(
                    path,
                    found=f"member {member.filename!r} is encrypted",
                    expected="an archive without a password",
                    remedy="repack it without one",
                )
            if member.is_dir():
                (folder / name).mkdir(parents=True, exist_ok=True)
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)  # reads to the end, which checks the CRC


def _safe_name(name: str, path: Path) -> PurePosixPath:
    """A member's path inside the folder.

    Raises:
        ArchiveError: it is absolute, climbs out, or is a Windows path.
    """
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or "\\" in name or PureWindowsPath(name).drive:
        raise _hostile(path, f"member {name!r} would be written outside the folder")
    return inside


def _hostile(path: Path, found: str) -> ArchiveError:
    return ArchiveError(
        path, found=found, expected="plain files and folders that stay inside the archive's own", remedy=_HOSTILE_REMEDY
    )


def _check_folders(archive: Archive, path: Path, folder: Path) -> None:
    missing = [name for name in archive.folders if not (folder / name).is_dir()]
    if not missing:
        return
    top = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in folder.iterdir())
    listing = ", ".join(top[:10]) + (f" and {len(top) - 10} more" if len(top) > 10 else "")
    raise ArchiveError(
        path,
        found=f"no folder {', '.join(missing)}; at the top are: {listing or 'nothing'}",
        expected=f"the folders {', '.join(archive.folders)}",
        remedy="use the publisher's archive under its official name, not repacked",
    )
