"""Write glob patterns for groups of files, as ``params.yaml`` names them."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import PurePosixPath

from segline.data.look.survey import Group, Survey
from segline.datasets.own import lists


def write_pattern(groups: Sequence[Group]) -> str:
    """Write a glob pattern that matches `groups`: ``images/*/*_leftImg8bit.png``."""
    endings = {group.ending for group in groups}
    suffixes = sorted({group.suffix for group in groups})
    end = endings.pop() if len(endings) == 1 else ""
    suffix = suffixes[0] if len(suffixes) == 1 else "." + "{" + ",".join(item[1:] for item in suffixes) + "}"
    return f"{cover_folders([group.folder for group in groups])}*{end}{suffix}"


def cover_folders(folders: Sequence[str]) -> str:
    """Write the narrowest pattern that matches `folders`, with a final slash; empty for the surveyed folder itself."""
    parts = [folder.split("/") if folder else [] for folder in dict.fromkeys(folders)]
    if len({len(folder) for folder in parts}) == 1:
        places = [set(column) for column in zip(*parts, strict=True)]
        return "".join(f"{next(iter(place))}/" if len(place) == 1 else "*/" for place in places)
    together = zip(*parts, strict=False)  # as far as the shortest path goes
    common = takewhile(lambda place: len(set(place)) == 1, together)
    return "".join(f"{place[0]}/" for place in common) + "**/"


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
