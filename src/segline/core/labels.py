"""Map between raw ids, train ids, names and colours of classes, and define which ids are void.

This module is the only authority on ids. Masks are uint8, HW. Train ids are 0..C-1; `VOID` marks pixels that are
neither trained on nor scored.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np
import numpy.typing as npt

from segline.errors import name_fault, shown, variants_dropped

Mask = npt.NDArray[np.uint8]
Image = npt.NDArray[np.uint8]

VOID = 255
"""Train id of pixels that are neither trained on nor scored."""

BINARY, FOREGROUND = 2, 1
"""Number of classes of a binary task, and train id of its foreground; the background comes first, as 0."""


def runs(ids: Iterable[int]) -> str:
    """Write ids in short form: ``0..33, 255``."""
    grouped = groupby(enumerate(sorted(ids)), lambda entry: entry[1] - entry[0])
    found = [[value for _, value in run] for _, run in grouped]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in found)


def alike(name: str) -> str:
    """Normalise a name so that look-alikes become equal: NFC, no variation selectors, no outer blanks."""
    return unicodedata.normalize("NFC", variants_dropped(name)).strip()


@dataclass(frozen=True, kw_only=True)
class LabelClass:
    """One class; its position in the label map is its train id.

    Args:
        name: the publisher's name.
        raw: id in the publisher's masks, 0..255, and the id that `LabelMap.decode` writes.
        colour: RGB, 0..255.
        merged: further raw ids that count as this class.
        category: the publisher's name of the coarser class that this one belongs to; only scores by category use it.

    Raises:
        ValueError: the name contains characters that cannot be shown.
    """

    name: str
    raw: int
    colour: tuple[int, int, int]
    merged: tuple[int, ...] = ()
    category: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name in (self.name, self.category or self.name):
            if fault := name_fault(name):
                raise ValueError(f"class {shown(repr(name))}, expected {fault}")

    @property
    def ids(self) -> tuple[int, ...]:
        """Every raw id of this class."""
        return self.raw, *self.merged


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """Classes in the order of their train ids, and the raw ids that are legal but void.

    Raises:
        ValueError: there is no class, there are too many, or a raw id or a name occurs twice.
    """

    classes: tuple[LabelClass, ...]
    void: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        raw = [value for item in self.classes for value in item.ids] + list(self.void)
        if not 1 <= len(self.classes) < VOID:
            raise ValueError(f"a label map has 1 to {VOID - 1} classes, not {len(self.classes)}")
        if len(set(raw)) < len(raw) or not all(0 <= value <= 255 for value in raw):
            raise ValueError(f"raw ids must be distinct and within 0..255, found {sorted(raw)}")
        if len({alike(name) for name in self.names}) < len(self.classes):
            raise ValueError(f"names must differ, found {sorted(self.names)}")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in the order of train ids."""
        return tuple(item.name for item in self.classes)

    @cached_property
    def categories(self) -> dict[str, tuple[int, ...]]:
        """Category -> train ids, in the order of their first classes; empty if any class has no category."""
        names = dict.fromkeys(item.category for item in self.classes)
        if "" in names:
            return {}
        return {
            name: tuple(place for place, item in enumerate(self.classes) if item.category == name) for name in names
        }

    @cached_property
    def legal(self) -> npt.NDArray[np.bool_]:
        """256 flags: which raw ids a mask may contain."""
        flags = np.zeros(256, dtype=bool)
        flags[[value for item in self.classes for value in item.ids] + list(self.void)] = True
        return flags

    @cached_property
    def _to_train(self) -> Mask:
        table = np.full(256, VOID, dtype=np.uint8)
        for place, item in enumerate(self.classes):
            table[list(item.ids)] = place
        return table

    @cached_property
    def _to_raw(self) -> Mask:
        return np.array([item.raw for item in self.classes], dtype=np.uint8)

    @cached_property
    def colours(self) -> npt.NDArray[np.uint8]:
        """(256, 3) RGB by train id; black for ids without a class."""
        table = np.zeros((256, 3), dtype=np.uint8)
        table[: len(self)] = [item.colour for item in self.classes]
        return table

    def encode(self, raw_mask: Mask) -> Mask:
        """Convert raw ids to train ids; void and illegal raw ids become `VOID`."""
        return self._to_train[raw_mask]

    def decode(self, mask: Mask) -> Mask:
        """Convert train ids to raw ids.

        Raises:
            ValueError: `mask` contains an id that is no class, such as `VOID`, which has no single raw id.
        """
        if mask.size and int(mask.max()) >= len(self):
            raise ValueError(f"mask holds train id {int(mask.max())}, but there are {len(self)} classes")
        return self._to_raw[mask]

    def illegal(self, histogram: npt.NDArray[np.int64]) -> list[int]:
        """List the raw ids that a 256-bin histogram counts, but that the map does not allow."""
        return [int(value) for value in np.flatnonzero((histogram > 0) & ~self.legal)]

    @cached_property
    def digest(self) -> str:
        """16 hex digits that change when an id, a name or their order changes; colours and categories do not matter."""
        return _digest([[item.name, item.raw, *sorted(item.merged)] for item in self.classes], sorted(self.void))

    @cached_property
    def unnamed_digest(self) -> str:
        """16 hex digits that change when an id or a colour of a class changes, but not when a class is renamed."""
        return _digest([[item.colour, item.raw, *sorted(item.merged)] for item in self.classes])

    @property
    def identity(self) -> "Identity":
        """Return the part that says whether scores compare, as `same_classes` takes it."""
        return Identity(digest=self.digest, unnamed=self.unnamed_digest, names=self.names)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The part of a label map that says whether scores compare.

    Args:
        digest: as `LabelMap.digest`.
        unnamed: as `LabelMap.unnamed_digest`; empty if it is not known.
        names: class names in the order of train ids.
    """

    digest: str
    unnamed: str
    names: tuple[str, ...]


def same_classes(one: Identity, other: Identity) -> bool:
    """Return whether two label maps have the same classes: equal ids and names, or equal ids and colours.

    A class whose ids and colour stay is the same class under a new name. If the new name belonged to another class
    before, the names were exchanged: then a model of the one map answers with the wrong name in the other.
    """
    if one.digest == other.digest:
        return True
    if not one.unnamed or one.unnamed != other.unnamed or len(one.names) != len(other.names):
        return False
    before, after = ([alike(name) for name in names] for names in (one.names, other.names))
    for place, name in enumerate(after):
        elsewhere = {known.casefold() for known in before[:place] + before[place + 1 :]}
        if name != before[place] and name.casefold() in elsewhere:
            return False
    return True


def _digest(*content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def label_map(
    rows: Sequence[tuple[int, str, tuple[int, int, int]]],
    *,
    void: Sequence[int] = (),
    categories: Mapping[str, Sequence[str]] | None = None,
) -> LabelMap:
    """Build a `LabelMap` from (raw id, name, colour) rows in the order of train ids.

    Args:
        void: raw ids that are legal but neither trained on nor scored.
        categories: category -> names of its classes.

    Raises:
        ValueError: as for `LabelMap`, or a category names a class that does not exist.
    """
    category = {name: of for of, names in (categories or {}).items() for name in names}
    unknown = category.keys() - {name for _, name, _ in rows}
    if unknown:
        raise ValueError(f"categories name {sorted(unknown)}, but there are no such classes")
    return LabelMap(
        classes=tuple(
            LabelClass(raw=raw, name=name, colour=colour, category=category.get(name, "")) for raw, name, colour in rows
        ),
        void=tuple(void),
    )
