"""Streets for the drawn miniatures of KITTI, Cityscapes and CamVid.

A `Street` is a stretch of road with everything that stands along it. `photograph` shows it from one place, with
the traffic of that moment. Frames of one street share its buildings and trees, as the frames of one drive do.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segline.datasets.drawing.canvas import IDS, NEAR, Camera, Canvas, Colour, Lens, Light, Points, expose, noise
from segline.datasets.drawing.things import FAR, Thing, paint_things

_SIGNS = ("round sign", "warning sign", "board")
_PAVEMENT = ("lamp", "traffic light", *_SIGNS, "person", "person", "bicycle", "tree", "rider", "bin", "bags")
_PLOTS = ("block", "block", "house", "park", "house", "meadow")
_BORDERS = ("fence", "wall", "fence", "wall", "hedge")
_WEATHER = (
    Light(sun=(1.12, 1.08, 1.0), haze=(196, 214, 232), density=0.006, zenith=(74, 128, 204)),
    Light(sun=(0.86, 0.88, 0.9), haze=(206, 208, 210), density=0.010, zenith=(150, 156, 164)),
    Light(sun=(1.02, 0.84, 0.7), haze=(240, 188, 140), density=0.010, zenith=(92, 104, 158)),
    Light(sun=(0.92, 0.94, 0.95), haze=(214, 218, 218), density=0.030, zenith=(196, 202, 206)),
)
"""Clear, overcast, evening, mist."""
_ROUGHNESS = {"vegetation": (75, 55), "terrain": (22, 40), "sidewalk": (12, 18), "wall": (20, 26), "sky": (0, 0)}
_OTHER_ROUGHNESS = (12, 13)
"""Strength of the coarse and of the fine texture of each label."""


@dataclass(frozen=True, kw_only=True)
class Street:
    """A stretch of road. `half` and `edge` are where road and pavement end, metres from the middle."""

    half: float
    edge: float
    bend: float
    light: Light
    asphalt: Colour
    slabs: Colour
    grass: Colour
    lots: tuple[tuple[float, float, str], ...]
    things: tuple[Thing, ...]


def build(rng: np.random.Generator, *, length: float) -> Street:
    """Make a random street that can be photographed from 0 to `length` metres."""
    half = float(rng.uniform(3.6, 5.4))
    edge = half + float(rng.uniform(1.8, 3.0))
    grey, slab, tan = (float(rng.uniform(*bounds)) for bounds in ((66, 112), (100, 160), (0, 14)))
    lots: list[tuple[float, float, str]] = []
    things: list[Thing] = []
    for side in (-1.0, 1.0):
        things += _build_plots(rng, lots, side * edge, length + FAR)
        things += _furnish(rng, side, half, edge, length + FAR)
        things += [
            _park_car(rng, side * (half - 1.0), float(z))
            for z in np.arange(0, length + FAR, 6.4)
            if rng.random() < 0.35
        ]
    return Street(
        half=half,
        edge=edge,
        bend=float(rng.uniform(-0.0016, 0.0016)),
        light=_WEATHER[int(rng.choice(4, p=(0.42, 0.28, 0.18, 0.12)))],
        asphalt=(grey + tan / 2, grey, grey - tan / 3),
        slabs=(slab + tan, slab, slab - tan),
        grass=(float(rng.uniform(90, 140)), float(rng.uniform(112, 140)), float(rng.uniform(50, 72))),
        lots=tuple(lots),
        things=tuple(things),
    )


def _deal(rng: np.random.Generator, kinds: Sequence[str]) -> Iterator[str]:
    """Yield kinds from shuffled bags without end, so that each comes regularly."""
    while True:
        yield from (str(kind) for kind in rng.permutation(kinds))


def _draw_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**31))


def _build_plots(
    rng: np.random.Generator, lots: list[tuple[float, float, str]], edge: float, end: float
) -> Iterator[Thing]:
    """Yield what stands beyond the pavement of one side, plot after plot. Paved lots are added to `lots`."""
    side, z, kinds = math.copysign(1.0, edge), -6.0, _deal(rng, _PLOTS)
    while z < end:
        kind, size = next(kinds), float(rng.uniform(9, 16))
        if kind in ("block", "house"):
            x, high = (edge, rng.uniform(5, 11)) if kind == "block" else (edge + side * 5, rng.uniform(4, 8))
            yield Thing(kind="building", x=x, z=z, length=size, height=float(high), seed=_draw_seed(rng))
        else:
            for _ in range(3):
                x, place = edge + side * float(rng.uniform(2.5, 9)), z + float(rng.uniform(0, size))
                yield Thing(kind="tree", x=x, z=place, height=float(rng.uniform(4, 9)), seed=_draw_seed(rng))
        if kind in ("house", "park"):
            border, high = str(rng.choice(_BORDERS)), float(rng.uniform(0.9, 2.2))
            yield Thing(kind=border, x=edge + side * 0.1, z=z, length=size, height=high, seed=_draw_seed(rng))
        if kind == "house" and rng.random() < 0.4:
            lots.append((edge, z + size * 0.3, str(rng.choice(["parking", "ground"]))))
        z += size + float(rng.uniform(0, 2))


def _furnish(rng: np.random.Generator, side: float, half: float, edge: float, end: float) -> Iterator[Thing]:
    """Yield what stands on a pavement; riders are on the road beside it."""
    z, kinds = float(rng.uniform(2, 7)), _deal(rng, _PAVEMENT)
    while z < end:
        kind = next(kinds)
        x = half - 0.7 if kind == "rider" else half + (edge - half) * float(rng.uniform(0.2, 0.8))
        yield Thing(kind=kind, x=side * x, z=z, height=float(rng.uniform(3.5, 6.5)), seed=_draw_seed(rng))
        z += float(rng.uniform(2.2, 5.2))


def _park_car(rng: np.random.Generator, x: float, z: float) -> Thing:
    return Thing(kind="car", x=x, z=z, length=float(rng.uniform(3.9, 4.8)), seed=_draw_seed(rng))


def _draw_traffic(rng: np.random.Generator, street: Street, z: float) -> Iterator[Thing]:
    """Yield the traffic of one moment: cars ahead and coming, people who cross, a rider."""
    if rng.random() < 0.75:
        yield _park_car(rng, street.half * 0.36, z + float(rng.uniform(9, 32)))
    for _ in range(int(rng.integers(0, 3))):
        yield _park_car(rng, -street.half * 0.42, z + float(rng.uniform(9, 50)))
    for kind in ("rider", *["person"] * int(rng.integers(1, 4))):
        x, place = float(rng.uniform(-1, 1)) * (street.half + 0.5), z + float(rng.uniform(7, 20))
        yield Thing(kind=kind, x=x, z=place, seed=_draw_seed(rng))


def photograph(street: Street, lens: Lens, rng: np.random.Generator, *, z: float) -> Canvas:
    """Paint the street as seen from `z` metres along it, with its labels."""
    canvas = Canvas(lens.height, lens.width)
    tilted = replace(lens, horizon=lens.horizon + float(rng.uniform(-2.5, 2.5)))
    camera = Camera(tilted, float(rng.uniform(0.2, 2.2)), z, street.bend)
    _paint_sky(canvas, tilted, street.light, rng)
    _paint_ground(canvas, camera, street)
    paint_things(canvas, camera, street.light, [*street.things, *_draw_traffic(rng, street, z)])
    _roughen(canvas, rng)
    if lens.bonnet:
        _paint_bonnet(canvas, rng)
    expose(canvas.image, rng, unevenness=24)
    return canvas


def _paint_sky(canvas: Canvas, lens: Lens, light: Light, rng: np.random.Generator) -> None:
    """Paint a gradient with clouds, and far woods under it."""
    height, width = lens.height, lens.width
    canvas.fill(np.array([(0, 0), (width, 0), (width, height), (0, height)]), light.haze, "sky")
    mix = np.clip(np.arange(height) / lens.horizon, 0, 1)[:, None, None]
    gradient = np.array(light.zenith) * (1 - mix) + np.array(light.haze) * mix
    clouds = noise(rng, height, width, (9, 8)) * 0.7 + noise(rng, height, width, (24, 20)) * 0.3
    cover = np.clip(clouds / 90, 0, 0.8)[..., None]
    canvas.image[:] = np.rint(gradient * (1 - cover) + 244 * cover)
    tops = np.array([(x, lens.horizon - rng.uniform(0.01, 0.09) * height) for x in np.linspace(-20, width + 20, 30)])
    canvas.fill(np.vstack([tops, (width + 20, height), (-20, height)]), light.shade((66, 86, 52), 55.0), "vegetation")


_STEPS = np.linspace(0, 1, 13) ** 3  # denser near the camera, where a strip is large


def _strip(camera: Camera, x: tuple[float, float], z: tuple[float, float] = (-1e9, 1e9)) -> Points:
    """Project a strip of the ground that follows the bend."""
    start, end = max(z[0], camera.z + NEAR), min(z[1], camera.z + 400.0)
    steps = (start + max(end - start, 0.01) * _STEPS).tolist()
    sides = [(x[0], 0.0, place) for place in steps], [(x[1], 0.0, place) for place in steps[::-1]]
    return camera.project(np.array(sides[0] + sides[1]))


def _paint_ground(canvas: Canvas, camera: Camera, street: Street) -> None:
    """Paint grass, lots, pavements with slabs and curbs, and asphalt with its markings."""
    light, edge, half, near = street.light, street.edge, street.half, camera.z + NEAR
    joints, white = light.shade(street.slabs, 10, 0.78), light.shade((226, 226, 220), 12)
    canvas.fill(_strip(camera, (-200, 200)), light.shade(street.grass, 14), "terrain")
    for start, z, label in street.lots:
        if z + 6 > near and z < camera.z + FAR:
            tone = (150.0, 140.0, 128.0) if label == "ground" else (106.0, 104.0, 108.0)
            canvas.fill(_strip(camera, (start, start * 2), (z, z + 6)), light.shade(tone, 12), label)
    for side in (-1.0, 1.0):
        canvas.fill(_strip(camera, (side * half, side * edge)), light.shade(street.slabs, 10), "sidewalk")
        for z in np.arange(math.ceil(near), camera.z + 26, 1.0):
            canvas.fill(_strip(camera, (side * half, side * edge), (z, z + 0.08)), joints)
    canvas.fill(_strip(camera, (-half, half)), light.shade(street.asphalt, 10), "road")
    for side in (-1.0, 1.0):
        canvas.fill(_strip(camera, (side * half, side * (half + 0.18))), light.shade(street.slabs, 10, 1.25))
    for z in np.arange(math.floor(camera.z / 6) * 6, camera.z + 66, 6.0):
        if z + 3 > near:
            canvas.fill(_strip(camera, (-0.09, 0.09), (z, z + 3.0)), white)
    for z in np.arange(20.0, camera.z + 40, 55.0):  # zebra crossings
        for x in np.arange(-half + 0.5, half - 0.6, 1.0) if z > near + 1 else ():
            canvas.fill(_strip(camera, (x, x + 0.5), (z, z + 2.6)), white)


def _roughen(canvas: Canvas, rng: np.random.Generator) -> None:
    """Give each label its own texture: leaves are the roughest, the sky has none."""
    height, width = canvas.identity.shape
    coarse, fine = (np.full(256, strength, np.int32) for strength in _OTHER_ROUGHNESS)
    for label, strengths in _ROUGHNESS.items():
        coarse[IDS[label]], fine[IDS[label]] = strengths
    labels = canvas.labels()
    gain = 16384 + coarse[labels] * noise(rng, height, width, (height // 5, width // 5))
    gain += fine[labels] * noise(rng, height, width, (height // 2, width // 2))
    canvas.image[:] = np.clip(canvas.image.astype(np.int32) * np.maximum(gain, 2048)[..., None] >> 14, 0, 255)


def _paint_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the own car's bonnet at the foot of the image, and the black border that rectification leaves."""
    height, width = canvas.identity.shape
    top, tone = 0.9 + float(rng.uniform(-0.01, 0.01)), float(rng.uniform(24, 60))
    arc = [(width * i / 16, height * (top + 0.09 * (i / 8 - 1) ** 2)) for i in range(17)]
    canvas.fill(np.array([*arc, (width, height), (0, height)]), (tone, tone, tone + 6), "ego vehicle")
    for left, right in ((0, 1), (width - 2, width)):
        canvas.fill(np.array([(left, 0), (right, 0), (right, height), (left, height)]), (0.0, 0.0, 0.0), "out of roi")
