"""Compare the palettes of masks: does each index mean one class in all files?

Editors reorder palettes and drop unused entries, so that index 1 is roof in one file and road in the next. Colours
then say what the indices do not. Only indices that occur in a file are compared. Grey masks of 1, 2 or 4 bits have a
palette, too: their values stand for grey levels, so that 1 is white in one of 1 bit, as 255 is in one of 8 bits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as Pillow

from segline.core.coding import Colours, unpack
from segline.core.labels import Mask

Palette = Mapping[int, int]
"""Index that occurs in a mask -> its colour, packed as 0xRRGGBB, or `NO_COLOUR`. `SHARED` is added to a colour that the
file's palette has at several indices. Empty for a mask without a palette, and for one that only has grey levels."""

SHARED = 1 << 24
NO_COLOUR = -1
_GREY = 0x010101


def read_palette(picture: Pillow.Image, mask: Mask) -> dict[int, int]:
    """Return the colours of the indices that occur in `mask`, which was decoded from `picture` (mode P)."""
    flat = np.asarray(picture.getpalette("RGB") or [], dtype=np.int64)
    entries = (flat.reshape(-1, 3) @ np.array([1 << 16, 1 << 8, 1])).tolist()
    if entries == [place * _GREY for place in range(len(entries))]:
        return {}
    times: dict[int, int] = {}
    for colour in entries:
        times[colour] = times.get(colour, 0) + 1
    return {
        index: entries[index] | (SHARED if times[entries[index]] > 1 else 0) if index < len(entries) else NO_COLOUR
        for index in _list_values(mask)
    }


def grey_palette(mask: Mask, *, depth: int) -> dict[int, int]:
    """Return the grey levels of the values in a mask of `depth` bits."""
    return {value: value * (255 // (2**depth - 1)) * _GREY for value in _list_values(mask)}


def translated(mask: Mask, table: Mapping[int, int]) -> Mask:
    """Replace the indices of a mask by the ids of `table`."""
    if all(index == raw for index, raw in table.items()):
        return mask
    lookup = np.arange(256, dtype=np.uint8)
    lookup[list(table)] = list(table.values())
    return np.asarray(lookup[mask], dtype=np.uint8)


def _list_values(mask: Mask) -> list[int]:
    return [int(value) for value in np.flatnonzero(cv2.calcHist([mask], [0], None, [256], [0, 256]))]


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """An index, its colour and the first file that has them."""

    index: int
    colour: int
    file: str

    def __str__(self) -> str:
        return f"{self.file} has the colour {unpack(self.colour)} at index {self.index}"


class Comparison:
    """Compares the palettes of masks with each other and with the colours of the classes.

    Args:
        known: colour -> raw id of the classes; None if the classes have no colours.
    """

    def __init__(self, known: Colours | None) -> None:
        self._known = known
        self._indices: dict[int, _Entry] = {}
        self._colours: dict[int, _Entry] = {}
        self._shared: set[int] = set()
        self._levels: dict[int, _Entry] = {}
        self._grey: dict[int, str] = {}
        self._of_one = self._of_white = ""  # the first masks whose only value besides 0 is 1, and is 255
        self._tells_more = False  # whether a mask holds other values, or both of them
        self._unknown: _Entry | None = None
        self._moved: _Entry | None = None
        self._misplaced: _Entry | None = None
        self._indices_differ = self._colours_differ = ""

    def add(self, file: str, palette: Palette, *, moved: bool | None = None) -> None:
        """Add the palette of one file.

        Args:
            moved: whether the ids of its colours are others than its indices; None to find out here.
        """
        if not palette:
            return
        self._tells_more = self._tells_more or not palette.keys() <= {0, 1}
        table = self._known.translate(palette) if self._known is not None else None
        stated = moved
        if moved is None:
            moved = table is not None and any(index != raw for index, raw in table.items())
        for index, packed in palette.items():
            entry = _Entry(index=index, colour=packed & ~SHARED if packed >= 0 else packed, file=file)
            if table is None and (packed < 0 or self._known is None or not self._known.translate({index: packed})):
                self._unknown = self._unknown or entry
            if moved and table is not None and table[index] != index:
                self._moved = self._moved or entry
            if stated is None and self._is_misplaced(entry):
                self._misplaced = self._misplaced or entry
            if packed >= 0:
                self._compare(entry, shared=bool(packed & SHARED), moved=moved)

    def add_grey(self, file: str, values: Iterable[int]) -> None:
        """Add the values of a mask of 8 bits without a palette."""
        held = {*values}
        for value in held:
            self._grey.setdefault(value, file)
        if held - {0} == {1}:
            self._of_one = self._of_one or file
        elif held - {0} == {255}:
            self._of_white = self._of_white or file
        elif held - {0}:
            self._tells_more = True

    def _compare(self, entry: _Entry, *, shared: bool, moved: bool) -> None:
        earlier = self._indices.setdefault(entry.index, entry)
        if earlier.colour != entry.colour and not self._indices_differ:
            self._indices_differ = f"{earlier}, and {entry.file} the colour {unpack(entry.colour)}"
        if shared:
            self._shared.add(entry.colour)
            return
        earlier = self._colours.setdefault(entry.colour, entry)
        if earlier.index != entry.index and entry.colour not in self._shared and not self._colours_differ:
            self._colours_differ = f"{earlier}, and {entry.file} at index {entry.index}"
        level = entry.colour & 255
        if entry.colour == level * _GREY and level != entry.index and not moved:
            self._levels.setdefault(level, entry)

    @property
    def difference(self) -> str:
        """Describe the first two palettes that contradict each other; "" if there are none."""
        return self._indices_differ or self._colours_differ

    @property
    def differ(self) -> bool:
        """Return whether palettes contradict each other."""
        return bool(self.difference)

    @property
    def two_scales(self) -> str:
        """Describe masks of 0 and 1 beside masks of 0 and 255: is 255 the same class as 1, or void? "" if none are."""
        if self._tells_more or not (self._of_one and self._of_white):
            return ""
        return f"the highest value is 1 in {self._of_one}, but 255 in {self._of_white}, and no mask holds both"

    @property
    def all_known(self) -> bool:
        """Return whether the classes have every colour of every palette."""
        return self._unknown is None

    def contradiction(self) -> str:
        """Describe the first contradiction that the colours of the classes do not solve; "" if there is none."""
        for level in sorted(self._levels.keys() & self._grey.keys(), reverse=True):
            name = {255: "white", 0: "black"}.get(level, f"the grey level {level}")
            entry = self._levels[level]
            return f"{name} is index {entry.index} in {entry.file}, but {level} in {self._grey[level]}"
        if self._unknown is not None:
            if self.differ:
                return self.difference
            if self._moved is not None:
                return f"{self._describe_moved(self._moved)}, but {self._unknown}, which is of no class"
        return self.two_scales

    def contradicts_classes(self) -> str:
        """Describe where all palettes agree with each other, but not with the colours of the classes; "" if nowhere."""
        return "" if self._misplaced is None or self.differ else self._describe_moved(self._misplaced)

    @property
    def holds_grey(self) -> bool:
        """Return whether there are masks of 8 bits without a palette that hold more than 0."""
        return any(self._grey)

    def unlike(self, other: "Comparison") -> str:
        """Describe the first colour that the other masks have at another index, unless all colours are known."""
        if self.all_known and other.all_known:
            return ""
        for colour, entry in self._colours.items():
            rival = other._colours.get(colour)
            if rival is not None and rival.index != entry.index and colour not in self._shared | other._shared:
                return f"{entry}, and {rival.file} at index {rival.index}"
        return ""

    def _is_misplaced(self, entry: _Entry) -> bool:
        table = self._known.translate({entry.index: entry.colour}) if self._known and entry.colour >= 0 else None
        return table is not None and table[entry.index] != entry.index

    def _describe_moved(self, entry: _Entry) -> str:
        table = self._known.translate({entry.index: entry.colour}) if self._known is not None else None
        return f"{entry}, which is the colour of id {table[entry.index] if table else entry.index}"
