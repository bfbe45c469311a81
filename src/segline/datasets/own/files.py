"""Find the images and the masks of a folder, and pair them.

Files are paired by name, never by order or count. A file's name is the text that the wildcards of the pattern
match: with ``images/*/*.jpg`` and ``masks/*/*_mask.png``, the files ``images/cam1/7.jpg`` and
``masks/cam1/7_mask.png`` are both named ``cam1/7``. Upper and lower case of extensions do not matter, and letters
with accents are composed the same way (NFC). A mask whose name equals that of no image is compared again without
the usual endings (`_ENDINGS`) of both names.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from segline.datasets.base import match
from segline.errors import DataError
from segline.project import Files
from segline.reading import refuse_device, refuse_leaving

_IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp"})

# `Files.OWN` is a folder that Segline adds to the copied data, so a user's folder of that name is ignored.
_HIDDEN = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", "Desktop.ini", Files.OWN})
_ENDINGS = re.compile(
    r"[ _.-]*(gtfine_labelids|gtfine_labeltrainids|gtfine_color|leftimg8bit|labelids|labeltrainids|segmentation"
    r"|label_?map|groundtruth|ground_truth|masks?|labels?|annotations?|annot|image|img|rgb|sat|seg|gt|lbl|trimap|l)$",
    re.IGNORECASE,
)
# Control characters, line ends, and what Python makes of bytes that are not UTF-8.
_FORBIDDEN_IN_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SEPARATOR = re.compile(r"[ _.-]")


def walk(folder: Path, *, follow_links: bool = False) -> Iterator[str]:
    """Yield the files under `folder`, as sorted posix paths relative to it. Hidden files are left out.

    Links are followed. A folder is listed once, even if several links lead to it.

    Args:
        follow_links: links may lead out of `folder`.

    Raises:
        DataError: a name is not UTF-8 or has a line end; a file is a FIFO, a device or a socket.
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
        if _FORBIDDEN_IN_NAMES.search(entry.name):
            raise DataError(
                ascii(str(folder / entry.name)),
                found="a name that is not UTF-8, or has a line end or a control character",
                expected="a name that fits on one line of a list",
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
    except OSError:  # a link to itself: reading it will fail, and say why
        return False


def is_image(path: str) -> bool:
    """Return whether a file has the extension of a picture."""
    return PurePosixPath(path).suffix.lower() in _IMAGE_SUFFIXES


class Pattern:
    """A folder, a file, or a glob pattern.

    ``*`` and ``?`` match inside one name, ``**`` matches any folders, ``{a,b}`` matches a or b.
    """

    def __init__(self, text: str) -> None:
        self._is_path = not any(sign in text for sign in "*?{")
        below = _compile_glob("/**/*") if self._is_path else ""
        whole = re.escape(text.rstrip("/")) + f"(?:{below})?" if self._is_path else _compile_glob(text)
        self._regex = re.compile(whole, re.IGNORECASE)

    def name(self, path: str) -> str | None:
        """Return the text that the wildcards match in `path`, without the extension; None if it does not match."""
        found = self._regex.fullmatch(path)
        if found is None or (self._is_path and not is_image(path) and not path.lower().endswith(".json")):
            return None
        spans = [span for span in found.regs[1:] if span[0] < span[1]]
        name = ""
        for (_, before), (start, end) in zip([(0, 0), *spans], spans, strict=False):
            between = path[before:start]  # text between two wildcards of one file or folder name belongs to the name
            if name and "/" in between:
                name, between = name.rstrip("/"), "/"
            name += (between if name else "") + path[start:end]
        if spans and spans[-1][1] == len(path) and "." in PurePosixPath(name).name[1:]:
            name = name.rpartition(".")[0]  # the last wildcard matched the extension too
        return unicodedata.normalize("NFC", name)


def _compile_glob(text: str) -> str:
    """Turn a glob pattern into a regular expression, with a group for each wildcard."""
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
    """Return the usual ending of a name, with its separator: ``_mask`` of ``cam1/7_mask``; "" if it has none."""
    return name[len(plain(name)) :]


def plain(name: str) -> str:
    """Remove the usual endings from a name: ``cam1/7_mask`` -> ``cam1/7``."""
    while True:
        shorter = _ENDINGS.sub("", name)
        cut = name[len(shorter) :]
        # The "l" of "ball" is no ending, because no separator is before it. A name such as "mask" is kept.
        if not cut or not _SEPARATOR.match(cut) or not shorter or shorter.endswith("/"):
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
    image_of = _index_unique(images, "images")
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
    mask_of = _index_unique(exact, "masks")
    return match(image_of.items(), mask_of.items())


def _index_unique(entries: Iterable[tuple[str, str]], kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, path in entries:
        if name in found:
            raise DataError(
                path,
                found=f"belongs to {name!r}, and so does {found[name]}",
                expected=f"only one of the {kind} for each name",
                remedy=f"change the pattern `{kind}` in own/NAME.yaml so that it matches only one "
                "of them, or list the pairs in a CSV (`pairs`)",
            )
        found[name] = path
    return found
