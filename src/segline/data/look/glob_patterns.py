"""Write glob patterns for groups of files, as ``own/NAME.yaml`` names them."""

import re
from collections.abc import Collection, Sequence
from itertools import takewhile
from pathlib import PurePosixPath

from segline.data.look.survey import Group, Survey
from segline.datasets.own import lists
from segline.datasets.own.files import Pattern

_MAX_CHOICES = 16
_MAGIC = re.compile(r"[*?{},]")


def write_pattern(groups: Sequence[Group], others: Sequence[Group] = ()) -> str:
    """Write a glob pattern that matches `groups`: ``images/*/*_leftImg8bit.png``.

    Args:
        others: groups that it should not match. If ``*`` would match them, the folders are listed: ``{a,b}/*.png``.
    """
    endings = {group.ending for group in groups}
    suffixes = sorted({group.suffix for group in groups})
    end = endings.pop() if len(endings) == 1 else ""
    suffix = suffixes[0] if len(suffixes) == 1 else "." + "{" + ",".join(item[1:] for item in suffixes) + "}"
    folders = [group.folder for group in groups]
    pattern = f"{cover_folders(folders)}*{end}{suffix}"
    matcher = Pattern(pattern)
    if any(matcher.name(group.paths[0]) is not None for group in others if group not in groups):
        return f"{cover_folders(folders, listed=True)}*{end}{suffix}"
    return pattern


def cover_folders(folders: Sequence[str], *, listed: bool = False) -> str:
    """Write the narrowest pattern that matches `folders`, with a final slash; empty for the surveyed folder itself.

    Folders that differ in the name of a split only, such as ``train_masks`` and ``val_masks``, are listed:
    ``{train,val}_masks``, because the text in braces belongs to the name of a sample.

    Args:
        listed: list all folders, instead of writing ``*``.
    """
    parts = [folder.split("/") if folder else [] for folder in dict.fromkeys(folders)]
    if len({len(folder) for folder in parts}) == 1:
        places = [sorted(set(column)) for column in zip(*parts, strict=True)]
        return "".join(f"{place[0] if len(place) == 1 else _cover_names(place, listed=listed)}/" for place in places)
    together = zip(*parts, strict=False)  # as far as the shortest path goes
    common = takewhile(lambda place: len(set(place)) == 1, together)
    return "".join(f"{place[0]}/" for place in common) + "**/"


def _cover_names(names: Sequence[str], *, listed: bool) -> str:
    if len(names) > _MAX_CHOICES or any(_MAGIC.search(name) for name in names):
        return "*"
    before = common_start(names)
    after = common_start([name[len(before) :][::-1] for name in names])[::-1]
    cuts = [(start, end) for start in range(len(before), -1, -1) for end in range(len(after), -1, -1) if start or end]
    for start, end in cuts:
        middles = [name[start : len(name) - end] for name in names]
        if all(is_split_word(middle) for middle in middles):
            return f"{names[0][:start]}{{{','.join(middles)}}}{names[0][len(names[0]) - end :]}"
    return "{" + ",".join(names) + "}" if listed else "*"


def common_start(names: Sequence[str]) -> str:
    """Return the letters with which all names start."""
    least, most = min(names), max(names)
    return least[: next((at for at, sign in enumerate(least) if most[at : at + 1] != sign), len(least))]


def is_split_word(text: str) -> bool:
    """Return whether a text is the name of a split, or nnU-Net's short form of one."""
    return lists.split_named(text) is not None or text in ("Tr", "Ts")


def folder_of(path: str) -> str:
    """Return the folder of a file; empty for the surveyed folder itself."""
    parent = str(PurePosixPath(path).parent)
    return "" if parent == "." else parent


def write_coco_pattern(seen: Survey) -> str:
    """Write a pattern that matches one COCO file, or several that differ only in the name of their split."""
    families: dict[tuple[str, ...], list[str]] = {}
    for path in seen.coco:
        words = PurePosixPath(path).stem.replace("-", "_").split("_")
        families.setdefault(tuple(word for word in words if lists.split_named(word) is None), []).append(path)
    chosen = max(families.values(), key=lambda paths: ("instances" in paths[0], len(paths), -len(paths[0])))
    if len(chosen) == 1:
        return chosen[0]
    names = sorted(PurePosixPath(path).name for path in chosen)
    name = names[0] if len(set(names)) == 1 else "{" + ",".join(dict.fromkeys(names)) + "}"
    return cover_folders([folder_of(path) for path in chosen]) + name


def write_annotation_pattern(paths: Collection[str]) -> str:
    """Write a pattern that matches text files, one for each image."""
    return f"{cover_folders(sorted({folder_of(path) for path in paths}))}*{PurePosixPath(min(paths)).suffix}"
