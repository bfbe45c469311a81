"""List the files of the user's own dataset with their SHA-256 digests, without copying them.

`segline.data.extract.own` copies the files, so that they are copied only once.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from segline.config import Options
from segline.config.fields import PAINTED
from segline.data.extract.list_jobs import Recipe, check_jobs, list_jobs
from segline.data.look.own import digest_source, fence, locate
from segline.datasets.own import classes, definition
from segline.datasets.own.collect import collect, count_splits
from segline.datasets.own.definition import LIST_AGAIN
from segline.datasets.own.mask_views import find_turned
from segline.datasets.own.naming import UNNAMED
from segline.parallel.pool import stream_files
from segline.progress import Report, silent
from segline.project import Files
from segline.reading import TEXT_BYTES, read_bytes
from segline.storage import atomic_folder, size_text


def download(dataset: str, options: Options, *, root: Path, folder: Path, report: Report = silent) -> None:
    """Write the list of samples and the digests of the files of the own data `dataset` into `folder`.

    Of the files, only the class table is copied.

    Raises:
        ConfigError: the definition or the class table contains an invalid value.
        DataError: the user's folder is missing, its files contradict each other, or a polygon file is wrong.
        StorageError: the disk is full, or writing is not permitted.
    """
    source = locate(options, root=root)
    within = fence(options, source)
    table = _read_class_table(options, source, within)
    collection = collect(options, source)
    for note in collection.notes:
        report(f"note: {note}")
    pairs = list(collection.pairs)
    recipe = Recipe.of(options, collection)
    if options.encoding in PAINTED:
        ids = classes.read(source / options.classes, encoding=options.encoding, remedy=LIST_AGAIN).ids()
        jobs = list_jobs(pairs, recipe, source=source, ids=ids)
        images = [pair.image for pair in pairs if pair.image is not None]
        by_name = options.pairs is None
        for note in check_jobs(jobs, recipe, source=source, images=images, ids=ids, by_name=by_name, report=report):
            report(f"note: {note}")
    else:
        recipe = replace(recipe, turns=find_turned(pairs, source, rules=recipe.polygons))
    names = sorted({pair.image for pair in pairs if pair.image is not None} | set(recipe.files(pairs)))
    sums = _hash_files(dataset, source, names, within, report)
    with atomic_folder(folder) as partial_folder:
        definition.write_samples(partial_folder / Files.SAMPLES, pairs)
        (partial_folder / Files.CLASSES).write_bytes(table)
        text = json.dumps(recipe.to_json(), indent=1, ensure_ascii=False)
        (partial_folder / Files.RECIPE).write_text(text + "\n", "utf-8")
        for name in (Files.SAMPLES, Files.CLASSES, Files.RECIPE):
            sums[f"{Files.OWN}/{name}"] = hashlib.sha256((partial_folder / name).read_bytes()).hexdigest()
        lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
        (partial_folder / Files.SUMS).write_text(lines, "utf-8")
    size = sum((source / name).stat().st_size for name in names)
    report(f"{dataset}: {len(pairs)} samples in {source} ({count_splits(pairs)}), {size_text(size)}")


def _read_class_table(options: Options, source: Path, within: Path | None) -> bytes:
    path = source / options.classes
    classes.read(
        path,
        encoding=options.encoding,
        remedy=f"create it with `segline init {definition.source_of(options)}`, or correct `classes` in {UNNAMED}",
    )
    return read_bytes(path, limit=TEXT_BYTES, within=within)


def _hash_files(
    dataset: str, source: Path, names: Sequence[str], within: Path | None, report: Report
) -> dict[str, str]:
    paths = [source / name for name in names]
    digests = stream_files(
        partial(digest_source, within=within), paths, description=f"digests of {dataset}", report=report
    )
    return dict(zip(names, digests, strict=True))
