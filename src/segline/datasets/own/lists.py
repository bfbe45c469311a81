"""The user's own lists: pairs in a CSV, splits in list files, and splits that folders' names give."""

import csv
import difflib
import io
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
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
_COLUMNS = ("image", "mask", "split", "group")
_SHOWN = 5


def split_named(text: str) -> Split | None:
    """The split that a word names (``val``, ``Training``, ``test2017``); None where it names none."""
    found = _FOLDER.fullmatch(text.strip())
    return _NAMES[found[1].lower()] if found else None


def split_of_paths(path: str, labels: str) -> Split | None:
    """The split that one of the folders of `path` is named after, or a word in the name of a COCO file."""
    named = [split_named(part) for part in PurePosixPath(path).parent.parts]
    if labels.endswith(".json"):
        named += [split_named(word) for word in re.split("[_.-]", PurePosixPath(labels).stem)]
    return next((split for split in named if split is not None), None)


def choose_pairs(paths: Iterable[str], *, root: Path) -> tuple[str | None, list[str]]:
    """The CSV among `paths` that lists pairs, the one nearest to the top, and why the others are not used.

    Raises:
        DataError: a CSV is meant to list pairs, as it names files that are there, but holds a mistake.
    """
    known = set(paths)
    tables = sorted((path for path in known if path.lower().endswith(".csv")), key=lambda path: (path.count("/"), path))
    chosen: str | None = None
    doubts: list[str] = []
    for path in tables:
        if chosen is not None:
            doubts.append(f"{path} is not used: {chosen} is")
            continue
        try:
            pairs, gone = read_pairs(root / path, root=root)
            if not any(pair.image and pair.mask for pair in pairs):
                raise DataError(
                    root / path,
                    found="; ".join(["no row names an image and a mask that are there", *list(gone.values())[:1]]),
                    expected="paths that count from the folder, such as images/1.jpg",
                    remedy="correct the paths, or take the file out of the folder",
                )
            chosen = path
        except DataError as error:
            if _meant(root / path, known):
                raise
            doubts.append(f"{path} is not used: {error.found}, expected {error.expected}")
    return chosen, doubts[:_SHOWN] + ([f"{len(doubts) - _SHOWN} more CSVs are not used"] if doubts[_SHOWN:] else [])


def _meant(path: Path, known: Collection[str]) -> bool:
    """Whether a CSV is meant to list pairs: its columns say so, or nearly, and it names a file that is there."""
    try:
        columns, rows = _table(path)
    except DataError:
        return False
    if not all(difflib.get_close_matches(name, columns, n=1) for name in ("image", "mask")):
        return False
    return any(cell.strip().replace("\\", "/").removeprefix("./") in known for _, cells in rows for cell in cells)


def read_pairs(path: Path, *, root: Path) -> tuple[list[Pair], dict[str, str]]:
    """A CSV with columns image, mask and, if wanted, split and group; the delimiter may be ``,``, ``;`` or a tab.

    Files that are not there are None in their pair, so that they show as findings.

    Returns:
        The pairs, sorted, and for those with a file that is not there, sample id -> which, and in what line.

    Raises:
        DataError: a column that is missing or unknown, a path that leads out of `root`, an unknown
            split, or an image listed twice; the line is named.
    """
    columns, rows = _table(path)
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
                remedy="put quotes around a name that holds the delimiter",
            )
        row = dict(zip(columns, cells, strict=False))
        pair = _pair(row, place, root)
        if pair.id in lines:
            raise DataError(
                place,
                found=f"{row['image'].strip()}, which line {lines[pair.id]} has already"
                f" (masks {row.get('mask', '').strip() or 'none'} here and {_mask_of(pairs, pair.id)} there)",
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


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The columns of a CSV, and its rows that are not empty with the numbers of their lines."""
    text = _text(path)
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
            remedy="look for a quotation mark that is not closed",
        ) from error


def _mask_of(pairs: Iterable[Pair], name: str) -> str:
    return next(pair.mask for pair in pairs if pair.id == name) or "none"


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            path,
            found=f"cannot be read ({error})",
            expected="a UTF-8 text file",
            remedy="correct its name under options.folder in params.yaml, or save it as UTF-8",
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
        expected="image, mask and, if wanted, split and group",
        remedy=f"rename {wrong!r} to {near[0]!r}" if near and wrong != near[0] else "correct the first line",
    )


def _pair(row: Mapping[str, str], place: str, root: Path) -> Pair:
    image, mask = (_inside(row.get(kind, "").strip(), f"{place} {kind}") for kind in ("image", "mask"))
    if image is None:
        raise DataError(place, found="no image", expected="a path under the folder", remedy="fill it in")
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


def _inside(text: str, place: str) -> str | None:
    if not text:
        return None
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(text).drive or ".." in path.parts:
        raise DataError(
            place,
            found=repr(text),
            expected="a path that counts from the folder and stays in it, such as images/1.jpg",
            remedy="take off what leads to the folder; link or copy files that lie outside it",
        )
    return path.as_posix()


def read_splits(files: Mapping[Split, str], pairs: list[Pair], *, root: Path) -> tuple[list[Pair], list[str]]:
    """Give each pair the split whose list names it: one id, file name or path a line.

    A train list without a validation list leaves validation to be carved out of it.

    Returns:
        The listed pairs, and the ids of those that no list names, which are left out.

    Raises:
        DataError: a line that names nothing, more than one sample, or one of another list.
    """
    known = _names(pairs)
    splits: dict[str, Split] = {}
    places: dict[str, str] = {}
    for split, name in files.items():
        for number, line in enumerate(_text(root / name).splitlines(), start=1):
            place = f"{root / name}:{number}"
            found = _listed(line, known, place)
            if found is None:
                continue
            if splits.get(found, split) != split:
                raise DataError(
                    place,
                    found=f"{found!r}, which {places[found]} lists already",
                    expected="each sample in one list",
                    remedy="delete one of the lines",
                )
            splits[found], places[found] = split, place
    kept = [
        Pair(id=pair.id, image=pair.image, mask=pair.mask, group=pair.group, split=splits[pair.id])
        for pair in pairs
        if pair.id in splits
    ]
    return kept, [pair.id for pair in pairs if pair.id not in splits]


def _names(pairs: Iterable[Pair]) -> dict[str, set[str]]:
    """Every way to name a sample -> ids."""
    known: dict[str, set[str]] = {}
    for pair in pairs:
        for name in {pair.id, *_ways(pair.image), *_ways(pair.mask)}:
            known.setdefault(unicodedata.normalize("NFC", name), set()).add(pair.id)
    return known


def _ways(path: str | None) -> Iterator[str]:
    """A path, its ends, and each without its extension: a list may start anywhere."""
    parts = path.split("/") if path else []
    for start in range(len(parts)):
        end = "/".join(parts[start:])
        yield end
        yield end.rpartition(".")[0] or end


def _listed(line: str, known: Mapping[str, set[str]], place: str) -> str | None:
    text = unicodedata.normalize("NFC", line.strip().replace("\\", "/"))
    if not text or text.startswith("#"):
        return None
    # Some lists have further columns, some start their paths higher up than the folder.
    tries = [text, text.split()[0]]
    tries += [end for word in tries for end in _ways(word.lstrip("./"))]
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
            found=f"{text!r}, which may be {', '.join(sorted(found)[:_SHOWN])}",
            expected="the name of one sample",
            remedy="write the path instead of the file name",
        )
    return next(iter(found))
