"""Find the archives of a dataset: at the publisher, in a mirror, or in a generated sample.

A mirror contains ``<dataset>/<archive>`` and ``<dataset>/SHA256SUMS``. It may be a folder or a
``file://``, ``http(s)://`` or ``s3://`` address. The sample is generated as a temporary mirror.
"""

import difflib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segline.data.download import pins, source_login, transfer
from segline.data.download.wanted import SUMS, WantedArchive
from segline.datasets.base import Archive, Dataset
from segline.errors import SourceError
from segline.masking import masked
from segline.progress import Report, silent
from segline.project import Files
from segline.storage import reporting_storage

_SCHEMES = ("file://", "http://", "https://", "s3://")


@contextmanager
def find_archives(
    dataset: Dataset, *, source: str, root: Path, folder: Path, report: Report = silent
) -> Iterator[list[WantedArchive]]:
    """Find the archives of `dataset` at `source`; a generated sample is deleted when the context ends.

    Args:
        folder: folder in which the archives will be installed.

    Raises:
        SourceError: a mirror or its list of digests is missing or unreadable, or an archive has no public address.
        ConfigError: the pins cannot be read, or the environment variables with the mirror's login are wrong.
    """
    if source == "official":
        yield _list_published(dataset, pins.read(root / Files.PINS), folder)
    elif source == "sample":
        with _draw_mirror(dataset) as mirror:
            yield _list_mirrored(dataset, mirror, source, folder, report)
    else:
        mirror, shown = _locate_mirror(source, root), masked(source).rstrip("/") or source
        authorization = source_login.read_authorization(mirror)
        yield _list_mirrored(dataset, mirror, shown, folder, report, authorization=authorization)


def _list_published(dataset: Dataset, known: dict[str, str], folder: Path) -> list[WantedArchive]:
    addresses = [archive.url or _address_behind_login(dataset, archive) for archive in dataset.archives]
    return [
        WantedArchive(
            archive=archive, folder=folder, address=archive.url, shown=address, sha256=None, pin=known.get(address)
        )
        for archive, address in zip(dataset.archives, addresses, strict=True)
    ]


def _address_behind_login(dataset: Dataset, archive: Archive) -> str:
    if dataset.login is None:
        raise SourceError(
            f"{dataset.name}: {archive.name}",
            found="no public address",
            expected="an archive that its publisher sends to everyone",
            remedy=f"put the archive, with a {SUMS}, into a mirror folder and name it as `source` in params.yaml",
        )
    return dataset.login.site + archive.name


@contextmanager
def _draw_mirror(dataset: Dataset) -> Iterator[str]:
    from segline.datasets.sample import draw  # drawing needs more imports than any other source

    with tempfile.TemporaryDirectory(prefix="segline-sample-") as folder, reporting_storage(Path(folder)):
        draw(dataset.name, Path(folder) / dataset.name)
        yield folder


def _locate_mirror(source: str, root: Path) -> str:
    """Return the mirror's address in the form that `segline.data.download.address` needs."""
    scheme, mark, _ = source.partition("://")
    if not mark:
        return str(root / Path(source).expanduser())
    if scheme + mark not in _SCHEMES:
        raise SourceError(
            source,
            found=f"an address with the unknown scheme {scheme}://",
            expected=f"official, sample, a folder, or an address that begins with {', '.join(_SCHEMES)}",
            remedy="correct `source` in params.yaml",
        )
    return source.rstrip("/")


def _list_mirrored(
    dataset: Dataset, mirror: str, source: str, folder: Path, report: Report, *, authorization: str | None = None
) -> list[WantedArchive]:
    base, shown = f"{mirror}/{dataset.name}", f"{source}/{dataset.name}"
    sums = _read_sums(base, shown, report, authorization)
    for archive in dataset.archives:
        if archive.name not in sums:
            raise SourceError(
                f"{shown}/{SUMS}",
                found=f"no line for {archive.name}; it lists {', '.join(sorted(sums)) or 'nothing'}",
                expected=f"a line for each of {', '.join(item.name for item in dataset.archives)}",
                remedy=f"put the archive there under its official name, then run `sha256sum * > {SUMS}` in that folder",
            )
    return [
        WantedArchive(
            archive=item,
            folder=folder,
            address=f"{base}/{item.name}",
            shown=f"{shown}/{item.name}",
            sha256=sums[item.name],
            authorization=authorization,
        )
        for item in dataset.archives
    ]


def _read_sums(base: str, shown: str, report: Report, authorization: str | None) -> dict[str, str]:
    """Return a mirror's digests by file name."""
    if "://" not in base:
        _check_folder(Path(base), shown)
    text = _read_list(base, shown, report, authorization)
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        digest, _, rest = line.strip().partition(" ")
        name = rest.lstrip(" *")
        if len(digest) != 64 or not set(digest.lower()) <= set("0123456789abcdef") or not name:
            raise _wrong_line(f"{shown}/{SUMS}:{number}", repr(line[:80]))
        if sums.setdefault(name, digest.lower()) != digest.lower():
            raise _wrong_line(f"{shown}/{SUMS}:{number}", f"a second digest for {name}")
    return sums


def _read_list(base: str, shown: str, report: Report, authorization: str | None) -> str:
    try:
        content = transfer.read_small_file(
            f"{base}/{SUMS}", shown=f"{shown}/{SUMS}", report=report, authorization=authorization
        )
        return content.decode("utf-8", "replace")
    except SourceError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise SourceError(
            f"{shown}/{SUMS}",
            found="no such file",
            expected="the digests of the archives in that folder",
            remedy=f"run `sha256sum * > {SUMS}` in that folder; or correct `source` in params.yaml",
        ) from error


def _wrong_line(place: str, found: str) -> SourceError:
    return SourceError(
        place,
        found=found,
        expected="lines of 64 hex digits, two spaces and a file name",
        remedy=f"write it with `sha256sum * > {SUMS}`",
    )


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
        remedy="correct `source` in params.yaml, or create the mirror (`segline sample DIR` creates an example)",
    )
