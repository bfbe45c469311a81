"""Masks that are coloured pictures -> raw ids."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segline.core.labels import Image, Mask

BLENDS = "they are blends of the table's colours: the mask was resized with interpolation, or compressed"
"""What is said of colours that lie between two of the table's."""

_MOST = 0.8  # of the foreign colours
_ROUNDED = 2.0  # grey levels that rounding may add to a way past a blend
_LOOKED_AT = 256  # foreign colours
_SHOWN = 5  # foreign colours named in an error


@dataclass(frozen=True, kw_only=True)
class Colours:
    """Which RGB colour stands for which raw id.

    Args:
        ids: (red, green, blue) -> raw id.
        otherwise: the raw id of every other colour; None where any other colour is a mistake.
    """

    ids: Mapping[tuple[int, int, int], int]
    otherwise: int | None = None

    def encode(self, picture: Image) -> Mask:
        """Uint8 (H, W, 3) RGB -> uint8 (H, W) raw ids.

        Raises:
            ValueError: a colour that stands for nothing; it names the most frequent ones.
        """
        packed = _packed(picture)
        found, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
        known = {red << 16 | green << 8 | blue: raw for (red, green, blue), raw in self.ids.items()}
        foreign = [place for place, colour in enumerate(found.tolist()) if colour not in known]
        if foreign and self.otherwise is None:
            foreign.sort(key=lambda place: -int(counts[place]))
            shown = ", ".join(
                f"{tuple(int(found[place]).to_bytes(3, 'big'))} in {counts[place]} pixels" for place in foreign[:_SHOWN]
            )
            more = f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else ""
            blended = self._are_blends(found[foreign])
            raise ValueError(f"colours that stand for no class: {shown}{more}{f'; {BLENDS}' if blended else ''}")
        table = np.array([known.get(colour, self.otherwise) for colour in found.tolist()], dtype=np.uint8)
        return table[inverse].reshape(picture.shape[:2])

    def _are_blends(self, packed: npt.NDArray[np.uint32]) -> bool:
        """Whether most of some colours lie between two of the table's, as interpolation leaves them."""
        colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1).astype(np.float64)[:_LOOKED_AT]
        table = np.array(list(self.ids), dtype=np.float64)
        away = np.linalg.norm(colours[:, None] - table, axis=2)
        apart = np.linalg.norm(table[:, None] - table, axis=2)
        detour = away[:, :, None] + away[:, None] - apart  # of a way from one to another past the colour
        between = detour[:, ~np.eye(len(table), dtype=bool)].min(axis=1, initial=np.inf) < _ROUNDED
        return bool(np.mean(between) > _MOST)


def _packed(picture: Image) -> npt.NDArray[np.uint32]:
    """Red, green and blue in one number a pixel."""
    red, green, blue = np.moveaxis(picture.astype(np.uint32), -1, 0)
    return np.asarray(red << 16 | green << 8 | blue, dtype=np.uint32)
