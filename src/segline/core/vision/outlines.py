"""Trace the outlines of the areas of a label mask, along the edges of the pixels.

The outlines are exact: `segline.core.vision.polygons.draw` makes the same mask of them. OpenCV's ``findContours``
joins the centres of pixels, which makes every area a pixel smaller.

Pixels of one label that touch by a side belong to one area (4-connectivity), so that an outline never crosses itself.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import Mask

Ring = npt.NDArray[np.int64]
"""(N, 2) corners, x and y in pixels from the upper left corner of the image; the last is joined to the first."""

_RIGHT, _DOWN, _LEFT, _UP = range(4)
_STEPS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The outline of one connected area.

    Args:
        label: train id.
        outer: the outer ring, clockwise as people see it.
        holes: rings around what does not belong to the area, counter-clockwise.
        pixels: number of pixels.
    """

    label: int
    outer: Ring
    holes: tuple[Ring, ...] = field(default=())
    pixels: int


def outlines(mask: Mask, *, classes: int) -> list[Outline]:
    """Trace every 4-connected area of the labels below `classes`, label by label, from the top to the bottom.

    Args:
        mask: uint8 (H, W) train ids. Void, and any other id from `classes` up, has no outline.
    """
    present = [int(label) for label in np.unique(mask) if label < classes]
    return [outline for label in present for outline in _trace(mask == label, label)]


def _trace(area: npt.NDArray[np.bool_], label: int) -> list[Outline]:
    """Trace the areas of one label."""
    _, owners, statistics, _ = cv2.connectedComponentsWithStats(area.astype(np.uint8), connectivity=4)
    start, direction, inner = _find_edges(area)
    following = _follow(start, direction, width=area.shape[1])
    rings: defaultdict[int, list[Ring]] = defaultdict(list)
    owner = owners.ravel()[inner]
    for ring in _find_cycles(following):
        corners = _keep_corners(ring, start, direction, width=area.shape[1])
        rings[int(owner[ring[0]])].append(corners)
    found = []
    for component, (outer, *holes) in sorted(rings.items()):  # the first edge of an area lies on its outer ring
        pixels = int(statistics[component, cv2.CC_STAT_AREA])
        found.append(Outline(label=label, outer=outer, holes=tuple(holes), pixels=pixels))
    return found


def _find_edges(area: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], ...]:
    """Find the edges between the area (H, W) and the rest; the area lies at the right of each.

    Returns:
        The flat index of each edge's first corner on a grid of (H + 1) x (W + 1), in ascending order; its direction;
        the flat index of the pixel at its right.
    """
    width = area.shape[1]
    padded = np.pad(area, 1)
    inside = padded[1:-1, 1:-1]
    beside = {
        _RIGHT: (padded[:-2, 1:-1], (0, 0)),  # along the top of a pixel, from its upper left corner
        _DOWN: (padded[1:-1, 2:], (0, 1)),  # along its right side, from its upper right corner
        _LEFT: (padded[2:, 1:-1], (1, 1)),
        _UP: (padded[1:-1, :-2], (1, 0)),
    }
    starts, directions, inner = [], [], []
    for direction, (neighbour, (below, right)) in beside.items():
        rows, columns = np.nonzero(inside & ~neighbour)
        starts.append((rows + below) * (width + 1) + columns + right)
        directions.append(np.full(rows.size, direction))
        inner.append(rows * width + columns)
    start = np.concatenate(starts)
    order = np.argsort(start, kind="stable")
    return start[order], np.concatenate(directions)[order], np.concatenate(inner)[order]


def _follow(start: npt.NDArray[np.int64], direction: npt.NDArray[np.int64], *, width: int) -> npt.NDArray[np.int64]:
    """Find the edge that follows each edge.

    Two edges begin at a corner where two areas touch; the one that turns right stays with the same area.
    """
    steps = _STEPS[:, 1] * (width + 1) + _STEPS[:, 0]
    end = start + steps[direction]
    first = np.searchsorted(start, end, side="left")
    second = np.minimum(first + 1, max(start.size - 1, 0))
    turned = (direction + 1) % 4
    takes_second = (start[second] == end) & (direction[second] == turned)
    return np.asarray(np.where(takes_second, second, first))


def _find_cycles(following: npt.NDArray[np.int64]) -> list[list[int]]:
    """Split edges into closed rings, each from its edge with the lowest number on."""
    after = following.tolist()
    seen = bytearray(len(after))
    rings = []
    for first in range(len(after)):
        if seen[first]:
            continue
        ring, edge = [], first
        while not seen[edge]:
            seen[edge] = 1
            ring.append(edge)
            edge = after[edge]
        rings.append(ring)
    return rings


def _keep_corners(
    ring: list[int], start: npt.NDArray[np.int64], direction: npt.NDArray[np.int64], *, width: int
) -> Ring:
    """Return the corners of a ring at which its direction changes, int64 (N, 2)."""
    edges = np.array(ring)
    turning = edges[direction[edges] != np.roll(direction[edges], 1)]
    return np.stack([start[turning] % (width + 1), start[turning] // (width + 1)], axis=1)
