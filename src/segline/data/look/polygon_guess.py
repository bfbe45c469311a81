"""Guess the classes of polygon files, and check the files, so that `segline init` names what is wrong with them."""

from collections import Counter
from pathlib import Path
from typing import Literal

from segline.data.look.answers import Answers
from segline.data.look.class_guess import ClassGuess, guess_from_names, refuse_alike
from segline.data.look.survey import spread
from segline.datasets.own import annotations
from segline.datasets.own.annotations import Drawing
from segline.datasets.own.collect import Collection
from segline.datasets.own.polygon_jobs import Job, check, refuse_unused_faults
from segline.errors import DataError
from segline.progress import Report, silent

_MAX_FILES_READ = 2000


def guess_polygons(
    folder: Path,
    encoding: Literal["coco", "labelme"],
    collection: Collection,
    *,
    answers: Answers,
    by_name: bool,
    report: Report = silent,
) -> tuple[ClassGuess, list[str]]:
    """Guess the classes from the labels of polygons, and check polygons and images of up to 2000 samples.

    Args:
        by_name: whether names paired the files; a CSV that lists the pairs is not doubted.

    Returns:
        The classes, and notes for the user.

    Raises:
        DataError: a file is wrong, does not fit its image, or no polygon is of a class.
    """
    whole = [(pair.id, pair.image, pair.mask) for pair in collection.pairs if pair.image and pair.mask]
    files = sorted({mask for _, _, mask in whole})
    names: list[str] = []
    read: dict[str, dict[str, Drawing]] = {}
    for file in files if encoding == "coco" else []:
        classes, read[file] = annotations.explore_coco(folder / file, rules=answers.polygons)
        names += classes
    refuse_unused_faults(read, set(collection.entries.values()))
    jobs = [
        Job(
            id=name,
            image=folder / image,
            image_name=image,
            annotation=read[mask][collection.entries[name]] if encoding == "coco" else folder / mask,
        )
        for name, image, mask in whole
    ]
    images = [pair.image for pair in collection.pairs if pair.image is not None]
    chosen = [jobs[place] for place in map(int, spread([str(place) for place in range(len(jobs))], _MAX_FILES_READ))]
    drawings, notes = check(
        chosen, source=folder, images=images, ids=None, rules=answers.polygons, by_name=by_name, report=report
    )
    labels = Counter(label for drawing in drawings for label in drawing.labels)
    counts = dict.fromkeys(names, 0) | dict(sorted(labels.items()))
    refuse_alike(counts, folder, answers, polygons=True)
    what = "COCO polygons" if encoding == "coco" else "LabelMe polygons"
    why = f"categories of {', '.join(files)}" if encoding == "coco" else f"labels in {len(chosen)} files"
    guessed = guess_from_names(encoding, counts, what=what, why=why)
    void = {entry.name for entry in guessed.entries if entry.void}
    if len(chosen) == len(jobs) and not set(labels) - void - {guessed.entries[0].name}:
        raise DataError(
            folder,
            found=f"no polygon of a class in {len(jobs)} samples; all pixels would be background or void",
            expected="polygons of at least one class",
            remedy="export the annotations with their polygons; if there are masks too, move the annotation files out "
            "of the folder",
        )
    return guessed, notes
