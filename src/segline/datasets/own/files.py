"""Which files of a folder are images and which are masks, and which mask belongs to which image.

Files are paired by name, never by order or count. What the wildcards of a pattern stand for is a file's
name: of ``images/*/*.jpg`` and ``masks/*/*_mask.png``, ``images/cam1/7.jpg`` and ``masks/cam1/7_mask.png``
are both ``cam1/7``. Upper and lower case of extensions do not matter, nor does how letters with accents
are composed; customary endings (`_ENDINGS`) are taken off where the plain names do not meet.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from segline.errors import DataError
from segline.project import Files
from segline.reading import refuse_device, refuse_leaving

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp"})
"""A folder of ours in the copied data; one of that name in the user's is not looked into."""

_HIDDEN = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", "Desktop.ini", Files.OWN})
_ENDINGS = re.compile(
    r"[ _.-]*(gtfine_labelids|gtfine_labeltrainids|gtfine_color|leftimg8bit|labelids|labeltrainids|segmentation"
    r"|label_?map|groundtruth|ground_truth|masks?|labels?|annotations?|annot|image|img|rgb|sat|seg|gt|lbl|trimap|l)$",
    re.IGNORECASE,
)
_UNLISTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # control, line ends, and no UTF-8
_SEPARATED = re.compile(r"[ _.-]")


def walk(folder: Path, *, follow_links: bool = False) -> Iterator[str]:
    """Files under `folder`, as sorted posix paths relative to it; hidden ones are left out.

    Links are followed; a folder that is reached again through one is not walked again.

    Args:
        follow_links: whether they may lead out of `folder`.

    Raises:
        DataError: a name that is no UTF-8, or holds a line end; a FIFO, a device or a socket.
        LinkError: a link leads out of `folder`.
    """
    yield from _walk(folder, "", set(), None if follow_links else folder)


def _walk(folder: Path, prefix: str, seen: set[tuple[int, int]], within: Path | None) -> Iterator[str]:
    state = folder.stat()
    if (state.st_dev, state.st_ino) in seen:
        return
    seen.add((state.st_dev, state.st_ino))
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith(".") or entry.name in _HIDDEN:
            continue
        if _UNLISTABLE.search(entry.name):
            raise DataError(
                ascii(str(folder / entry.name)),
                found="a name with bytes that are no UTF-8, or with a line end",
                expected="a name that lists can hold",
                remedy="rename it",
            )
        if within is not None and entry.is_symlink():
            refuse_leaving(within, [f"{prefix}{entry.name}"])
        if _is_folder(entry):
            yield from _walk(folder / entry.name, f"{prefix}{entry.name}/", seen, within)
        else:
            if entry.is_symlink() or not entry.is_file():
                refuse_device(folder / entry.name)
            yield f"{prefix}{entry.name}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: whoever reads it will say so
        return False


def is_image(path: str) -> bool:
    """Whether a file's name says that it is a picture."""
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


class Pattern:
    """A folder, a file, or a glob pattern: ``*`` and ``?`` within a name, ``**`` over folders, ``{a,b}`` either."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._whole = not any(sign in text for sign in "*?{")
        inside = _regex("/**/*") if self._whole else ""
        whole = re.escape(text.rstrip("/")) + f"(?:{inside})?" if self._whole else _regex(text)
        self._regex = re.compile(whole, re.IGNORECASE)

    def name(self, path: str) -> str | None:
        """What the wildcards stand for in `path`, without the extension; None where it does not match."""
        found = self._regex.fullmatch(path)
        if found is None or (self._whole and not is_image(path) and not path.lower().endswith(".json")):
            return None
        spans = [span for span in found.regs[1:] if span[0] < span[1]]
        name = ""
        for (_, before), (start, end) in zip([(0, 0), *spans], spans, strict=False):
            between = path[before:start]  # what stands between two wildcards of one file or folder name belongs to it
            if name and "/" in between:
                name, between = name.rstrip("/"), "/"
            name += (between if name else "") + path[start:end]
        if spans and spans[-1][1] == len(path) and "." in PurePosixPath(name).name[1:]:
            name = name.rpartition(".")[0]  # a wildcard stands for the extension too
        return unicodedata.normalize("NFC", name)


def _regex(text: str) -> str:
    """A glob pattern as a regular expression; each of its wildcards, with what it touches, is a group."""
    regex = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\{[^{}]*\})", text):
        match part:
            case "**/":
                regex += r"((?:[^/]+/)*)"
            case "**":
                regex += r"(.*)"
            case "*":
                regex += r"([^/]*)"
            case "?":
                regex += r"([^/])"
            case _ if part.startswith("{"):
                regex += "(" + "|".join(re.escape(choice) for choice in part[1:-1].split(",")) + ")"
            case _:
                regex += re.escape(part)
    return regex


def ending(name: str) -> str:
    """The customary ending of a name, with what separates it; empty where it has none."""
    return name[len(plain(name)) :]


def plain(name: str) -> str:
    """A name without customary endings: ``cam1/7_mask`` -> ``cam1/7``."""
    while True:
        shorter = _ENDINGS.sub("", name)
        cut = name[len(shorter) :]
        # "ball" does not end in "l", and a name that is all ending keeps it.
        if not cut or not _SEPARATED.match(cut) or not shorter or shorter.endswith("/"):
            return name
        name = shorter


def pair(
    images: Iterable[tuple[str, str]], masks: Iterable[tuple[str, str]]
) -> list[tuple[str, str | None, str | None]]:
    """Pair (name, path) entries.

    Returns:
        (name, image path or None, mask path or None), sorted by name.

    Raises:
        DataError: two images of one name, or several masks for one image.
    """
    image_of = _unique(images, "images")
    exact: list[tuple[str, str]] = []
    rest: list[tuple[str, str]] = []
    for name, path in masks:
        (exact if name in image_of else rest).append((name, path))
    taken = {name for name, _ in exact}
    by_plain: dict[str, list[str]] = {}
    for name in image_of:
        if name not in taken:
            by_plain.setdefault(plain(name), []).append(name)
    for name, path in rest:
        candidates = by_plain.get(plain(name), []) or [other for other in (plain(name),) if other in image_of]
        exact.append((candidates[0] if len(candidates) == 1 else name, path))
    mask_of = _unique(exact, "masks")
    return [(name, image_of.get(name), mask_of.get(name)) for name in sorted(image_of.keys() | mask_of.keys())]


def _unique(entries: Iterable[tuple[str, str]], kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, path in entries:
        if name in found:
            raise DataError(
                path,
                found=f"belongs to {name!r}, and so does {found[name]}",
                expected=f"one of the {kind} for each name",
                remedy=f"make the pattern `{kind}` under options.folder in params.yaml match only one of them, "
                "or list the pairs in a CSV (`pairs`)",
            )
        found[name] = path
    return found
