"""Guess the splits: by lists of names, or by the names of folders."""

from pathlib import PurePosixPath

from segline.config import Options
from segline.data.look.glob_patterns import folder_of
from segline.data.look.survey import Survey
from segline.datasets.base import SPLITS, Split
from segline.datasets.own import lists
from segline.datasets.own.collect import Collection, collect
from segline.errors import DataError


def add_split_lists(
    options: Options, collection: Collection, seen: Survey
) -> tuple[Options, Collection, str, list[str]]:
    """Use the list files of splits if they fit the data; return reason and doubts too."""
    if any(pair.split and pair.split != "test" for pair in collection.pairs) or _has_test_split(collection):
        return options, collection, _explain_split(options, collection), []
    found: dict[str, dict[Split, str]] = {}
    for path in seen.paths:
        split = lists.split_named(PurePosixPath(path).stem)
        if split is not None and PurePosixPath(path).suffix.lower() in (".txt", ".lst", ".list"):
            found.setdefault(folder_of(path), {}).setdefault(split, path)
    doubts: list[str] = []
    for files in found.values():
        if "train" not in files or len(files) < 2:
            continue
        ordered = {split: files[split] for split in SPLITS if split in files}
        try:
            listed = options.model_copy(update={"splits": ordered})
            return listed, collect(listed, seen.folder), f"the lists {', '.join(ordered.values())}", doubts
        except DataError as error:
            doubts.append(f"the lists {', '.join(ordered.values())} are not used: {error.place}: {error.found}")
    return options, collection, _explain_split(options, collection), doubts


def _has_test_split(collection: Collection) -> bool:
    """Return whether the data name a test split, that is, all its samples are in folders or rows named test."""
    tests = [pair for pair in collection.pairs if pair.split == "test"]
    return bool(tests) and all(lists.split_of_paths(pair.image or "", pair.mask or "") == "test" for pair in tests)


def _explain_split(options: Options, collection: Collection) -> str:
    named = {lists.split_of_paths(pair.image or pair.mask or "", pair.mask or "") for pair in collection.pairs} - {None}
    if options.pairs is None and len(named) > 1 and "train" in named:
        missing = [name for name in ("validation", "test") if name not in named]
        return "by the names of folders or files" + (f"; {' and '.join(missing)} taken out of train" if missing else "")
    if options.pairs is not None and any(pair.split in ("train", "validation") for pair in collection.pairs):
        return "the column split"
    return "no split was found: fixed shares, assigned by a hash of the names"
