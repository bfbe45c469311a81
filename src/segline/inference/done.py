"""What is already answered in a folder of results, so that a stopped prediction continues where it stopped.

``.segline-predict/made.json`` says which model and options made the results. ``.segline-predict/done.jsonl`` gets one
line for each image, after its files are written: its name, the digest of its content, and its areas. A line that a
kill cut short is ignored, and its image is answered again.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from segline.errors import DataError, StorageError
from segline.storage import reporting_storage, write_json

FOLDER = ".segline-predict"
"""Where the records lie, below the folder of results."""

_MADE, _DONE = "made.json", "done.jsonl"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One answered image.

    Args:
        digest: SHA-256 of its file.
        height: of the label map, pixels.
        width: of the label map, pixels.
        pixels: number of pixels of each class, by train id; the last number is void.
    """

    digest: str
    height: int
    width: int
    pixels: tuple[int, ...]


class Done:
    """The record of a folder of results; `open_record` makes one.

    Args:
        folder: where the record lies.
        lines: what was answered before.
        is_new: whether nothing was written to the folder of results yet.
    """

    def __init__(self, folder: Path, lines: Mapping[str, Line], *, is_new: bool) -> None:
        self._folder, self._lines, self.is_new = folder, dict(lines), is_new

    def begin(self, made: Mapping[str, Any]) -> None:
        """Record what makes the results: from here on, the files in the folder are those of this prediction."""
        if self.is_new:
            write_json(self._folder / _MADE, dict(made))

    def find(self, name: str, digest: str) -> Line | None:
        """Return the line of an image that is already answered; None if it is not, or its content changed."""
        line = self._lines.get(name)
        return line if line is not None and line.digest == digest else None

    def add(self, name: str, line: Line) -> None:
        """Record an image whose files are written.

        Raises:
            StorageError: no room, or no right to write.
        """
        self._lines[name] = line
        text = json.dumps({"name": name, **vars(line)})
        path = self._folder / _DONE
        with reporting_storage(path), path.open("a", encoding="utf-8") as handle:
            # After a line that a kill cut short, a new one begins.
            handle.write(f"{text}\n" if _ends_whole(path) else f"\n{text}\n")

    def list_lines(self, names: Sequence[str]) -> Iterator[tuple[str, Line]]:
        """List the images among `names` that are answered, in this order."""
        return ((name, self._lines[name]) for name in names if name in self._lines)


@contextmanager
def open_record(output: Path, made: Mapping[str, Any]) -> Iterator[Done]:
    """Open the record of the folder `output`, and let no other process write to it meanwhile.

    Args:
        made: what decides the content of results: the model's digest, and the options.

    Raises:
        DataError: the folder holds results of another model, or of other options.
        StorageError: another prediction writes to it; or no room, or no right to write.
    """
    folder = output / FOLDER
    with reporting_storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise StorageError(
            output,
            found="another prediction writes to this folder now",
            expected="a folder that only one prediction writes to",
            remedy="wait until it has ended, or choose another --output",
        ) from error
    try:
        lines = dict(_read(folder / _DONE))
        is_new = not (folder / _MADE).is_file()
        if not is_new and (differing := _list_differing(folder / _MADE, made)):
            if lines:
                raise _report_others(output, differing)
            is_new = True  # the former one wrote nothing, for example because it could read no image
        yield Done(folder, lines, is_new=is_new)
    finally:
        lock.release()


def _list_differing(path: Path, made: Mapping[str, Any]) -> list[str]:
    """List what differs between a former prediction and this one."""
    before = _parse(path.read_text(encoding="utf-8"))
    return sorted(name for name in {*made, *before} if before.get(name) != made.get(name))


def _report_others(output: Path, differing: Sequence[str]) -> DataError:
    return DataError(
        output,
        found=f"results of another prediction; different: {', '.join(differing)}",
        expected="an empty folder, or results of the same model and options",
        remedy="choose another --output, or delete this folder",
    )


def _read(path: Path) -> Iterator[tuple[str, Line]]:
    """Read the images that were answered; skip a line that a kill cut short."""
    if path.is_file():
        for text in path.read_text(encoding="utf-8").splitlines():
            entry = _parse(text)
            if entry.keys() == {"name", "digest", "height", "width", "pixels"}:
                name = str(entry.pop("name"))
                yield name, Line(**entry | {"pixels": tuple(entry["pixels"])})


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of an image's file, in hex digits."""
    return hashlib.sha256(data).hexdigest()


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as handle:
        handle.seek(0, 2)
        if handle.tell() == 0:
            return True
        handle.seek(-1, 2)
        return handle.read(1) == b"\n"


def _parse(text: str) -> dict[str, Any]:
    """Return the object that a line holds; an empty one if the line is no whole object."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
