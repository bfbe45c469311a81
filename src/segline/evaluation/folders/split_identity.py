"""Find out which of a dataset's splits a folder of labels is.

If the files are the validated ones, their digests are equal. A copy written by another encoder, or with train ids, has
other bytes but the same content. So if the images' names are those of a split, labels with other bytes are decoded and
compared with the labels of this project. Nothing is decoded if all files are equal.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from segline.core.coding import Colours
from segline.data.images.decode import decode_mask
from segline.errors import DataError
from segline.evaluation.folders.count_pairs import Reading, content_digest
from segline.evaluation.folders.published_splits import Published
from segline.parallel.pool import stream_samples
from segline.pictures import read_bytes
from segline.progress import Report

_MAX_NAMES_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The split that labels belong to, or None; and the reason, for people."""

    split: str | None
    why: str


@dataclass(frozen=True, kw_only=True)
class _Label:
    """A validated label's file and digest, and the content digest of the label to compare with it."""

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
    """Find the split that these labels belong to.

    Args:
        files: image -> SHA-256 of its label's file.
        contents: image -> `segline.evaluation.folders.count_pairs.content_digest` of its label.
        reading: how the dataset's own labels are read.
        colours: the colours of the dataset's own labels.
    """
    recognised = published.recognise(files)
    if recognised:
        return Identity(split=recognised, why="the files are the validated ones")
    sizes = {split: len(labels) for split, labels in published.labels.items() if labels}
    if not sizes:
        why = "the dataset's splits are not known here: score in a project where `dvc repro` ran"
        return Identity(split=None, why=why)
    named = published.called(frozenset(files))
    if named is None:
        shown = ", ".join(f"{split} {size}" for split, size in sizes.items())
        why = f"these {len(files)} images are not a whole split ({shown}): choose one with --split"
        return Identity(split=None, why=why)
    labels = [
        _Label(name=name, path=published.raw / published.masks[named][name], sha256=digest, content=contents[name])
        for name, digest in published.labels[named].items()
        if digest != files[name]
    ]
    compare = partial(_is_validated, reading=reading, colours=colours)
    what = f"compare with the labels of {named}"
    verdicts = list(stream_samples(compare, labels, workers=workers, description=what, report=report))
    gone = [label.name for label, same in zip(labels, verdicts, strict=True) if same is None]
    different = [label.name for label, same in zip(labels, verdicts, strict=True) if same is False]
    count = f"of the {len(files)} {named} images"
    if different:
        why = f"{len(different)} {count} have other labels than the validated ones: {_list_some(different)}"
        return Identity(split=None, why=why)
    if gone:
        why = (
            f"{len(labels)} {count} have other files than the validated ones, and the validated ones are no longer "
            f"in {published.raw} to compare with ({_list_some(gone)}): run `dvc repro`, or give the dataset's own "
            "files as --truth"
        )
        return Identity(split=None, why=why)
    return Identity(split=named, why=f"the labels equal the validated ones; {len(labels)} of them are in other files")


def _is_validated(label: _Label, *, reading: Reading, colours: Colours | None) -> bool | None:
    """Compare a label with the validated one, pixel by pixel; None if the validated one no longer exists."""
    try:
        data = read_bytes(label.path)
        if hashlib.sha256(data).hexdigest() != label.sha256:
            return None
        return content_digest(decode_mask(data, place=label.path, colours=colours), reading.table) == label.content
    except DataError:
        return None


def _list_some(names: list[str]) -> str:
    return ", ".join(names[:_MAX_NAMES_SHOWN]) + (", ..." if len(names) > _MAX_NAMES_SHOWN else "")
