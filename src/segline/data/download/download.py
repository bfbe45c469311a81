"""Download the archives of a dataset into one folder.

Archives are first written to a staging folder beside it (`wanted.staging`), which keeps partial files between runs.
When all archives are complete and their digests match, they are moved into place. The two record files (`SUMS`,
`RECORD`) are written last, so a folder that contains them is complete.
"""

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from segline import datasets as definitions
from segline.data.download import package_login, pins, transfer
from segline.data.download.address import get_size, open_address
from segline.data.download.sources import find_archives
from segline.data.download.transfer import Digests
from segline.data.download.wanted import SUMS, WantedArchive, staging
from segline.data.extract import members
from segline.datasets.base import Dataset
from segline.errors import ChecksumError, StorageError
from segline.formats import strict_json
from segline.masking import masked
from segline.progress import Advance, Progress, Report, showing, silent
from segline.project import Files
from segline.reading import read_text
from segline.storage import atomic_file, reporting_storage, require_room, size_text

RECORD = Files.SOURCE

LOGINS: Mapping[str, Callable[..., Digests]] = {"package-list": package_login.fetch}
"""`Login.kind` -> the function that fetches an archive, with the arguments of `package_login.fetch`."""


@dataclass(frozen=True, kw_only=True)
class _Fetched:
    """A complete archive: one entry of `RECORD`."""

    name: str
    sha256: str
    size: int
    url: str


def download(
    dataset: Dataset, *, source: str, root: Path, folder: Path, workers: int = 4, report: Report = silent
) -> None:
    """Download every archive of `dataset` into `folder`, and write `SUMS` and `RECORD` there.

    Complete archives that are already there are kept; other files in the folder are removed.

    Args:
        dataset: its archives are downloaded.
        source: ``official``, ``sample``, or a mirror; a relative path is relative to `root`.
        root: the project's folder, which holds ``pins.yaml``.
        folder: target folder; created if missing. It does not change if a download fails.
        workers: how many archives are downloaded at the same time.
        report: takes lines for a person; the first one is the licence terms.

    Raises:
        SourceError: the source cannot be reached, lacks a file, or sends something that is not an archive.
        ChecksumError: an archive differs from its published digest, or from its pin.
        ConfigError: the publisher needs a login, and the credentials in the environment are missing or wrong.
        StorageError: the disk is full, or writing is not permitted.
    """
    report(f"{dataset.name}: {dataset.title}. Terms: {dataset.terms}")
    finding = find_archives(dataset, source=source, root=root, folder=folder, report=report)
    with _locking(folder, report), finding as items:
        with reporting_storage(folder):
            _remove_others(staging(folder), {item.origin for item in items})
        fetched = _fetch_missing(dataset, items, folder, workers=workers, report=report)
        new_pins = {item.shown: item.pin_of(item.whole, one.sha256) for item, one in fetched.items() if item.wants_pin}
        pins.add(root / Files.PINS, new_pins, report=report)
        with reporting_storage(folder):
            _install(dataset, fetched, folder, source=masked(source).rstrip("/") or source)


@contextmanager
def _locking(folder: Path, report: Report) -> Iterator[None]:
    """Allow one download at a time into `folder`. The lock file is beside it, because DVC tracks all files inside."""
    with reporting_storage(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report(f"{folder}: another download into this folder is running; waiting until it ends")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check_source(
    source: str, *, datasets: Sequence[str], root: Path, archives: Callable[[str], Path] | None = None
) -> None:
    """Check that `source` offers `datasets`, without downloading archives.

    Args:
        archives: dataset -> folder of the archives downloaded earlier, to compare them with the mirror's lists.

    Raises:
        SourceError: a mirror, or one of its lists, is missing or unreadable.
        ChecksumError: the mirror's list, or the pins, differ from the archives downloaded from there earlier.
        ConfigError: the publisher needs a login, and the environment has no credentials; or the pins cannot be read.
    """
    if source == "sample":
        return
    for name in datasets:
        dataset = definitions.load(name)
        if source == "official" and dataset.login and any(archive.url is None for archive in dataset.archives):
            package_login.read_credentials(dataset.login)
        folder = root if archives is None else archives(name)  # nothing is written there
        with find_archives(dataset, source=source, root=root, folder=folder) as items:
            if archives is not None:
                _refuse_change(items, _read_record(folder), name)


def _refuse_change(items: Sequence[WantedArchive], earlier: Mapping[str, _Fetched], dataset: str) -> None:
    """Refuse changed digests in the mirror's list or in the pins.

    DVC notices a change of the setting `source`, but not of the files there.
    """
    for item in items:
        before = earlier.get(item.name)
        wanted = item.sha256 or (item.pin or "").removeprefix("sha256:")
        if before is None or before.url != item.shown or not wanted or wanted.startswith("content:"):
            continue
        if before.sha256 != wanted:
            raise ChecksumError(
                item.shown,
                found=f"sha256 {wanted} in {f'its {SUMS}' if item.sha256 else Files.PINS}",
                expected=f"sha256 {before.sha256}, as downloaded from there earlier",
                remedy=f"to use the new archive: dvc repro --force --single-item download@{dataset}, then dvc repro",
            )


def _remove_others(folder: Path, kept: set[str]) -> None:
    """Remove everything from `folder` except the names in `kept`."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.name not in kept:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _fetch_missing(
    dataset: Dataset, items: Sequence[WantedArchive], folder: Path, *, workers: int, report: Report
) -> dict[WantedArchive, _Fetched]:
    earlier = _read_record(folder)
    fetched = {item: present for item in items if (present := _find_present(item, earlier)) is not None}
    for item in fetched:
        report(f"{item.name}: already downloaded, digest verified")
    missing = [item for item in items if item not in fetched]
    if missing:
        _check_room(missing, folder, report)
        fetched |= _fetch_all(dataset, missing, workers=workers, report=report)
    return {item: fetched[item] for item in items}


def _check_room(items: Sequence[WantedArchive], folder: Path, report: Report) -> None:
    """Compare the missing bytes with the free space before the download starts.

    Raises:
        StorageError: the free space is too small.
    """
    needed = unpacked = 0
    for item in items:
        archive = item.archive
        announced = item.address and get_size(item.address, shown=item.shown, authorization=item.authorization)
        size = announced or archive.size or archive.about or 0
        needed += max(0, size - transfer.partial_size(item.partial))
        unpacked += members.expected_size(archive, size)
    room = require_room(folder, needed, purpose="for the missing archives")
    report(
        f"{size_text(needed)} to download, {size_text(room)} free; about {size_text(unpacked)} more after extraction"
    )
    if needed + unpacked > room:
        report(f"note: there is room for the archives, but not for extraction: free {size_text(unpacked)} before that")


def _read_record(folder: Path) -> Mapping[str, _Fetched]:
    """Return the record of an earlier download; empty if it is missing or damaged (all archives are then fetched)."""
    try:
        entries = strict_json.loads(read_text(folder / RECORD))["archives"]
        return {entry["name"]: _Fetched(**entry) for entry in entries}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _find_present(item: WantedArchive, earlier: Mapping[str, _Fetched]) -> _Fetched | None:
    """Return the archive if it is already installed or staged, and verified."""
    path = item.whole
    if not path.is_file():
        return None
    digests = transfer.hash_file(path)
    if item.wants_pin and item.pin is None:
        before = earlier.get(item.name)
        recorded = before is not None and (before.url, before.sha256) == (item.shown, digests.sha256)
        right = recorded or path == item.staged
    else:
        right = item.is_right(path, digests)
    return _describe(item, digests) if right else None


def _describe(item: WantedArchive, digests: Digests) -> _Fetched:
    return _Fetched(name=item.name, sha256=digests.sha256, size=digests.size, url=item.shown)


def _fetch_all(
    dataset: Dataset, items: Sequence[WantedArchive], *, workers: int, report: Report
) -> dict[WantedArchive, _Fetched]:
    stop = threading.Event()
    with showing(report) as progress, ThreadPoolExecutor(min(workers, len(items))) as executor:
        fetch = partial(_fetch, dataset, progress=progress, stop=stop, report=report)
        futures = {executor.submit(fetch, item): item for item in items}
        try:
            return {futures[future]: future.result() for future in as_completed(futures)}
        except BaseException:
            stop.set()  # the executor waits for the other downloads, so they must end
            raise


def _fetch(
    dataset: Dataset, item: WantedArchive, *, progress: Progress, stop: threading.Event, report: Report
) -> _Fetched:
    path = item.partial
    with reporting_storage(path), _clearing_a_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if item.address is None:
            assert dataset.login, "find_archives refuses an archive without an address and a login"
            fetch = partial(LOGINS[dataset.login.kind], dataset.login, path)
        else:
            opener = partial(open_address, item.address, shown=item.shown, authorization=item.authorization)
            fetch = partial(transfer.copy, opener, path, shown=item.shown, held=item.is_held)

        def track(total: int | None, done: int) -> Advance:
            return progress.start(path.name, total, unit="bytes", done=done)

        digests = fetch(track=track, check=partial(item.verify, path), report=report, stop=stop)
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
        path.replace(item.staged)
        transfer.remove_partial(path)
    report(f"{path.name}: {size_text(digests.size)} from {item.shown}")
    return _describe(item, digests)


@contextmanager
def _clearing_a_full_disk(path: Path) -> Iterator[None]:
    """Remove the partial archive `path` if the disk is full, because the archive itself may fill it."""
    try:
        yield
    except (OSError, StorageError) as error:
        if isinstance(error, StorageError) or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            transfer.remove_partial(path)
        raise


def _install(dataset: Dataset, fetched: Mapping[WantedArchive, _Fetched], folder: Path, *, source: str) -> None:
    """Move the staged archives into place: remove old records first, and write new records last."""
    folder.mkdir(exist_ok=True)
    staged = [item for item in fetched if item.staged.is_file()]
    for name in (SUMS, RECORD) if staged else ():
        (folder / name).unlink(missing_ok=True)
    for item in staged:
        item.staged.replace(item.installed)
    _remove_others(folder, {item.name for item in fetched} | {SUMS, RECORD})
    _write_records(dataset, list(fetched.values()), folder, source=source)
    shutil.rmtree(staging(folder), ignore_errors=True)


def _write_records(dataset: Dataset, fetched: Sequence[_Fetched], folder: Path, *, source: str) -> None:
    """Write `SUMS` and `RECORD`, without times, so that equal archives give an equal folder."""
    content = {"source": source, "terms": dataset.terms, "archives": [asdict(item) for item in fetched]}
    texts = {
        SUMS: "".join(f"{item.sha256}  {item.name}\n" for item in sorted(fetched, key=lambda item: item.name)),
        RECORD: json.dumps(content, indent=2, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        with atomic_file(folder / name) as partial_path:
            partial_path.write_text(text, "utf-8")
