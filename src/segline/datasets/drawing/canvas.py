"""The camera, the light and the canvas that drawn streets are painted with.

Coordinates are metres: x to the right of the road's middle, y up from the ground, z along the
street. `Camera` projects them to pixels, `Canvas` paints polygons into the image and, where they
have a label, into the mask of identities and the list of objects, in the same order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import Image
from segline.datasets.street_labels import LABEL_MAP

Points = npt.NDArray[np.float64]
Colour = tuple[float, float, float]

VOID_IDS = {
    "unlabeled": 0,
    "ego vehicle": 1,
    "out of roi": 3,
    "static": 4,
    "dynamic": 5,
    "ground": 6,
    "parking": 9,
}
IDS = {item.name: item.raw for item in LABEL_MAP.classes} | VOID_IDS
INSTANCES = frozenset({"person", "rider", "car", "bicycle"})

NEAR = 1.2
FAR = 80.0
SMALL = 48.0  # metres; farther away, a person is a few pixels that no annotator would outline
_FRACTION = 4  # bits below the pixel that OpenCV's polygon filling understands
CIRCLE = np.array([(math.cos(2 * math.pi * i / 18), math.sin(2 * math.pi * i / 18)) for i in range(18)])


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera that looks along the street; `bend` curves the street away from it."""

    width: int
    height: int
    focal: float
    horizon: float
    eye: float
    x: float
    z: float
    bend: float

    def project(self, points: Points) -> Points:
        """(..., 3) metres -> (..., 2) pixels; what is behind the camera is put just before it."""
        depth = np.maximum(points[..., 2] - self.z, NEAR)
        scale = self.focal / depth
        pixels = np.empty((*points.shape[:-1], 2))
        pixels[..., 0] = self.width / 2 + (points[..., 0] - self.x + self.bend * depth * depth) * scale
        pixels[..., 1] = self.horizon + (self.eye - points[..., 1]) * scale
        return pixels


@dataclass(frozen=True, kw_only=True)
class Light:
    """Weather and time of day: how a colour looks from afar."""

    sun: Colour
    haze: Colour
    density: float
    zenith: Colour
    sunny: bool

    def shade(self, colour: Colour, depth: float, gain: float = 1.0) -> Colour:
        """`colour` under this light, seen through `depth` metres of air."""
        mix = self.density * depth / (1 + self.density * depth)
        red, green, blue = (
            min(255.0, value * gain * sun) * (1 - mix) + haze * mix
            for value, sun, haze in zip(colour, self.sun, self.haze, strict=True)
        )
        return red, green, blue


@dataclass
class Canvas:
    """An image and its labels while they are painted, the farthest first."""

    image: Image
    identity: npt.NDArray[np.uint16]
    outlines: list[tuple[str, Points]] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def blank(cls, height: int, width: int) -> "Canvas":
        """A black canvas on which everything is unlabeled."""
        return cls(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint16))

    def new_identity(self, label: str) -> int:
        """What marks the next object's pixels: its id, or 1000 times its id plus a number."""
        if label not in INSTANCES:
            return IDS[label]
        number = self._counts.get(label, 0)
        self._counts[label] = number + 1
        return 1000 * IDS[label] + number

    def fill(self, points: Points, colour: Colour, label: str = "", identity: int = 0) -> None:
        """Paint one polygon, (n, 2) pixels; without a label it is only decoration."""
        fixed = _fixed(points)
        cv2.fillPoly(self.image, [fixed], colour, cv2.LINE_AA, _FRACTION)
        if label:
            cv2.fillPoly(self.identity, [fixed], identity or self.new_identity(label), cv2.LINE_8, _FRACTION)
            self.outlines.append((label, points))

    def details(self, polygons: Points, colour: Colour) -> None:
        """Paint many polygons, (m, n, 2) pixels, as decoration."""
        for fixed in _fixed(polygons):
            cv2.fillConvexPoly(self.image, fixed, colour, cv2.LINE_AA, _FRACTION)

    def darken(self, points: Points, percent: int) -> None:
        """Lower the brightness inside a polygon: a shadow."""
        height, width = self.identity.shape
        top, bottom = (int(value) for value in np.clip((points[:, 1].min(), points[:, 1].max() + 2), 0, height))
        if top < bottom:
            inside = np.full((bottom - top, width, 1), 100, np.uint8)
            cv2.fillPoly(inside, [_fixed(points - (0, top))], percent, cv2.LINE_8, _FRACTION)
            rows = self.image[top:bottom]
            rows[:] = rows.astype(np.uint16) * inside // 100

    def objects(self) -> list[tuple[str, list[list[int]]]]:
        """Label and polygon, whole pixels, of what can be seen, the farthest first.

        A polygon may reach beyond the image, as in the real annotations: cutting its corners off one by
        one would bend its edges.
        """
        height, width = self.identity.shape
        whole = [(label, np.rint(points)) for label, points in self.outlines]
        return [
            (label, [[int(x), int(y)] for x, y in points.tolist()])
            for label, points in whole
            if np.ptp(points.clip(0, (width - 1, height - 1)), axis=0).min() > 0
        ]


def _fixed(points: Points) -> npt.NDArray[np.int32]:
    """Pixels as the fixed-point numbers that OpenCV fills between."""
    return np.rint(points * (1 << _FRACTION)).astype(np.int32)


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One thing in the street; its `seed` fixes its looks in every frame that shows it."""

    kind: str
    x: float
    z: float
    length: float = 0.0
    height: float = 0.0
    seed: int = 0

    @property
    def far(self) -> float:
        """Where it ends, metres along the street: what ends farther away is painted first."""
        return self.z + self.length


@dataclass(frozen=True)
class Brush:
    """What a thing is painted with: canvas, camera, light and its own random numbers."""

    canvas: Canvas
    camera: Camera
    light: Light
    rng: np.random.Generator

    def pick(self, low: float, high: float) -> float:
        """A random number between two bounds."""
        return float(self.rng.uniform(low, high))

    def paint(self, low: int, high: int, spread: int = 60) -> Colour:
        """A random colour between two brightnesses."""
        level = int(self.rng.integers(low, high))
        offsets = self.rng.uniform(-spread, spread, 3).tolist()
        red, green, blue = (max(8.0, min(250.0, level + offset)) for offset in offsets)
        return red, green, blue

    def side(self, x: float, z: tuple[float, float], y: tuple[float, float]) -> Points:
        """The four corners, in pixels, of a face along the street."""
        corners = [(x, y[0], z[0]), (x, y[1], z[0]), (x, y[1], z[1]), (x, y[0], z[1])]
        return self.camera.project(np.array(corners))

    def front(self, x: tuple[float, float], z: float, y: tuple[float, float]) -> Points:
        """The four corners, in pixels, of a face across the street."""
        return self.camera.project(np.array([(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)]))


class Sprite:
    """A flat figure that faces the camera, drawn in metres around the point where it stands."""

    def __init__(
        self, brush: Brush, thing: Thing, *, mirrored: bool = False, part_of: tuple[str, int] = ("", 0)
    ) -> None:
        self.depth = thing.z - brush.camera.z
        self._canvas, self._light = brush.canvas, brush.light
        self._foot = brush.camera.project(np.array((thing.x, 0.0, thing.z)))
        scale = brush.camera.focal / max(self.depth, NEAR)
        self._scale = np.array((-scale if mirrored else scale, -scale))
        self._identities: dict[str, int] = dict([part_of])

    def shape(self, points: Sequence[tuple[float, float]] | Points, colour: Colour, label: str = "") -> None:
        """Paint a polygon; shapes of the same label are one object."""
        if label and label not in self._identities:
            self._identities[label] = self._canvas.new_identity(label)
        pixels = self._foot + np.asarray(points) * self._scale
        self._canvas.fill(pixels, self._light.shade(colour, self.depth), label, self._identities.get(label, 0))

    def oval(self, x: float, y: float, radii: tuple[float, float], colour: Colour, label: str = "") -> None:
        """Paint an ellipse around (x, y)."""
        self.shape(CIRCLE * radii + np.array((x, y)), colour, label)

    def box(self, x: tuple[float, float], y: tuple[float, float], colour: Colour, label: str = "") -> None:
        """Paint an upright rectangle."""
        self.shape([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])], colour, label)

    def bar(
        self, start: tuple[float, float], end: tuple[float, float], colour: Colour, thick: float, label: str = ""
    ) -> None:
        """Paint a bar of a thickness from one point to another."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy) or 1.0
        nx, ny = -dy / length * thick / 2, dx / length * thick / 2
        corners = [
            (start[0] + nx, start[1] + ny),
            (end[0] + nx, end[1] + ny),
            (end[0] - nx, end[1] - ny),
            (start[0] - nx, start[1] - ny),
        ]
        self.shape(corners, colour, label)
