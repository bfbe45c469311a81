"""Paint mask files from polygons."""

from collections.abc import Callable, Mapping, Sequence
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

Job = tuple[str, Drawing | tuple[Path, Path] | Callable[[], Drawing]]
"""Sample id, and its drawing. For LabelMe, instead of the drawing: the paths of annotation file and image. For other
forms: a function that reads the drawing."""

MAX_NOTES_SHOWN = 8


def list_jobs(pairs: Sequence[Pair], *, source: Path, entries: Mapping[str, str], ids: Mapping[str, int]) -> list[Job]:
    """List the masks to paint for `pairs`; the `mask` of each pair is a polygon file under `source`.

    Args:
        entries: sample id -> image name in the COCO file; empty for LabelMe files.
        ids: class name -> raw id.

    Raises:
        DataError: a COCO file is invalid, or names a class that is not in the class table.
    """
    whole = [(pair.id, pair.image, pair.mask) for pair in pairs if pair.image and pair.mask]
    if not entries:
        return [(name, (source / mask, source / image)) for name, image, mask in whole]
    drawings = {mask: annotations.read_coco(source / mask, ids=ids) for mask in sorted({mask for _, _, mask in whole})}
    return [(name, drawings[mask][entries[name]]) for name, _, mask in whole]


def check(jobs: Sequence[Job], *, ids: Mapping[str, int], report: Report = silent) -> None:
    """Check the polygon files of `jobs` without painting.

    Raises:
        DataError: a file is invalid, or names a class that is not in the class table.
    """
    files = [drawing[0] for _, drawing in jobs if isinstance(drawing, tuple)]
    with showing(report) as progress:
        advance = progress.start("polygons checked", len(files))
        for file in files:
            annotations.read_labelme(file, ids=ids, size=lambda: (0, 0))
            advance(1)


def paint(
    pairs: Sequence[Pair],
    jobs: Sequence[Job],
    *,
    folder: Path,
    ids: Mapping[str, int],
    workers: int,
    report: Report = silent,
) -> list[Pair]:
    """Write ``<id>.png`` into `folder` for each of `jobs`.

    Returns:
        `pairs` with these files as masks, relative to `folder`.

    Raises:
        DataError: a LabelMe file is invalid or names a class that is not in the class table, or run lengths
            do not cover their image exactly.
    """
    paint_one = partial(_paint, folder=folder, ids=ids)
    painting = stream_samples(paint_one, jobs, workers=workers, description="paint masks", report=report)
    notes = [note for notes_of_mask in painting for note in notes_of_mask]
    for note in notes[:MAX_NOTES_SHOWN]:
        report(f"note: {note}")
    if len(notes) > MAX_NOTES_SHOWN:
        report(f"note: and {len(notes) - MAX_NOTES_SHOWN} more of this kind")
    painted = {name for name, _ in jobs}
    return [replace(pair, mask=f"{pair.id}.png" if pair.id in painted else None) for pair in pairs]


def _paint(job: Job, *, folder: Path, ids: Mapping[str, int]) -> list[str]:
    """Paint one mask; return notes about it for the user."""
    name, drawing = job
    if callable(drawing):
        drawing = drawing()
    elif not isinstance(drawing, Drawing):
        labelme, image = drawing
        drawing = annotations.read_labelme(labelme, ids=ids, size=partial(_read_size, image))
    height, width = drawing.height, drawing.width
    try:
        mask = draw(drawing.shapes, height=height, width=width, background=annotations.BACKGROUND)
    except ValueError as error:
        raise DataError(
            drawing.place,
            found=str(error),
            expected="run lengths that cover the image exactly",
            remedy="export the annotations again",
        ) from error
    path = folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, mask)
    notes = [f"{drawing.place}: {line}" for line in drawing.left_out]
    cut = sum(leaves(shape, height=height, width=width) for shape in drawing.shapes)
    return (
        [*notes, f"{drawing.place}: {cut} outlines extend beyond the image and are clipped at its border"]
        if cut
        else notes
    )


def _read_size(image: Path) -> tuple[int, int]:
    height, width = read_image(image).shape[:2]
    return height, width
