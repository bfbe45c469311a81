"""What a dataset's definition consists of."""

import difflib
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from segline.core.coding import Colours
from segline.core.labels import LabelMap
from segline.errors import ConfigError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One archive under its official file name.

    Args:
        name: file name, the same in every mirror.
        url: the publisher's address; None behind a login.
        folders: folders that must be there once it is extracted.
        size: bytes, where the publisher's file is known exactly.
        about: bytes, roughly, where only that is known: for the room on the disk.
        extracted: bytes of all members together, roughly; what unpacks to far more is a bomb.
        md5: digest of the publisher's file, where one is published.
        volatile: whether the publisher's server packs the same content anew, into other bytes, from
            time to time (repository archives): its content is pinned then, not its bytes.
    """

    name: str
    url: str | None
    folders: tuple[str, ...]
    size: int | None = None
    about: int | None = None
    extracted: int | None = None
    md5: str | None = None
    volatile: bool = False


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


Pairing = Callable[[Path], list[Pair]]
"""The labelled pairs under a raw folder, sorted by id, incomplete ones included."""


GroupOf = Callable[[str], str]
"""An image's name -> the name of what it shows together with others; "" for a name that tells none."""


ImageLabel = Callable[[str], str]
"""A sample's id -> the name of what its whole image shows."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is asked of a dataset's labels.

    Args:
        protocol: name and version of the scoring rules.
        extra_scores: groups of rows of `segline.core.metrics.table` that are reported beside the others.
    """

    label_map: LabelMap
    protocol: str
    extra_scores: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Own:
    """Where the user's own data are, in words that findings can use.

    Args:
        path: the folder, as ``params.yaml`` names it.
        table: the class table in it.
    """

    path: str
    table: str


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset, for one task and one split.

    Args:
        protocol: name and version of the scoring rules.
        extra_scores: groups of rows of `segline.core.metrics.table` that are reported beside the others.
        mirrored: whether a left-right flip gives another plausible image.
        colours: how masks that are coloured pictures become raw ids; None where they hold ids.
        credentials: environment variables that the publisher's login needs.
        task: name of the task that `label_map` and `protocol` are of.
        split: name of the split that `pairs` gives.
        tasks: the other tasks, by name.
        splits: the other splits, by name.
        suffix: what a registered model's name gets for a task other than the dataset's own.
        own: set for the user's own data, which no archive brings.
        group_of: an image's name -> its group, where names tell it; "" for a name that tells none.
        image_labels: what whole images can be told apart by, such as breed; the first is the dataset's own.
    """

    name: str
    title: str
    terms: str
    archives: tuple[Archive, ...]
    label_map: LabelMap
    protocol: str
    pairs: Pairing
    extra_scores: tuple[str, ...] = ()
    mirrored: bool = True
    colours: Colours | None = None
    credentials: tuple[str, ...] = ()
    task: str = "semantics"
    split: str = "official"
    tasks: Mapping[str, Task] = field(default_factory=dict)
    splits: Mapping[str, Pairing] = field(default_factory=dict)
    suffix: str = ""
    own: Own | None = None
    group_of: GroupOf | None = None
    image_labels: Mapping[str, ImageLabel] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """What a model of it is called: its name, and the task where that is not its own."""
        return self.name + self.suffix

    def chosen(self, *, task: str | None, split: str | None) -> Self:
        """This dataset for another task or split; None keeps its own.

        The protocol of a split other than its own names it: ``kitti-semantics/1+last_30``.

        Raises:
            ConfigError: it has no such task or split.
        """
        dataset = self
        if task not in (None, self.task):
            other = self.tasks.get(_known(f"options.{self.name}.task", str(task), [self.task, *self.tasks]))
            assert other is not None
            dataset = replace(
                dataset,
                task=task,
                label_map=other.label_map,
                protocol=other.protocol,
                extra_scores=other.extra_scores,
                suffix=f"-{task}",
            )
        if split not in (None, self.split):
            pairs = self.splits[_known(f"options.{self.name}.split", str(split), [self.split, *self.splits])]
            dataset = replace(dataset, split=split, pairs=pairs, protocol=f"{dataset.protocol}+{split}")
        return dataset

    def image_label(self, task: str | None) -> tuple[str, ImageLabel]:
        """One of `image_labels` with its name; None for the first.

        Raises:
            ConfigError: there is no such one, or none at all.
        """
        if not self.image_labels:
            raise ConfigError(
                "params.yaml search.weights",
                found="classification",
                expected=f"another one: {self.name} says nothing of whole images",
                remedy="choose imagenet, a file, or null",
            )
        known = list(self.image_labels)
        name = _known("classification.task", known[0] if task is None else task, known)
        return name, self.image_labels[name]


def _known(key: str, name: str, known: list[str]) -> str:
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1)
    raise ConfigError(
        f"params.yaml {key}",
        found=repr(name),
        expected=(f"{near[0]!r}? " if near else "") + f"(one of: {', '.join(known)})",
        remedy="correct the value",
    )


def held_out(pairs: Iterable[Pair], *, share: float) -> set[str]:
    """The ids of the pairs that a carved split takes.

    Groups stay together; a pair without one is a group of its own. Groups are taken in the order of the
    SHA-256 digests of their names, until they hold the share. So the choice is fixed, needs no random
    generator, and a sample keeps its side when others come or go.

    Args:
        share: of the pairs; at least one group is taken and one is left, unless there is only one.
    """
    members: defaultdict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        members[pair.group or pair.id].append(pair.id)
    ranked = sorted(members, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    wanted = max(1, round(sum(len(names) for names in members.values()) * share))
    taken: set[str] = set()
    for name in ranked[:-1]:
        if len(taken) >= wanted:
            break
        taken |= set(members[name])
    return taken


def named(raw: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """(stem, path relative to `raw`) of each file under `raw` that `pattern` fits: what `match` pairs."""
    return ((path.stem, path.relative_to(raw).as_posix()) for path in raw.glob(pattern))


def match(
    images: Iterable[tuple[str, str]], masks: Iterable[tuple[str, str]]
) -> list[tuple[str, str | None, str | None]]:
    """Pair (id, path) entries by id, never by order or count.

    Returns:
        (id, image path or None, mask path or None), sorted by id.
    """
    image_of, mask_of = dict(images), dict(masks)
    return [(name, image_of.get(name), mask_of.get(name)) for name in sorted(image_of.keys() | mask_of.keys())]
