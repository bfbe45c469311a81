"""Streets for the drawn miniatures of KITTI and Cityscapes.

A `Street` is a stretch of road with everything that stands along it; `photograph` shows it from
one place, with the traffic of that moment. Frames of one street share its buildings and trees, as
the frames of one drive do.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import Image
from segline.datasets.drawing.canvas import FAR, IDS, NEAR, Camera, Canvas, Colour, Light, Thing
from segline.datasets.drawing.things import paint_things

_FURNITURE = (
    "lamp",
    "traffic light",
    "sign",
    "sign",
    "person",
    "person",
    "bicycle",
    "tree",
    "traffic light",
    "rider",
    "bin",
    "bags",
)
_TOWN = ("block", "block", "house", "park", "house", "meadow")
_VILLAGE = ("house", "house", "park", "meadow", "meadow", "block")


@dataclass(frozen=True, kw_only=True)
class Lens:
    """Size and optics of one camera, all in pixels but `eye` (metres above the road)."""

    width: int
    height: int
    focal: float
    horizon: float
    eye: float
    bonnet: bool = False


@dataclass(frozen=True, kw_only=True)
class Street:
    """A stretch of road. `half` and `pavement` are widths in metres, `bend` is its curvature."""

    half: float
    pavement: float
    bend: float
    light: Light
    asphalt: Colour
    slabs: Colour
    grass: Colour
    lots: tuple[tuple[float, float, float, str], ...]
    things: tuple[Thing, ...]
    seed: int

    @property
    def edge(self) -> float:
        """Where the pavement ends, metres from the middle of the road."""
        return self.half + self.pavement


def build(rng: np.random.Generator, *, length: float, seed: int) -> Street:
    """Draw the lot for a street that can be photographed from 0 to `length` metres."""
    half, pavement = float(rng.uniform(3.6, 5.4)), float(rng.uniform(1.8, 3.0))
    grey, tan = float(rng.uniform(66, 112)), float(rng.uniform(0, 14))
    slab = float(rng.uniform(100, 160))
    plots: list[tuple[float, float, float, str]] = []
    things: list[Thing] = []
    for side in (-1.0, 1.0):
        things += _plots(rng, plots, side * (half + pavement), length + FAR)
        things += _furniture(rng, side * half, side * pavement, length + FAR)
        things += _parked(rng, side * (half - 1.0), length + FAR)
    return Street(
        half=half,
        pavement=pavement,
        bend=float(rng.uniform(-0.0016, 0.0016)),
        light=_weather(rng),
        asphalt=(grey + tan / 2, grey, grey - tan / 3),
        slabs=(slab + tan, slab, slab - tan),
        grass=(float(rng.uniform(90, 140)), float(rng.uniform(112, 140)), float(rng.uniform(50, 72))),
        lots=tuple(plots),
        things=tuple(things),
        seed=seed,
    )


def _weather(rng: np.random.Generator) -> Light:
    """Clear, overcast, evening or misty."""
    kinds: list[tuple[Colour, Colour, float, Colour, bool]] = [
        ((1.12, 1.08, 1.0), (196, 214, 232), 0.006, (74, 128, 204), True),
        ((0.86, 0.88, 0.9), (206, 208, 210), 0.010, (150, 156, 164), False),
        ((1.02, 0.84, 0.7), (240, 188, 140), 0.010, (92, 104, 158), True),
        ((0.92, 0.94, 0.95), (214, 218, 218), 0.030, (196, 202, 206), False),
    ]
    sun, haze, density, zenith, sunny = kinds[int(rng.choice(4, p=(0.42, 0.28, 0.18, 0.12)))]
    gain = float(rng.uniform(0.82, 1.12))
    lit = (sun[0] * gain, sun[1] * gain, sun[2] * gain)
    return Light(sun=lit, haze=haze, density=density, zenith=zenith, sunny=sunny)


def _plots(
    rng: np.random.Generator, lots: list[tuple[float, float, float, str]], edge: float, end: float
) -> Iterator[Thing]:
    """What lies beyond the pavement of one side, plot after plot; `lots` takes what covers the ground."""
    side, z, town = math.copysign(1.0, edge), -6.0, rng.random() < 0.5
    kinds: list[str] = []
    while z < end:
        if not kinds:
            kinds = [str(kind) for kind in rng.permutation(_TOWN if town else _VILLAGE)]
        kind, size = kinds.pop(), float(rng.uniform(9, 16))
        seeds = [int(value) for value in rng.integers(0, 2**31, 6)]
        if kind == "block":
            yield Thing(kind="building", x=edge, z=z, length=size, height=float(rng.uniform(5, 11)), seed=seeds[0])
        else:
            yield from _garden(rng, kind, edge, z, size, seeds)
        if kind == "house" and rng.random() < 0.4:
            lots.append((side, z + size * 0.3, z + size * 0.7, "parking" if rng.random() < 0.5 else "ground"))
        z += size + (float(rng.uniform(0, 3)) if kind != "block" else 0.0)


def _garden(
    rng: np.random.Generator, kind: str, edge: float, z: float, size: float, seeds: list[int]
) -> Iterator[Thing]:
    """A house behind a fence, wall or hedge; or trees on grass, with or without such a border."""
    side = math.copysign(1.0, edge)
    if kind == "house":
        height, back = float(rng.uniform(4, 8)), edge + side * float(rng.uniform(4, 7))
        yield Thing(kind="building", x=back, z=z + 1, length=size - 2, height=height, seed=seeds[0])
    else:
        for seed in seeds[2:5]:
            place, along = edge + side * float(rng.uniform(2.5, 9)), z + float(rng.uniform(0, size))
            yield Thing(kind="tree", x=place, z=along, height=float(rng.uniform(4, 9)), seed=seed)
    if kind != "meadow":
        border = str(rng.choice(["fence", "wall", "fence", "wall", "hedge"]))
        high = float(rng.uniform(1.3, 2.3)) if kind == "park" else float(rng.uniform(0.9, 1.6))
        yield Thing(kind=border, x=edge + side * 0.1, z=z, length=size, height=high, seed=seeds[1])


def _furniture(rng: np.random.Generator, curb: float, pavement: float, end: float) -> Iterator[Thing]:
    """What stands on a pavement, dealt from a shuffled bag, so that each kind comes regularly."""
    z = float(rng.uniform(2, 7))
    bag: list[str] = []
    while z < end:
        bag = bag or [str(kind) for kind in rng.permutation(_FURNITURE)]
        kind = bag.pop()
        place = curb + pavement * float(rng.uniform(0.15, 0.3) if kind in ("lamp", "sign") else rng.uniform(0.25, 0.8))
        if kind == "rider":
            place = curb - math.copysign(float(rng.uniform(0.4, 0.9)), curb)
        high = {"lamp": rng.uniform(4.5, 7), "tree": rng.uniform(3.5, 6.5)}.get(kind, 0.0)
        yield Thing(kind=kind, x=place, z=z, height=float(high), seed=int(rng.integers(0, 2**31)))
        z += float(rng.uniform(2.2, 5.2))


def _parked(rng: np.random.Generator, x: float, end: float) -> Iterator[Thing]:
    """Cars along the curb, in rows with gaps."""
    z, share = float(rng.uniform(0, 9)), float(rng.choice([0.1, 0.35, 0.6]))
    while z < end:
        if rng.random() < share:
            yield _car(rng, x, z)
        z += float(rng.uniform(5.6, 7.5))


def _car(rng: np.random.Generator, x: float, z: float) -> Thing:
    length, height = float(rng.uniform(3.9, 4.8)), float(rng.uniform(1.4, 1.75))
    return Thing(kind="car", x=x, z=z, length=length, height=height, seed=int(rng.integers(0, 2**31)))


def _traffic(rng: np.random.Generator, street: Street, z: float) -> Iterator[Thing]:
    """Who is on the way at this moment: a car ahead, cars that come, people who cross, a rider."""
    if rng.random() < 0.75:
        yield _car(rng, street.half * 0.36, z + float(rng.uniform(9, 32)))
    for _ in range(int(rng.integers(0, 3))):
        yield _car(rng, -street.half * 0.42, z + float(rng.uniform(9, 50)))
    seeds = [int(value) for value in rng.integers(0, 2**31, 4)]
    for seed in seeds[: int(rng.integers(1, 4))]:
        x = float(rng.uniform(-1, 1)) * (street.edge - 0.4)
        yield Thing(kind="person", x=x, z=z + float(rng.uniform(7, 22)), seed=seed)
    x = float(rng.choice([-1.0, 1.0])) * (street.half - float(rng.uniform(0.6, 2.0)))
    yield Thing(kind="rider", x=x, z=z + float(rng.uniform(7.5, 18)), seed=seeds[3])


def photograph(street: Street, lens: Lens, rng: np.random.Generator, *, z: float) -> Canvas:
    """The street as seen from `z` metres along it, with labels and objects."""
    canvas = Canvas.blank(lens.height, lens.width)
    camera = Camera(
        width=lens.width,
        height=lens.height,
        focal=lens.focal,
        horizon=lens.horizon + float(rng.uniform(-1.5, 1.5)),
        eye=lens.eye,
        x=float(rng.uniform(0.6, 1.8)),
        z=z,
        bend=street.bend,
    )
    _sky(canvas, camera, street, rng)
    _ground(canvas, camera, street)
    paint_things(canvas, camera, street.light, [*street.things, *_traffic(rng, street, z)])
    _texture(canvas, rng)
    if lens.bonnet:
        _bonnet(canvas, rng)
    _expose(canvas.image, rng)
    return canvas


def _sky(canvas: Canvas, camera: Camera, street: Street, rng: np.random.Generator) -> None:
    """A gradient with clouds, and the far woods or roofs under it."""
    light, height, width = street.light, camera.height, camera.width
    canvas.fill(np.array([(0, 0), (width, 0), (width, height), (0, height)]), light.haze, "sky")
    mix = np.clip(np.arange(height) / camera.horizon, 0, 1)[:, None, None]
    gradient = np.array(light.zenith) * (1 - mix) + np.array(light.haze) * mix
    wide, narrow = noise(rng, height, width, (9, 8)), noise(rng, height, width, (24, 20))
    clouds = (0.7 * wide + 0.3 * narrow)[..., None]
    cover = np.clip((clouds - 128) / 90, 0, 1) * (0.8 if light.sunny else 0.4)
    canvas.image[:] = np.rint(gradient * (1 - cover) + np.array((246, 244, 242)) * cover)
    far = np.random.default_rng(street.seed)
    for label, tone in (("building", (112.0, 108.0, 110.0)), ("vegetation", (66.0, 86.0, 52.0))):
        places = np.linspace(-40, width + 40, 28)
        heights = far.uniform(0.02, 0.10, 28) * height * (1.0 if label == "vegetation" else far.choice([0.1, 1.6], 28))
        tops = np.repeat(heights, 2) if label == "building" else np.repeat(heights, 2) * far.uniform(0.9, 1.1, 56)
        steps = np.append(np.repeat(places, 2)[1:], width + 60)
        outline = np.stack([steps, camera.horizon + 1 - tops], axis=1)
        points = np.vstack([outline, [(width + 60, camera.horizon + 2), (-40, camera.horizon + 2)]])
        canvas.fill(points, light.shade(tone, 55.0), label)


_STEPS = np.linspace(0, 1, 13) ** 3  # denser near the camera, where a ribbon is large


def _strip(camera: Camera, x: tuple[float, float], z: tuple[float, float] = (-1e9, 1e9)) -> npt.NDArray[np.float64]:
    """A ribbon on the ground that follows the bend, as pixels."""
    start, end = max(z[0], camera.z + NEAR), min(z[1], camera.z + 400.0)
    steps = _STEPS if end - start > 6 else _STEPS[[0, -1]]
    count = len(steps)
    points = np.zeros((2 * count, 3))
    points[:count, 0], points[count:, 0] = x
    points[:count, 2] = start + max(end - start, 0.01) * steps
    points[count:, 2] = points[count - 1 :: -1, 2]
    return camera.project(points)


def _ground(canvas: Canvas, camera: Camera, street: Street) -> None:
    """Grass, pavements with slabs and curbs, asphalt with its markings, and shadows of houses."""
    light, edge, half = street.light, street.edge, street.half
    width, height = camera.width, camera.height
    below = np.array([(0, camera.horizon), (width, camera.horizon), (width, height), (0, height)])
    canvas.fill(below, light.shade(street.grass, 14), "terrain")
    for side, start, end, label in street.lots:
        if end > camera.z + NEAR and start < camera.z + FAR:
            tone = (150.0, 140.0, 128.0) if label == "ground" else (106.0, 104.0, 108.0)
            canvas.fill(_strip(camera, (side * edge, side * (edge + 6)), (start, end)), light.shade(tone, 12), label)
    for side in (-1.0, 1.0):
        canvas.fill(_strip(camera, (side * half, side * edge)), light.shade(street.slabs, 10), "sidewalk")
        joints = light.shade(street.slabs, 10, 0.78)
        for z in np.arange(math.ceil(camera.z + NEAR), camera.z + 26, 1.0):
            canvas.fill(_strip(camera, (side * half, side * edge), (z, z + 0.08)), joints)
    canvas.fill(_strip(camera, (-half, half)), light.shade(street.asphalt, 10), "road")
    for side in (-1.0, 1.0):
        canvas.fill(_strip(camera, (side * half, side * (half + 0.18))), light.shade(street.slabs, 10, 1.25))
    _markings(canvas, camera, street)
    if light.sunny:
        _shadows(canvas, camera, street)


def _markings(canvas: Canvas, camera: Camera, street: Street) -> None:
    """Dashes in the middle, edge lines in some streets, and zebra crossings."""
    white = street.light.shade((226, 226, 220), 12)
    first = math.floor(camera.z / 6) * 6
    for z in np.arange(first, camera.z + 66, 6.0):
        if z + 3 > camera.z + NEAR:
            canvas.fill(_strip(camera, (-0.09, 0.09), (z, z + 3.0)), white)
    if street.seed % 2:
        for x in (-street.half + 0.35, street.half - 0.35):
            canvas.fill(_strip(camera, (x - 0.07, x + 0.07)), white)
    for z in np.arange(20.0, camera.z + 40, 55.0):
        if z > camera.z + NEAR + 1:
            for x in np.arange(-street.half + 0.5, street.half - 0.6, 1.0):
                canvas.fill(_strip(camera, (x, x + 0.5), (z, z + 2.6)), white)


def _shadows(canvas: Canvas, camera: Camera, street: Street) -> None:
    """The houses and trees of one side lay shadows over the pavement and the road."""
    side = 1.0 if street.seed % 3 else -1.0
    for thing in street.things:
        if thing.kind in ("building", "tree") and thing.x * side > 0 and NEAR < thing.far - camera.z + 3 < 50:
            reach = thing.height * (0.8 if thing.kind == "building" else 0.6)
            z = (thing.z, thing.far) if thing.length else (thing.z - 1.3, thing.z + 1.3)
            if z[1] > camera.z + NEAR:
                canvas.darken(_strip(camera, (side * street.edge, side * (street.edge - reach)), z), 62)


def noise(rng: np.random.Generator, height: int, width: int, cells: tuple[int, int]) -> Image:
    """Smooth noise, uint8, from a grid of (rows, columns) random values."""
    grid = rng.integers(0, 256, cells, dtype=np.uint8)
    smooth: Image = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return smooth


_ROUGHNESS = {
    "vegetation": (75, 55),
    "terrain": (22, 40),
    "road": (14, 12),
    "sidewalk": (12, 18),
    "building": (7, 10),
    "wall": (20, 26),
    "fence": (10, 20),
    "person": (18, 14),
    "rider": (18, 14),
}


def _texture(canvas: Canvas, rng: np.random.Generator) -> None:
    """Roughen each class in its own measure: leaves most, asphalt little, sky not at all."""
    height, width = canvas.identity.shape
    coarse, fine = np.zeros(256, np.int32), np.zeros(256, np.int32)
    for label, (wide, narrow) in _ROUGHNESS.items():
        coarse[IDS[label]], fine[IDS[label]] = wide, narrow
    labels = label_ids(canvas.identity)
    broad = noise(rng, height, width, (height // 5, width // 5)).astype(np.int32) - 128
    narrow_noise = noise(rng, height, width, (height // 2, width // 2)).astype(np.int32) - 128
    gain = 16384 + coarse[labels] * broad + fine[labels] * narrow_noise
    rough = canvas.image.astype(np.int32) * np.maximum(gain, 2048)[..., None] >> 14
    canvas.image[:] = np.clip(rough, 0, 255)


def _bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """The own car's bonnet at the foot of the image, and the border that rectification leaves."""
    height, width = canvas.identity.shape
    top, tone = 0.9 + float(rng.uniform(-0.01, 0.01)), float(rng.uniform(24, 60))
    arc = [(width * i / 16, height * (top + 0.09 * (i / 8 - 1) ** 2)) for i in range(17)]
    canvas.fill(np.array([*arc, (width, height), (0, height)]), (tone, tone, tone + 6), "ego vehicle")
    gloss = [(x, y + 3) for x, y in arc] + [(x, y + 6) for x, y in arc[::-1]]
    canvas.fill(np.array(gloss), (tone + 50, tone + 54, tone + 62))
    for left, right in ((0, 1), (width - 2, width)):
        canvas.fill(np.array([(left, 0), (right, 0), (right, height), (left, height)]), (0.0, 0.0, 0.0), "out of roi")


def _expose(image: Image, rng: np.random.Generator) -> None:
    """Exposure, white balance and grain of one shot, in whole numbers, so that every machine agrees."""
    gains = rng.integers(225, 288) + rng.integers(-10, 11, 3)
    grain = rng.integers(-5, 6, image.shape, dtype=np.int8)
    image[:] = np.clip((image.astype(np.int32) * gains >> 8) + grain, 0, 255)


def label_ids(identity: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Raw Cityscapes ids of a mask of identities."""
    return np.where(identity >= 1000, identity // 1000, identity).astype(np.uint8)
