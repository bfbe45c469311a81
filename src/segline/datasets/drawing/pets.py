"""Animals for the drawn miniature of Oxford-IIIT Pet: cats and dogs of twelve breeds, and their trimaps.

An animal is a handful of body parts, one polygon each, with fur along its outline. Its trimap is the silhouette,
eroded, with a ring around the outline that belongs to neither side.

Coordinates of an animal: the origin is the middle of its body, y points down, one unit is half its length.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segline.core.labels import Image, Mask
from segline.datasets.drawing.canvas import CIRCLE, Colour, Points, expose, fill, noise, scale

FOREGROUND, BACKGROUND, BORDER = 1, 2, 3
"""Ids of the trimap, as ``annotations/README`` gives them."""
_RING = 2  # half the width of the border, pixels
_SQUARE = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])


@dataclass(frozen=True)
class Breed:
    """The looks of one breed: coats to choose from, markings, length of the hair, ears and muzzle."""

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
    Breed("Abyssinian", True, (_TAWNY, _RED, _BRONZE), "ticked", hair=0.7),
    Breed("american_bulldog", False, (_WHITE, _CREAM), "patches", hair=0.4, ears="folded", muzzle=1.2),
    Breed("american_pit_bull_terrier", False, (_BRINDLE, _BLUE, _RED), "bib", hair=0.4, ears="folded"),
    Breed("basset_hound", False, (_BROWN, _RED), "bib", hair=0.5, ears="long", muzzle=1.25),
    Breed("beagle", False, (_RED, _BROWN), "saddle", hair=0.5, ears="long", muzzle=1.1),
    Breed("Bengal", True, (_TAWNY, _BRONZE), "rosettes", hair=0.6),
    Breed("Birman", True, (_CREAM, _WHITE), "points", hair=1.8),
    Breed("Bombay", True, (_BLACK,), "plain", hair=0.6),
    Breed("boxer", False, (_TAWNY, _BRINDLE, _RED), "mask", hair=0.4, ears="folded", muzzle=1.2),
    Breed("British_Shorthair", True, (_BLUE, _SILVER, _CREAM), "plain", hair=1.3),
    Breed("chihuahua", False, (_CREAM, _TAWNY, _BLACK), "bib", hair=0.7, muzzle=0.8),
    Breed("Egyptian_Mau", True, (_SILVER, _BRONZE), "spots", hair=0.6),
)
"""The first twelve of the official list, so that their class ids are the official ones too."""


def _oval(x: float, y: float, wide: float, high: float) -> Points:
    outline: Points = CIRCLE * (wide, high) + (x, y)
    return outline


def _limb(start: tuple[float, float], end: tuple[float, float], thick: float, thin: float) -> Points:
    """Make a limb that gets thinner, with round ends."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0]) + math.pi / 2
    arc = np.array([(math.cos(angle + math.pi * i / 8), math.sin(angle + math.pi * i / 8)) for i in range(9)])
    return np.vstack([start + thick * arc, end - thin * arc])


_CHEST = np.array([(-0.5, -0.1), (0.5, -0.1), (1.05, 0.8), (1.15, 2.4), (-1.15, 2.4), (-1.05, 0.8)])
# Pose -> root of the tail; place (x, y) and size of the head; parts of the body with the brightness of their coat.
_POSES: dict[str, tuple[tuple[float, float], tuple[float, float, float], tuple[tuple[Points, float], ...]]] = {
    "sitting": (
        (0.35, 0.75),
        (0.0, -0.5, 0.46),
        (
            (_oval(0, 0.3, 0.56, 0.62), 1.0),
            *((_oval(paw, 0.68, 0.28, 0.24), 0.88) for paw in (-0.48, 0.48)),
            *((_limb((paw, 0.2), (paw, 0.88), 0.17, 0.13), 1.06) for paw in (-0.2, 0.2)),
        ),
    ),
    "standing": (
        (-0.75, -0.1),
        (0.88, -0.5, 0.36),
        (
            *((_limb((hip, 0.15), (hip + 0.08, 0.82), 0.17, 0.085), 0.72) for hip in (-0.55, 0.42)),
            *((_limb((hip, 0.15), (hip - 0.06, 0.82), 0.17, 0.085), 1.0) for hip in (-0.65, 0.52)),
            (_oval(-0.05, 0.05, 0.82, 0.36), 1.0),
            (_limb((0.5, 0.0), (0.8, -0.45), 0.27, 0.2), 1.0),
        ),
    ),
    "lying": (
        (-0.85, 0.35),
        (0.72, -0.18, 0.4),
        (
            (_oval(-0.1, 0.2, 0.88, 0.36), 1.0),
            (_oval(-0.6, 0.28, 0.36, 0.32), 0.92),
            *((_limb((0.35, y - 0.05), (1.0, y), 0.13, 0.1), 0.8 + y / 2) for y in (0.42, 0.5)),
        ),
    ),
    "close": ((-1.0, 1.6), (0.0, -0.25, 0.78), ((_CHEST, 0.92),)),
}
_EARS = {
    "pointed": np.array([(0.2, -0.6), (0.82, -0.35), (0.78, -1.2)]),
    "folded": np.array([(0.35, -0.7), (0.8, -0.6), (1.02, -0.1)]),
    "long": _limb((0.76, -0.3), (0.92, 0.6), 0.2, 0.25),
}
_SPOTS = {"ticked": (60, 0.03), "rosettes": (26, 0.11), "spots": (34, 0.065), "patches": (4, 0.3), "saddle": (3, 0.42)}
"""Marking -> number and size of its spots."""


@dataclass(frozen=True)
class Portrait:
    """RGB image, trimap, and the box around the head: left, top, right, bottom, pixels."""

    image: Image
    trimap: Mask
    head: tuple[int, int, int, int]


def portray(breed: Breed, rng: np.random.Generator, *, height: int, width: int) -> Portrait:
    """Paint one animal of a breed, in a random pose, before a random background."""
    image = _paint_backdrop(rng, height, width)
    coat = scale(breed.coats[int(rng.integers(0, len(breed.coats)))], float(rng.uniform(0.82, 1.15)))
    animal = _Animal(image, rng, breed, coat)
    tail, (x, y, size), parts = _POSES[
        ("sitting", "standing", "lying", "close")[rng.choice(4, p=(0.34, 0.26, 0.22, 0.18))]
    ]
    animal.paint_tail(*tail)
    for outline, gain in parts:
        animal.paint(outline, scale(coat, gain))
    animal.paint_markings()
    animal.shade()
    x += float(rng.uniform(-0.06, 0.06))
    animal.paint_head(x, y, size)
    expose(image, rng, unevenness=72)
    corners = animal.place(_oval(x, y, size, size))
    left, top = np.clip(corners.min(axis=0), 0, (width - 2, height - 2)).astype(int).tolist()
    right, bottom = np.clip(corners.max(axis=0), (left + 1, top + 1), (width - 1, height - 1)).astype(int).tolist()
    return Portrait(image, _make_trimap(animal.silhouette), (left, top, right, bottom))


class _Animal:
    """An animal while it is painted: the image, its silhouette so far, and where its coordinates are in the image."""

    def __init__(self, image: Image, rng: np.random.Generator, breed: Breed, coat: Colour) -> None:
        self._image, self._rng, self._breed, self._coat = image, rng, breed, coat
        height, width = image.shape[:2]
        self.silhouette: Mask = np.zeros((height, width), np.uint8)
        self._unit = min(height, width) * float(rng.uniform(0.34, 0.54))
        self._centre = np.array((width * rng.uniform(0.42, 0.58), height * rng.uniform(0.5, 0.62)))
        turn, facing = float(rng.uniform(-0.16, 0.16)), rng.choice([-1.0, 1.0]) * rng.uniform(0.88, 1.12)
        rotation = np.array([(math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))])
        self._matrix = self._unit * rotation * ((facing,), (1.0,))

    def place(self, outline: Points) -> Points:
        """Turn the animal's coordinates into pixels."""
        pixels: Points = outline @ self._matrix + self._centre
        return pixels

    def paint(self, outline: Points, colour: Colour, *, furry: bool = True) -> None:
        """Paint a part of the body and add it to the silhouette."""
        pixels = self.place(outline)
        fill(self._image, pixels, colour)
        fill(self.silhouette, pixels, (1,), smooth=False)
        if furry:  # hairs stand out from the outline, too thin for the silhouette, as in the real trimaps
            middle = pixels.mean(axis=0)
            roots = pixels[self._rng.integers(0, len(pixels), 70)] * 0.97 + middle * 0.03
            reach = self._rng.uniform(0.02, 0.09, (70, 1)) * self._breed.hair
            tips = roots + (roots - middle) * reach + self._rng.uniform(-1.2, 1.2, (70, 2))
            for part, gain in ((slice(0, 35), 0.86), (slice(35, 70), 1.12)):
                hairs = np.rint(np.stack([roots[part], tips[part]], axis=1) * 16).astype(np.int32)
                cv2.polylines(self._image, list(hairs), False, scale(colour, gain), 1, cv2.LINE_AA, 4)

    def _detail(self, outline: Points, colour: Colour) -> None:
        fill(self._image, self.place(outline), colour)

    def paint_tail(self, x: float, y: float) -> None:
        """Paint a chain of round pieces that curls; dogs have a shorter one."""
        side = math.copysign(1.0, x)
        angle, curl = float(self._rng.uniform(-1.2, 0.4)), float(self._rng.uniform(-0.25, 0.25))
        for place in range(9 if self._breed.cat else 6):
            size = 0.13 - 0.007 * place
            self.paint(_oval(x, y, size, size), scale(self._coat, 0.9), furry=place % 3 == 2)
            x, y, angle = x + side * 0.1 * math.cos(angle), y + 0.1 * math.sin(angle), angle + curl

    def paint_markings(self) -> None:
        """Paint ticks, spots, rosettes, patches, a saddle or a bib, on the body only."""
        marking, layer = self._breed.marking, np.zeros_like(self.silhouette)
        count, size = _SPOTS.get(marking, (0, 0.0))
        for x, y, grow in self._rng.uniform((-1, -0.3, 0.6), (1, 0.9, 1.3), (count, 3)).tolist():
            spot = _oval(x, y - 0.4 * (marking == "saddle"), size * grow * 1.3, size * grow)
            fill(layer, self.place(spot), (255,))
            if marking == "rosettes":
                fill(layer, self.place(_oval(x, y, size * grow * 0.6, size * grow * 0.5)), (90,))
        if marking == "bib":
            fill(layer, self.place(_oval(0.05, 0.25, 0.24, 0.4)), (255,))
        ink = {"bib": _WHITE, "patches": _BROWN}.get(marking, scale(self._coat, 0.42))
        share = (layer.astype(np.int32) * self.silhouette * 200 // 255)[..., None]
        paint = np.rint(np.array(ink)).astype(np.int32)
        self._image[:] = (self._image.astype(np.int32) * (256 - share) + paint * share) >> 8

    def shade(self) -> None:
        """Round the body by darkening it towards its outline, and comb it with fine noise."""
        height, width = self._image.shape[:2]
        inner = cv2.blur(self.silhouette * np.uint8(255), (2 * int(self._unit / 6) + 1,) * 2).astype(np.int32)
        gain = 110 + inner * 146 // 255 + noise(self._rng, height, width, (height // 2, width // 5)) * 26 // 128
        gain += noise(self._rng, height, width, (height // 7, width // 9)) * 22 // 128
        shaded = np.clip(self._image.astype(np.int32) * gain[..., None] >> 8, 0, 255)
        self._image[:] = np.where(self.silhouette[..., None], shaded, self._image)

    def paint_head(self, x: float, y: float, size: float) -> None:
        """Paint ears, skull, muzzle, eyes and nose; the breed decides on ears and muzzle."""
        breed, place = self._breed, np.array((x, y))
        dark, bib = breed.marking in ("points", "mask"), breed.marking == "bib"

        def paint_ears() -> None:
            for side in (-size, size):
                ear = _EARS[breed.ears] * (side, size) + place
                self.paint(ear, scale(self._coat, 0.4 if breed.marking == "points" else 0.78))

        if breed.ears == "pointed":
            paint_ears()
        self.paint(_oval(x, y, size * 0.86, size * 0.78), scale(self._coat, 1.05))
        if breed.ears != "pointed":  # these hang before the skull
            paint_ears()
        if bib:
            self._detail(_oval(x, y - size * 0.2, size * 0.14, size * 0.52), _WHITE)
        long = size * 0.46 * breed.muzzle * (0.62 if breed.cat else 0.95)
        muzzle = _WHITE if bib else scale(self._coat, 0.42 if dark else 1.2)
        self.paint(_oval(x, y + size * 0.38, size * 0.46, long), muzzle, furry=False)
        iris, pupil = ((196.0, 176.0, 60.0), 0.05) if breed.cat else ((70.0, 44.0, 26.0), 0.1)
        for eye in (x - size * 0.36, x + size * 0.36):
            self._detail(_oval(eye, y - size * 0.08, size * 0.15, size * 0.14), iris)
            self._detail(_oval(eye, y - size * 0.08, size * pupil, size * 0.12), (12.0, 12.0, 14.0))
        nose = np.array([(-0.12, 0.24), (0.12, 0.24), (0, 0.37)])
        self._detail(nose * size + place, (190.0, 120.0, 116.0) if breed.cat else (30.0, 26.0, 28.0))


def _paint_backdrop(rng: np.random.Generator, height: int, width: int) -> Image:
    """Paint a floor and a wall, each with its own texture, and a few things that are not animals."""
    horizon = int(height * rng.uniform(0.2, 0.75))
    image = np.vstack([_paint_surface(rng, horizon, width), _paint_surface(rng, height - horizon, width)])
    for _ in range(int(rng.integers(1, 5))):
        place, colour = rng.uniform((0, 0), (width, height)), _draw_colour(rng)
        outline = (CIRCLE, _SQUARE)[int(rng.integers(0, 2))] * rng.uniform(0.06, 0.3, 2) * min(height, width)
        fill(image, outline + place, colour)
        fill(image, outline * (0.7, 0.5) + place, scale(colour, 1.15))
    return image


def _draw_colour(rng: np.random.Generator) -> Colour:
    """Draw a colour of things and floors. Half of them are colours of coats too, so that colour alone cannot decide."""
    if rng.random() < 0.5:
        coats = (_TAWNY, _CREAM, _WHITE, _BLACK, _BLUE, _BROWN, _RED, _SILVER)
        return scale(coats[int(rng.integers(0, 8))], float(rng.uniform(0.7, 1.1)))
    red, green, blue = 0.45 * rng.uniform(50, 215) + 0.55 * rng.uniform(40, 225, 3)
    return float(red), float(green), float(blue)


def _paint_surface(rng: np.random.Generator, height: int, width: int) -> Image:
    """Paint boards, tiles, stripes or plain plaster, rough and unevenly lit."""
    gain = 256 + noise(rng, height, width, (max(2, height // 2), max(2, width // 2))) * int(rng.integers(10, 46)) // 128
    rows, columns, pitch = np.arange(height)[:, None], np.arange(width)[None, :], int(rng.integers(9, 26))
    patterns: tuple[npt.NDArray[np.int64] | int, ...] = (
        np.where(columns % pitch == 0, -80, 0),
        np.where((rows // pitch + columns // pitch) % 2 == 0, 34, -34),
        np.where((rows + columns // 2) // (pitch // 2) % 2 == 0, 28, -28),
        0,
    )
    gain = gain + patterns[int(rng.integers(0, 4))]
    colour = np.rint(np.array(_draw_colour(rng))).astype(np.int32)
    surface: Image = np.clip(colour * gain[..., None] >> 8, 0, 255).astype(np.uint8)
    return surface


def _make_trimap(silhouette: Mask) -> Mask:
    """Mark what is well inside, well outside, and within `_RING` pixels of the outline."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RING + 1, 2 * _RING + 1))
    closed = cv2.morphologyEx(silhouette, cv2.MORPH_CLOSE, kernel)
    trimap = np.full(silhouette.shape, BORDER, np.uint8)
    trimap[cv2.erode(closed, kernel) > 0] = FOREGROUND
    trimap[cv2.dilate(closed, kernel) == 0] = BACKGROUND
    return trimap
