"""Check that the files of a data folder are those that ``dvc.lock`` records.

Reading all bytes at every start would take minutes for large data. So this machine keeps a record of each folder: size,
times and digest of every file. A file whose size and times are those of the record keeps its digest; any other file is
read. The digests together give DVC's digest of the folder, which must be that of ``dvc.lock``.

The times are those of the last change of content (mtime) and of anything (ctime). A program can set mtime back, but not
ctime. ``dvc checkout``, links and copies change ctime at most, so that files are read once more and nothing is refused.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segline.data.recorded import lock
from segline.errors import DataError, StorageError
from segline.formats import strict_json
from segline.progress import Report, silent
from segline.project import Files, Project
from segline.storage import size_text, write_json

_READERS = 4  # threads that read files; hashing releases Python's lock
_SETTLED_SECONDS = 2.0  # a later change within one tick of the file system's clock would have the same time
_REPORTED_BYTES = 1 << 30  # reading that much takes seconds

_Signature = tuple[int, int, int]
"""Size, mtime and ctime (nanoseconds) of a file."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    """The record of a folder: its digest in ``dvc.lock``, and of each file by name its signature and its MD5."""

    digest: str
    files: Mapping[str, tuple[_Signature, str]]


def check_prepared(project: Project, dataset: str, *, report: Report = silent) -> bool:
    """Check the prepared splits of `dataset`; return False if DVC has no record of them.

    Raises:
        DataError: a file is missing, is not recorded, or has other content than ``dvc.lock`` records.
    """
    return _check_output(project, dataset, "prepare", project.prepared(dataset), report)


def check_manifest(project: Project, dataset: str, *, report: Report = silent) -> bool:
    """Check the manifest, verdict and fingerprint of `dataset`; return False if DVC has no record of them.

    Raises:
        DataError: a file is missing, is not recorded, or has other content than ``dvc.lock`` records.
    """
    return _check_output(project, dataset, "validate", project.manifest(dataset), report)


def _check_output(project: Project, dataset: str, stage: str, folder: Path, report: Report) -> bool:
    digest = lock.output_digest(project, stage, dataset, folder=folder)
    if digest is None:
        return False
    place = project.content_record(stage, dataset)
    known = _read_record(place)
    signatures = _list_signatures(folder)
    began = time.time_ns()
    sums = _sum_files(folder, signatures, known.files, report)
    if _digest_of(sums) != digest:
        raise _name_difference(project, folder, sums, known, digest, command=f"dvc repro {stage}@{dataset}")
    settled = began - int(_SETTLED_SECONDS * 1e9)
    kept = {name: (signatures[name] if max(signatures[name][1:]) < settled else (0, 0, 0), sums[name]) for name in sums}
    if known != (now := _Known(digest=digest, files=kept)):
        _write_record(place, now)
    return True


def _list_signatures(folder: Path) -> dict[str, _Signature]:
    """Return size and times of every file under `folder`, by its path there; links are followed."""
    found: dict[str, _Signature] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            if path.is_file():
                state = path.stat()
                found[path.relative_to(folder).as_posix()] = (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    return dict(sorted(found.items()))


def _sum_files(
    folder: Path, signatures: Mapping[str, _Signature], known: Mapping[str, tuple[_Signature, str]], report: Report
) -> dict[str, str]:
    """Return the MD5 of every file by name; files with the signature of the record are not read."""
    unread = [name for name, signature in signatures.items() if known.get(name, ((0, 0, 0), ""))[0] != signature]
    size = sum(signatures[name][0] for name in unread)
    if size > _REPORTED_BYTES:
        report(f"{folder}: reading {size_text(size)}, to compare it with {Files.LOCK}; once after each change")
    with ThreadPoolExecutor(_READERS) as executor:
        read = dict(zip(unread, executor.map(lambda name: _sum_file(folder / name), unread), strict=True))
    return {name: read[name] if name in read else known[name][1] for name in signatures}


def _sum_file(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise DataError(
            path,
            found=f"cannot be read: {error.strerror}",
            expected=f"a file that {Files.LOCK} records",
            remedy="make it readable, then run the same command",
        ) from error


def _digest_of(sums: Mapping[str, str]) -> str:
    """Compute DVC's digest of a folder: that of its sorted list of paths and digests, as JSON."""
    listing = [{"md5": sums[name], "relpath": name} for name in sorted(sums)]
    text = json.dumps(listing, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def _name_difference(
    project: Project, folder: Path, sums: Mapping[str, str], known: _Known, digest: str, *, command: str
) -> DataError:
    """Make the error that names the first file that differs; the folder, if the right digests are not known here."""
    expected = _find_expected(project, known, digest)
    differing = [name for name in sorted({*sums, *expected}) if expected and sums.get(name) != expected.get(name)]
    lost = [expected[name] for name in differing if name in expected]
    remedy = _write_remedy(project, folder if sums else None, lost, command)
    if not differing:
        return DataError(
            folder,
            found=f"content with the digest {_digest_of(sums)}",
            expected=f"{digest}, which {Files.LOCK} records",
            remedy=remedy,
        )
    first, more = differing[0], f" (and {len(differing) - 1} more files)" if len(differing) > 1 else ""
    if first not in expected:
        return DataError(
            folder / first,
            found=f"a file that {Files.LOCK} does not record{more}",
            expected=f"{len(expected)} files, with the digest {digest}",
            remedy=f"move it elsewhere, then: {remedy}",
        )
    return DataError(
        folder / first,
        found=f"not the file that {Files.LOCK} records: {_describe(sums, first)}{more}",
        expected=f"MD5 {expected[first]}",
        remedy=remedy,
    )


def _find_expected(project: Project, known: _Known, digest: str) -> Mapping[str, str]:
    """Find the MD5 of every file in the folder of this digest: in this machine's record, or in DVC's cache."""
    if known.digest == digest:
        return {name: md5 for name, (_, md5) in known.files.items()}
    try:
        listing = strict_json.loads((project.root / _cached(digest)).read_bytes())
        sums = {str(entry["relpath"]): str(entry["md5"]) for entry in listing}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return sums if _digest_of(sums) == digest else {}


def _write_remedy(project: Project, folder: Path | None, lost: Sequence[str], command: str) -> str:
    """Write the commands that make DVC restore the folder.

    DVC does not read files whose times it knows. So the files are touched. A file of DVC's cache that was changed
    through a link is deleted, because DVC would take it for whole.

    Args:
        folder: the folder; None if nothing is in it.
        lost: MD5 of the files that differ.
    """
    copies = (_cached(md5) for md5 in lost)
    damaged = [copy for copy, md5 in zip(copies, lost, strict=True) if _is_damaged(project.root / copy, md5)]
    steps = [f"rm -f {' '.join(damaged)}"] if damaged else []
    steps += [f"touch {folder.relative_to(project.root).as_posix()}/*"] if folder else []
    return " && ".join([*steps, command])


def _cached(digest: str) -> str:
    """Return the place of a file in DVC's cache, below the project's folder."""
    return f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}"


def _is_damaged(path: Path, md5: str) -> bool:
    return path.is_file() and _sum_file(path) != md5


def _describe(sums: Mapping[str, str], name: str) -> str:
    return f"MD5 {sums[name]}" if name in sums else "it is missing"


def _read_record(path: Path) -> _Known:
    """Read the record at `path`; an empty one if it is missing or damaged, so that all files are read."""
    try:
        content: Any = strict_json.loads(path.read_bytes())
        files = {str(name): (_to_signature(entry[:3]), str(entry[3])) for name, entry in content["files"].items()}
        return _Known(digest=str(content["digest"]), files=files)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return _Known(digest="", files={})


def _to_signature(values: Sequence[Any]) -> _Signature:
    size, changed, touched = (int(value) for value in values)
    return size, changed, touched


def _write_record(path: Path, known: _Known) -> None:
    """Write the record; a project that cannot be written is checked in full every time."""
    content = {"digest": known.digest, "files": {name: [*times, md5] for name, (times, md5) in known.files.items()}}
    try:
        write_json(path, content)
    except StorageError:
        return
