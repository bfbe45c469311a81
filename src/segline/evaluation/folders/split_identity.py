"""Which of a dataset's splits a folder of labels is.

Its files tell, where they are those that were validated. A copy that another encoder wrote, or that holds
train ids, has other bytes and is the same truth: where the images' names are a split's, such labels are
compared with those of this project, decoded for it. That costs nothing where files are the same, and
validation nothing at all.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from segline.core.coding import Colours
from segline.data.images.decode import decode_mask
from segline.errors import DataError
from segline.evaluation.folders.count_pairs import Reading, content
from segline.evaluation.folders.published_splits import Published
from segline.parallel.pool import stream_samples
from segline.pictures import read_bytes
from segline.progress import Report

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The split that labels are of; None where they are of none, and why."""

    split: str | None
    why: str


@dataclass(frozen=True, kw_only=True)
class _Label:
    """One that was validated, and what stands in its place."""

    name: str
    path: Path
    sha256: str
    content: str


def identify(
    published: Published,
    *,
    files: Mapping[str, str],
    contents: Mapping[str, str],
    reading: Reading,
    colours: Colours | None,
    workers: int,
    report: Report,
) -> Identity:
    """Find the split whose labels these are.

    Args:
        files: image -> SHA-256 of its label's file.
        contents: image -> `segline.evaluation.folders.count_pairs.content` of its label.
        reading: of the dataset's own labels.
        colours: of the dataset's own labels.
    """
    recognised = published.recognise(files)
    if recognised:
        return Identity(split=recognised, why="the files that were validated")
    sizes = {split: len(labels) for split, labels in published.labels.items() if labels}
    if not sizes:
        why = "nothing is known here of the dataset's splits: score in a project where `dvc repro` ran"
        return Identity(split=None, why=why)
    named = published.called(frozenset(files))
    if named is None:
        shown = ", ".join(f"{split} {size}" for split, size in sizes.items())
        why = f"these {len(files)} images are no whole split ({shown}): --split picks one out of all labels"
        return Identity(split=None, why=why)
    labels = [
        _Label(name=name, path=published.raw / published.masks[named][name], sha256=digest, content=contents[name])
        for name, digest in published.labels[named].items()
        if digest != files[name]
    ]
    compare = partial(_alike, reading=reading, colours=colours)
    what = f"compare with the labels of {named}"
    verdicts = list(stream_samples(compare, labels, workers=workers, description=what, report=report))
    gone = [label.name for label, alike in zip(labels, verdicts, strict=True) if alike is None]
    unlike = [label.name for label, alike in zip(labels, verdicts, strict=True) if alike is False]
    many = f"of the {len(files)} {named} images"
    if unlike:
        return Identity(split=None, why=f"{len(unlike)} {many} have other labels than were validated: {_some(unlike)}")
    if gone:
        why = (
            f"{len(labels)} {many} have other files than were validated, which are not in {published.raw} to compare "
            f"with ({_some(gone)}): run `dvc repro`, or give the dataset's own files as --truth"
        )
        return Identity(split=None, why=why)
    return Identity(split=named, why=f"the labels that were validated, {len(labels)} of them in other files")


def _alike(label: _Label, *, reading: Reading, colours: Colours | None) -> bool | None:
    """Whether a label is the validated one, pixel by pixel; None where that is not there any more."""
    try:
        data = read_bytes(label.path)
        if hashlib.sha256(data).hexdigest() != label.sha256:
            return None
        return content(decode_mask(data, place=label.path, colours=colours), reading.table) == label.content
    except DataError:
        return None


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
