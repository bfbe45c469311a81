"""List the masks to paint from polygon files, and check that the polygons fit their images."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from segline.datasets.base import Pair
from segline.datasets.own import annotations, labelme_images, views
from segline.datasets.own.annotations import Drawing
from segline.datasets.own.polygon_rules import PolygonRules
from segline.progress import Report, showing, silent


@dataclass(frozen=True, kw_only=True)
class Job:
    """A mask to paint.

    Args:
        id: of the sample.
        image: the image file, and its path relative to the user's folder.
        annotation: the shapes; for LabelMe, the annotation file instead; for other forms, what reads the shapes.
        fits_image: whether the size of the annotation must be that of the image; the validate stage compares masks.
    """

    id: str
    image: Path
    image_name: str
    annotation: Drawing | Path | Callable[[], Drawing]
    fits_image: bool = True


def list_jobs(
    pairs: Sequence[Pair], *, source: Path, entries: Mapping[str, str], ids: Mapping[str, int], rules: PolygonRules
) -> list[Job]:
    """List the masks to paint for `pairs`; the `mask` of each pair is a polygon file under `source`.

    Args:
        entries: sample id -> image name in the COCO file; empty for LabelMe files.
        ids: class name -> raw id.

    Raises:
        DataError: a COCO file is invalid, or names a class that is not in the class table.
    """
    whole = [(pair.id, pair.image, pair.mask) for pair in pairs if pair.image and pair.mask]
    drawings: dict[str, dict[str, Drawing]] = {}
    if entries:
        files = sorted({mask for _, _, mask in whole})
        drawings = {mask: annotations.read_coco(source / mask, ids=ids, rules=rules) for mask in files}
    refuse_unused_faults(drawings, set(entries.values()))
    return [
        Job(
            id=name,
            image=source / image,
            image_name=image,
            annotation=drawings[mask][entries[name]] if entries else source / mask,
        )
        for name, image, mask in whole
    ]


def refuse_unused_faults(drawings: Mapping[str, Mapping[str, Drawing]], used: Collection[str]) -> None:
    """Refuse COCO files with a fault in an image that is not there, because the whole file is checked.

    Args:
        drawings: COCO file -> ``file_name`` -> its shapes.
        used: the names of the images that are there; `check` judges those.

    Raises:
        DataError: a shape has a fault.
    """
    for of_file in drawings.values():
        for name, drawing in of_file.items():
            if drawing.fault is not None and name not in used:
                raise drawing.fault


def check(
    jobs: Sequence[Job],
    *,
    source: Path,
    images: Sequence[str],
    ids: Mapping[str, int] | None,
    rules: PolygonRules,
    by_name: bool = True,
    report: Report = silent,
) -> tuple[list[Drawing], list[str]]:
    """Check the polygons of `jobs`, and that they fit their images, without painting.

    Args:
        source: the user's folder.
        images: all its images, relative to it.
        ids: class name -> raw id; None if there is no class table yet.
        by_name: whether names paired the files; a CSV that lists the pairs is not doubted.

    Returns:
        What each job draws, without the shapes, which take memory; and notes for the user.

    Raises:
        DataError: a file is invalid, names a class that is not in the class table, states another size than its
            image has, or names another image.
    """
    known = labelme_images.Images(source, images)
    stale: list[tuple[str, str]] = []
    checked: list[Drawing] = []
    with showing(report) as progress:
        advance = progress.start("polygons checked", len(jobs))
        for job in jobs:
            drawing = read_drawing(job, ids=ids, rules=rules)
            if isinstance(job.annotation, Path) and by_name:
                file = job.annotation.relative_to(source).as_posix()
                if labelme_images.names_another(drawing.image, labelme=file, image=job.image_name, images=known):
                    stale.append((file, drawing.image))
            if job.fits_image:
                views.find_turn(job.image, drawing, rules=rules)
            if drawing.fault is not None:
                raise drawing.fault
            checked.append(replace(drawing, shapes=()))
            advance(1)
    return checked, [labelme_images.describe_stale(stale)] if stale else []


def read_drawing(job: Job, *, ids: Mapping[str, int] | None, rules: PolygonRules) -> Drawing:
    """Return the shapes of a job.

    Raises:
        DataError: an annotation file is invalid, or names a class that is not in the class table.
    """
    if isinstance(job.annotation, Drawing):
        return job.annotation
    if not isinstance(job.annotation, Path):
        return job.annotation()
    size = partial(views.choose_size, job.image, place=job.annotation, rules=rules)
    return annotations.read_labelme(job.annotation, ids=ids, size=size, rules=rules)
