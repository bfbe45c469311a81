"""Choose class colours that people with a colour vision deficiency can tell apart, too.

The first colours are those of Okabe and Ito (Color Universal Design, 2008). Further ones come from a grid of colours:
each is the one farthest from all before it, as seen with normal sight and without one of the three cone types
(Machado, Oliveira, Fernandes 2009, doi:10.1109/TVCG.2009.113, severity 1). Distances are Euclidean in CIELAB. No
choice makes many classes easy to tell apart: from about twelve classes on, readers need the legend and the names.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]

OKABE_ITO: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""Without black, which looks like unlabelled pixels."""

_SIGHTS = (
    np.eye(3),
    np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
)
"""Matrices on linear RGB: normal sight, and sight without the cones for long, middle and short waves."""

_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = np.array([0.9505, 1.0, 1.089])
_STEPS = (0, 32, 64, 96, 128, 160, 192, 224, 255)


@cache
def safe_colours(count: int) -> tuple[Colour, ...]:
    """Return the first `count` colours of a fixed list, so that a shorter list is always part of a longer one."""
    chosen = list(OKABE_ITO[:count])
    grid = np.array(np.meshgrid(_STEPS, _STEPS, _STEPS, indexing="ij")).reshape(3, -1).T
    # Near black looks like a shadow, near white like an overexposed spot.
    grid = grid[(grid.max(axis=1) >= 96) & (grid.min(axis=1) <= 192)]
    seen = perceive(grid)

    def measure_distance(colour: Colour) -> npt.NDArray[np.float64]:
        return np.asarray(np.linalg.norm(seen - perceive(np.array([colour])), axis=-1).min(axis=0))

    nearest = np.min([measure_distance(colour) for colour in OKABE_ITO], axis=0)
    while len(chosen) < count:
        red, green, blue = grid[int(nearest.argmax())].tolist()
        chosen.append((red, green, blue))
        nearest = np.minimum(nearest, measure_distance(chosen[-1]))
    return tuple(chosen)


def perceive(colours: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Convert RGB (N, 3) to CIELAB (S, N, 3), as each of the S kinds of sight perceives it."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    found = np.stack([np.clip(linear @ sight.T, 0, 1) for sight in _SIGHTS]) @ _TO_XYZ.T / _WHITE
    root = np.where(found > 0.008856, np.cbrt(found), 7.787 * found + 16 / 116)
    lightness, red_green = 116 * root[..., 1] - 16, 500 * (root[..., 0] - root[..., 1])
    return np.stack([lightness, red_green, 200 * (root[..., 1] - root[..., 2])], axis=-1)
