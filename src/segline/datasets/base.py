"""What a dataset's definition consists of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segline.core.labels import LabelMap

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One archive under its official file name.

    Args:
        name: file name, the same in every mirror.
        url: the publisher's address; None behind a login.
        size: bytes, where the publisher's file is known.
        md5: digest of the publisher's file, where one is published.
        folders: folders that must be there once it is extracted.
    """

    name: str
    url: str | None
    folders: tuple[str, ...]
    size: int | None = None
    md5: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An image and its mask, as paths relative to the raw folder; None where one is missing.

    Args:
        id: unique within the dataset.
        split: the published split, or None where `validation` is still to be carved out of it.
        group: images of one group show the same thing (a drive, a city) and stay in one split.
        stratum: what the carved validation split is balanced over (the breed).
    """

    id: str
    image: str | None
    mask: str | None
    split: Split | None
    group: str = ""
    stratum: str = ""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A public dataset.

    Args:
        protocol: name and version of the scoring rules.
        mirrored: whether a left-right flip gives another plausible image.
        pairs: the labelled pairs under a raw folder, sorted by id, incomplete ones included.
        credentials: environment variables that the publisher's login needs.
    """

    name: str
    title: str
    terms: str
    archives: tuple[Archive, ...]
    label_map: LabelMap
    protocol: str
    pairs: Callable[[Path], list[Pair]]
    mirrored: bool = True
    credentials: tuple[str, ...] = ()


def match(
    images: Iterable[tuple[str, str]], masks: Iterable[tuple[str, str]]
) -> list[tuple[str, str | None, str | None]]:
    """Pair (id, path) entries by id, never by order or count.

    Returns:
        (id, image path or None, mask path or None), sorted by id.
    """
    image_of, mask_of = dict(images), dict(masks)
    return [(name, image_of.get(name), mask_of.get(name)) for name in sorted(image_of.keys() | mask_of.keys())]
