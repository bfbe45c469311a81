"""Archives of a dataset, from the publisher, a mirror, or drawn here, into one folder.

They grow in a folder beside it (`wanted.staging`), which keeps what came across runs. Once all are whole and
their digests right, they are moved into place, and the two record files (`SUMS`, `RECORD`) are written
last: a folder that has them is complete, and until then it stays as it was.
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
from segline.data.download import address, pins, transfer
from segline.data.download import cityscapes_login as login
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


@dataclass(frozen=True, kw_only=True)
class _Got:
    """One line of `RECORD`."""

    name: str
    sha256: str
    size: int
    url: str


def download(
    dataset: Dataset, *, source: str, root: Path, folder: Path, workers: int = 4, report: Report = silent
) -> None:
    """Bring every archive of `dataset` into `folder`, and write there `SUMS` and `RECORD`.

    Whole archives that are already there are kept; files that do not belong are removed.

    Args:
        dataset: what to bring.
        source: ``official``, ``sample``, or a mirror; a relative folder counts from `root`.
        root: the project's folder; ``pins.yaml`` lies there.
        folder: where the archives go; made if missing, and left as it was if anything fails.
        workers: how many archives are brought at the same time.
        report: takes lines for a person; the first one is the licence terms.

    Raises:
        SourceError: the source cannot be reached, lacks a file, or sends what is no archive.
        ChecksumError: an archive is not the one that was published, or first seen.
        ConfigError: the publisher wants a login, and the environment has no right credentials.
        StorageError: no room or no right to write.
    """
    report(f"{dataset.name}: {dataset.title}. Terms: {dataset.terms}")
    finding = find_archives(dataset, source=source, root=root, folder=folder, report=report)
    with _alone(folder, report), finding as items:
        with reporting_storage(folder):
            _tidy(staging(folder), {item.origin for item in items})
        got = _bring(dataset, items, folder, workers=workers, report=report)
        seen = {item.shown: item.seen_pin(item.whole, one.sha256) for item, one in got.items() if item.wants_pin}
        pins.add(root / Files.PINS, seen, report=report)
        with reporting_storage(folder):
            _install(dataset, got, folder, source=masked(source).rstrip("/") or source)


@contextmanager
def _alone(folder: Path, report: Report) -> Iterator[None]:
    """Let one download at a time into `folder`; the lock lies beside it, for DVC takes all that is in it."""
    with reporting_storage(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report(f"{folder}: another download is at work here; waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check_source(
    source: str, *, datasets: Sequence[str], root: Path, archives: Callable[[str], Path] | None = None
) -> None:
    """See, without fetching an archive, whether `source` can serve `datasets`.

    Args:
        archives: dataset -> folder of what was downloaded earlier, to be compared with the mirror's lists.

    Raises:
        SourceError: a mirror, or one of its lists, is missing or unreadable.
        ChecksumError: the mirror's archives, or the pins, are not those downloaded from there earlier.
        ConfigError: the publisher wants a login, and the environment has no credentials; or the pins cannot be read.
    """
    if source == "sample":
        return
    for name in datasets:
        dataset = definitions.load(name)
        if source == "official" and any(archive.url is None for archive in dataset.archives):
            login.credentials(dataset)
        folder = root if archives is None else archives(name)  # nothing is put there
        with find_archives(dataset, source=source, root=root, folder=folder) as items:
            if archives is not None:
                _refuse_change(items, _earlier(folder), name)


def _refuse_change(items: Sequence[WantedArchive], earlier: Mapping[str, _Got], dataset: str) -> None:
    """DVC looks at `source` and not at what lies there, so a mirror's new content must be told; likewise a new pin."""
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
                remedy=f"to take the new archive: dvc repro --force --single-item download@{dataset}, then dvc repro",
            )


def _tidy(folder: Path, belonging: set[str]) -> None:
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.name not in belonging:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _bring(
    dataset: Dataset, items: Sequence[WantedArchive], folder: Path, *, workers: int, report: Report
) -> dict[WantedArchive, _Got]:
    earlier = _earlier(folder)
    got = {item: kept for item in items if (kept := _kept(item, earlier)) is not None}
    for item in got:
        report(f"{item.name}: already here, its digest is right")
    missing = [item for item in items if item not in got]
    if missing:
        _check_room(missing, folder, report)
        got |= _fetch_all(dataset, missing, workers=workers, report=report)
    return {item: got[item] for item in items}


def _check_room(items: Sequence[WantedArchive], folder: Path, report: Report) -> None:
    """Compare what is still to come with the room there is, before the first byte.

    Raises:
        StorageError: it would not fit.
    """
    needed = unpacked = 0
    for item in items:
        archive = item.archive
        login = item.authorization
        said = None if item.address is None else address.size(item.address, shown=item.shown, authorization=login)
        size = said or archive.size or archive.about or 0
        needed += max(0, size - transfer.size_of(item.partial))
        unpacked += members.expected_size(archive, size)
    room = require_room(folder, needed, purpose="for the archives still to come")
    report(f"{size_text(needed)} to come, {size_text(room)} free; about {size_text(unpacked)} more when extracted")
    if needed + unpacked > room:
        report(
            f"mind: there is room for the archives, but hardly for extracting them: free {size_text(unpacked)} before"
        )


def _earlier(folder: Path) -> Mapping[str, _Got]:
    """What an earlier download recorded; a missing or damaged record vouches for nothing."""
    try:
        entries = strict_json.loads(read_text(folder / RECORD))["archives"]
        return {entry["name"]: _Got(**entry) for entry in entries}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _kept(item: WantedArchive, earlier: Mapping[str, _Got]) -> _Got | None:
    """The archive that is already here, in its folder or waiting beside it, where it is certainly the wanted one."""
    path = item.whole
    if not path.is_file():
        return None
    digests = transfer.digest(path)
    if item.wants_pin and item.pin is None:
        before = earlier.get(item.name)
        recorded = before is not None and (before.url, before.sha256) == (item.shown, digests.sha256)
        right = recorded or path == item.staged
    else:
        right = item.is_right(path, digests)
    return _got(item, digests) if right else None


def _got(item: WantedArchive, digests: Digests) -> _Got:
    return _Got(name=item.name, sha256=digests.sha256, size=digests.size, url=item.shown)


def _fetch_all(
    dataset: Dataset, items: Sequence[WantedArchive], *, workers: int, report: Report
) -> dict[WantedArchive, _Got]:
    stop = threading.Event()
    with showing(report) as progress, ThreadPoolExecutor(min(workers, len(items))) as executor:
        fetch = partial(_fetch, dataset, progress=progress, stop=stop, report=report)
        futures = {executor.submit(fetch, item): item for item in items}
        try:
            return {futures[future]: future.result() for future in as_completed(futures)}
        except BaseException:
            stop.set()  # the executor waits for the others, so they must learn that it is over
            raise


def _fetch(dataset: Dataset, item: WantedArchive, *, progress: Progress, stop: threading.Event, report: Report) -> _Got:
    path = item.partial
    with reporting_storage(path), _clearing_a_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if item.address is None:
            bring = partial(login.fetch, dataset, path)
        else:
            copy = partial(transfer.copy, item.address, path, shown=item.shown, authorization=item.authorization)
            bring = partial(copy, held=item.is_held)
        check = partial(item.verify, path)

        def track(total: int | None, done: int) -> Advance:
            return progress.start(path.name, total, unit="bytes", done=done)

        digests = bring(track=track, check=check, report=report, stop=stop)
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
        path.replace(item.staged)
        transfer.forget(path)
    report(f"{path.name}: {size_text(digests.size)} from {item.shown}")
    return _got(item, digests)


@contextmanager
def _clearing_a_full_disk(path: Path) -> Iterator[None]:
    """A part of an archive must not itself be what fills the disk."""
    try:
        yield
    except (OSError, StorageError) as error:
        if isinstance(error, StorageError) or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            transfer.forget(path)
        raise


def _install(dataset: Dataset, got: Mapping[WantedArchive, _Got], folder: Path, *, source: str) -> None:
    """Move the whole archives into place; the records of what was there go first and the new ones come last."""
    folder.mkdir(exist_ok=True)
    staged = [item for item in got if item.staged.is_file()]
    for name in (SUMS, RECORD) if staged else ():
        (folder / name).unlink(missing_ok=True)
    for item in staged:
        item.staged.replace(item.installed)
    _tidy(folder, {item.name for item in got} | {SUMS, RECORD})
    _record(dataset, list(got.values()), folder, source=source)
    shutil.rmtree(staging(folder), ignore_errors=True)


def _record(dataset: Dataset, got: Sequence[_Got], folder: Path, *, source: str) -> None:
    """Write `SUMS` and `RECORD`; no times, so that equal archives give an equal folder."""
    content = {"source": source, "terms": dataset.terms, "archives": [asdict(item) for item in got]}
    texts = {
        SUMS: "".join(f"{item.sha256}  {item.name}\n" for item in sorted(got, key=lambda item: item.name)),
        RECORD: json.dumps(content, indent=2, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        with atomic_file(folder / name) as partial_path:
            partial_path.write_text(text, "utf-8")
