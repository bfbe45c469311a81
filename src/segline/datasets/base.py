"""The parts of a dataset's definition."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from segline.config import refuse_unknown
from segline.core.coding import Colours
from segline.core.labels import LabelMap
from segline.errors import ConfigError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One archive of a dataset.

    Args:
        name: the official file name, the same in every mirror.
        url: the publisher's address; None if there is no public one. It is then fetched with `Dataset.login`, or
            comes from a mirror alone.
        folders: folders that must exist after extraction.
        size: exact size in bytes, if it is known.
        about: approximate size in bytes, if the exact one is not known; used to check the free disk space.
        extracted: approximate size of all members together, bytes. An archive that unpacks to far more is refused
            as a decompression bomb.
        md5: the publisher's digest of the file, if there is one.
        volatile: whether the publisher's server packs the archive again from time to time, as for archives of
            repositories. Then the bytes change, but not the content. So Segline pins the content, not the bytes.
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
class Login:
    """A publisher's website that sends archives after a login.

    Args:
        kind: how archives are fetched there, a row of ``LOGINS`` in ``segline/data/download/download.py``.
        site: the website's address, with a slash at its end.
        credentials: the environment variables that hold the user name and the password.
    """

    kind: str
    site: str
    credentials: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An image and its mask, as paths relative to the raw folder; None if one is missing.

    Args:
        id: unique within the dataset.
        split: the published split. None: the sample is shared between training and validation later.
        group: images of one group show the same thing (a drive, a city) and stay in one split.
        stratum: the validation split is balanced over this (the breed).
    """

    id: str
    image: str | None
    mask: str | None
    split: Split | None
    group: str = ""
    stratum: str = ""


Pairing = Callable[[Path], list[Pair]]
"""Raw folder -> its labelled pairs, sorted by id. Incomplete pairs are included."""


GroupOf = Callable[[str], str]
"""Image name -> its group (see `Pair`); "" if the name does not contain it."""


ImageLabel = Callable[[str], str]
"""Sample id -> the class of the whole image."""


Member = tuple[str, bytes]
"""Name and content of a file."""


Draw = Callable[[int], Iterator[Member]]
"""Seed -> the archives of a small synthetic copy, under their official names."""


@dataclass(frozen=True, kw_only=True)
class FileNames:
    """How a publisher names images and labels. Scoring uses it to recognise the dataset of a folder of files.

    All patterns are matched against a whole file name without folder and extension.

    Args:
        image: pattern of an image's name.
        endings: what the publisher adds to an image's name, without ``_``: ``gtFine``.
        label: pattern of a label file whose name is not that of its image. The pattern's groups, joined by ``_``,
            give the image's name.
        aside: pattern of label files of another task, such as lane labels, which are not scored; lower case.
    """

    image: re.Pattern[str]
    endings: tuple[str, ...] = ()
    label: re.Pattern[str] | None = None
    aside: re.Pattern[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """One way to label a dataset's images.

    Args:
        protocol: name and version of the scoring rules.
        extra_scores: additional groups of rows of `segline.core.metrics.table` to report.
    """

    label_map: LabelMap
    protocol: str
    extra_scores: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Own:
    """Where the user's own data are. Findings of the validation name these places.

    Args:
        path: the folder, as the definition names it.
        table: the path of the class table.
        indices: whether the stored numbers of masks are ids, whatever colours their palettes have.
        definition: the file that defines them, ``own/NAME.yaml``.
        id: tells them from other data of the same name; None if `segline init` did not write the definition.
    """

    path: str
    table: str
    definition: str
    indices: bool = False
    id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset, for one task and one split.

    Args:
        protocol: name and version of the scoring rules.
        extra_scores: additional groups of rows of `segline.core.metrics.table` to report.
        mirrored: whether a left-right flip of an image gives a plausible image.
        colours: colour -> raw id, for masks that are coloured pictures or have a palette; None if masks hold ids.
        levels: values of 16-bit images that become 0 and 255; None if they are not stated.
        login: the publisher's login for archives without a public address; None if there is none.
        task: name of the task that `label_map` and `protocol` belong to.
        split: name of the split that `pairs` gives.
        tasks: the other tasks, by name.
        splits: the other splits, by name.
        suffix: added to a registered model's name; empty for the default task.
        own: set for the user's own data, which have no archive.
        group_of: image name -> group; None if names do not contain the group.
        image_labels: name of a classification task -> its labels, for training an encoder; the first is the default.
        names: how its files are named; None if the names do not distinguish it from other datasets.
        draw: draws a small synthetic copy of the dataset for `segline sample`; None if there is none.
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
    levels: tuple[int, int] | None = None
    login: Login | None = None
    task: str = "semantics"
    split: str = "official"
    tasks: Mapping[str, Task] = field(default_factory=dict)
    splits: Mapping[str, Pairing] = field(default_factory=dict)
    suffix: str = ""
    own: Own | None = None
    group_of: GroupOf | None = None
    image_labels: Mapping[str, ImageLabel] = field(default_factory=dict)
    names: FileNames | None = None
    draw: Draw | None = None

    @property
    def model(self) -> str:
        """Name of its models in the registry, with a suffix if the task is not the default one."""
        return self.name + self.suffix

    def chosen(self, *, task: str | None, split: str | None) -> Self:
        """Return the dataset with another task or split; None keeps the default.

        The protocol names a split that is not the default: ``kitti-semantics/1+last_30``.

        Raises:
            ConfigError: it has no such task or split.
        """
        dataset = self
        if task is not None and task != self.task:
            refuse_unknown(f"params.yaml options.{self.name}.task", task, [self.task, *self.tasks])
            other = self.tasks[task]
            dataset = replace(
                dataset,
                task=task,
                label_map=other.label_map,
                protocol=other.protocol,
                extra_scores=other.extra_scores,
                suffix=f"-{task}",
            )
        if split is not None and split != self.split:
            refuse_unknown(f"params.yaml options.{self.name}.split", split, [self.split, *self.splits])
            dataset = replace(dataset, split=split, pairs=self.splits[split], protocol=f"{dataset.protocol}+{split}")
        return dataset

    def image_label(self, task: str | None) -> tuple[str, ImageLabel]:
        """Return the name and the labels of the classification task `task`; None for the default one.

        Raises:
            ConfigError: the dataset has no such task, or has no labels of whole images.
        """
        if not self.image_labels:
            raise ConfigError(
                "params.yaml search.weights",
                found="classification",
                expected=f"other initial weights, because {self.name} has no labels of whole images",
                remedy="set it to imagenet, to a file of weights, or to null",
            )
        known = list(self.image_labels)
        name = known[0] if task is None else task
        refuse_unknown("params.yaml classification.task", name, known)
        return name, self.image_labels[name]


def held_out(pairs: Iterable[Pair], *, share: float) -> set[str]:
    """Choose the pairs to hold out as a split, and return their ids.

    Groups stay together; a pair without a group is a group of its own. Groups are taken in the order of the
    SHA-256 digests of their names, until they hold the share. So the choice is fixed and needs no random
    generator, and a sample stays in its split when others are added or removed.

    Args:
        share: share of the pairs to hold out. At least one group is taken and at least one is left;
            a single group is never taken.
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


def list_files(raw: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """Yield (stem, path relative to `raw`) of each file under `raw` that fits the glob `pattern`, for `match`."""
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
