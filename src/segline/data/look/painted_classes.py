"""Guess the classes of masks that the extract stage paints, from the names in the annotations."""

from dataclasses import replace
from pathlib import Path

from segline.config import Options
from segline.data.look.answers import Answers
from segline.data.look.class_entries import ClassGuess
from segline.data.look.named_classes import guess_from_names, refuse_alike
from segline.data.look.polygon_guess import guess_polygons
from segline.datasets.own import layers, run_length_table, yolo
from segline.datasets.own.collect import Collection
from segline.progress import Report, silent


def guess_painted(
    options: Options,
    folder: Path,
    collection: Collection,
    *,
    answers: Answers,
    report: Report = silent,
) -> tuple[ClassGuess, list[str]]:
    """Guess the classes of masks that the extract stage paints, from the names in the annotations.

    Returns:
        The classes, and notes for the user.

    Raises:
        DataError: an annotation file is wrong, or names are too similar.
    """
    if options.encoding == "coco" or options.encoding == "labelme":
        by_name = options.pairs is None
        return guess_polygons(folder, options.encoding, collection, answers=answers, by_name=by_name, report=report)
    match options.encoding:
        case "yolo":
            guessed = _guess_yolo(folder, collection, answers)
        case "run_lengths":
            guessed = _guess_run_lengths(options, folder, collection)
        case _:
            counts = dict.fromkeys(layers.class_names(str(options.masks)), 1)
            guessed = guess_from_names(
                "layers", counts, what="one mask for each class", why="names of folders or files"
            )
    refuse_alike([entry.name for entry in guessed.entries], folder, answers, polygons=True)
    return guessed, []


def _guess_yolo(folder: Path, collection: Collection, answers: Answers) -> ClassGuess:
    files = [pair.mask for pair in collection.pairs if pair.image and pair.mask]
    numbers = {number for path in files for _, number, _ in yolo.read_lines(folder / path)}
    names = dict(collection.class_numbers)
    refuse_alike(names.values(), folder, answers, polygons=True)
    yolo.refuse_unnamed(folder, files, names)
    counts = {yolo.name_class(number, names): 1 for number in sorted(numbers | names.keys())}
    guessed = guess_from_names("yolo", counts, what="YOLO polygons", why=f"class numbers in {len(files)} files")
    if numbers - names.keys():
        doubt = "no file names the classes: write data.yaml with `names`, not only the class table"
        return replace(guessed, doubts=(*guessed.doubts, doubt))
    return guessed


def _guess_run_lengths(options: Options, folder: Path, collection: Collection) -> ClassGuess:
    counts: dict[str, int] = {}
    for path in sorted({pair.mask for pair in collection.pairs if pair.mask}):
        counts |= dict.fromkeys(run_length_table.labels_of(run_length_table.read_table(folder / path)), 1)
    guessed = guess_from_names("run_lengths", counts, what="run lengths, as on Kaggle", why=f"rows of {options.masks}")
    order = {
        "columns": "pixels are numbered down the columns, because the run lengths continue from column to column",
        "rows": "pixels are numbered along the rows, because the run lengths continue from row to row",
        None: "it is not known how pixels are numbered: set `run_lengths` in own/NAME.yaml to "
        "columns (usual on Kaggle) or rows, otherwise the next stage stops",
    }[options.run_lengths]
    return replace(guessed, doubts=(*guessed.doubts, order))
