"""Groups of files -> the glob patterns that ``params.yaml`` names them by."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import PurePosixPath

from segline.data.look.survey import Group, Survey
from segline.datasets.own import lists


def pattern(groups: Sequence[Group]) -> str:
    """A glob pattern over `groups`: ``images/*/*_leftImg8bit.png``."""
    endings = {group.ending for group in groups}
    suffixes = sorted({group.suffix for group in groups})
    end = endings.pop() if len(endings) == 1 else ""
    suffix = suffixes[0] if len(suffixes) == 1 else "." + "{" + ",".join(item[1:] for item in suffixes) + "}"
    return f"{cover([group.folder for group in groups])}*{end}{suffix}"


def cover(folders: Sequence[str]) -> str:
    """The narrowest pattern of folders, with a slash at its end; empty for the folder itself."""
    parts = [folder.split("/") if folder else [] for folder in dict.fromkeys(folders)]
    if len({len(folder) for folder in parts}) == 1:
        places = [set(column) for column in zip(*parts, strict=True)]
        return "".join(f"{next(iter(place))}/" if len(place) == 1 else "*/" for place in places)
    together = zip(*parts, strict=False)  # as far as the shortest goes
    common = takewhile(lambda place: len(set(place)) == 1, together)
    return "".join(f"{place[0]}/" for place in common) + "**/"


def folder_of(path: str) -> str:
    """The folder of a file; empty for the surveyed folder itself."""
    parent = str(PurePosixPath(path).parent)
    return "" if parent == "." else parent


def coco_pattern(seen: Survey) -> str:
    """One COCO file, or those of the splits that have otherwise the same name."""
    families: dict[tuple[str, ...], list[str]] = {}
    for path in seen.coco:
        words = PurePosixPath(path).stem.replace("-", "_").split("_")
        families.setdefault(tuple(word for word in words if lists.split_named(word) is None), []).append(path)
    chosen = max(families.values(), key=lambda paths: ("instances" in paths[0], len(paths), -len(paths[0])))
    if len(chosen) == 1:
        return chosen[0]
    names = sorted(PurePosixPath(path).name for path in chosen)
    name = names[0] if len(set(names)) == 1 else "{" + ",".join(dict.fromkeys(names)) + "}"
    return cover([folder_of(path) for path in chosen]) + name
