"""What stands in a drawn street: buildings, borders, trees, poles with lamps, lights and signs."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from segline.datasets.drawing.canvas import (
    CIRCLE,
    FAR,
    NEAR,
    SMALL,
    Brush,
    Camera,
    Canvas,
    Colour,
    Light,
    Points,
    Sprite,
    Thing,
)
from segline.datasets.drawing.traffic import paint_bicycle, paint_car, paint_person, paint_rider

_RED: Colour = (205, 30, 35)
_BLUE: Colour = (22, 72, 170)
_WHITE: Colour = (242, 242, 238)


def _building(brush: Brush, thing: Thing) -> None:
    """A block: one face along the street with rows of windows, one across it, perhaps a roof."""
    rng, light = brush.rng, brush.light
    wall = brush.paint(80, 215, 32)
    side = math.copysign(1.0, thing.x)
    depth = max(thing.z - brush.camera.z, NEAR)
    back = thing.x + side * 9
    z, top = (thing.z, thing.far), thing.height
    if rng.random() < 0.6:
        ridge, tiles = thing.x + side * 4.5, light.shade(brush.paint(60, 140, 40), depth)
        roof = np.array([(thing.x, top, z[0]), (ridge, top + 3, z[0]), (ridge, top + 3, z[1]), (thing.x, top, z[1])])
        brush.canvas.fill(brush.camera.project(roof), tiles, "building")
        gable = np.array([(thing.x, top, z[0]), (ridge, top + 3, z[0]), (back, top, z[0])])
        brush.canvas.fill(brush.camera.project(gable), light.shade(wall, depth, 0.85), "building")
    brush.canvas.fill(brush.front((thing.x, back), z[0], (0, top)), light.shade(wall, depth, 0.8), "building")
    brush.canvas.fill(brush.side(thing.x, z, (0, top)), light.shade(wall, depth), "building")
    base = light.shade(wall, depth, 0.7)
    brush.canvas.fill(brush.side(thing.x, z, (0, brush.pick(0.3, 1.0))), base)
    _windows(brush, thing, light.shade(brush.paint(25, 90, 25), depth), light.shade(wall, depth, 1.25))


def _windows(brush: Brush, thing: Thing, glass: Colour, frame: Colour) -> None:
    """Rows of windows along the street, and some across it; those behind the camera are left out."""
    storey, bay = brush.pick(2.6, 3.4), brush.pick(2.0, 3.4)
    depth = thing.z - brush.camera.z
    rows = np.arange(1.0, thing.height - 1.6, storey)
    places = np.arange(thing.z + 0.6, thing.far - 1.2, bay)
    places = places[places > brush.camera.z + NEAR]
    across = thing.x + math.copysign(1.0, thing.x) * (np.arange(3) * 2.6 + 1.2)
    for grow, colour in ((0.18, frame), (0.0, glass)):
        if grow and depth > SMALL:
            continue
        brush.canvas.details(brush.camera.project(_panes(places, rows, grow, along=True, at=thing.x)), colour)
        if depth > NEAR:
            brush.canvas.details(brush.camera.project(_panes(across, rows, grow, along=False, at=thing.z)), colour)


def _panes(
    places: npt.NDArray[np.floating], rows: npt.NDArray[np.floating], grow: float, *, along: bool, at: float
) -> Points:
    """(n, 4, 3) corners of windows at each place and row, in a plane along the street or across it."""
    start, level = np.meshgrid(places, rows)
    panes = np.full((start.size, 4, 3), at)
    panes[..., 2 if along else 0] = start.reshape(-1, 1) + np.array((-grow, -grow, 1.1 + grow, 1.1 + grow))
    panes[..., 1] = level.reshape(-1, 1) + np.array((-grow, 1.5 + grow, 1.5 + grow, -grow))
    return panes


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
    sprite.shape(CIRCLE * ragged * stretch + np.array((0, middle)), green, "vegetation")
    for _ in range(14 if sprite.depth < SMALL / 2 else 6):
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
    sprite.box((-0.36, 0.36), (2.4, 4.1), (28, 30, 28), "traffic light")
    lamps = [(235, 50, 40), (245, 180, 40), (60, 225, 110)]
    for place, colour in enumerate(lamps):
        gain = 1.0 if place == on else 0.28
        lit = (colour[0] * gain, colour[1] * gain, colour[2] * gain)
        sprite.oval(0, 3.82 - 0.56 * place, (0.23, 0.23), lit)


def _sign(brush: Brush, thing: Thing) -> None:
    """A sign: round, triangular, a board or a diamond, with its rim and its symbol."""
    sprite, shape = Sprite(brush, thing), int(brush.rng.integers(0, 4))
    sprite.bar((0, 0), (0, 2.6), brush.paint(90, 170, 12), 0.2, "pole")
    first = brush.rng.random() < 0.5
    if shape == 0:
        sprite.oval(0, 2.8, (0.58, 0.58), _RED if first else _BLUE, "traffic sign")
        sprite.oval(0, 2.8, (0.38, 0.38), _WHITE if first else (60, 110, 210))
        sprite.box((-0.1, 0.1), (2.55, 3.05), (30, 30, 30) if first else _WHITE)
    elif shape == 1:
        sprite.shape([(-0.72, 2.3), (0.72, 2.3), (0, 3.5)], _RED, "traffic sign")
        sprite.shape([(-0.4, 2.48), (0.4, 2.48), (0, 3.12)], _WHITE)
    elif shape == 2:
        sprite.box((-1.0, 1.0), (2.4, 3.5), _BLUE if first else (235, 200, 40), "traffic sign")
        for level in (2.65, 3.05):
            sprite.box((-0.75, 0.6), (level, level + 0.18), _WHITE)
    else:
        sprite.shape([(-0.62, 2.85), (0, 2.25), (0.62, 2.85), (0, 3.45)], _WHITE, "traffic sign")
        sprite.shape([(-0.4, 2.85), (0, 2.45), (0.4, 2.85), (0, 3.25)], (240, 190, 30))


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


_PAINTERS: dict[str, Callable[[Brush, Thing], None]] = {
    "building": _building,
    "wall": _wall,
    "fence": _fence,
    "hedge": _hedge,
    "tree": _tree,
    "lamp": _lamp,
    "traffic light": _traffic_light,
    "sign": _sign,
    "person": paint_person,
    "bicycle": paint_bicycle,
    "rider": paint_rider,
    "bin": _bin,
    "bags": _bags,
    "car": paint_car,
}
_LONG = frozenset({"building", "wall", "fence", "hedge"})


def paint_things(canvas: Canvas, camera: Camera, light: Light, things: Sequence[Thing]) -> None:
    """Paint what the camera sees, the farthest first."""
    for thing in sorted(things, key=lambda item: (-item.far, item.kind, item.seed)):
        nearest = thing.far if thing.kind in _LONG else thing.z
        farthest = FAR if thing.kind in _LONG or thing.kind == "tree" else SMALL
        if nearest - camera.z > NEAR + 0.6 and thing.z - camera.z < farthest:
            _PAINTERS[thing.kind](Brush(canvas, camera, light, np.random.default_rng(thing.seed)), thing)
