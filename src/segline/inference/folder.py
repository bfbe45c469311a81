"""Answer many images: read, answer and write side by side, in bounded memory, and continue after a kill.

One thread reads ahead, the caller's thread runs the network on batches of images of one size, and two threads write.
At most `_AHEAD` images wait between any two of them, so that memory does not grow with the number of images.
"""

import csv
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segline.core.labels import VOID
from segline.core.metrics.threshold import Logits
from segline.data.images.scale import scale_image
from segline.errors import DataError, StorageError
from segline.inference import outputs
from segline.inference.answer import Answer
from segline.inference.bundle import Bundle
from segline.inference.done import Done, Line, digest_of, open_record
from segline.inference.outputs import DEFAULT, Output, Style
from segline.inference.photos import Photo, decode_photo, read_file
from segline.inference.predict import logits_of_batch
from segline.inference.sources import Found, Item, count, find_images
from segline.storage import atomic_file

BATCH = 4
"""Images of one size that the network answers at once: more brings nothing on a CPU."""

AREAS = "areas.csv"
"""Table of the pixels of each class in each image."""

_AHEAD = 2 * BATCH
_WRITERS = 2

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is written, and how.

    Args:
        kinds: names of `outputs`.
        style: of pictures.
        abstain: pixels whose confidence is below this stay void; None: all get a class.
        areas: whether the table `AREAS` is written, too.
        model: digest of the model's files; "" if it is not known, which continues no former prediction.
    """

    kinds: tuple[str, ...] = DEFAULT
    style: Style = field(default_factory=Style)
    abstain: float | None = None
    areas: bool = False
    model: str = ""


@dataclass(frozen=True, kw_only=True)
class _Read:
    """An image that was read.

    Args:
        photo: None if it is already answered.
        scaled: at the size at which the network sees it.
    """

    item: Item
    digest: str
    photo: Photo | None
    scaled: "np.ndarray[Any, np.dtype[np.uint8]] | None" = None


def predict_files(
    bundle: Bundle,
    source: str | Path,
    *,
    output: Path,
    report: Report,
    wanted: Wanted = Wanted(),
    found: Found | None = None,
) -> Iterator[Path]:
    """Write what is `wanted` about every image of `source`.

    Images that `output` has an answer to, by the same model with the same options, are not answered again.

    Args:
        source: as `find_images` takes it.
        found: what `find_images` found there; None: it is searched.
        report: receives one line for each image that cannot be read, and one for each kind of file that is skipped,
            turned, or read in part. The other images are still answered.

    Yields:
        Each image, once its files are written, or found to be there.

    Raises:
        DataError: `output` holds files of something else; or there is no image, or at least one cannot be read.
        StorageError: no room or no right to write.
    """
    found = found or find_images(source, output=output)
    job = _Job(bundle, found, source=str(source), output=output, wanted=wanted, report=report)
    yield from job.run()


class _Job:
    """One call of `predict_files`."""

    def __init__(
        self, bundle: Bundle, found: Found, *, source: str, output: Path, wanted: Wanted, report: Report
    ) -> None:
        self._bundle, self._found, self._source = bundle, found, source
        self._output, self._wanted, self._report = output, wanted, report
        self._kinds = [outputs.load(name) for name in wanted.kinds]
        self._done: Done
        self._kept = self._unreadable = 0
        self._turned: list[Path] = []
        self._partial: list[Path] = []

    def run(self) -> Iterator[Path]:
        """Answer all images."""
        made = _describe(self._bundle, self._wanted)
        with open_record(self._output, made) as self._done:
            if self._done.is_new:
                self._refuse_foreign()
            self._done.begin(made)
            yield from self._run()

    def _run(self) -> Iterator[Path]:
        if self._found.others:
            skipped = count(self._found.others, "file")
            self._report(
                f"{self._source}: {skipped} skipped, by the name no image; remedy: convert what is an image to PNG or "
                "JPEG"
            )
        with ThreadPoolExecutor(1, "read") as readers, ThreadPoolExecutor(_WRITERS, "write") as writers:
            try:
                yield from self._answer(self._read_ahead(readers), writers)
            except BaseException:
                for pool in (readers, writers):
                    pool.shutdown(wait=False, cancel_futures=True)
                raise
        self._end()

    def _read_ahead(self, pool: ThreadPoolExecutor) -> Iterator[_Read]:
        """Read the images in their order, a few ahead; report those that cannot be read."""
        waiting: deque[Future[_Read]] = deque()
        items = iter(self._found.images)
        while True:
            while len(waiting) < _AHEAD and (item := next(items, None)) is not None:
                waiting.append(pool.submit(self._read, item))
            if not waiting:
                return
            try:
                yield waiting.popleft().result()
            except DataError as error:
                self._unreadable += 1
                self._report(error.line)

    def _read(self, item: Item) -> _Read:
        data = read_file(item.path)
        digest = digest_of(data)
        if self._done.find(item.name, digest) is not None and not self._list_missing(item):
            return _Read(item=item, digest=digest, photo=None)
        photo = decode_photo(data, place=item.path, levels=self._bundle.levels)
        scaled = scale_image(photo.pixels, short_side=self._bundle.short_side)
        return _Read(item=item, digest=digest, photo=photo, scaled=scaled)

    def _answer(self, images: Iterator[_Read], writers: ThreadPoolExecutor) -> Iterator[Path]:
        """Run the network on batches of images of one size; let the files be written beside it."""
        written: deque[tuple[_Read, Future[Line]]] = deque()
        for batch in _group(images):
            if batch[0].scaled is None:
                self._kept += len(batch)
                yield from (read.item.path for read in batch)
                continue
            answers = logits_of_batch(self._bundle, [read.scaled for read in batch if read.scaled is not None])
            for read, logits in zip(batch, answers, strict=True):
                written.append((read, writers.submit(self._write, read, logits)))
            while len(written) > _AHEAD:
                yield self._record(*written.popleft())
        while written:
            yield self._record(*written.popleft())

    def _write(self, read: _Read, logits: Logits) -> Line:
        """Write the files of one image."""
        assert read.photo is not None
        answer = Answer(
            name=read.item.name,
            bundle=self._bundle,
            image=read.photo.pixels,
            logits=logits,
            abstain=self._wanted.abstain,
        )
        for kind in self._kinds:
            with atomic_file(self._place(read.item, kind)) as partial:
                kind.write(answer, self._wanted.style, partial)
        height, width = answer.mask.shape
        counts = np.bincount(answer.mask.ravel(), minlength=VOID + 1)
        pixels = (*counts[: len(self._bundle.labels)].tolist(), int(counts[VOID]))
        return Line(digest=read.digest, height=height, width=width, pixels=pixels)

    def _record(self, read: _Read, line: Future[Line]) -> Path:
        """Wait until the files of an image are written, and record it."""
        self._done.add(read.item.name, line.result())
        assert read.photo is not None
        self._turned += [read.item.path] if read.photo.turned else []
        self._partial += [read.item.path] if read.photo.has_more else []
        return read.item.path

    def _end(self) -> None:
        """Write the table of areas; say what was peculiar; fail if an image could not be read."""
        if self._wanted.areas:
            self._write_areas()
        if self._kept:
            self._report(
                f"{self._source}: {self._kept} of {len(self._found.images)} images are not answered again, because "
                f"{self._output} has the answers of this model with these options"
            )
        for line in _list_peculiar(self._source, turned=self._turned, partial=self._partial):
            self._report(line)
        if self._unreadable:
            raise DataError(
                self._source,
                found=f"{self._unreadable} of {len(self._found.images)} images cannot be read (named above)",
                expected="images that can be decoded",
                remedy="replace or remove them; the results of the other images are written",
            )

    def _write_areas(self) -> None:
        names = self._bundle.labels.names
        with atomic_file(self._output / AREAS) as partial, partial.open("w", newline="", encoding="utf-8") as handle:
            table = csv.writer(handle)
            table.writerow(["image", "height", "width", *names, "void"])
            for name, line in self._done.list_lines([item.name for item in self._found.images]):
                table.writerow([name, line.height, line.width, *line.pixels])

    def _place(self, item: Item, kind: Output) -> Path:
        return self._output / f"{item.stem}{kind.ending}"

    def _list_missing(self, item: Item) -> list[Path]:
        """List the files of an image that are not there."""
        return [path for kind in self._kinds if not (path := self._place(item, kind)).is_file()]

    def _refuse_foreign(self) -> None:
        """Refuse to replace files that no prediction wrote here."""
        for item in self._found.images:
            for kind in self._kinds:
                path = self._place(item, kind)
                if path.exists():
                    raise StorageError(
                        path,
                        found="a file that was not written by `segline predict`",
                        expected="a folder without files of these names",
                        remedy="choose another --output, or move the file",
                    )


def _group(images: Iterator[_Read]) -> Iterator[list[_Read]]:
    """Group images that follow each other and have one size, at most `BATCH` at a time."""
    batch: list[_Read] = []
    for read in images:
        if batch and (len(batch) == BATCH or _size(read) != _size(batch[0])):
            yield batch
            batch = []
        batch.append(read)
    if batch:
        yield batch


def _size(read: _Read) -> tuple[int, ...] | None:
    return None if read.scaled is None else read.scaled.shape


def _describe(bundle: Bundle, wanted: Wanted) -> dict[str, Any]:
    """Describe what decides the content of the results."""
    style = wanted.style
    return {
        "model": wanted.model,
        "write": sorted(wanted.kinds),
        "threshold": bundle.threshold,
        "mirrors": list(bundle.mirrors),
        "levels": None if bundle.levels is None else list(bundle.levels),
        "abstain": wanted.abstain,
        "opacity": style.opacity,
        "show": None if style.shown is None else sorted(style.shown),
        "legend": style.legend,
    }


def _list_peculiar(source: str, *, turned: Sequence[Path], partial: Sequence[Path]) -> Iterator[str]:
    """Write a line about images that were turned, and one about files with further pages."""
    if turned:
        yield (
            f"{source}: {count(turned, 'image')} turned as the EXIF orientation says: label maps and overlays fit the "
            "image as programs show it; remedy, if they must fit the stored pixels: remove that tag"
        )
    if partial:
        pages = "only the first page or frame is predicted"
        yield f"{source}: {count(partial, 'file')}: {pages}; remedy: save each page as an image of its own"
