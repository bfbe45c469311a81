"""Who is on the way in a drawn street: people on foot and on bicycles, and cars."""

import numpy as np

from segline.datasets.drawing.canvas import CIRCLE, NEAR, Brush, Colour, Sprite, Thing


def _symmetric(*right: tuple[float, float]) -> list[tuple[float, float]]:
    """An outline from its right half, from the bottom up."""
    return [*right, *((-x, y) for x, y in reversed(right))]


def paint_person(brush: Brush, thing: Thing) -> None:
    """Somebody who walks: legs, coat, arms, head and hair."""
    sprite, stride = Sprite(brush, thing, mirrored=brush.rng.random() < 0.5), brush.pick(0.05, 0.3)
    trousers, coat, skin = brush.paint(30, 110), brush.paint(40, 210, 80), (brush.pick(120, 225), 140.0, 110.0)
    for foot in (-stride, stride):
        sprite.bar((foot, 0), (0, 0.9), trousers, 0.2, "person")
    sprite.shape(_symmetric((0.24, 0.8), (0.3, 1.4), (0.12, 1.52)), coat, "person")
    for hand in (-0.36, 0.36):
        sprite.bar((hand * 0.75, 1.4), (hand + stride * 0.3, 0.85), coat, 0.13, "person")
    sprite.oval(0, 1.66, (0.13, 0.17), skin, "person")
    sprite.shape(_symmetric((0.14, 1.68), (0.1, 1.84)), brush.paint(25, 120, 20), "person")


def paint_bicycle(brush: Brush, thing: Thing) -> None:
    """A parked bicycle."""
    _wheels(Sprite(brush, thing, mirrored=brush.rng.random() < 0.5), brush.paint(30, 210, 80), 1.0)


_FRAME = (
    ((-0.52, 0.34), (-0.12, 0.85)),
    ((-0.12, 0.85), (0.4, 0.88)),
    ((0.52, 0.34), (0.38, 1.05)),
    ((-0.05, 0.4), (0.4, 0.88)),
    ((-0.05, 0.4), (-0.18, 0.98)),
    ((-0.52, 0.34), (-0.05, 0.4)),
)


def _wheels(sprite: Sprite, colour: Colour, squeeze: float) -> None:
    """Two wheels and a frame; annotators count what is seen through the spokes as bicycle."""
    for hub in (-0.52 * squeeze, 0.52 * squeeze):
        sprite.oval(hub, 0.34, (0.34 * squeeze, 0.34), (30, 30, 32), "bicycle")
        sprite.oval(hub, 0.34, (0.24 * squeeze, 0.24), (118, 118, 116))
        sprite.bar((hub - 0.2 * squeeze, 0.2), (hub + 0.2 * squeeze, 0.48), (60, 60, 60), 0.03)
    for start, end in _FRAME:
        sprite.bar((start[0] * squeeze, start[1]), (end[0] * squeeze, end[1]), colour, 0.09, "bicycle")
    sprite.bar((0.26 * squeeze, 1.07), (0.5 * squeeze, 1.07), (25, 25, 25), 0.07, "bicycle")


def paint_rider(brush: Brush, thing: Thing) -> None:
    """Somebody on a bicycle, seen from the side or nearly from behind."""
    sprite, squeeze = Sprite(brush, thing, mirrored=brush.rng.random() < 0.5), brush.pick(0.3, 1.0)
    _wheels(sprite, brush.paint(30, 210, 80), squeeze)
    trousers, coat = brush.paint(30, 120), brush.paint(60, 220, 80)
    for knee, foot in ((0.22, -0.12), (0.16, 0.12)):
        sprite.bar((-0.18 * squeeze, 1.02), (knee * squeeze, 0.72), trousers, 0.19, "rider")
        sprite.bar((knee * squeeze, 0.74), (foot * squeeze, 0.3), trousers, 0.15, "rider")
    lean = 0.22 * squeeze
    seat = -0.2 * squeeze
    back = [(seat - 0.2, 0.98), (seat + 0.16, 0.98), (lean + 0.22, 1.52), (lean - 0.2, 1.55)]
    sprite.shape(back, coat, "rider")
    sprite.bar((lean, 1.45), (0.42 * squeeze + 0.04, 1.1), coat, 0.13, "rider")
    sprite.oval(lean + 0.06, 1.72, (0.13, 0.17), (brush.pick(130, 225), 145, 115), "rider")
    helmet = [(lean - 0.12, 1.73), (lean + 0.24, 1.73), (lean + 0.15, 1.93), (lean - 0.05, 1.93)]
    sprite.shape(helmet, brush.paint(60, 220, 90), "rider")


def paint_car(brush: Brush, thing: Thing) -> None:
    """A car along the street: the flank that the camera sees, then the end that faces it."""
    canvas, camera = brush.canvas, brush.camera
    depth = max(thing.z - camera.z, NEAR)
    paint, identity = _car_paint(brush), canvas.new_identity("car")
    half = brush.pick(0.85, 0.95)
    right_of_car = thing.x + half < camera.x - camera.bend * depth * depth
    left, right = thing.x - half - 0.15, thing.x + half + 0.15
    shadow = [(left, 0, thing.z - 0.2), (right, 0, thing.z - 0.2), (right, 0, thing.far), (left, 0, thing.far)]
    canvas.darken(camera.project(np.array(shadow)), 45)
    _flank(brush, thing, thing.x + half if right_of_car else thing.x - half, paint, identity)
    if thing.z - camera.z > NEAR:
        _end(Sprite(brush, thing, part_of=("car", identity)), half, thing.height, paint, coming=thing.x < 0)


_PAINTS: tuple[Colour, ...] = (
    (210, 212, 214),
    (150, 152, 156),
    (36, 37, 40),
    (84, 88, 94),
    (150, 24, 28),
    (28, 60, 130),
    (30, 96, 66),
    (206, 150, 30),
    (96, 44, 96),
    (172, 92, 40),
    (90, 150, 190),
)


def _car_paint(brush: Brush) -> Colour:
    return _PAINTS[int(brush.rng.integers(0, len(_PAINTS)))]


def _flank(brush: Brush, thing: Thing, x: float, paint: Colour, identity: int) -> None:
    """The side of a car that lies at `x`: body, windows and wheels."""
    start, end, roof = thing.z, thing.far, thing.height
    bonnet, boot = brush.pick(0.6, 1.3), brush.pick(0.05, 0.9)
    rear, front = start + boot, end - bonnet
    body = [
        (0.25, start),
        (0.95, start),
        (roof, rear + 0.25),
        (roof, front - 0.9),
        (0.95, front),
        (0.8, end),
        (0.25, end),
    ]
    glass = [(1.0, rear + 0.2), (roof - 0.1, rear + 0.4), (roof - 0.1, front - 1.0), (1.0, front - 0.35)]
    wheels = [
        [(0.32 + 0.32 * sin, axle + 0.32 * cos) for cos, sin in CIRCLE.tolist()] for axle in (start + 0.75, end - 0.8)
    ]
    rubber: Colour = (24, 24, 26)
    depth = max(start - brush.camera.z, NEAR)
    for outline, colour, label in (
        (body, brush.light.shade(paint, depth, 0.78), "car"),
        (glass, brush.light.shade((38, 44, 52), depth), ""),
        *((wheel, brush.light.shade(rubber, depth), "car") for wheel in wheels),
    ):
        brush.canvas.fill(brush.camera.project(np.array([(x, y, z) for y, z in outline])), colour, label, identity)


def _end(sprite: Sprite, half: float, roof: float, paint: Colour, *, coming: bool) -> None:
    """The end of a car that faces the camera: tail lamps where it drives away, head lamps where it comes."""
    sprite.shape(_symmetric((half * 0.8, 0.9), (half * 0.62, roof)), paint, "car")
    sprite.shape(_symmetric((half * 0.7, 0.98), (half * 0.55, roof - 0.1)), (46, 54, 62))
    sprite.shape(_symmetric((half, 0.3), (half, 0.8), (half * 0.88, 1.0)), paint, "car")
    lamp: Colour = (245, 240, 215) if coming else (190, 20, 24)
    for edge in (-half, half):
        sprite.box((edge * 0.95, edge * 0.62), (0.62, 0.84), lamp)
        sprite.box((edge * 0.95, edge * 0.68), (0.0, 0.32), (20, 20, 22), "car")
    sprite.box((-0.28, 0.28), (0.45, 0.58), (235, 235, 225))
