"""Polygons -> mask files."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from segline.core.vision.polygons import draw, leaves
from segline.data.images.decode import read_image, write_png
from segline.datasets.base import Pair
from segline.datasets.own import annotations
from segline.datasets.own.annotations import Drawing
from segline.errors import DataError
from segline.parallel.pool import stream_samples
from segline.progress import Report, showing, silent

Job = tuple[str, Drawing | tuple[Path, Path]]
"""Sample id, and what to paint, or the LabelMe file and the image that say it."""

_TOLD = 8  # notes spelt out


def jobs(pairs: Sequence[Pair], *, source: Path, entries: Mapping[str, str], ids: Mapping[str, int]) -> list[Job]:
    """What is to be painted for `pairs`, whose masks are polygon files under `source`.

    Args:
        entries: sample id -> its name in a COCO file; empty for LabelMe files.
        ids: class name -> raw id.

    Raises:
        DataError: a COCO file is wrong, or names a class that is in no class table.
    """
    whole = [(pair.id, pair.image, pair.mask) for pair in pairs if pair.image and pair.mask]
    if not entries:
        return [(name, (source / mask, source / image)) for name, image, mask in whole]
    drawings = {mask: annotations.read_coco(source / mask, ids=ids) for mask in sorted({mask for _, _, mask in whole})}
    return [(name, drawings[mask][entries[name]]) for name, _, mask in whole]


def check(work: Sequence[Job], *, ids: Mapping[str, int], report: Report = silent) -> None:
    """Read the polygon files of `work` without painting anything.

    Raises:
        DataError: one is wrong, or names a class that is in no class table.
    """
    files = [what[0] for _, what in work if not isinstance(what, Drawing)]
    with showing(report) as progress:
        advance = progress.start("polygons checked", len(files))
        for file in files:
            annotations.read_labelme(file, ids=ids, size=lambda: (0, 0))
            advance(1)


def paint(
    pairs: Sequence[Pair],
    work: Sequence[Job],
    *,
    folder: Path,
    ids: Mapping[str, int],
    workers: int,
    report: Report = silent,
) -> list[Pair]:
    """Write ``<id>.png`` into `folder` for each of `work`.

    Returns:
        `pairs`, whose masks are now those files, relative to `folder`.

    Raises:
        DataError: a LabelMe file is wrong or names a class that is in no class table, or run lengths
            do not make up their image.
    """
    job = partial(_paint, folder=folder, ids=ids)
    notes = [
        note
        for told in stream_samples(job, work, workers=workers, description="paint masks", report=report)
        for note in told
    ]
    for note in notes[:_TOLD]:
        report(f"note: {note}")
    if len(notes) > _TOLD:
        report(f"note: and {len(notes) - _TOLD} more of this kind")
    painted = {name for name, _ in work}
    return [replace(pair, mask=f"{pair.id}.png" if pair.id in painted else None) for pair in pairs]


def _paint(job: Job, *, folder: Path, ids: Mapping[str, int]) -> list[str]:
    """Paint one mask; what a person should know of it."""
    name, drawing = job
    if not isinstance(drawing, Drawing):
        labelme, image = drawing
        drawing = annotations.read_labelme(labelme, ids=ids, size=partial(_size, image))
    height, width = drawing.height, drawing.width
    try:
        mask = draw(drawing.shapes, height=height, width=width, background=annotations.BACKGROUND)
    except ValueError as error:
        raise DataError(
            drawing.place, found=str(error), expected="run lengths that make up the image", remedy="export it anew"
        ) from error
    path = folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, mask)
    notes = [f"{drawing.place}: {line}" for line in drawing.left_out]
    cut = sum(leaves(shape, height=height, width=width) for shape in drawing.shapes)
    return [*notes, f"{drawing.place}: {cut} outlines leave the image and are cut off at its edge"] if cut else notes


def _size(image: Path) -> tuple[int, int]:
    height, width = read_image(image).shape[:2]
    return height, width
