"""Convert masks that are colour images to raw ids."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from segline.core.labels import Image, Mask

BLENDS = "they are blends of the table's colours: the mask was resized with interpolation, or compressed"
"""Part of the error about unknown colours that lie between two colours of the table."""

_MIN_SHARE_OF_BLENDS = 0.8
_ROUNDING = 2.0  # grey levels that rounding can move a blend away from the line between two colours
_MAX_COLOURS_CHECKED = 256
_MAX_COLOURS_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Colours:
    """Table of the raw ids that RGB colours stand for.

    Args:
        ids: (red, green, blue) -> raw id.
        otherwise: raw id of every other colour; None where any other colour is an error.
        indexed: masks hold ids; only the colours of a palette are looked up, see `translate`.
        colourless: void ids that have no colour; `translate` keeps them.
        shared: colour -> the ids that share it; `translate` keeps these, because the colour does not tell them apart.
    """

    ids: Mapping[tuple[int, int, int], int]
    otherwise: int | None = None
    indexed: bool = False
    colourless: frozenset[int] = frozenset()
    shared: Mapping[tuple[int, int, int], frozenset[int]] = field(default_factory=dict)

    def translate(self, palette: Mapping[int, int]) -> dict[int, int] | None:
        """Map the indices of a palette to raw ids by their colours; None if a colour is not in the table.

        Args:
            palette: index -> colour, as `segline.data.images.palettes` packs it.
        """
        found: dict[int, int] = {}
        for index, packed in palette.items():
            colour = None if packed < 0 else unpack(packed)
            raw = self.ids.get(colour) if colour is not None else None
            if raw is None and (index in self.colourless or (colour and index in self.shared.get(colour, ()))):
                raw = index
            if raw is None:
                return None
            found[index] = raw
        return found

    def encode(self, picture: Image) -> Mask:
        """Convert colours, uint8 (H, W, 3) RGB, to raw ids, uint8 (H, W).

        Raises:
            ValueError: some colours stand for no class; the error names the most frequent ones.
        """
        packed = _pack(picture)
        found, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
        known = {red << 16 | green << 8 | blue: raw for (red, green, blue), raw in self.ids.items()}
        foreign = [place for place, colour in enumerate(found.tolist()) if colour not in known]
        if foreign and self.otherwise is None:
            foreign.sort(key=lambda place: -int(counts[place]))
            shown = ", ".join(
                f"{tuple(int(found[place]).to_bytes(3, 'big'))} in {counts[place]} pixels"
                for place in foreign[:_MAX_COLOURS_SHOWN]
            )
            more = f" and {len(foreign) - _MAX_COLOURS_SHOWN} more" if len(foreign) > _MAX_COLOURS_SHOWN else ""
            blended = self._are_blends(found[foreign])
            raise ValueError(f"colours that stand for no class: {shown}{more}{f'; {BLENDS}' if blended else ''}")
        table = np.array([known.get(colour, self.otherwise) for colour in found.tolist()], dtype=np.uint8)
        return table[inverse].reshape(picture.shape[:2])

    def _are_blends(self, packed: npt.NDArray[np.uint32]) -> bool:
        """Return whether most colours lie between two colours of the table, as after interpolation."""
        packed = packed[:_MAX_COLOURS_CHECKED]
        colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1).astype(np.float64)
        table = np.array(list(self.ids), dtype=np.float64)
        away = np.linalg.norm(colours[:, None] - table, axis=2)
        apart = np.linalg.norm(table[:, None] - table, axis=2)
        # How much longer the path between two colours of the table becomes if it passes through this colour.
        detour = away[:, :, None] + away[:, None] - apart
        between = detour[:, ~np.eye(len(table), dtype=bool)].min(axis=1, initial=np.inf) < _ROUNDING
        return bool(np.mean(between) > _MIN_SHARE_OF_BLENDS)


def unpack(packed: int) -> tuple[int, int, int]:
    """Return red, green and blue of a packed colour; higher bits are ignored."""
    return packed >> 16 & 255, packed >> 8 & 255, packed & 255


def _pack(picture: Image) -> npt.NDArray[np.uint32]:
    """Pack red, green and blue into one number a pixel."""
    red, green, blue = np.moveaxis(picture.astype(np.uint32), -1, 0)
    return np.asarray(red << 16 | green << 8 | blue, dtype=np.uint32)
