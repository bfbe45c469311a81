"""Read Kaggle's run lengths: a CSV with a row for each area: image, class and ``start length start length ...``.

Pixels are counted from 1, down the columns in most competitions and along the rows in a few; ``run_lengths`` of
``own/NAME.yaml`` says which. The class is in a column of its own, or follows the image's name in its column
(``0002cc93b.jpg_1`` in ``ImageId_ClassId``). A row without runs is an image without this class.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from segline.core.vision.polygons import Shape
from segline.datasets.own.drawings import Drawing, find_id
from segline.datasets.own.polygon_rules import STRICT, PolygonRules
from segline.datasets.own.views import choose_size
from segline.errors import DataError, name_fault, shown
from segline.reading import JSON_BYTES, read_bytes

Order = Literal["columns", "rows"]

_IMAGE_COLUMNS = ("imageid", "image_id", "image", "img", "id", "filename", "file", "file_name", "name")
_CLASS_COLUMNS = ("classid", "class_id", "class", "label", "category", "category_id", "categoryid")
_BOTH_COLUMNS = ("imageid_classid", "image_label", "image_class", "id_class")
_RUN_COLUMNS = (
    *("encodedpixels", "encoded_pixels", "rle", "rle_mask", "mask_rle", "rle_encoding", "encoding", "annotation"),
    *("segmentation", "mask", "pixels"),
)
_EMPTY = frozenset({"", "nan", "none", "-1"})
_RUNS = re.compile(r"\d+ \d+( \d+ \d+)*")
_FOREGROUND = "foreground"
_MIN_TELLING_SHARE = 0.9
_REMEDY = "correct the row, or paint the masks as PNG and pair them with the images"


@dataclass(frozen=True, kw_only=True)
class Area:
    """One row: its line in the file, its class, and its runs: starts from 1, and lengths."""

    line: int
    label: str
    starts: tuple[int, ...]
    lengths: tuple[int, ...]


def is_run_lengths(path: Path) -> bool:
    """Return whether a CSV has columns of an image and of run lengths, and runs in one of its first rows."""
    try:
        columns, rows = _read_table(path)
        image, _, runs = _find_columns(columns)
    except (DataError, OSError, ValueError, csv.Error):
        return False
    held = [cells[runs].strip() for _, cells in rows[:1000] if len(cells) > max(runs, image)]
    filled = [text for text in held if text.lower() not in _EMPTY]
    return bool(filled) and sum(_RUNS.fullmatch(text) is not None for text in filled) * 2 > len(filled)


def read_table(path: Path) -> dict[str, list[Area]]:
    """Read the areas of each image, under its name in the file.

    Raises:
        DataError: the file is no such table, or a row is wrong; the line is named.
    """
    try:
        columns, rows = _read_table(path)
        image_at, class_at, runs_at = _find_columns(columns)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            path,
            found=f"cannot be read ({error})",
            expected="a CSV with columns such as ImageId, ClassId and EncodedPixels",
            remedy="correct `masks` in own/NAME.yaml, or rename the columns",
        ) from error
    found: defaultdict[str, list[Area]] = defaultdict(list)
    for line, cells in rows:
        place = f"{path}:{line}"
        if len(cells) != len(columns):
            raise _refuse(place, f"{len(cells)} cells", f"{len(columns)}, as in the first line")
        name, label = cells[image_at].strip(), _FOREGROUND if class_at is None else cells[class_at].strip()
        if class_at == image_at:
            name, _, label = name.rpartition("_")
        if fault := name_fault(label):
            raise _refuse(place, f"class {shown(repr(label))}", fault)
        areas = found[name]
        if cells[runs_at].strip().lower() not in _EMPTY:
            starts, lengths = _parse_runs(cells[runs_at], place)
            areas.append(Area(line=line, label=label, starts=starts, lengths=lengths))
    return dict(found)


def labels_of(table: Mapping[str, Sequence[Area]]) -> list[str]:
    """List the classes: numbers by size, then words by the alphabet."""
    labels = {area.label for areas in table.values() for area in areas}
    return sorted(labels, key=lambda label: (not label.isdecimal(), int(label) if label.isdecimal() else 0, label))


def guess_order(areas: Iterable[tuple[Area, tuple[int, int]]]) -> Order | None:
    """Find out how pixels are numbered: one run of an area starts about a column, or about a row, after the last.

    Args:
        areas: areas, and (H, W) of their images.

    Returns:
        None if it cannot be told, as for square images.
    """
    votes: dict[Order, int] = {"columns": 0, "rows": 0}
    for area, (height, width) in areas:
        steps = np.diff(np.array(area.starts))
        if height == width or not len(steps):
            continue
        by_column, by_row = (int((np.abs(steps - side) <= max(2, side // 20)).sum()) for side in (height, width))
        votes["columns"] += by_column
        votes["rows"] += by_row
    total = sum(votes.values())
    return next((order for order, count in votes.items() if total and count >= _MIN_TELLING_SHARE * total), None)


def check_areas(
    areas: Sequence[Area], *, table: Path, image: Path, ids: Mapping[str, int], rules: PolygonRules = STRICT
) -> None:
    """Check the areas of one image without drawing them.

    Raises:
        DataError: runs leave the image, or a class is not in the class table; or the image's orientation turns it, and
            the user has not said which view was labelled.
    """
    height, width = choose_size(image, place=table, rules=rules)
    for area in areas:
        place = f"{table}:{area.line}"
        find_id(area.label, ids, place)
        last = area.starts[-1] + area.lengths[-1] - 1
        if last > height * width:
            raise _refuse(
                place,
                f"a run that ends at pixel {last} of {image.name}, which has {height} x {width} = {height * width}",
                "runs inside the image: was the picture resized after labelling?",
            )


def draw_areas(
    areas: Sequence[Area],
    *,
    table: Path,
    image: Path,
    order: Order,
    ids: Mapping[str, int],
    rules: PolygonRules = STRICT,
) -> Drawing:
    """Turn the areas of one image into shapes, in the order of the class table.

    Raises:
        DataError: the image cannot be read; or its orientation turns it, and the user has not said which view it was.
    """
    height, width = choose_size(image, place=table, rules=rules)
    ranks = {raw: place for place, raw in enumerate(ids.values())}
    shapes = []
    drawn = [(find_id(area.label, ids, f"{table}:{area.line}"), area) for area in areas]
    for raw, area in sorted(drawn, key=lambda pair: ranks[pair[0]]):
        flat = np.zeros(height * width, dtype=np.bool_)
        for start, length in zip(area.starts, area.lengths, strict=True):
            flat[start - 1 : start - 1 + length] = True
        pixels = flat.reshape(width, height).T if order == "columns" else flat.reshape(height, width)
        shapes.append(Shape(raw=raw, stamp=(pixels, 0, 0)))
    return Drawing(place=f"{table} image {image.name}", height=height, width=width, shapes=tuple(shapes))


def _read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    csv.field_size_limit(1 << 28)
    text = read_bytes(path, limit=JSON_BYTES).decode("utf-8-sig")
    reader = csv.reader(text.splitlines(), delimiter=max(",;\t", key=text.partition("\n")[0].count))
    columns = [name.strip().lower() for name in next(reader, [])]
    return columns, [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]


def _find_columns(columns: Sequence[str]) -> tuple[int, int | None, int]:
    """Return the places of image, class (None if there is none) and runs.

    Raises:
        ValueError: a column is missing.
    """

    def find(names: Sequence[str]) -> int | None:
        return next((columns.index(name) for name in names if name in columns), None)

    runs, both, image = find(_RUN_COLUMNS), find(_BOTH_COLUMNS), find(_IMAGE_COLUMNS)
    place = image if both is None else both
    if runs is None or place is None:
        raise ValueError(f"columns {', '.join(columns)[:120]}")
    return place, both if both is not None else find(_CLASS_COLUMNS), runs


def _parse_runs(text: str, place: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    words = text.split()
    if not all(word.isdecimal() for word in words) or len(words) % 2:
        raise _refuse(place, f"run lengths {shown(text[:40])!r}", "pairs of numbers: start length start length ...")
    numbers = [int(word) for word in words]
    starts, lengths = tuple(numbers[::2]), tuple(numbers[1::2])
    if min(starts) < 1 or min(lengths) < 1:
        raise _refuse(place, "a start or a length of 0", "starts that count from 1, and lengths of at least 1")
    for before, length, start in zip(starts, lengths, starts[1:], strict=False):
        if start < before + length:
            raise _refuse(
                place,
                f"a run at {start}, which is not after the run at {before} with length {length}",
                "runs in ascending order, counted from the image's first pixel and not from the run before",
            )
    return starts, lengths


def _refuse(place: str, found: str, expected: str) -> DataError:
    return DataError(place, found=found, expected=expected, remedy=_REMEDY)
