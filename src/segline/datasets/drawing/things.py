"""What stands or moves in a drawn street. Flat figures are tables of polygons; blocks have faces in perspective."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segline.datasets.drawing.canvas import CIRCLE, NEAR, Camera, Canvas, Colour, Light, Points, scale

FAR = 80.0
"""Blocks and trees are painted up to this distance from the camera, metres."""
_FAR_FIGURES = 48.0  # farther away, a person has a few pixels that no annotator would outline


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A thing in the street; its `seed` fixes its looks in every frame that shows it. Metres."""

    kind: str
    x: float
    z: float
    length: float = 0.0
    height: float = 1.0
    seed: int = 0

    @property
    def far(self) -> float:
        """Where it ends along the street."""
        return self.z + self.length


def _box(x: tuple[float, float], y: tuple[float, float], taper: float = 1.0) -> Points:
    """Make an upright box; `taper` narrows its upper edge."""
    middle, half = (x[0] + x[1]) / 2, (x[1] - x[0]) / 2 * taper
    return np.array([(x[0], y[0]), (x[1], y[0]), (middle + half, y[1]), (middle - half, y[1])])


def _oval(x: float, y: float, wide: float, high: float) -> Points:
    outline: Points = CIRCLE * (wide, high) + (x, y)
    return outline


def _bar(start: tuple[float, float], end: tuple[float, float], thick: float) -> Points:
    along = np.subtract(end, start)
    across = np.array((-along[1], along[0])) * (thick / 2 / math.hypot(*along))
    return np.array([start + across, end + across, end - across, start - across])


# A colour is RGB, or the number of one of the random colours of the thing.
_Part = tuple[str, Colour | int, Points]
_SKIN, _DARK, _WHITE, _RED, _BLUE = (205, 150, 115), (30, 30, 32), (242, 242, 238), (205, 30, 35), (22, 72, 170)
_POLE: _Part = ("pole", (118, 120, 118), _box((-0.11, 0.11), (0, 2.6)))
_BICYCLE: tuple[_Part, ...] = (
    *(("bicycle", _DARK, _oval(hub, 0.34, 0.34, 0.34)) for hub in (-0.52, 0.52)),
    *(("", (118, 118, 116), _oval(hub, 0.34, 0.23, 0.23)) for hub in (-0.52, 0.52)),
    ("bicycle", 0, _bar((-0.52, 0.34), (-0.12, 0.9), 0.1)),
    ("bicycle", 0, _bar((-0.12, 0.85), (0.4, 0.88), 0.1)),
    ("bicycle", 0, _bar((0.52, 0.34), (0.36, 1.08), 0.1)),
)
_FIGURES: dict[str, tuple[_Part, ...]] = {
    "person": (
        *(("person", 0, _bar((foot, 0), (0, 0.95), 0.2)) for foot in (-0.2, 0.2)),
        ("person", 1, _box((-0.28, 0.28), (0.8, 1.5), 0.6)),
        *(("person", 1, _bar((side, 1.45), (1.7 * side, 0.85), 0.13)) for side in (-0.2, 0.2)),
        ("person", _SKIN, _oval(0, 1.66, 0.13, 0.17)),
        ("person", 2, _box((-0.14, 0.14), (1.68, 1.84), 0.7)),
    ),
    "bicycle": _BICYCLE,
    "rider": (
        *_BICYCLE,
        *(("rider", 1, _bar((-0.18, 1.0), (foot, 0.35), 0.19)) for foot in (-0.05, 0.2)),
        ("rider", 2, _bar((-0.18, 0.95), (0.14, 1.55), 0.36)),
        ("rider", 2, _bar((0.1, 1.45), (0.45, 1.1), 0.13)),
        ("rider", _SKIN, _oval(0.2, 1.72, 0.14, 0.17)),
        ("rider", 0, _box((0.04, 0.38), (1.74, 1.94), 0.6)),
    ),
    "lamp": (
        ("pole", (104, 108, 108), _box((-0.12, 0.12), (0, 5.6))),
        ("pole", (104, 108, 108), _bar((0, 5.5), (1.6, 5.8), 0.2)),
        ("", (225, 220, 190), _box((1.1, 2.0), (5.6, 5.9))),
    ),
    "traffic light": (
        _POLE,
        ("traffic light", (28, 30, 28), _box((-0.36, 0.36), (2.4, 4.1))),
        ("", (235, 50, 40), _oval(0, 3.82, 0.23, 0.23)),
        ("", (70, 56, 22), _oval(0, 3.26, 0.23, 0.23)),
        ("", (20, 66, 34), _oval(0, 2.7, 0.23, 0.23)),
    ),
    "round sign": (
        _POLE,
        ("traffic sign", _RED, _oval(0, 2.8, 0.58, 0.58)),
        ("", _WHITE, _oval(0, 2.8, 0.38, 0.38)),
        ("", _DARK, _box((-0.1, 0.1), (2.55, 3.05))),
    ),
    "warning sign": (
        _POLE,
        ("traffic sign", _RED, np.array([(-0.72, 2.3), (0.72, 2.3), (0, 3.5)])),
        ("", _WHITE, np.array([(-0.4, 2.48), (0.4, 2.48), (0, 3.12)])),
    ),
    "board": (
        _POLE,
        ("traffic sign", _BLUE, _box((-1.0, 1.0), (2.4, 3.5))),
        *(("", _WHITE, _box((-0.75, 0.6), (level, level + 0.18))) for level in (2.65, 3.05)),
    ),
    "bin": (("static", 0, _box((-0.42, 0.42), (0, 1.2), 1.15)), ("", (40, 40, 40), _box((-0.46, 0.46), (1.05, 1.2)))),
    "bags": tuple(("dynamic", place, _oval(x, 0.3, 0.4, 0.34)) for place, x in enumerate((-0.35, 0.3, 0.0))),
    "car end": (
        ("car", 0, _box((-0.72, 0.72), (0.95, 1.5), 0.78)),
        ("", (46, 54, 62), _box((-0.62, 0.62), (1.0, 1.42), 0.8)),
        ("car", 0, _box((-0.9, 0.9), (0.3, 1.0), 0.94)),
        *(("", (235, 90, 70), _box((edge - 0.13, edge + 0.13), (0.62, 0.84))) for edge in (-0.7, 0.7)),
        *(("car", (20, 20, 22), _box((edge - 0.13, edge + 0.13), (0, 0.32))) for edge in (-0.7, 0.7)),
        ("", (235, 235, 225), _box((-0.28, 0.28), (0.45, 0.58))),
    ),
}
_UPRIGHT = frozenset({"person", "bicycle", "rider"})  # seen from any side, so their width varies


def paint_things(canvas: Canvas, camera: Camera, light: Light, things: Sequence[Thing]) -> None:
    """Paint what the camera sees, the farthest first."""
    for thing in sorted(things, key=lambda item: (-item.far, item.kind, item.seed)):
        nearest = thing.far if thing.kind in _BLOCKS else thing.z
        farthest = FAR if thing.kind in _BLOCKS or thing.kind == "tree" else _FAR_FIGURES
        if nearest - camera.z > NEAR + 0.6 and thing.z - camera.z < farthest:
            painter = _Painter(canvas, camera, light, thing)
            if thing.kind in _BLOCKS:
                painter.paint_block()
            elif thing.kind == "tree":
                painter.paint_tree()
            elif thing.kind == "car":
                painter.paint_car()
            else:
                painter.paint_figure(_FIGURES[thing.kind])


class _Painter:
    """Paints one thing with its own random numbers."""

    def __init__(self, canvas: Canvas, camera: Camera, light: Light, thing: Thing) -> None:
        self._canvas, self._camera, self._light, self._thing = canvas, camera, light, thing
        self._rng = np.random.default_rng(thing.seed)
        self._depth = max(thing.z - camera.z, NEAR)
        self._colours = [self._draw_colour(50, 200, 70) for _ in range(3)]

    def _draw_colour(self, low: int, high: int, spread: int) -> Colour:
        red, green, blue = np.clip(self._rng.integers(low, high) + self._rng.uniform(-spread, spread, 3), 8, 250)
        return float(red), float(green), float(blue)

    def paint_figure(self, parts: Sequence[_Part], identities: dict[str, int] | None = None) -> None:
        """Paint a flat figure that faces the camera; parts of the same label are one object."""
        thing, known = self._thing, identities or {}
        foot = self._camera.project(np.array((thing.x, 0.0, thing.z)))
        zoom = self._camera.lens.focal / self._depth * np.array((-1.0 if thing.x > 0 else 1.0, -1.0))
        if thing.kind in _UPRIGHT:
            zoom[0] *= self._rng.choice([-1.0, 1.0]) * self._rng.uniform(0.5, 1.1)
        for label, colour, outline in parts:
            if label and label not in known:
                known[label] = self._canvas.new_identity(label)
            shown = self._colours[colour] if isinstance(colour, int) else colour
            lit = self._light.shade(shown, self._depth)
            self._canvas.fill(foot + outline * zoom, lit, label, known.get(label, 0))

    def _side(self, x: float, outline: Sequence[tuple[float, float]]) -> Points:
        """Project a face along the street, given as (z, y)."""
        return self._camera.project(np.array([(x, y, z) for z, y in outline]))

    def _fill_side(self, colour: Colour, label: str, height: float) -> None:
        start, far = self._thing.z, self._thing.far
        outline = self._side(self._thing.x, [(start, 0), (start, height), (far, height), (far, 0)])
        self._canvas.fill(outline, self._light.shade(colour, self._depth), label)

    def paint_block(self) -> None:
        """Paint a building, wall, fence or hedge: its face along the street, and the pattern on it."""
        thing, (label, pane, pitch, low, gain) = self._thing, _BLOCKS[self._thing.kind]
        colour = self._draw_colour(80, 215, 34)
        if label == "vegetation":
            colour = self._draw_green()
        if label == "building":
            self._paint_gable(colour)
        self._fill_side(colour, label, thing.height)
        self._fill_side(scale(colour, 0.65), "", 0.2)
        z = np.arange(thing.z + pitch[0] - pane[0], thing.far - pane[0], pitch[0])
        y = np.arange(low, max(thing.height - pane[1], low + 0.01), pitch[1])
        corners = np.stack(np.meshgrid(z[z > self._camera.z + NEAR], y), axis=-1).reshape(-1, 1, 2)
        corners = corners + np.array([(0, 0), (pane[0], 0), pane, (0, pane[1])])
        panes = np.stack([np.full(corners.shape[:2], thing.x), corners[..., 1], corners[..., 0]], axis=-1)
        self._canvas.decorate(self._camera.project(panes), self._light.shade(scale(colour, gain), self._depth))

    def _paint_gable(self, wall: Colour) -> None:
        """Paint a building's end across the street, and its roof."""
        thing, top = self._thing, self._thing.height
        eaves, start, far = (thing.x, top), thing.z, thing.far
        ridge = (thing.x + math.copysign(4.5, thing.x), top + 3)
        back = thing.x + math.copysign(9.0, thing.x)
        roof = np.array([(*eaves, start), (*ridge, start), (*ridge, far), (*eaves, far)])
        tiles = self._light.shade(self._colours[0], self._depth, 0.7)
        self._canvas.fill(self._camera.project(roof), tiles, "building")
        end = np.array([(thing.x, 0, start), (*eaves, start), (*ridge, start), (back, top, start), (back, 0, start)])
        self._canvas.fill(self._camera.project(end), self._light.shade(wall, self._depth, 0.8), "building")

    def _draw_green(self) -> Colour:
        """Draw a colour of leaves: green in most trees, autumn in some."""
        base = (128.0, 88.0, 40.0) if self._rng.random() < 0.15 else (70.0, 98.0, 42.0)
        return scale(base, float(self._rng.uniform(0.65, 1.35)))

    def paint_tree(self) -> None:
        """Paint a trunk and a ragged crown with clumps of darker and lighter leaves."""
        rng, high, green = self._rng, self._thing.height, self._draw_green()
        wide = high * rng.uniform(0.18, 0.36)
        crown = CIRCLE * rng.uniform(0.8, 1.2, (24, 1)) * (wide, 0.34 * high) + (0, 0.68 * high)
        parts: list[_Part] = [("vegetation", (78, 66, 54), _box((-0.03 * high, 0.03 * high), (0, 0.6 * high)))]
        parts.append(("vegetation", green, crown))
        for x, y, gain in rng.uniform((-0.6, -0.6, 0.65), (0.6, 0.6, 1.4), (10, 3)).tolist():
            clump = _oval(x * wide, (0.68 + 0.34 * y) * high, 0.25 * wide, 0.22 * wide)
            parts.append(("", scale(green, gain), clump))
        self.paint_figure(parts)

    def paint_car(self) -> None:
        """Paint a car along the street: its shadow, the side that the camera sees, and the end that faces it."""
        thing, identity = self._thing, self._canvas.new_identity("car")
        start, end = thing.z, thing.far
        middle = self._camera.x - self._camera.bend * self._depth**2
        side = thing.x + (0.9 if thing.x + 0.9 < middle else -0.9)
        shadow = [(thing.x + x, 0, z) for x, z in ((-1.05, start), (1.05, start), (1.05, end), (-1.05, end))]
        self._canvas.fill(self._camera.project(np.array(shadow)), (30.0, 30.0, 32.0))
        body = [(start, 0.25), (start, 0.95), (start + 0.5, 1.5), (end - 1.7, 1.5), (end - 0.9, 0.95), (end, 0.8)]
        glass = [(start + 0.4, 1.0), (start + 0.7, 1.4), (end - 1.8, 1.4), (end - 1.2, 1.0)]
        wheels = [(CIRCLE * 0.32 + (axle, 0.32)).tolist() for axle in (start + 0.75, end - 0.8)]
        faces = [([*body, (end, 0.25)], scale(self._colours[0], 0.78), "car"), (glass, (38.0, 44.0, 52.0), "")]
        faces += [(wheel, (24.0, 24.0, 26.0), "car") for wheel in wheels]
        for outline, colour, label in faces:
            self._canvas.fill(self._side(side, outline), self._light.shade(colour, self._depth), label, identity)
        if start - self._camera.z > NEAR:
            self.paint_figure(_FIGURES["car end"], {"car": identity})


# Kind -> label; size of a pane of its pattern, its pitch and its lowest place (along, up; metres); gain of its colour.
_BLOCKS: dict[str, tuple[str, tuple[float, float], tuple[float, float], float, float]] = {
    "building": ("building", (1.1, 1.5), (2.6, 3.0), 1.0, 0.35),
    "wall": ("wall", (0.8, 0.22), (0.9, 0.35), 0.2, 1.25),
    "fence": ("fence", (0.18, 1.0), (0.42, 9.0), 0.0, 0.5),
    "hedge": ("vegetation", (0.6, 0.2), (1.3, 0.5), 0.3, 0.7),
}
