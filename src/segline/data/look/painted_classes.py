"""Guess the classes of masks that the extract stage paints, from the names in the annotations."""

from dataclasses import replace
from pathlib import Path

from segline.config import Options
from segline.data.look.class_guess import ClassGuess, guess_from_names
from segline.data.look.survey import spread
from segline.datasets.own import annotations, layers, run_length_table, yolo
from segline.datasets.own.collect import Collection

_MAX_LABELME_FILES_READ = 2000


def guess_painted(options: Options, folder: Path, collection: Collection) -> ClassGuess:
    """Guess the classes of masks that the extract stage paints, from the names in the annotations."""
    match options.encoding:
        case "coco":
            return _guess_coco(folder, collection)
        case "labelme":
            return _guess_labelme(folder, collection)
        case "yolo":
            return _guess_yolo(folder, collection)
        case "run_lengths":
            return _guess_run_lengths(options, folder, collection)
    counts = dict.fromkeys(layers.class_names(str(options.masks)), 1)
    return guess_from_names("layers", counts, what="one mask for each class", why="names of folders or files")


def _guess_yolo(folder: Path, collection: Collection) -> ClassGuess:
    files = [pair.mask for pair in collection.pairs if pair.image and pair.mask]
    numbers = {number for path in files for number, _ in yolo.read_lines(folder / path)}
    names = dict(collection.class_numbers)
    counts = {yolo.name_class(number, names): 1 for number in sorted(numbers | names.keys())}
    guessed = guess_from_names("yolo", counts, what="YOLO polygons", why=f"class numbers in {len(files)} files")
    if numbers - names.keys():
        doubt = "data.yaml does not name all classes: add the names there, not only in the class table"
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
        None: "it is not known how pixels are numbered: set `run_lengths` under options.folder in params.yaml to "
        "columns (usual on Kaggle) or rows, otherwise the next stage stops",
    }[options.run_lengths]
    return replace(guessed, doubts=(*guessed.doubts, order))


def _guess_coco(folder: Path, collection: Collection) -> ClassGuess:
    counts: dict[str, int] = {}
    files = sorted({pair.mask for pair in collection.pairs if pair.mask})
    for path in files:
        for name in annotations.categories(folder / path):
            counts.setdefault(name, 0)
    return guess_from_names("coco", counts, what="COCO polygons", why=f"categories of {', '.join(files)}")


def _guess_labelme(folder: Path, collection: Collection) -> ClassGuess:
    files = [pair.mask for pair in collection.pairs if pair.image and pair.mask]
    chosen = spread(files, _MAX_LABELME_FILES_READ)
    counts = annotations.labels(folder / path for path in chosen)
    ordered = dict(sorted(counts.items()))
    return guess_from_names("labelme", ordered, what="LabelMe polygons", why=f"labels in {len(chosen)} files")
