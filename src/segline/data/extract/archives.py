"""Extract archives into one raw folder, completely or not at all."""

from functools import partial
from pathlib import Path

from segline.data.extract.members import Member, members, reporting_damage, unpacked_size
from segline.datasets.base import Archive, Dataset
from segline.errors import ArchiveError
from segline.progress import Report, showing, silent
from segline.reading import require_regular
from segline.storage import atomic_folder, require_room, size_text


def extract(dataset: Dataset, *, archives: Path, folder: Path, report: Report = silent) -> None:
    """Extract every archive of `dataset` into `folder`, completely or not at all.

    Raises:
        ArchiveError: an archive is missing, corrupt, hostile, or lacks an expected folder.
        StorageError: the disk is full, or writing is not permitted.
    """
    for archive in dataset.archives:
        if (archives / archive.name).exists():
            require_regular(archives / archive.name, error=ArchiveError)
    needed = sum(unpacked_size(archive, archives / archive.name) for archive in dataset.archives)
    room = _FreeSpace(folder, needed)
    with atomic_folder(folder) as target, showing(report) as progress:
        for archive in dataset.archives:
            path = archives / archive.name
            size = path.stat().st_size
            report(f"{dataset.name}: extracting {archive.name} ({size_text(size)})")
            advance = progress.start(archive.name, size, unit="bytes")
            with reporting_damage(path):
                own: set[str] = set()
                for member in members(archive, path, advance=advance, report=report):
                    _write(member, target, room, own)
            _check_folders(archive, path, target)


class _FreeSpace:
    """Free disk space. Extraction stops before the disk is full, even if the size was estimated wrongly."""

    def __init__(self, folder: Path, needed: int) -> None:
        self._require = partial(require_room, folder.parent, purpose="for the extracted files")
        self._left = self._require(needed)

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            self._left = self._require(size)  # other programs may have freed space


def _write(member: Member, folder: Path, room: _FreeSpace, own: set[str]) -> None:
    """Write one member. It may replace a file of an earlier archive, but no file of its own archive (`own`)."""
    target = folder / member.name
    if member.blocks is None:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    folded = str(target).casefold()  # some file systems ignore capitals
    if target.is_file() and folded not in own:
        target.unlink()  # both archives of Cityscapes contain a README
    own.add(folded)
    with target.open("xb") as handle:  # fails if another member has the same path
        for block in member.blocks:
            room.take(len(block))
            handle.write(block)


def _check_folders(archive: Archive, path: Path, folder: Path) -> None:
    missing = [name for name in archive.folders if not (folder / name).is_dir()]
    if not missing:
        return
    top = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in folder.iterdir())
    listing = ", ".join(top[:10]) + (f" and {len(top) - 10} more" if len(top) > 10 else "")
    raise ArchiveError(
        path,
        found=f"no folder {', '.join(missing)}; at the top level are: {listing or 'nothing'}",
        expected=f"the folders {', '.join(archive.folders)}",
        remedy="use the publisher's archive under its official name, not repacked",
    )
