"""The user's own data through the first two stages, which no archive brings.

========= ======================================================================================
look      what the folder holds by name, size and time, so that `dvc repro` notices any change
download  which files belong to the dataset, and their SHA-256 digests; nothing is copied
extract   the files, copied and checked against their digests, and masks painted from polygons
========= ======================================================================================

So there is one copy of the data and not two, and none that takes room where the file system can share
blocks (btrfs, XFS, APFS: `_share`). Links would not do: DVC makes what it tracks read-only, and whoever
edits a file in place would change what was validated.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BufferedReader, BufferedWriter
from pathlib import Path

from segline.config import Encoding, Options
from segline.data.extract import paint_polygons
from segline.datasets import folder as definition
from segline.datasets.own import classes
from segline.datasets.own.collect import POLYGONS, collect, count_splits
from segline.datasets.own.files import walk
from segline.errors import ChecksumError, ConfigError, DataError
from segline.formats import strict_json
from segline.progress import Report, showing, silent
from segline.project import Files, image_bytes
from segline.reading import FOLDER, JSON_BYTES, NOTHING, TEXT_BYTES, kind_of, open_file, read_bytes, read_text
from segline.storage import atomic_file, atomic_folder, check_room, size_text

_BLOCK = 1 << 20
_FICLONE = 0x40049409  # Linux's ioctl that makes a file share another one's blocks
_AGAIN = f"run `dvc repro` again, or `segline data download {definition.NAME}` and then extract"


def locate(options: Options, *, root: Path) -> Path:
    """The user's folder.

    Raises:
        ConfigError: ``params.yaml`` names none, or one that holds the project itself.
        DataError: it is not there, or no folder.
    """
    stated = definition.source_of(options)
    folder = (root / Path(stated).expanduser()).absolute()
    kind = kind_of(folder)
    if kind != FOLDER:
        raise DataError(
            folder,
            found="no such folder" if kind == NOTHING else kind,
            expected="the folder that `options.folder.path` in params.yaml names",
            remedy="correct the path, or bring the folder back; `segline init FOLDER --force` writes another one",
        )
    if root.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            "params.yaml options.folder.path",
            found=f"{stated!r}, which holds the project itself",
            expected="a folder with data and nothing else",
            remedy="move the data into a folder of their own, beside the project or in it",
        )
    return folder


def look(options: Options, *, root: Path, path: Path, report: Report = silent) -> None:
    """Write to `path` a digest of the names, sizes and times of all files: other than last time, they changed.

    Where the folder is not there, what was seen last is kept, so that data that were prepared stay usable.

    Raises:
        LinkError: a link leads out of the folder, and the options do not say that links may.
        StorageError: no room or no right to write.
    """
    try:
        folder = locate(options, root=root)
    except DataError as error:
        report(f"note: {error.place}: {error.found}; what is prepared stays as it is")
        text = read_text(path) if path.exists() else "not seen yet\n"
    else:
        state = hashlib.sha256()
        for name in walk(folder, follow_links=options.follow_links):
            file = folder / name
            entry = file.stat() if file.exists() else file.lstat()
            state.update(f"{name}\0{entry.st_size}\0{entry.st_mtime_ns}\n".encode())
        text = state.hexdigest() + "\n"
    with atomic_file(path) as partial_path:
        partial_path.write_text(text, "utf-8")


def download(options: Options, *, root: Path, folder: Path, report: Report = silent) -> None:
    """List samples and digests of the user's files in `folder`; copy nothing but the class table.

    Raises:
        ConfigError: ``params.yaml`` or the class table says something impossible.
        DataError: the folder is missing, its files contradict each other, or a polygon file is wrong.
        StorageError: no room or no right to write.
    """
    source = locate(options, root=root)
    within = _fence(options, source)
    table = _table(options, source, within)
    collection = collect(options, source)
    for note in collection.notes:
        report(f"note: {note}")
    pairs = list(collection.pairs)
    if options.encoding in POLYGONS:
        ids = _ids(source / options.classes, options.encoding)
        work = paint_polygons.jobs(pairs, source=source, entries=collection.entries, ids=ids)
        paint_polygons.check(work, ids=ids, report=report)
    named = sorted({path for pair in pairs for path in (pair.image, pair.mask) if path is not None})
    sums = _digests(source, named, within, report)
    with atomic_folder(folder) as partial_folder:
        definition.write_samples(partial_folder / Files.SAMPLES, pairs)
        (partial_folder / Files.CLASSES).write_bytes(table)
        recipe = {"encoding": options.encoding, "entries": dict(sorted(collection.entries.items()))}
        (partial_folder / Files.RECIPE).write_text(json.dumps(recipe, indent=1, ensure_ascii=False) + "\n", "utf-8")
        ours = {f"{Files.OWN}/{name}": partial_folder / name for name in (Files.SAMPLES, Files.CLASSES, Files.RECIPE)}
        sums |= {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in ours.items()}
        lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
        (partial_folder / Files.SUMS).write_text(lines, "utf-8")
    size = sum((source / name).stat().st_size for name in named)
    report(f"{definition.NAME}: {len(pairs)} samples in {source} ({count_splits(pairs)}), {size_text(size)}")


def _fence(options: Options, source: Path) -> Path | None:
    """The folder that links must not lead out of; None where the options say that they may."""
    return None if options.follow_links else source


def _table(options: Options, source: Path, within: Path | None) -> bytes:
    path = source / options.classes
    classes.read(
        path,
        encoding=options.encoding,
        remedy=f"let `segline init {definition.source_of(options)}` write it, or correct `classes` in params.yaml",
    )
    return read_bytes(path, limit=TEXT_BYTES, within=within)


def _ids(table: Path, encoding: Encoding) -> dict[str, int]:
    """Class name -> raw id."""
    return {row.name: row.id for row in classes.read(table, encoding=encoding, remedy=_AGAIN).classes}


def _digests(source: Path, names: Sequence[str], within: Path | None, report: Report) -> dict[str, str]:
    with showing(report) as progress, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as executor:
        advance = progress.start(f"digests of {definition.NAME}", len(names))
        found = {}
        for name, digest in zip(names, executor.map(lambda name: _digest(source / name, within), names), strict=True):
            found[name] = digest
            advance(1)
        return found


def _digest(path: Path, within: Path | None) -> str:
    with _opened(path, within) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _opened(path: Path, within: Path | None) -> BufferedReader:
    try:
        return open_file(path, limit=max(image_bytes(), JSON_BYTES), within=within)
    except OSError as error:
        link = " (a link that leads nowhere)" if path.is_symlink() and not path.exists() else ""
        raise DataError(
            path,
            found=f"cannot be read: {error.strerror}{link}",
            expected="a file",
            remedy="bring it back, or delete it",
        ) from error


def extract(
    options: Options, *, root: Path, archives: Path, folder: Path, workers: int, report: Report = silent
) -> None:
    """Copy what `download` listed in `archives` to `folder`, which appears whole or not at all.

    Raises:
        ChecksumError: a file is not what it was when it was listed.
        DataError: the list is missing, or a polygon file is wrong.
        StorageError: no room or no right to write.
    """
    source = locate(options, root=root)
    within = _fence(options, source)
    sums = _sums(archives / Files.SUMS)
    pairs = definition.read_samples(archives / Files.SAMPLES)
    recipe = strict_json.read(archives / Files.RECIPE, remedy=_AGAIN)
    painted = recipe["encoding"] in POLYGONS
    copied = sorted({path for pair in pairs for path in (pair.image, None if painted else pair.mask) if path})
    with atomic_folder(folder) as partial_folder:
        (partial_folder / Files.OWN).mkdir()
        _copy_all(source, partial_folder, copied, sums, within, report)
        (partial_folder / definition.TABLE).write_bytes(read_bytes(archives / Files.CLASSES, limit=TEXT_BYTES))
        if painted:
            for name in sorted({pair.mask for pair in pairs if pair.mask}):
                _compare(source / name, _digest(source / name, within), sums[name])
            ids = _ids(partial_folder / definition.TABLE, recipe["encoding"])
            jobs = paint_polygons.jobs(pairs, source=source, entries=recipe["entries"], ids=ids)
            masks = partial_folder / definition.MASKS
            pairs = paint_polygons.paint(pairs, jobs, folder=masks, ids=ids, workers=workers, report=report)
            pairs = [replace(pair, mask=f"{definition.MASKS}/{pair.mask}" if pair.mask else None) for pair in pairs]
        definition.write_samples(partial_folder / definition.SAMPLES, pairs)
    report(f"{definition.NAME}: {len(copied)} files copied" + (", masks painted from polygons" if painted else ""))


def _sums(path: Path) -> dict[str, str]:
    try:
        lines = read_text(path, limit=JSON_BYTES).splitlines()
    except OSError as error:
        raise DataError(
            path, found="no list of files", expected="what the download stage writes", remedy=_AGAIN
        ) from error
    return {line[66:]: line[:64] for line in lines}


def _copy_all(
    source: Path, folder: Path, names: Sequence[str], sums: dict[str, str], within: Path | None, report: Report
) -> None:
    if names and not _shares(source / names[0], folder, within):
        check_room(
            folder, gibibytes=sum((source / name).stat().st_size for name in names if (source / name).exists()) / 2**30
        )
    for parent in sorted({(folder / name).parent for name in names}):
        parent.mkdir(parents=True, exist_ok=True)
    with showing(report) as progress, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as executor:
        advance = progress.start(f"copy {definition.NAME}", len(names))
        for name, digest in zip(
            names, executor.map(lambda name: _copy(source / name, folder / name, within), names), strict=True
        ):
            _compare(source / name, digest, sums[name])
            advance(1)


def _compare(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise ChecksumError(
            path, found=f"sha256 {found}", expected=f"sha256 {expected}, as when it was listed", remedy=_AGAIN
        )


def _copy(source: Path, target: Path, within: Path | None) -> str:
    """Copy a file, sharing its blocks where the file system can; its SHA-256."""
    digest = hashlib.sha256()
    with _opened(source, within) as reader, target.open("wb") as writer:
        shared = _share(reader, writer)
        while block := reader.read(_BLOCK):
            digest.update(block)
            if not shared:
                writer.write(block)
    return digest.hexdigest()


def _share(reader: BufferedReader, writer: BufferedWriter) -> bool:
    """Make an empty file share another one's blocks; False where the file system cannot."""
    try:
        import fcntl

        fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
    except (ImportError, OSError):
        return False
    return True


def _shares(source: Path, folder: Path, within: Path | None) -> bool:
    probe = folder / Files.OWN / "probe"
    try:
        with _opened(source, within) as reader, probe.open("wb") as writer:
            return _share(reader, writer)
    finally:
        probe.unlink(missing_ok=True)
