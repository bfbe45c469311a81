"""Paint mask files from polygons."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from segline.core.vision.polygons import draw, leaves
from segline.data.images.decode import write_png
from segline.datasets.base import Pair
from segline.datasets.own import views
from segline.datasets.own.drawings import BACKGROUND
from segline.datasets.own.polygon_jobs import Job, read_drawing
from segline.datasets.own.polygon_rules import PolygonRules
from segline.errors import DataError
from segline.parallel.pool import stream_samples
from segline.progress import Report, silent

MAX_NOTES_SHOWN = 8


def paint(
    pairs: Sequence[Pair],
    jobs: Sequence[Job],
    *,
    folder: Path,
    ids: Mapping[str, int],
    rules: PolygonRules,
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
    paint_one = partial(_paint, folder=folder, ids=ids, rules=rules)
    painting = stream_samples(paint_one, jobs, workers=workers, description="paint masks", report=report)
    notes = [note for notes_of_mask in painting for note in notes_of_mask]
    for note in notes[:MAX_NOTES_SHOWN]:
        report(f"note: {note}")
    if len(notes) > MAX_NOTES_SHOWN:
        report(f"note: and {len(notes) - MAX_NOTES_SHOWN} more of this kind")
    painted = {job.id for job in jobs}
    return [replace(pair, mask=f"{pair.id}.png" if pair.id in painted else None) for pair in pairs]


def _paint(job: Job, *, folder: Path, ids: Mapping[str, int], rules: PolygonRules) -> list[str]:
    """Paint one mask; return notes about it for the user."""
    drawing = read_drawing(job, ids=ids, rules=rules)
    size = drawing.height, drawing.width
    if job.fits_image:
        turn = views.find_turn(job.image, drawing, rules=rules)
    else:
        turn = views.find_turn_of_mask(job.image, size, place=drawing.place, rules=rules)
    if drawing.fault is not None:
        raise drawing.fault
    height, width = drawing.height, drawing.width
    try:
        mask = draw(drawing.shapes, height=height, width=width, background=BACKGROUND)
    except ValueError as error:
        raise DataError(
            drawing.place,
            found=str(error),
            expected="run lengths that cover the image exactly",
            remedy="export the annotations again",
        ) from error
    path = folder / f"{job.id}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, np.ascontiguousarray(views.turn_back(mask, turn)))
    notes = [f"{drawing.place}: {line}" for line in drawing.left_out]
    if turn != views.UPRIGHT:
        notes.append(f"{drawing.place}: drawn on the upright photo; the mask is turned to its stored pixels")
    cut = sum(leaves(shape, height=height, width=width) for shape in drawing.shapes)
    if cut:
        notes.append(f"{drawing.place}: {cut} outlines extend beyond the image and are clipped at its border")
    return notes
