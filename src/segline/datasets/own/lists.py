"""Read the user's own lists: pairs from a CSV, and splits from list files or from names of folders."""

import csv
import difflib
import io
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from segline.datasets.base import Pair, Split
from segline.errors import DataError
from segline.reading import is_regular, read_text

_NAMES: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
_FOLDER = re.compile(rf"({'|'.join(_NAMES)})[_-]?\d*", re.IGNORECASE)
_IMAGE_WORDS = frozenset({"image", "images", "img", "imgs", "input", "inputs", "photos", "pictures", "rgb", "x"})
_SHORT: dict[str, Split] = {"imagesTr": "train", "imagesTs": "test"}  # nnU-Net
_COLUMNS = ("image", "mask", "split", "group")
_MAX_NAMES_SHOWN = 5


def split_named(text: str) -> Split | None:
    """Return the split that a word names (``val``, ``Training``, ``test2017``), or None."""
    found = _FOLDER.fullmatch(text.strip())
    return _NAMES[found[1].lower()] if found else None


def split_of_paths(path: str, labels: str) -> Split | None:
    """Return the split that a folder of the image's `path` names; else that in the name of the COCO file `labels`.

    Return None if neither names a split.
    """
    named = [_split_of_folder(part) for part in PurePosixPath(path).parent.parts]
    if labels.endswith(".json"):
        named += [split_named(word) for word in re.split("[_.-]", PurePosixPath(labels).stem)]
    return next((split for split in named if split is not None), None)


def _split_of_folder(name: str) -> Split | None:
    """Return the split that a folder's name states alone, or with a word for images: ``train``, ``img_train``."""
    words = re.split("[_-]", name)
    rest = [word for word in words if word.lower() not in _IMAGE_WORDS]
    if name in _SHORT:
        return _SHORT[name]
    return split_named(rest[0]) if len(rest) == 1 and len(words) == 2 else split_named(name)


def choose_pairs(paths: Iterable[str], *, root: Path) -> tuple[str | None, list[str]]:
    """Choose the CSV that lists pairs among `paths`; of several, the one nearest to the top.

    Returns:
        The CSV, or None; and one message for each other CSV, which says why it is not used.

    Raises:
        DataError: a CSV has a mistake, but seems meant to list pairs, because it names existing files.
    """
    known = set(paths)
    tables = sorted((path for path in known if path.lower().endswith(".csv")), key=lambda path: (path.count("/"), path))
    chosen: str | None = None
    unused: list[str] = []
    for path in tables:
        if chosen is not None:
            unused.append(f"{path} is not used, because {chosen} lists the pairs")
            continue
        try:
            pairs, gone = read_pairs(root / path, root=root)
            if not any(pair.image and pair.mask for pair in pairs):
                raise DataError(
                    root / path,
                    found="; ".join(["no row names an image and a mask that exist", *list(gone.values())[:1]]),
                    expected="paths relative to the folder, such as images/1.jpg",
                    remedy="correct the paths, or take the file out of the folder",
                )
            chosen = path
        except DataError as error:
            if _looks_like_pairs(root / path, known):
                raise
            unused.append(f"{path} is not used: {error.found}, expected {error.expected}")
    hidden = len(unused) - _MAX_NAMES_SHOWN
    return chosen, unused[:_MAX_NAMES_SHOWN] + ([f"{hidden} more CSVs are not used"] if hidden > 0 else [])


def _looks_like_pairs(path: Path, known: Collection[str]) -> bool:
    """Return whether a CSV seems meant to list pairs: columns nearly named image and mask, and an existing file."""
    try:
        columns, rows = _read_table(path)
    except DataError:
        return False
    if not all(difflib.get_close_matches(name, columns, n=1) for name in ("image", "mask")):
        return False
    return any(cell.strip().replace("\\", "/").removeprefix("./") in known for _, cells in rows for cell in cells)


def read_pairs(path: Path, *, root: Path) -> tuple[list[Pair], dict[str, str]]:
    """Read a CSV with the columns image and mask, and optionally split and group.

    The delimiter may be ``,``, ``;`` or a tab. A file that does not exist is None in its pair, so that it is
    reported as a finding.

    Returns:
        The pairs, sorted; and sample id -> a note of the missing file and its line.

    Raises:
        DataError: a missing or unknown column, a path that leads out of `root`, an unknown split, or an image
            listed twice; the line is named.
    """
    columns, rows = _read_table(path)
    _check_columns(path, columns)
    lines: dict[str, int] = {}
    pairs: list[Pair] = []
    gone: dict[str, str] = {}
    for line, cells in rows:
        place = f"{path}:{line}"
        if len(cells) > len(columns):
            raise DataError(
                place,
                found=f"{len(cells)} cells",
                expected=f"{len(columns)}: {', '.join(columns)}",
                remedy="put quotes around a name that contains the delimiter",
            )
        row = dict(zip(columns, cells, strict=False))
        pair = _parse_row(row, place, root)
        if pair.id in lines:
            raise DataError(
                place,
                found=f"{row['image'].strip()}, which line {lines[pair.id]} already lists"
                f" (masks {row.get('mask', '').strip() or 'none'} here and {_find_mask(pairs, pair.id)} there)",
                expected="each image once",
                remedy="delete one of the lines",
            )
        lines[pair.id] = line
        pairs.append(pair)
        missing = [
            row[kind].strip() for kind in ("image", "mask") if row.get(kind, "").strip() and getattr(pair, kind) is None
        ]
        if missing:
            are = "is" if len(missing) == 1 else "are"
            gone[pair.id] = f"{path.name}:{line} names {' and '.join(missing)}, which {are} not there"
    return sorted(pairs, key=lambda pair: pair.id), gone


def _read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the columns of a CSV, and the line number and the cells of each row that is not empty."""
    text = _read_utf8(path)
    header = text.splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        return columns, [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DataError(
            f"{path}:{reader.line_num}",
            found=f"cannot be read ({error})",
            expected="a CSV file",
            remedy="close the quotation mark that is open",
        ) from error


def _find_mask(pairs: Iterable[Pair], name: str) -> str:
    return next(pair.mask for pair in pairs if pair.id == name) or "none"


def _read_utf8(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            path,
            found=f"cannot be read ({error})",
            expected="a UTF-8 text file",
            remedy="correct its name in own/NAME.yaml, or save it as UTF-8",
        ) from error


def _check_columns(path: Path, columns: list[str]) -> None:
    missing = [name for name in ("image", "mask") if name not in columns]
    unknown = [name for name in columns if name not in _COLUMNS]
    twice = [name for name in columns if columns.count(name) > 1]
    if not missing and not unknown and not twice:
        return
    wrong = (unknown or twice or columns or ["nothing"])[0]
    near = difflib.get_close_matches(wrong, missing or _COLUMNS, n=1)
    raise DataError(
        f"{path}:1",
        found=f"columns {', '.join(columns) or 'none'}" + (f" ({twice[0]} twice)" if twice else ""),
        expected="image, mask and, optionally, split and group",
        remedy=f"rename {wrong!r} to {near[0]!r}" if near and wrong != near[0] else "correct the first line",
    )


def _parse_row(row: Mapping[str, str], place: str, root: Path) -> Pair:
    image, mask = (_check_path(row.get(kind, "").strip(), f"{place} {kind}") for kind in ("image", "mask"))
    if image is None:
        raise DataError(place, found="no image", expected="a path under the folder", remedy="write the path")
    word = row.get("split", "").strip()
    split = split_named(word) if word else None
    if word and split is None:
        raise DataError(
            f"{place} split", found=repr(word), expected="train, validation, test or nothing", remedy="correct it"
        )
    return Pair(
        id=unicodedata.normalize("NFC", image.rpartition(".")[0] or image),
        image=image if is_regular(root / image) else None,
        mask=mask if mask and is_regular(root / mask) else None,
        split=split,
        group=row.get("group", "").strip(),
    )


def _check_path(text: str, place: str) -> str | None:
    """Return a path of the CSV with ``/`` as separator; None if the cell is empty. Refuse a path out of the folder."""
    if not text:
        return None
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(text).drive or ".." in path.parts:
        raise DataError(
            place,
            found=repr(text),
            expected="a path relative to the folder and inside it, such as images/1.jpg",
            remedy="write only the part of the path below the folder; link or copy files that are outside it",
        )
    return path.as_posix()


def read_splits(files: Mapping[Split, str], pairs: list[Pair], *, root: Path) -> tuple[list[Pair], list[str]]:
    """Give each pair the split of the list that names it. Each line of a list is an id, a file name or a path.

    Returns:
        The listed pairs; and the ids of the pairs that are in no list, which are left out.

    Raises:
        DataError: a line names no sample, several samples, or a sample of another list.
    """
    known = _index_names(pairs)
    splits: dict[str, Split] = {}
    places: dict[str, str] = {}
    for split, name in files.items():
        for number, line in enumerate(_read_utf8(root / name).splitlines(), start=1):
            place = f"{root / name}:{number}"
            found = _find_listed(line, known, place)
            if found is None:
                continue
            if splits.get(found, split) != split:
                raise DataError(
                    place,
                    found=f"{found!r}, which {places[found]} already lists",
                    expected="each sample in one list",
                    remedy="delete one of the lines",
                )
            splits[found], places[found] = split, place
    kept = [replace(pair, split=splits[pair.id]) for pair in pairs if pair.id in splits]
    return kept, [pair.id for pair in pairs if pair.id not in splits]


def _index_names(pairs: Iterable[Pair]) -> dict[str, set[str]]:
    """Map every possible name of a sample to the ids that it may mean."""
    known: dict[str, set[str]] = {}
    for pair in pairs:
        for name in {pair.id, *_list_endings(pair.image), *_list_endings(pair.mask)}:
            known.setdefault(unicodedata.normalize("NFC", name), set()).add(pair.id)
    return known


def _list_endings(path: str | None) -> Iterator[str]:
    """Yield a path and its ends, with and without the extension: the paths of a list may start at any folder."""
    parts = path.split("/") if path else []
    for start in range(len(parts)):
        end = "/".join(parts[start:])
        yield end
        yield end.rpartition(".")[0] or end


def _find_listed(line: str, known: Mapping[str, set[str]], place: str) -> str | None:
    """Return the id of the sample that a line of a list names; None for an empty line or a comment."""
    text = unicodedata.normalize("NFC", line.strip().replace("\\", "/"))
    if not text or text.startswith("#"):
        return None
    # Some lists have further columns. In others, paths start at a folder above the user's folder.
    tries = [text, text.split()[0]]
    tries += [end for word in tries for end in _list_endings(word.lstrip("./"))]
    found = next((known[word] for word in tries if word in known), None)
    if found is None:
        near = difflib.get_close_matches(text, known, n=1)
        raise DataError(
            place,
            found=f"{text[:120]!r}, which names no sample",
            expected=f"{near[0]!r}?" if near else "an id, a file name or a path under the folder",
            remedy="correct or delete the line",
        )
    if len(found) > 1:
        raise DataError(
            place,
            found=f"{text!r}, which matches several samples: {', '.join(sorted(found)[:_MAX_NAMES_SHOWN])}",
            expected="the name of one sample",
            remedy="write the path instead of the file name",
        )
    return next(iter(found))
