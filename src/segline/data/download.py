"""Archives of a dataset, from the publisher, a mirror, or drawn here, into one folder.

A mirror holds ``<dataset>/<archive>`` and ``<dataset>/SHA256SUMS``; it may be a folder or a
``file://``, ``http(s)://`` or ``s3://`` address. The sample is a mirror that is drawn first. An
archive gets its final name only once its digest is right, and the two record files (`SUMS`,
`RECORD`) are written last, so a folder that has them is complete.
"""

import difflib
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from segline import datasets as definitions
from segline.data import login, transfer
from segline.data.progress import Report, Track, mebibytes, silent, tracking
from segline.data.transfer import Digests
from segline.datasets.base import Archive, Dataset
from segline.errors import ChecksumError, SourceError
from segline.storage import atomic_file, reporting_storage

SUMS = "SHA256SUMS"
RECORD = "SOURCE.json"

_SCHEMES = ("file://", "http://", "https://", "s3://")


@dataclass(frozen=True, kw_only=True)
class _Item:
    """One archive to bring.

    Args:
        address: where its bytes are; None behind the publisher's login.
        shown: the same for people and records, without a password.
        sha256: what it must have; None where only the publisher's MD5, or nothing, is known.
    """

    archive: Archive
    address: str | None
    shown: str
    sha256: str | None


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
        root: the project's folder.
        folder: where the archives go; made if missing.
        workers: how many archives are brought at the same time.
        report: takes lines for a person; the first one is the licence terms.

    Raises:
        SourceError: the source cannot be reached, or lacks a file.
        ChecksumError: an archive is not the one that was published.
        ConfigError: the publisher wants a login, and the environment has no right credentials.
        StorageError: no room or no right to write.
    """
    report(f"{dataset.name}: {dataset.title}. Terms: {dataset.terms}")
    with reporting_storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _tidy(folder, {archive.name for archive in dataset.archives} | {SUMS, RECORD})
    with _drawn(dataset) if source == "sample" else nullcontext(_mirror(source, root)) as mirror:
        items = _items(dataset, mirror, source=without_secrets(source), report=report)
        got = _bring(items, folder, workers=workers, report=report)
    _record(dataset, got, folder, source=without_secrets(source))


def check_source(
    source: str, *, datasets: Sequence[str], root: Path, archives: Callable[[str], Path] | None = None
) -> None:
    """See, without fetching an archive, whether `source` can serve `datasets`.

    Args:
        archives: dataset -> folder of what was downloaded earlier, to be compared with the mirror's lists.

    Raises:
        SourceError: a mirror, or one of its lists, is missing or unreadable.
        ChecksumError: the mirror's archives are not those downloaded from it earlier.
        ConfigError: the publisher wants a login, and the environment has no credentials.
    """
    for name in datasets:
        dataset = definitions.load(name)
        if source == "official" and any(archive.url is None for archive in dataset.archives):
            login.credentials(dataset)
        elif source not in ("official", "sample"):
            items = _items(dataset, _mirror(source, root), source=without_secrets(source), report=silent)
            if archives is not None:
                _refuse_change(items, _earlier(archives(name)), name)


def _refuse_change(items: Sequence[_Item], earlier: Mapping[str, _Got], dataset: str) -> None:
    """DVC looks at `source` and not at what lies there, so a mirror's new content must be told."""
    for item in items:
        before = earlier.get(item.archive.name)
        if before is not None and before.url == item.shown and before.sha256 != item.sha256:
            raise ChecksumError(
                item.shown,
                found=f"sha256 {item.sha256} in its {SUMS}",
                expected=f"sha256 {before.sha256}, as downloaded from there earlier",
                remedy=f"to take the new archive: dvc repro --force --single-item download@{dataset}, then dvc repro",
            )


def _mirror(source: str, root: Path) -> str | None:
    """The mirror's address for fsspec; None for the publisher."""
    if source == "official":
        return None
    scheme, mark, _ = source.partition("://")
    if not mark:
        return str(root / Path(source).expanduser())
    if scheme + mark not in _SCHEMES:
        raise SourceError(
            without_secrets(source),
            found=f"an address of kind {scheme}://",
            expected=f"official, sample, a folder, or an address of kind {', '.join(_SCHEMES)}",
            remedy="correct `source` in params.yaml",
        )
    return source.rstrip("/")


def without_secrets(source: str) -> str:
    """An address less user name, password and query, as it may be recorded and shown."""
    if "://" not in source:
        return source.rstrip("/") or source
    parts = urlsplit(source)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


@contextmanager
def _drawn(dataset: Dataset) -> Iterator[str]:
    """A mirror of drawn archives that lasts as long as the context."""
    from segline.datasets.sample import draw  # drawing needs more imports than any other source

    with tempfile.TemporaryDirectory(prefix="segline-sample-") as folder, reporting_storage(Path(folder)):
        draw(dataset.name, Path(folder) / dataset.name)
        yield folder


def _items(dataset: Dataset, mirror: str | None, *, source: str, report: Report) -> list[_Item]:
    if mirror is None:
        return [
            _Item(archive=item, address=item.url, shown=item.url or f"{login.ADDRESS}{item.name}", sha256=None)
            for item in dataset.archives
        ]
    base, shown = f"{mirror}/{dataset.name}", f"{source}/{dataset.name}"
    sums = _sums(base, shown, report)
    for archive in dataset.archives:
        if archive.name not in sums:
            raise SourceError(
                f"{shown}/{SUMS}",
                found=f"no line for {archive.name}; it lists {', '.join(sorted(sums)) or 'nothing'}",
                expected=f"a line for each of {', '.join(item.name for item in dataset.archives)}",
                remedy=f"put the archive there under its official name and run `sha256sum * > {SUMS}` beside it",
            )
    return [
        _Item(archive=item, address=f"{base}/{item.name}", shown=f"{shown}/{item.name}", sha256=sums[item.name])
        for item in dataset.archives
    ]


def _sums(base: str, shown: str, report: Report) -> dict[str, str]:
    """A mirror's digests by file name."""
    if "://" not in base:
        _check_folder(Path(base), shown)
    text = transfer.read(f"{base}/{SUMS}", shown=f"{shown}/{SUMS}", report=report).decode("utf-8", "replace")
    sums = {}
    for number, line in enumerate(text.splitlines(), start=1):
        digest, _, name = line.strip().partition(" ")
        if len(digest) != 64 or not set(digest.lower()) <= set("0123456789abcdef") or not name:
            raise SourceError(
                f"{shown}/{SUMS}:{number}",
                found=repr(line[:80]),
                expected="64 hex digits, two spaces and a file name",
                remedy=f"write it with `sha256sum * > {SUMS}`",
            )
        sums[name.lstrip(" *")] = digest.lower()
    return sums


def _check_folder(folder: Path, shown: str) -> None:
    if folder.is_dir():
        return
    mirror = folder.parent
    near = difflib.get_close_matches(mirror.name, ("official", "sample"), n=1)
    found = f"no folder {mirror}" + (f"; did you mean {near[0]}?" if near else "")
    if mirror.is_dir():
        inside = ", ".join(sorted(entry.name for entry in mirror.iterdir()))
        found = f"no folder {folder.name} in {mirror}, which holds: {inside or 'nothing'}"
    raise SourceError(
        shown,
        found=found,
        expected=f"a folder with the archives and their {SUMS}",
        remedy="correct `source` in params.yaml, or make the mirror (`segline sample DIR` draws a pattern)",
    )


def _tidy(folder: Path, belonging: set[str]) -> None:
    for entry in folder.iterdir():
        if entry.name not in belonging:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _bring(items: Sequence[_Item], folder: Path, *, workers: int, report: Report) -> list[_Got]:
    earlier = _earlier(folder)
    kept = {item.archive.name: got for item in items if (got := _kept(item, folder, earlier)) is not None}
    for name in kept:
        report(f"{name}: already here, its digest is right")
    missing = [item for item in items if item.archive.name not in kept]
    if missing:
        with reporting_storage(folder):
            for name in (SUMS, RECORD):
                (folder / name).unlink(missing_ok=True)
    for got in _fetch_all(missing, folder, workers=workers, report=report):
        kept[got.name] = got
    return [kept[item.archive.name] for item in items]


def _earlier(folder: Path) -> Mapping[str, _Got]:
    """What an earlier download recorded; a missing or damaged record vouches for nothing."""
    try:
        entries = json.loads((folder / RECORD).read_text("utf-8"))["archives"]
        return {entry["name"]: _Got(**entry) for entry in entries}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _kept(item: _Item, folder: Path, earlier: Mapping[str, _Got]) -> _Got | None:
    """The archive that is already in `folder`, where it is certainly the wanted one."""
    path = folder / item.archive.name
    if not path.is_file():
        return None
    digests = transfer.digest(path)
    if item.sha256 is not None:
        right = digests.sha256 == item.sha256
    elif item.archive.md5 is not None:
        right = digests.md5 == item.archive.md5
    else:
        before = earlier.get(item.archive.name)
        right = before is not None and (before.url, before.sha256) == (item.shown, digests.sha256)
    return _got(item, digests) if right else None


def _got(item: _Item, digests: Digests) -> _Got:
    return _Got(name=item.archive.name, sha256=digests.sha256, size=digests.size, url=item.shown)


def _fetch_all(items: Sequence[_Item], folder: Path, *, workers: int, report: Report) -> Iterator[_Got]:
    behind_login = [item for item in items if item.address is None]
    if behind_login:
        yield from _fetch_behind_login(behind_login, folder, report)
    public = [item for item in items if item.address is not None]
    if not public:
        return
    stop = threading.Event()
    with tracking(unit="bytes", report=report) as track, ThreadPoolExecutor(min(workers, len(public))) as executor:
        futures = [executor.submit(_fetch, item, folder, track=track, stop=stop, report=report) for item in public]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            stop.set()  # the executor waits for the others, so they must learn that it is over
            raise


def _fetch(item: _Item, folder: Path, *, track: Track, stop: threading.Event, report: Report) -> _Got:
    path = folder / item.archive.name
    assert item.address is not None
    with atomic_file(path) as partial_path:
        digests = transfer.copy(
            item.address,
            partial_path,
            shown=item.shown,
            track=partial(track, item.archive.name),
            report=report,
            stop=stop,
        )
        _verify(item, digests)
    report(f"{path.name}: {mebibytes(digests.size)} from {item.shown}")
    return _got(item, digests)


def _verify(item: _Item, digests: Digests) -> None:
    official = item.sha256 is None
    expectations: tuple[tuple[Literal["sha256", "md5", "size"], str | int | None], ...] = (
        ("sha256", item.sha256),
        ("size", item.archive.size if official else None),
        ("md5", item.archive.md5 if official else None),
    )
    for name, expected in expectations:
        found = getattr(digests, name)
        if expected is not None and found != expected:
            raise ChecksumError(
                item.shown,
                found=f"{name} {found}",
                expected=f"{name} {expected}",
                remedy="run it again; if it stays, the publisher changed the file: see README, and tell us"
                if official
                else f"the archive or {SUMS} beside it is damaged or old: copy both anew into the mirror",
            )


def _fetch_behind_login(items: Sequence[_Item], folder: Path, report: Report) -> Iterator[_Got]:
    for item in items:
        path = folder / item.archive.name
        with atomic_file(path) as partial_path:
            login.fetch(item.archive.name, partial_path, report=report)
            digests = transfer.digest(partial_path)
        report(f"{path.name}: {mebibytes(digests.size)} from {item.shown}")
        yield _got(item, digests)


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
