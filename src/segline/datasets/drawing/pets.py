"""Animals for the drawn miniature of Oxford-IIIT Pet: cats and dogs of twelve breeds, and their trimaps.

An animal is a handful of body parts, one polygon each, furred along its outline; its trimap is
the silhouette, eroded, with a ring around the outline that belongs to neither side.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import Image, Mask
from segline.datasets.drawing.street import noise

Colour = tuple[float, float, float]

FOREGROUND, BACKGROUND, BORDER = 1, 2, 3  # as annotations/README says
_FRACTION = 4
_CIRCLE = np.array([(math.cos(2 * math.pi * i / 40), math.sin(2 * math.pi * i / 40)) for i in range(40)])
_SQUARE = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])


@dataclass(frozen=True, kw_only=True)
class Breed:
    """How one breed looks: coats to choose from, markings, hair length and ears."""

    name: str
    cat: bool
    coats: tuple[Colour, ...]
    marking: str
    hair: float = 1.0
    ears: str = "pointed"
    muzzle: float = 1.0


_TAWNY, _CREAM, _WHITE, _BLACK = (168.0, 118.0, 74.0), (222.0, 202.0, 172.0), (232.0, 228.0, 220.0), (38.0, 36.0, 38.0)
_BLUE, _BROWN, _RED, _BRINDLE = (112.0, 118.0, 130.0), (104.0, 72.0, 46.0), (176.0, 98.0, 44.0), (92.0, 70.0, 50.0)
_SILVER, _BRONZE = (166.0, 162.0, 154.0), (150.0, 124.0, 86.0)

BREEDS = (
    Breed(name="Abyssinian", cat=True, coats=(_TAWNY, _RED, _BRONZE), marking="ticked", hair=0.7),
    Breed(
        name="american_bulldog",
        cat=False,
        coats=(_WHITE, _CREAM),
        marking="patches",
        hair=0.4,
        ears="folded",
        muzzle=1.2,
    ),
    Breed(
        name="american_pit_bull_terrier",
        cat=False,
        coats=(_BRINDLE, _BLUE, _RED),
        marking="bib",
        hair=0.4,
        ears="folded",
    ),
    Breed(name="basset_hound", cat=False, coats=(_BROWN, _RED), marking="bib", hair=0.5, ears="long", muzzle=1.25),
    Breed(name="beagle", cat=False, coats=(_RED, _BROWN), marking="saddle", hair=0.5, ears="long", muzzle=1.1),
    Breed(name="Bengal", cat=True, coats=(_TAWNY, _BRONZE), marking="rosettes", hair=0.6),
    Breed(name="Birman", cat=True, coats=(_CREAM, _WHITE), marking="points", hair=1.8),
    Breed(name="Bombay", cat=True, coats=(_BLACK,), marking="plain", hair=0.6),
    Breed(name="boxer", cat=False, coats=(_TAWNY, _BRINDLE, _RED), marking="mask", hair=0.4, ears="folded", muzzle=1.2),
    Breed(name="British_Shorthair", cat=True, coats=(_BLUE, _SILVER, _CREAM), marking="plain", hair=1.3),
    Breed(
        name="chihuahua", cat=False, coats=(_CREAM, _TAWNY, _BLACK), marking="bib", hair=0.7, ears="pointed", muzzle=0.8
    ),
    Breed(name="Egyptian_Mau", cat=True, coats=(_SILVER, _BRONZE), marking="spots", hair=0.6),
)
"""The first twelve of the official list, so that their class ids are the official ones too."""


@dataclass(frozen=True)
class Portrait:
    """RGB image, trimap, and the box around the head: left, top, right, bottom, pixels."""

    image: Image
    trimap: Mask
    head: tuple[int, int, int, int]


class _Easel:
    """The image, the silhouette so far, and where the animal's own coordinates lie in the image.

    The animal's coordinates: origin at the middle of its body, y down, one unit is half its length.
    """

    def __init__(
        self, image: Image, rng: np.random.Generator, breed: Breed, *, centre: tuple[float, float], unit: float
    ) -> None:
        self.image, self.rng, self.breed = image, rng, breed
        self.silhouette = np.zeros(image.shape[:2], np.uint8)
        self.unit = unit
        turn, facing = float(rng.uniform(-0.16, 0.16)), float(rng.choice([-1.0, 1.0]))
        cos, sin = math.cos(turn), math.sin(turn)
        self._matrix = unit * np.array([(cos * facing, sin * facing), (-sin, cos)])
        self._centre = np.array(centre)

    def place(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The animal's coordinates -> pixels."""
        placed: npt.NDArray[np.float64] = points @ self._matrix + self._centre
        return placed

    def part(self, points: npt.NDArray[np.float64], colour: Colour, *, furry: bool = True) -> None:
        """Paint a part of the body and add it to the silhouette."""
        pixels = self.place(points)
        _fill(self.image, pixels, colour)
        cv2.fillPoly(self.silhouette, [_fixed(pixels)], 1, cv2.LINE_8, _FRACTION)
        if furry:
            self._fur(pixels, colour)

    def detail(self, points: npt.NDArray[np.float64], colour: Colour) -> None:
        """Paint something that lies within the silhouette."""
        _fill(self.image, self.place(points), colour)

    def _fur(self, pixels: npt.NDArray[np.float64], colour: Colour) -> None:
        """Hairs that stand out from the outline; too thin for the silhouette, as in the real trimaps."""
        middle = pixels.mean(axis=0)
        along = self.rng.integers(0, len(pixels), 70)
        roots = pixels[along] * 0.97 + middle * 0.03
        reach = self.rng.uniform(0.02, 0.09, (70, 1)) * self.breed.hair
        tips = roots + (roots - middle) * reach + self.rng.uniform(-1.2, 1.2, (70, 2))
        for gain in (0.86, 1.12):
            shade = (min(255.0, colour[0] * gain), min(255.0, colour[1] * gain), min(255.0, colour[2] * gain))
            chosen = slice(0, 35) if gain < 1 else slice(35, 70)
            hairs = _fixed(np.stack([roots[chosen], tips[chosen]], axis=1))
            cv2.polylines(self.image, list(hairs), False, shade, 1, cv2.LINE_AA, _FRACTION)


def _fixed(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    return np.rint(points * (1 << _FRACTION)).astype(np.int32)


def _fill(image: Image, outline: npt.NDArray[np.float64], colour: tuple[float, ...]) -> None:
    """Paint a polygon, in pixels, with a smooth edge."""
    cv2.fillPoly(image, [_fixed(outline)], colour, cv2.LINE_AA, _FRACTION)


def _oval(x: float, y: float, wide: float, high: float) -> npt.NDArray[np.float64]:
    outline: npt.NDArray[np.float64] = _CIRCLE * np.array((wide, high)) + np.array((x, y))
    return outline


def _limb(start: tuple[float, float], end: tuple[float, float], thick: float, thin: float) -> npt.NDArray[np.float64]:
    """A tapering limb with a round end."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    turns = [angle + math.pi / 2 + math.pi * i / 8 for i in range(9)]
    root = [(start[0] + thick * math.cos(turn), start[1] + thick * math.sin(turn)) for turn in turns]
    tip = [(end[0] - thin * math.cos(turn), end[1] - thin * math.sin(turn)) for turn in turns]
    return np.array(root + tip)


def _tone(colour: Colour, gain: float) -> Colour:
    return min(255.0, colour[0] * gain), min(255.0, colour[1] * gain), min(255.0, colour[2] * gain)


def portray(breed: Breed, rng: np.random.Generator, *, height: int, width: int) -> Portrait:
    """One animal of a breed, in a pose, before a background."""
    image = _backdrop(rng, height, width)
    unit = min(height, width) * float(rng.uniform(0.34, 0.54))
    centre = (width * float(rng.uniform(0.42, 0.58)), height * float(rng.uniform(0.5, 0.62)))
    easel = _Easel(image, rng, breed, centre=centre, unit=unit)
    coats = breed.coats
    coat = _tone(coats[int(rng.integers(0, len(coats)))], float(rng.uniform(0.82, 1.15)))
    _cast_shadow(image, centre, unit)
    pose = ("sitting", "standing", "lying", "close")[int(rng.choice(4, p=(0.34, 0.26, 0.22, 0.18)))]
    x, y, size = {"sitting": _sit, "standing": _stand, "lying": _lie, "close": _close_up}[pose](easel, coat)
    _markings(easel, coat)
    _shade_fur(easel)
    _head(easel, coat, x, y, size)
    _expose(image, rng)
    trimap = _trimap(easel.silhouette, ring=2)
    return Portrait(image, trimap, _head_box(easel.place(_oval(x, y, size, size)), height, width))


def _head_box(outline: npt.NDArray[np.float64], height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of an outline, kept within the image."""
    left, top = (int(value) for value in np.clip(outline.min(axis=0), 0, (width - 2, height - 2)))
    right, bottom = (int(value) for value in np.clip(outline.max(axis=0), (left + 1, top + 1), (width - 1, height - 1)))
    return left, top, right, bottom


def _sit(easel: _Easel, coat: Colour) -> tuple[float, float, float]:
    """Sitting, seen from the front; returns where the head goes and its size."""
    _tail(easel, coat, (0.35, 0.75))
    easel.part(_oval(0, 0.3, 0.56, 0.62), coat)
    for paw in (-0.48, 0.48):
        easel.part(_oval(paw, 0.68, 0.28, 0.24), _tone(coat, 0.88))
    for paw in (-0.2, 0.2):
        easel.part(_limb((paw, 0.2), (paw, 0.88), 0.17, 0.13), _tone(coat, 1.06))
    return float(easel.rng.uniform(-0.1, 0.1)), -0.5, 0.46


def _stand(easel: _Easel, coat: Colour) -> tuple[float, float, float]:
    """Standing, seen from the side."""
    _tail(easel, coat, (-0.75, -0.1))
    step = float(easel.rng.uniform(-0.12, 0.12))
    for hip, gain in ((-0.55, 0.72), (0.42, 0.72), (-0.65, 1.0), (0.52, 1.0)):
        reach = hip + (step if gain < 1 else -step)
        easel.part(_limb((hip, 0.15), (reach, 0.82), 0.17, 0.085), _tone(coat, gain))
    easel.part(_oval(-0.05, 0.05, 0.82, 0.36), coat)
    easel.part(_limb((0.5, 0.0), (0.8, -0.45), 0.27, 0.2), coat)
    return 0.88, -0.5, 0.36


def _lie(easel: _Easel, coat: Colour) -> tuple[float, float, float]:
    """Lying on the belly, seen from the side."""
    _tail(easel, coat, (-0.85, 0.35))
    easel.part(_oval(-0.1, 0.2, 0.88, 0.36), coat)
    easel.part(_oval(-0.6, 0.28, 0.36, 0.32), _tone(coat, 0.92))
    for level in (0.42, 0.5):
        easel.part(_limb((0.35, level - 0.05), (1.0, level), 0.13, 0.1), _tone(coat, 0.8 + level / 2))
    return 0.72, -0.18, 0.4


def _close_up(easel: _Easel, coat: Colour) -> tuple[float, float, float]:
    """Head and chest fill the picture."""
    chest = [(-0.5, -0.1), (0.5, -0.1), (1.05, 0.8), (1.15, 2.4), (-1.15, 2.4), (-1.05, 0.8)]
    easel.part(np.array(chest), _tone(coat, 0.92))
    return 0.0, -0.25, 0.78


def _tail(easel: _Easel, coat: Colour, root: tuple[float, float]) -> None:
    """A chain of round pieces that curls; dogs carry it shorter."""
    rng, side = easel.rng, math.copysign(1.0, root[0])
    angle, curl = float(rng.uniform(-1.2, 0.4)), float(rng.uniform(-0.25, 0.25))
    x, y = root
    for place in range(9 if easel.breed.cat else 6):
        easel.part(_oval(x, y, 0.13 - 0.007 * place, 0.13 - 0.007 * place), _tone(coat, 0.9), furry=place % 3 == 2)
        x, y = x + side * 0.1 * math.cos(angle), y + 0.1 * math.sin(angle)
        angle += curl


def _head(easel: _Easel, coat: Colour, x: float, y: float, size: float) -> None:
    """Ears, skull, muzzle, eyes and nose; the breed decides on ears and muzzle."""
    breed, rng = easel.breed, easel.rng
    dark = breed.marking in ("points", "mask")
    ear = _tone(coat, 0.4 if breed.marking == "points" else 0.78)
    if breed.ears == "pointed":
        _ears(easel, ear, x, y, size)
    face = _tone(coat, 1.05)
    easel.part(_oval(x, y, size * 0.86, size * 0.78), face)
    if breed.marking == "bib":
        easel.detail(_oval(x, y - size * 0.2, size * 0.14, size * 0.52), _WHITE)
    muzzle = _tone(coat, 0.42) if dark else _tone(coat, 1.2) if breed.marking != "bib" else _WHITE
    long = breed.muzzle * (0.62 if breed.cat else 0.95)
    easel.part(_oval(x, y + size * 0.38, size * 0.46, size * 0.46 * long), muzzle, furry=False)
    if breed.ears != "pointed":
        _ears(easel, ear, x, y, size)
    iris: Colour = (196.0, 176.0, 60.0) if breed.cat else (70.0, 44.0, 26.0)
    for side in (-1, 1):
        eye = x + side * size * 0.36
        easel.detail(_oval(eye, y - size * 0.08, size * 0.15, size * 0.14), iris)
        easel.detail(_oval(eye, y - size * 0.08, size * (0.05 if breed.cat else 0.1), size * 0.12), (12, 12, 14))
        easel.detail(_oval(eye + size * 0.05, y - size * 0.13, size * 0.035, size * 0.035), (250, 250, 250))
    nose: Colour = (190.0, 120.0, 116.0) if breed.cat and rng.random() < 0.6 else (30.0, 26.0, 28.0)
    tip = y + size * 0.24
    easel.detail(np.array([(x - size * 0.12, tip), (x + size * 0.12, tip), (x, tip + size * 0.13)]), nose)
    easel.detail(_limb((x, tip), (x, tip + size * 0.3), 0.02, 0.02), (60, 40, 40))


_UPRIGHT = np.array([(0.2, -0.6), (0.82, -0.35), (0.78, -1.2)])
_INSIDE = np.array([(0.4, -0.65), (0.7, -0.5), (0.7, -1.0)])
_FOLDED = np.array([(0.35, -0.7), (0.8, -0.6), (1.02, -0.1)])


def _ears(easel: _Easel, colour: Colour, x: float, y: float, size: float) -> None:
    """A pair of ears: pointed and upright, folded, or long and hanging."""
    for side in (-size, size):
        if easel.breed.ears == "long":
            drop = _limb((x + side * 0.76, y - size * 0.3), (x + side * 0.92, y + size * 0.6), size * 0.2, size * 0.25)
            easel.part(drop, colour)
            continue
        outer = _UPRIGHT if easel.breed.ears == "pointed" else _FOLDED
        easel.part(outer * (side, size) + np.array((x, y)), colour)
        if easel.breed.ears == "pointed":
            easel.detail(_INSIDE * (side, size) + np.array((x, y)), (196, 146, 136))


_SPOTS = {"ticked": (60, 0.03), "rosettes": (26, 0.11), "spots": (34, 0.065), "patches": (4, 0.3), "saddle": (3, 0.42)}
"""Number and size of the spots of each marking."""


def _markings(easel: _Easel, coat: Colour) -> None:
    """Ticks, spots, rosettes, patches, a saddle or a bib, on the body only, never beyond it."""
    marking, layer = easel.breed.marking, np.zeros_like(easel.silhouette)
    count, reach = _SPOTS.get(marking, (0, 0.0))
    for x, y, grow in easel.rng.uniform((-1, -0.3, 0.6), (1, 0.9, 1.3), (count, 3)).tolist():
        spot = _oval(x, y - 0.4 * (marking == "saddle"), reach * grow * 1.3, reach * grow)
        _fill(layer, easel.place(spot), (255,))
        if marking == "rosettes":
            _fill(layer, easel.place(_oval(x, y, reach * grow * 0.6, reach * grow * 0.5)), (90,))
    if marking == "bib":
        _fill(layer, easel.place(_oval(0.05, 0.25, 0.24, 0.4)), (255,))
    ink = {"bib": _WHITE, "patches": _BROWN}.get(marking, _tone(coat, 0.42))
    share = (layer.astype(np.int32) * easel.silhouette * 200 // 255)[..., None]
    paint = np.rint(np.array(ink)).astype(np.int32)
    easel.image[:] = (easel.image.astype(np.int32) * (256 - share) + paint * share) >> 8


def _shade_fur(easel: _Easel) -> None:
    """Rounds the body by darkening it towards its outline and below, and combs it with fine noise."""
    height, width = easel.image.shape[:2]
    inside = easel.silhouette.astype(bool)
    inner = cv2.blur(easel.silhouette * np.uint8(255), (2 * int(easel.unit / 6) + 1,) * 2).astype(np.int32)
    strands = noise(easel.rng, height, width, (height // 2, width // 5)).astype(np.int32) - 128
    clumps = noise(easel.rng, height, width, (height // 7, width // 9)).astype(np.int32) - 128
    gain = 110 + inner * 146 // 255 + strands * 26 // 128 + clumps * 22 // 128
    shaded = np.clip(easel.image.astype(np.int32) * gain[..., None] >> 8, 0, 255).astype(np.uint8)
    easel.image[inside] = shaded[inside]


def _cast_shadow(image: Image, centre: tuple[float, float], unit: float) -> None:
    """What the animal stands on is darker under it."""
    height, width = image.shape[:2]
    shade = np.zeros((height, width), np.uint8)
    _fill(shade, _oval(centre[0], centre[1] + unit * 0.75, unit * 1.15, unit * 0.3), (110,))
    soft = cv2.blur(shade, (15, 15)).astype(np.int32)[..., None]
    image[:] = image.astype(np.int32) * (256 - soft) >> 8


def _backdrop(rng: np.random.Generator, height: int, width: int) -> Image:
    """A floor and a wall, each with its own texture, and a few things that are no animals."""
    image = np.empty((height, width, 3), np.uint8)
    horizon = int(height * rng.uniform(0.2, 0.75))
    image[:horizon] = _surface(rng, horizon, width)
    image[horizon:] = _surface(rng, height - horizon, width)
    for _ in range(int(rng.integers(1, 5))):
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        wide, high = (float(value) for value in rng.uniform(0.06, 0.3, 2) * min(height, width))
        colour = _furnishing(rng)
        outline = (_CIRCLE if rng.random() < 0.5 else _SQUARE) * (wide, high)
        _fill(image, outline + np.array((x, y)), colour)
        _fill(image, outline * (0.7, 0.35) + np.array((x, y - high * 0.3)), _tone(colour, 1.15))
    return image


def _furnishing(rng: np.random.Generator) -> Colour:
    """A colour for things and floors: half of them are colours that coats have too."""
    if rng.random() < 0.5:
        coats = (_TAWNY, _CREAM, _WHITE, _BLACK, _BLUE, _BROWN, _RED, _SILVER)
        return _tone(coats[int(rng.integers(0, 8))], float(rng.uniform(0.7, 1.1)))
    level = float(rng.uniform(50, 215))
    red, green, blue = (0.45 * level + 0.55 * float(value) for value in rng.uniform(40, 225, 3))
    return red, green, blue


def _surface(rng: np.random.Generator, height: int, width: int) -> Image:
    """Grass, carpet, boards, tiles, a striped blanket or plaster."""
    base = (78.0, 116.0, 50.0) if rng.random() < 0.22 else _furnishing(rng)
    rough, kind = int(rng.integers(10, 46)), int(rng.integers(0, 4))
    gain = np.full((height, width), 256, np.int32)
    gain += (noise(rng, height, width, (max(2, height // 2), max(2, width // 2))).astype(np.int32) - 128) * rough // 128
    gain += (noise(rng, height, width, (3, 4)).astype(np.int32) - 128) * 60 // 128
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    pitch = int(rng.integers(9, 26))
    if kind == 0:
        gain -= np.where(columns % pitch == 0, 80, 0)
    elif kind == 1:
        gain += np.where((rows // pitch + columns // pitch) % 2 == 0, 34, -34)
    elif kind == 2:
        gain += np.where((rows + columns // 2) // (pitch // 2) % 2 == 0, 28, -28)
    colour = np.rint(np.array(base)).astype(np.int32)
    surface: Image = np.clip(colour * gain[..., None] >> 8, 0, 255).astype(np.uint8)
    return surface


def _trimap(silhouette: Mask, *, ring: int) -> Mask:
    """1 well inside, 2 well outside, 3 within `ring` pixels of the outline."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * ring + 1, 2 * ring + 1))
    closed = cv2.morphologyEx(silhouette, cv2.MORPH_CLOSE, kernel)
    trimap = np.full(silhouette.shape, BORDER, np.uint8)
    trimap[cv2.erode(closed, kernel) > 0] = FOREGROUND
    trimap[cv2.dilate(closed, kernel) == 0] = BACKGROUND
    return trimap


def _expose(image: Image, rng: np.random.Generator) -> None:
    """Exposure, white balance, light from one side, and grain."""
    width = image.shape[1]
    gains = rng.integers(200, 300) + rng.integers(-18, 19, 3)
    start, end = (int(value) for value in rng.integers(-36, 37, 2))
    slope = start + (end - start) * np.arange(width) // max(1, width - 1)
    grain = rng.integers(-6, 7, image.shape, dtype=np.int8)
    lit = image.astype(np.int32) * (256 + slope)[None, :, None] >> 8
    image[:] = np.clip((lit * gains >> 8) + grain, 0, 255)
