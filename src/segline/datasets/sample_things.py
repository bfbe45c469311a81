"""What stands in a drawn street: buildings, trees, poles, people, vehicles.

Coordinates are metres: x to the right of the road's middle, y up from the ground, z along the
street. `Camera` projects them to pixels, `Canvas` paints polygons into the image and, where they
have a label, into the mask of identities and the list of objects, in the same order.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import Image
from segline.datasets.cityscapes import LABEL_MAP

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
FAR = 95.0
_FRACTION = 4  # bits below the pixel that OpenCV's polygon filling understands
_CIRCLE = np.array([(math.cos(2 * math.pi * i / 18), math.sin(2 * math.pi * i / 18)) for i in range(18)])


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
        across = points[..., 0] - self.x + self.bend * depth * depth
        return np.stack(
            [self.width / 2 + self.focal * across / depth, self.horizon + self.focal * (self.eye - points[..., 1]) / depth],
            axis=-1,
        )


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
    objects: list[tuple[str, list[list[int]]]] = field(default_factory=list)
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
        limit = 4.0 * self.image.shape[1]
        fixed = np.rint(np.clip(points, -limit, limit) * (1 << _FRACTION)).astype(np.int32)
        cv2.fillPoly(self.image, [fixed], colour, cv2.LINE_AA, _FRACTION)
        if label:
            cv2.fillPoly(self.identity, [fixed], identity or self.new_identity(label), cv2.LINE_8, _FRACTION)
            self._record(label, points)

    def details(self, polygons: Points, colour: Colour) -> None:
        """Paint many polygons, (m, n, 2) pixels, as decoration."""
        limit = 4.0 * self.image.shape[1]
        for fixed in np.rint(np.clip(polygons, -limit, limit) * (1 << _FRACTION)).astype(np.int32):
            cv2.fillConvexPoly(self.image, fixed, colour, cv2.LINE_AA, _FRACTION)

    def darken(self, points: Points, percent: int) -> None:
        """Lower the brightness inside a polygon: a shadow."""
        inside = np.zeros(self.identity.shape, np.uint8)
        cv2.fillPoly(inside, [np.rint(np.clip(points, -9999, 9999)).astype(np.int32)], 1)
        chosen = inside.astype(bool)
        self.image[chosen] = (self.image[chosen].astype(np.uint16) * percent // 100).astype(np.uint8)

    def _record(self, label: str, points: Points) -> None:
        height, width = self.identity.shape
        inside = np.rint(np.clip(points, 0, (width - 1, height - 1))).astype(int)
        if np.ptp(inside[:, 0]) and np.ptp(inside[:, 1]):
            self.objects.append((label, [[int(x), int(y)] for x, y in inside]))


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
        level = self.rng.integers(low, high)
        red, green, blue = (float(value) for value in np.clip(level + self.rng.integers(-spread, spread, 3), 8, 250))
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

    def __init__(self, brush: Brush, thing: Thing, *, mirrored: bool = False) -> None:
        self.depth = thing.z - brush.camera.z
        self._canvas, self._light = brush.canvas, brush.light
        self._foot = brush.camera.project(np.array((thing.x, 0.0, thing.z)))
        scale = brush.camera.focal / max(self.depth, NEAR)
        self._scale = np.array((-scale if mirrored else scale, -scale))
        self._identities: dict[str, int] = {}

    def shape(self, points: Sequence[tuple[float, float]] | Points, colour: Colour, label: str = "") -> None:
        """Paint a polygon; shapes of the same label are one object."""
        if label and label not in self._identities:
            self._identities[label] = self._canvas.new_identity(label)
        pixels = self._foot + np.asarray(points) * self._scale
        self._canvas.fill(pixels, self._light.shade(colour, self.depth), label, self._identities.get(label, 0))

    def oval(self, x: float, y: float, radii: tuple[float, float], colour: Colour, label: str = "") -> None:
        """Paint an ellipse around (x, y)."""
        self.shape(_CIRCLE * radii + (x, y), colour, label)

    def bar(self, start: tuple[float, float], end: tuple[float, float], colour: Colour, thick: float, label: str = "") -> None:
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


def _building(brush: Brush, thing: Thing) -> None:
    """A block: one face along the street with rows of windows, one across it, perhaps a roof."""
    rng, light = brush.rng, brush.light
    wall = brush.paint(70, 215, 45)
    side = math.copysign(1.0, thing.x)
    depth = max(thing.z - brush.camera.z, NEAR)
    back = thing.x + side * 9
    z, top = (thing.z, thing.far), thing.height
    if rng.random() < 0.6:
        ridge = np.array([(thing.x, top, z[0]), ((thing.x + back) / 2, top + 3, z[0]), ((thing.x + back) / 2, top + 3, z[1]),
                          (thing.x, top, z[1])])  # fmt: skip
        brush.canvas.fill(brush.camera.project(ridge), light.shade(brush.paint(60, 140, 40), depth), "building")
        gable = np.array([(thing.x, top, z[0]), ((thing.x + back) / 2, top + 3, z[0]), (back, top, z[0])])
        brush.canvas.fill(brush.camera.project(gable), light.shade(wall, depth, 0.85), "building")
    brush.canvas.fill(brush.front((thing.x, back), z[0], (0, top)), light.shade(wall, depth, 0.8), "building")
    brush.canvas.fill(brush.side(thing.x, z, (0, top)), light.shade(wall, depth), "building")
    base = light.shade(wall, depth, 0.7)
    brush.canvas.fill(brush.side(thing.x, z, (0, brush.pick(0.3, 1.0))), base)
    _windows(brush, thing, light.shade(brush.paint(25, 90, 25), depth), light.shade(wall, depth, 1.25))


def _windows(brush: Brush, thing: Thing, glass: Colour, frame: Colour) -> None:
    """Rows of windows along the street, and some across it; those behind the camera are left out."""
    storey, bay = brush.pick(2.6, 3.4), brush.pick(2.0, 3.4)
    rows = np.arange(1.0, thing.height - 1.6, storey)
    for grow, colour in ((0.18, frame), (0.0, glass)):
        places = np.arange(thing.z + 0.6, thing.far - 1.2, bay)
        z, y = np.meshgrid(places[places > brush.camera.z + NEAR], rows)
        size = np.array([(-grow, -grow), (-grow, 1.5 + grow), (1.1 + grow, 1.5 + grow), (1.1 + grow, -grow)])
        panes = np.empty((z.size, 4, 3))
        panes[..., 0] = thing.x
        panes[..., 1] = y.reshape(-1, 1) + size[:, 1]
        panes[..., 2] = z.reshape(-1, 1) + size[:, 0]
        brush.canvas.details(brush.camera.project(panes), colour)
        if thing.z - brush.camera.z > NEAR:
            across = thing.x + math.copysign(1.0, thing.x) * (np.arange(3) * 2.6 + 1.2)
            x, y = np.meshgrid(across, rows)
            panes = np.full((x.size, 4, 3), thing.z)
            panes[..., 0] = x.reshape(-1, 1) + size[:, 0]
            panes[..., 1] = y.reshape(-1, 1) + size[:, 1]
            brush.canvas.details(brush.camera.project(panes), colour)


def _wall(brush: Brush, thing: Thing) -> None:
    """A free-standing wall with a coping and joints."""
    colour = brush.paint(90, 180, 30)
    depth = max(thing.z - brush.camera.z, NEAR)
    z = (thing.z, thing.far)
    brush.canvas.fill(brush.side(thing.x, z, (0, thing.height)), brush.light.shade(colour, depth, 0.9), "wall")
    top = thing.height
    brush.canvas.fill(brush.side(thing.x, z, (top - 0.15, top)), brush.light.shade(colour, depth, 1.3))
    for level in np.arange(0.35, top - 0.2, 0.35):
        brush.canvas.fill(brush.side(thing.x, z, (level, level + 0.05)), brush.light.shade(colour, depth, 0.65))


def _fence(brush: Brush, thing: Thing) -> None:
    """Posts, rails and pickets over what is behind; the label covers the whole, as annotators do."""
    colour = brush.paint(60, 220, 30)
    z, top = (thing.z, thing.far), thing.height
    depth = max(thing.z - brush.camera.z, NEAR)
    behind = brush.light.shade((70, 84, 62), depth)
    brush.canvas.fill(brush.side(thing.x, z, (0, top)), behind, "fence")
    lit = brush.light.shade(colour, depth)
    for level in (0.25, top - 0.25):
        brush.canvas.fill(brush.side(thing.x, z, (level, level + 0.1)), lit)
    places = np.arange(max(z[0], brush.camera.z + NEAR), z[1], 0.4)
    pickets = np.empty((places.size, 4, 3))
    pickets[..., 0] = thing.x
    pickets[..., 1] = (0, top, top, 0)
    pickets[..., 2] = places[:, None] + np.array((0, 0, 0.16, 0.16))
    brush.canvas.details(brush.camera.project(pickets), lit)


def _hedge(brush: Brush, thing: Thing) -> None:
    """A hedge with an uneven top."""
    green = _foliage(brush)
    depth = max(thing.z - brush.camera.z, NEAR)
    places = np.linspace(thing.z, thing.far, 9)
    top = [(thing.x, thing.height * brush.pick(0.85, 1.1), float(z)) for z in places]
    outline = np.array([(thing.x, 0.0, thing.z), *top, (thing.x, 0.0, thing.far)])
    brush.canvas.fill(brush.camera.project(outline), brush.light.shade(green, depth), "vegetation")
    brush.canvas.fill(brush.side(thing.x, (thing.z, thing.far), (0, 0.3)), brush.light.shade(green, depth, 0.6))


def _foliage(brush: Brush) -> Colour:
    """Green in most trees, autumn or dark in some."""
    palette = [(62, 96, 38), (84, 112, 44), (48, 78, 44), (104, 116, 50), (140, 98, 40), (122, 74, 40)]
    red, green, blue = palette[int(brush.rng.choice(6, p=(0.28, 0.24, 0.2, 0.14, 0.08, 0.06)))]
    gain = brush.pick(0.8, 1.25)
    return red * gain, green * gain, blue * gain


def _tree(brush: Brush, thing: Thing) -> None:
    """A trunk and a ragged crown, round or pointed, with clumps of lighter and darker leaves."""
    sprite, green = Sprite(brush, thing), _foliage(brush)
    radius, middle = thing.height * brush.pick(0.26, 0.36), thing.height * 0.68
    bark = brush.paint(50, 100, 20)
    sprite.bar((0, 0), (brush.pick(-0.2, 0.2), middle), bark, 0.05 * thing.height, "vegetation")
    ragged = brush.rng.uniform(0.82, 1.18, 18)[:, None]
    narrow = 0.6 if brush.rng.random() < 0.25 else 1.0
    stretch = np.array((radius * narrow, thing.height * 0.34))
    sprite.shape(_CIRCLE * ragged * stretch + (0, middle), green, "vegetation")
    for _ in range(12):
        angle, reach = brush.pick(0, 6.283), brush.pick(0.1, 0.75)
        x, y = reach * math.cos(angle) * stretch[0], reach * math.sin(angle) * stretch[1]
        gain = 0.72 + 0.5 * (0.5 + 0.5 * math.sin(angle)) * brush.pick(0.5, 1.4)
        leaf = (green[0] * gain, green[1] * gain, green[2] * gain)
        sprite.oval(x, middle + y, (radius * brush.pick(0.12, 0.3), radius * brush.pick(0.1, 0.24)), leaf)


def _lamp(brush: Brush, thing: Thing) -> None:
    """A street lamp that leans over the road."""
    sprite, colour = Sprite(brush, thing, mirrored=thing.x > 0), brush.paint(60, 160, 15)
    sprite.bar((0, 0), (0, thing.height), colour, 0.24, "pole")
    sprite.bar((0, thing.height), (1.5, thing.height + 0.25), colour, 0.2, "pole")
    sprite.shape([(1.1, thing.height + 0.1), (2.0, thing.height + 0.2), (2.0, thing.height + 0.45)], (225, 220, 190))


def _traffic_light(brush: Brush, thing: Thing) -> None:
    """Three lamps, one of them lit, on a pole."""
    sprite, on = Sprite(brush, thing), int(brush.rng.integers(0, 3))
    sprite.bar((0, 0), (0, 2.6), brush.paint(70, 150, 15), 0.22, "pole")
    sprite.shape([(-0.36, 2.4), (0.36, 2.4), (0.36, 4.1), (-0.36, 4.1)], (28, 30, 28), "traffic light")
    lamps = [(235, 50, 40), (245, 180, 40), (60, 225, 110)]
    for place, colour in enumerate(lamps):
        gain = 1.0 if place == on else 0.28
        lit = (colour[0] * gain, colour[1] * gain, colour[2] * gain)
        sprite.oval(0, 3.82 - 0.56 * place, (0.23, 0.23), lit)


def _sign(brush: Brush, thing: Thing) -> None:
    """A sign: round, triangular, a board or a diamond, with its rim and its symbol."""
    sprite, shape = Sprite(brush, thing), int(brush.rng.integers(0, 4))
    sprite.bar((0, 0), (0, 2.6), brush.paint(90, 170, 12), 0.2, "pole")
    if shape == 0:
        rim: Colour = (205, 30, 35) if brush.rng.random() < 0.5 else (25, 70, 175)
        sprite.oval(0, 2.8, (0.58, 0.58), rim, "traffic sign")
        sprite.oval(0, 2.8, (0.38, 0.38), (240, 240, 235) if rim[0] > 100 else (60, 110, 210))
        sprite.shape([(-0.1, 2.55), (0.1, 2.55), (0.1, 3.05), (-0.1, 3.05)], (30, 30, 30) if rim[0] > 100 else (245, 245, 245))
    elif shape == 1:
        sprite.shape([(-0.72, 2.3), (0.72, 2.3), (0, 3.5)], (205, 30, 35), "traffic sign")
        sprite.shape([(-0.4, 2.48), (0.4, 2.48), (0, 3.12)], (240, 240, 235))
    elif shape == 2:
        board: Colour = (20, 75, 165) if brush.rng.random() < 0.5 else (235, 200, 40)
        sprite.shape([(-1.0, 2.4), (1.0, 2.4), (1.0, 3.5), (-1.0, 3.5)], board, "traffic sign")
        for level in (2.65, 3.05):
            sprite.shape([(-0.75, level), (0.6, level), (0.6, level + 0.18), (-0.75, level + 0.18)], (240, 240, 240))
    else:
        sprite.shape([(-0.62, 2.85), (0, 2.25), (0.62, 2.85), (0, 3.45)], (242, 242, 238), "traffic sign")
        sprite.shape([(-0.4, 2.85), (0, 2.45), (0.4, 2.85), (0, 3.25)], (240, 190, 30))


def _person(brush: Brush, thing: Thing) -> None:
    """Somebody who walks: legs, coat, arms, head and hair."""
    sprite, stride = Sprite(brush, thing, mirrored=brush.rng.random() < 0.5), brush.pick(0.05, 0.3)
    trousers, coat, skin = brush.paint(30, 110), brush.paint(40, 210, 80), (brush.pick(120, 225), 140.0, 110.0)
    for foot in (-stride, stride):
        sprite.bar((foot, 0), (0, 0.9), trousers, 0.2, "person")
    sprite.shape([(-0.24, 0.8), (0.24, 0.8), (0.3, 1.4), (0.12, 1.52), (-0.12, 1.52), (-0.3, 1.4)], coat, "person")
    for hand in (-0.36, 0.36):
        sprite.bar((hand * 0.75, 1.4), (hand + stride * 0.3, 0.85), coat, 0.13, "person")
    sprite.oval(0, 1.66, (0.13, 0.17), skin, "person")
    sprite.shape([(-0.14, 1.68), (0.14, 1.68), (0.1, 1.84), (-0.1, 1.84)], brush.paint(25, 120, 20), "person")


def _bicycle(brush: Brush, thing: Thing) -> None:
    """A parked bicycle."""
    _wheels(Sprite(brush, thing, mirrored=brush.rng.random() < 0.5), brush.paint(30, 210, 80), 1.0)


def _wheels(sprite: Sprite, colour: Colour, squeeze: float) -> None:
    """Two wheels and a frame; annotators count what is seen through the spokes as bicycle."""
    for hub in (-0.52 * squeeze, 0.52 * squeeze):
        sprite.oval(hub, 0.34, (0.34 * squeeze, 0.34), (30, 30, 32), "bicycle")
        sprite.oval(hub, 0.34, (0.24 * squeeze, 0.24), (118, 118, 116))
        sprite.bar((hub - 0.2 * squeeze, 0.2), (hub + 0.2 * squeeze, 0.48), (60, 60, 60), 0.03)
    bones = [((-0.52, 0.34), (-0.12, 0.85)), ((-0.12, 0.85), (0.4, 0.88)), ((0.52, 0.34), (0.38, 1.05)),
             ((-0.05, 0.4), (0.4, 0.88)), ((-0.05, 0.4), (-0.18, 0.98)), ((-0.52, 0.34), (-0.05, 0.4))]  # fmt: skip
    for start, end in bones:
        sprite.bar((start[0] * squeeze, start[1]), (end[0] * squeeze, end[1]), colour, 0.09, "bicycle")
    sprite.bar((0.26 * squeeze, 1.07), (0.5 * squeeze, 1.07), (25, 25, 25), 0.07, "bicycle")


def _rider(brush: Brush, thing: Thing) -> None:
    """Somebody on a bicycle, seen from the side or nearly from behind."""
    sprite, squeeze = Sprite(brush, thing, mirrored=brush.rng.random() < 0.5), brush.pick(0.3, 1.0)
    _wheels(sprite, brush.paint(30, 210, 80), squeeze)
    trousers, coat = brush.paint(30, 120), brush.paint(60, 220, 80)
    for knee, foot in ((0.22, -0.12), (0.16, 0.12)):
        sprite.bar((-0.18 * squeeze, 1.02), (knee * squeeze, 0.72), trousers, 0.19, "rider")
        sprite.bar((knee * squeeze, 0.74), (foot * squeeze, 0.3), trousers, 0.15, "rider")
    lean = 0.22 * squeeze
    sprite.shape([(-0.2 - 0.2 * squeeze, 0.98), (0.16 - 0.2 * squeeze, 0.98), (0.22 + lean, 1.52), (-0.2 + lean, 1.55)], coat, "rider")
    sprite.bar((lean, 1.45), (0.42 * squeeze + 0.04, 1.1), coat, 0.13, "rider")
    sprite.oval(lean + 0.06, 1.72, (0.13, 0.17), (brush.pick(130, 225), 145, 115), "rider")
    sprite.shape([(lean - 0.12, 1.73), (lean + 0.24, 1.73), (lean + 0.15, 1.93), (lean - 0.05, 1.93)], brush.paint(60, 220, 90), "rider")


def _bin(brush: Brush, thing: Thing) -> None:
    """Street furniture that Cityscapes calls static: a bin or a box."""
    sprite, colour, high = Sprite(brush, thing), brush.paint(40, 170), brush.pick(0.8, 1.4)
    sprite.shape([(-0.35, 0), (0.35, 0), (0.42, high), (-0.42, high)], colour, "static")
    sprite.shape([(-0.46, high - 0.12), (0.46, high - 0.12), (0.4, high), (-0.4, high)], (40, 40, 40))


def _bags(brush: Brush, thing: Thing) -> None:
    """What stands about for a day, dynamic to Cityscapes: a pile of bags."""
    sprite = Sprite(brush, thing)
    for place in (-0.35, 0.3, 0.0):
        sprite.oval(place, 0.28 + 0.2 * (place == 0), (0.4, 0.3), brush.paint(40, 190), "dynamic")


def _car(brush: Brush, thing: Thing) -> None:
    """A car along the street: the flank that the camera sees, then the end that faces it."""
    canvas, camera, light = brush.canvas, brush.camera, brush.light
    depth = max(thing.z - camera.z, NEAR)
    paint, identity = _car_paint(brush), canvas.new_identity("car")
    half, roof = brush.pick(0.85, 0.95), thing.height
    bonnet, boot = brush.pick(0.6, 1.3), brush.pick(0.05, 0.9)
    flank = thing.x + half if thing.x + half < camera.x - camera.bend * depth * depth else thing.x - half
    end = thing.far
    shadow = [(thing.x - half - 0.15, 0, thing.z - 0.2), (thing.x + half + 0.15, 0, thing.z - 0.2),
              (thing.x + half + 0.15, 0, end), (thing.x - half - 0.15, 0, end)]  # fmt: skip
    canvas.darken(camera.project(np.array(shadow)), 45)
    profile = [(0.25, thing.z), (0.95, thing.z), (roof, thing.z + boot + 0.25), (roof, end - bonnet - 0.9), (0.95, end - bonnet),
               (0.8, end), (0.25, end)]  # fmt: skip
    canvas.fill(_flank(brush, flank, profile), light.shade(paint, depth, 0.78), "car", identity)
    glass = [(1.0, thing.z + boot + 0.2), (roof - 0.1, thing.z + boot + 0.4), (roof - 0.1, end - bonnet - 1.0), (1.0, end - bonnet - 0.35)]
    canvas.fill(_flank(brush, flank, glass), light.shade((38, 44, 52), depth))
    for axle in (thing.z + 0.75, end - 0.8):
        wheel = [(0.32 + 0.32 * sin, axle + 0.32 * cos) for cos, sin in _CIRCLE.tolist()]
        canvas.fill(_flank(brush, flank, wheel), light.shade((24, 24, 26), depth), "car", identity)
    _car_end(brush, thing, half, paint, identity)


def _car_paint(brush: Brush) -> Colour:
    greys = [(210, 212, 214), (150, 152, 156), (36, 37, 40), (84, 88, 94)]
    bright = [(150, 24, 28), (28, 60, 130), (30, 96, 66), (206, 150, 30), (96, 44, 96), (172, 92, 40), (90, 150, 190)]
    return [*greys, *bright][int(brush.rng.integers(0, 11))]


def _flank(brush: Brush, x: float, profile: Sequence[tuple[float, float]]) -> Points:
    return brush.camera.project(np.array([(x, y, z) for y, z in profile]))


def _car_end(brush: Brush, thing: Thing, half: float, paint: Colour, identity: int) -> None:
    """The end of a car that faces the camera: tail lamps where it drives away, head lamps where it comes."""
    coming, roof = thing.x < 0, thing.height
    sprite = Sprite(brush, thing)
    if sprite.depth < NEAR:
        return
    sprite._identities["car"] = identity
    sprite.shape([(-half * 0.8, 0.9), (half * 0.8, 0.9), (half * 0.62, roof), (-half * 0.62, roof)], paint, "car")
    sprite.shape([(-half * 0.7, 0.98), (half * 0.7, 0.98), (half * 0.55, roof - 0.1), (-half * 0.55, roof - 0.1)], (46, 54, 62))
    sprite.shape([(-half, 0.3), (half, 0.3), (half, 0.8), (half * 0.88, 1.0), (-half * 0.88, 1.0), (-half, 0.8)], paint, "car")
    lamp: Colour = (245, 240, 215) if coming else (190, 20, 24)
    for edge in (-1, 1):
        sprite.shape([(edge * half * 0.95, 0.62), (edge * half * 0.62, 0.62), (edge * half * 0.62, 0.84), (edge * half * 0.95, 0.84)], lamp)
        sprite.shape([(edge * half * 0.95, 0.0), (edge * half * 0.68, 0.0), (edge * half * 0.68, 0.32), (edge * half * 0.95, 0.32)],
                     (20, 20, 22), "car")  # fmt: skip
    sprite.shape([(-0.28, 0.45), (0.28, 0.45), (0.28, 0.58), (-0.28, 0.58)], (235, 235, 225))


_PAINTERS: dict[str, Callable[[Brush, Thing], None]] = {
    "building": _building,
    "wall": _wall,
    "fence": _fence,
    "hedge": _hedge,
    "tree": _tree,
    "lamp": _lamp,
    "traffic light": _traffic_light,
    "sign": _sign,
    "person": _person,
    "bicycle": _bicycle,
    "rider": _rider,
    "bin": _bin,
    "bags": _bags,
    "car": _car,
}
_LONG = frozenset({"building", "wall", "fence", "hedge", "car"})


def paint_things(canvas: Canvas, camera: Camera, light: Light, things: Sequence[Thing]) -> None:
    """Paint what the camera sees, the farthest first."""
    for thing in sorted(things, key=lambda item: (-item.far, item.kind, item.seed)):
        nearest = thing.far if thing.kind in _LONG else thing.z
        if nearest - camera.z > NEAR + 0.6 and thing.z - camera.z < FAR:
            _PAINTERS[thing.kind](Brush(canvas, camera, light, np.random.default_rng(thing.seed)), thing)
