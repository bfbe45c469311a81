"""Turn masks of upright photos to the pixels as the photos are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL.Image import Transpose

from segline.datasets.base import Pair
from segline.errors import DataError
from segline.parallel.pool import stream_samples
from segline.pictures import open_picture, read_bytes
from segline.progress import Report, silent

_BACK = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}
"""EXIF orientation -> what turns the upright view to the stored pixels, as `datasets.own.views.turn_back` does."""


def turn_masks(
    pairs: Sequence[Pair],
    turns: Mapping[str, int],
    *,
    source: Path,
    folder: Path,
    workers: int,
    report: Report = silent,
) -> list[Pair]:
    """Write ``<id>.png`` into `folder` for each mask of `turns`, with the mode and the palette of the mask.

    Args:
        turns: sample id -> EXIF orientation of its photo.

    Returns:
        `pairs`, with these files as masks, relative to `folder`.

    Raises:
        DataError: a mask cannot be read.
    """
    jobs = [(pair.id, source / pair.mask, turns[pair.id]) for pair in pairs if pair.mask and pair.id in turns]
    turn_one = partial(_turn, folder=folder)
    for _ in stream_samples(turn_one, jobs, workers=workers, description="turn masks", report=report):
        pass
    report(f"note: {len(jobs)} masks of upright photos are turned to the stored pixels, such as {jobs[0][1].name}")
    return [replace(pair, mask=f"{pair.id}.png") if pair.id in turns else pair for pair in pairs]


def _turn(job: tuple[str, Path, int], *, folder: Path) -> None:
    name, path, orientation = job
    written = folder / f"{name}.png"
    written.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open_picture(read_bytes(path), place=path) as opened:
            opened.transpose(_BACK[orientation]).save(written, format="PNG")
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            path,
            found=f"cannot be turned ({error})",
            expected="a mask in a format that Pillow reads whole",
            remedy="export the mask again as PNG, or store its photo upright and remove the EXIF orientation",
        ) from error
