"""Camera, light and canvas of drawn streets, and the noise that all drawings share.

Coordinates are metres: x to the right of the road's middle, y up from the ground, z along the street. `Camera`
projects them to pixels. `Canvas` paints polygons into the image and, if they have a label, into the mask.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import Image
from segline.datasets.street_labels import LABEL_MAP

Points = npt.NDArray[np.float64]
Colour = tuple[float, float, float]

VOID_IDS = {"unlabeled": 0, "ego vehicle": 1, "out of roi": 3, "static": 4, "dynamic": 5, "ground": 6, "parking": 9}
IDS = {item.name: item.raw for item in LABEL_MAP.classes} | VOID_IDS
INSTANCES = frozenset({"person", "rider", "car", "bicycle"})

NEAR = 1.2
"""Nothing is painted closer to the camera than this, metres."""
_FRACTION_BITS = 4  # of a pixel, in the fixed-point coordinates of OpenCV
CIRCLE = np.array([(math.cos(2 * math.pi * i / 24), math.sin(2 * math.pi * i / 24)) for i in range(24)])


def to_fixed(points: Points) -> npt.NDArray[np.int32]:
    """Turn pixels into the fixed-point numbers that OpenCV fills between."""
    return np.rint(points * (1 << _FRACTION_BITS)).astype(np.int32)


def fill(image: Image, outline: Points, colour: tuple[float, ...], *, smooth: bool = True) -> None:
    """Paint a polygon, (n, 2) pixels, with a smooth or a hard edge."""
    cv2.fillPoly(image, [to_fixed(outline)], colour, cv2.LINE_AA if smooth else cv2.LINE_8, _FRACTION_BITS)


def scale(colour: Colour, gain: float) -> Colour:
    """Make a colour darker or lighter."""
    return min(255.0, colour[0] * gain), min(255.0, colour[1] * gain), min(255.0, colour[2] * gain)


def noise(rng: np.random.Generator, height: int, width: int, cells: tuple[int, int]) -> npt.NDArray[np.int32]:
    """Draw smooth noise, -128..127, from a grid of (rows, columns) random values."""
    grid = rng.integers(0, 256, cells, dtype=np.uint8)
    smooth: Image = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return smooth.astype(np.int32) - 128


def expose(image: Image, rng: np.random.Generator, *, unevenness: int) -> None:
    """Apply uneven light, exposure, white balance and grain, in whole numbers, so that all machines agree.

    Args:
        unevenness: strongest change of the light within the image, in 256ths.
    """
    height, width = image.shape[:2]
    light = 256 + noise(rng, height, width, (3, 4)) * unevenness // 128
    gains = rng.integers(215, 292) + rng.integers(-14, 15, 3)
    grain = rng.integers(-6, 7, image.shape, dtype=np.int8)
    lit = image.astype(np.int32) * light[..., None] >> 8
    image[:] = np.clip((lit * gains >> 8) + grain, 0, 255)


@dataclass(frozen=True, kw_only=True)
class Lens:
    """Size and optics of a pinhole camera, in pixels; `eye` is in metres above the road."""

    width: int
    height: int
    focal: float
    horizon: float
    eye: float
    bonnet: bool = False


@dataclass(frozen=True)
class Camera:
    """A camera at `x`, `z` that looks along the street; `bend` curves the street."""

    lens: Lens
    x: float
    z: float
    bend: float

    def project(self, points: Points) -> Points:
        """Project (..., 3) metres to (..., 2) pixels; a point behind the camera is put just before it."""
        depth = np.maximum(points[..., 2] - self.z, NEAR)
        zoom = self.lens.focal / depth
        x = self.lens.width / 2 + (points[..., 0] - self.x + self.bend * depth * depth) * zoom
        return np.stack([x, self.lens.horizon + (self.lens.eye - points[..., 1]) * zoom], axis=-1)


@dataclass(frozen=True, kw_only=True)
class Light:
    """Weather and time of day."""

    sun: Colour
    haze: Colour
    density: float
    zenith: Colour

    def shade(self, colour: Colour, depth: float, gain: float = 1.0) -> Colour:
        """Return `colour` under this light, seen through `depth` metres of air."""
        mix = self.density * depth / (1 + self.density * depth)
        lit = np.minimum(255.0, np.multiply(colour, self.sun) * gain)
        red, green, blue = (lit * (1 - mix) + np.multiply(self.haze, mix)).tolist()
        return red, green, blue


class Canvas:
    """An image and its labels while they are painted, the farthest object first.

    `identity` marks each object's pixels as in Cityscapes: its id, or 1000 times its id plus a number.
    """

    def __init__(self, height: int, width: int) -> None:
        self.image: Image = np.zeros((height, width, 3), np.uint8)
        self.identity = np.zeros((height, width), np.uint16)
        self._outlines: list[tuple[str, Points]] = []
        self._counts = dict.fromkeys(INSTANCES, 0)

    def new_identity(self, label: str) -> int:
        """Return the identity of the next object of a label."""
        if label not in INSTANCES:
            return IDS[label]
        self._counts[label] += 1
        return 1000 * IDS[label] + self._counts[label] - 1

    def fill(self, outline: Points, colour: Colour, label: str = "", identity: int = 0) -> None:
        """Paint a polygon, (n, 2) pixels; without a label it is decoration."""
        fill(self.image, outline, colour)
        if label:
            fixed, value = to_fixed(outline), identity or self.new_identity(label)
            cv2.fillPoly(self.identity, [fixed], value, cv2.LINE_8, _FRACTION_BITS)
            self._outlines.append((label, outline))

    def decorate(self, outlines: Points, colour: Colour) -> None:
        """Paint many polygons, (m, n, 2) pixels, as decoration."""
        for fixed in to_fixed(outlines):
            cv2.fillConvexPoly(self.image, fixed, colour, cv2.LINE_AA, _FRACTION_BITS)

    def labels(self) -> npt.NDArray[np.uint8]:
        """Return the mask of raw Cityscapes ids."""
        return np.where(self.identity >= 1000, self.identity // 1000, self.identity).astype(np.uint8)

    def objects(self) -> list[tuple[str, list[list[int]]]]:
        """Return label and polygon, whole pixels, of what can be seen, the farthest first.

        A polygon may reach beyond the image, as in the real annotations: cutting its corners off one by one would
        bend its edges.
        """
        height, width = self.identity.shape
        whole = [(label, np.rint(outline)) for label, outline in self._outlines]
        return [
            (label, [[int(x), int(y)] for x, y in outline.tolist()])
            for label, outline in whole
            if np.ptp(outline.clip(0, (width - 1, height - 1)), axis=0).min() > 0
        ]
