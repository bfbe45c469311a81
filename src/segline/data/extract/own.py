"""Copy the user's own files, compare them with their listed digests, and paint masks from polygons.

On file systems with shared blocks (btrfs, XFS), a copy needs no space: see `_share_blocks`. Links cannot be used,
because DVC makes tracked files read-only, and because an edit of the original would change validated data.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from io import BufferedReader, BufferedWriter
from pathlib import Path

from segline.config import Options
from segline.config.fields import PAINTED
from segline.data.extract import paint_polygons
from segline.data.extract.list_jobs import Recipe, list_jobs
from segline.data.extract.turn_masks import turn_masks
from segline.data.look.own import digest_source, fence, locate, open_source
from segline.datasets.own import classes, definition
from segline.datasets.own.definition import LIST_AGAIN
from segline.errors import ChecksumError, DataError
from segline.formats import strict_json
from segline.parallel.pool import stream_files
from segline.progress import Report, silent
from segline.project import Files
from segline.reading import JSON_BYTES, TEXT_BYTES, read_bytes, read_text
from segline.storage import atomic_folder, check_room

_BLOCK = 1 << 20
_FICLONE = 0x40049409
"""Linux ioctl that makes a file share the blocks of another file."""


def extract(
    dataset: str, options: Options, *, root: Path, archives: Path, folder: Path, workers: int, report: Report = silent
) -> None:
    """Copy the files of `dataset` that the download stage listed in `archives` to `folder`, all or none.

    Raises:
        ChecksumError: a file has changed since it was listed.
        DataError: the list is missing, or a polygon file is wrong.
        StorageError: the disk is full, or writing is not permitted.
    """
    source = locate(options, root=root)
    within = fence(options, source)
    sums = _read_sums(archives / Files.SUMS)
    pairs = definition.read_samples(archives / Files.SAMPLES)
    recipe = Recipe.from_json(strict_json.read(archives / Files.RECIPE, remedy=LIST_AGAIN))
    painted = recipe.encoding in PAINTED
    made = {pair.id for pair in pairs if pair.mask} if painted else {*recipe.turns}
    copied = sorted({path for pair in pairs for path in (pair.image, None if pair.id in made else pair.mask) if path})
    with atomic_folder(folder) as partial_folder:
        (partial_folder / Files.OWN).mkdir()
        _copy_all(dataset, source, partial_folder, copied, sums, within, report)
        (partial_folder / definition.TABLE).write_bytes(read_bytes(archives / Files.CLASSES, limit=TEXT_BYTES))
        if made:
            for name in recipe.files([pair for pair in pairs if pair.id in made]):
                _check_digest(source / name, digest_source(source / name, within), sums[name])
        masks = partial_folder / definition.MASKS
        if painted:
            table = partial_folder / definition.TABLE
            ids = classes.read(table, encoding=recipe.encoding, remedy=LIST_AGAIN).ids()
            jobs = list_jobs(pairs, recipe, source=source, ids=ids)
            pairs = paint_polygons.paint(
                pairs, jobs, folder=masks, ids=ids, rules=recipe.polygons, workers=workers, report=report
            )
        elif made:
            pairs = turn_masks(pairs, recipe.turns, source=source, folder=masks, workers=workers, report=report)
        pairs = [
            replace(pair, mask=f"{definition.MASKS}/{pair.mask}") if pair.id in made and pair.mask else pair
            for pair in pairs
        ]
        definition.write_samples(partial_folder / definition.SAMPLES, pairs)
    report(f"{dataset}: {len(copied)} files copied" + (", masks painted" if painted else ""))


def _read_sums(path: Path) -> dict[str, str]:
    try:
        lines = read_text(path, limit=JSON_BYTES).splitlines()
    except OSError as error:
        raise DataError(
            path, found="no list of files", expected="the list that the download stage writes", remedy=LIST_AGAIN
        ) from error
    return {line[66:]: line[:64] for line in lines}


def _copy_all(
    dataset: str,
    source: Path,
    folder: Path,
    names: Sequence[str],
    sums: dict[str, str],
    within: Path | None,
    report: Report,
) -> None:
    if names and not _can_share_blocks(source / names[0], folder, within):
        size = sum((source / name).stat().st_size for name in names if (source / name).exists())
        check_room(folder, gibibytes=size / 2**30)
    for parent in sorted({(folder / name).parent for name in names}):
        parent.mkdir(parents=True, exist_ok=True)
    copy = partial(_copy, source=source, folder=folder, within=within)
    digests = stream_files(copy, names, description=f"copy {dataset}", report=report)
    for name, digest in zip(names, digests, strict=True):
        _check_digest(source / name, digest, sums[name])


def _check_digest(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise ChecksumError(
            path,
            found=f"sha256 {found}",
            expected=f"sha256 {expected}, as listed by the download stage",
            remedy=LIST_AGAIN,
        )


def _copy(name: str, *, source: Path, folder: Path, within: Path | None) -> str:
    """Copy a file, sharing its blocks if the file system can; return its SHA-256."""
    digest = hashlib.sha256()
    with open_source(source / name, within) as reader, (folder / name).open("wb") as writer:
        shared = _share_blocks(reader, writer)
        while block := reader.read(_BLOCK):
            digest.update(block)
            if not shared:
                writer.write(block)
    return digest.hexdigest()


def _share_blocks(reader: BufferedReader, writer: BufferedWriter) -> bool:
    """Make an empty file share the blocks of another file; return False if the file system does not support it."""
    try:
        import fcntl

        fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
    except (ImportError, OSError):
        return False
    return True


def _can_share_blocks(source: Path, folder: Path, within: Path | None) -> bool:
    probe = folder / Files.OWN / "probe"
    try:
        with open_source(source, within) as reader, probe.open("wb") as writer:
            return _share_blocks(reader, writer)
    finally:
        probe.unlink(missing_ok=True)
