"""Find out on which view of a photo its polygons were drawn.

Cameras store a photo as the sensor sees it, and note in EXIF how to turn it upright. The data stages and training use
the pixels as stored. Some labelling programs show the stored pixels, others the upright photo. If the size in
the annotation tells that polygons were drawn on the upright view, their mask is turned back to the stored pixels, so
that image and mask fit.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from segline.core.labels import Mask
from segline.datasets.own.drawings import Drawing
from segline.datasets.own.polygon_rules import PolygonRules
from segline.errors import DataError
from segline.pictures import open_picture, read_bytes

UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
_SHOWN = {
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "mirrored top to bottom",
    5: "mirrored, and turned by 90 degrees to the left",
    6: "turned by 90 degrees to the right",
    7: "mirrored, and turned by 90 degrees to the right",
    8: "turned by 90 degrees to the left",
}
"""EXIF orientation -> how the stored pixels are turned to show the photo upright."""

_PNG_CHUNKS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")  # those that can hold an orientation
_ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Size of the stored pixels of an image, and its EXIF orientation (1 is upright)."""

    height: int
    width: int
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the stored pixels."""
        return self.height, self.width

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width of the photo that is turned upright."""
        return (self.width, self.height) if self.orientation >= 5 else self.size


def read_stored(image: Path) -> Stored:
    """Read the header of an image file.

    Raises:
        DataError: it cannot be read.
    """
    data = read_bytes(image)
    with open_picture(data, place=image) as opened:
        found: object = UPRIGHT
        # Pillow turns a TIFF itself, and decodes a whole PNG to find EXIF data, so ask only if there may be some.
        if opened.format != "TIFF" and (opened.format != "PNG" or any(name in data for name in _PNG_CHUNKS)):
            found = _read_orientation(opened)
        turned = isinstance(found, int) and found in _SHOWN
        return Stored(height=opened.height, width=opened.width, orientation=int(str(found)) if turned else UPRIGHT)


def _read_orientation(opened: Pillow.Image) -> object:
    try:
        return opened.getexif().get(_ORIENTATION_TAG)
    except MemoryError:
        raise
    except Exception:  # damaged EXIF data are no orientation
        return None


def choose_size(image: Path, *, place: Path, rules: PolygonRules) -> tuple[int, int]:
    """Return height and width of the view that polygons were drawn on, for an annotation that does not state them.

    Raises:
        DataError: the image cannot be read; or its orientation turns it, and the user has not said which view it was.
    """
    stored = read_stored(image)
    if stored.orientation != UPRIGHT and rules.drawn_on is None:
        raise _ask(str(place), image, stored, "it states no size")
    return stored.upright if rules.drawn_on == "upright" else stored.size


def find_turn(image: Path, drawing: Drawing, *, rules: PolygonRules) -> int:
    """Return the EXIF orientation of the view that a mask must be turned back from; `UPRIGHT` if it fits as it is.

    Raises:
        DataError: the annotation states another size than the image has, or both views have the stated size and the
            user has not said which of them it was.
    """
    stated = drawing.height, drawing.width
    try:
        stored = read_stored(image)
    except DataError:
        return UPRIGHT  # the validate stage reports an image that cannot be read, and leaves it out
    if stated not in (stored.size, stored.upright):
        raise _refuse_size(drawing, image, stored)
    return _choose_turn(image, stored, stated, what="an annotation", place=drawing.place, rules=rules)


def find_turn_of_mask(image: Path, size: tuple[int, int], *, place: Path | str, rules: PolygonRules) -> int:
    """Return the same for a mask file of `size` (height, width); a size that fits no view is left to validation.

    Raises:
        DataError: both views have this size, and the user has not said which of them it was.
    """
    try:
        stored = read_stored(image)
    except DataError:
        return UPRIGHT  # the validate stage reports an image that cannot be read, and leaves it out
    if size not in (stored.size, stored.upright):
        return UPRIGHT
    return _choose_turn(image, stored, size, what="a mask", place=str(place), rules=rules)


def _choose_turn(
    image: Path, stored: Stored, size: tuple[int, int], *, what: str, place: str, rules: PolygonRules
) -> int:
    if stored.orientation == UPRIGHT:
        return UPRIGHT
    if stored.size != stored.upright:
        return UPRIGHT if size == stored.size else stored.orientation
    if rules.drawn_on is None:
        why = f"its size {size[1]} x {size[0]} fits both views"
        raise _ask(place, image, stored, why, what=what)
    return stored.orientation if rules.drawn_on == "upright" else UPRIGHT


def turn_back(mask: Mask, orientation: int) -> Mask:
    """Turn a mask (H, W) of an upright photo to the pixels as they are stored."""
    match orientation:
        case 2:
            return np.fliplr(mask)
        case 3:
            return np.rot90(mask, 2)
        case 4:
            return np.flipud(mask)
        case 5:
            return mask.T
        case 6:
            return np.rot90(mask, 1)
        case 7:
            return np.rot90(mask.T, 2)
        case 8:
            return np.rot90(mask, -1)
    return mask


def _describe(stored: Stored) -> str:
    return f"EXIF orientation {stored.orientation} (it is shown {_SHOWN[stored.orientation]})"


def _ask(place: str, image: Path, stored: Stored, why: str, *, what: str = "an annotation") -> DataError:
    return DataError(
        place,
        found=f"{what} of {image.name}, whose stored pixels are not upright: it has {_describe(stored)}; {why}",
        expected="to know whether it was drawn on the upright photo or on the pixels as they are stored",
        remedy=f"open {image.name} in the program in which it was drawn: if the photo stands upright there, set "
        "`drawn_on: upright` in own/NAME.yaml, otherwise `drawn_on: stored`; this holds for all "
        "photos of the folder; then start again",
    )


def _refuse_size(drawing: Drawing, image: Path, stored: Stored) -> DataError:
    views = f"{stored.width} x {stored.height}"
    if stored.orientation != UPRIGHT:
        views += f", with {_describe(stored)}"
    return DataError(
        drawing.place,
        found=f"it states an image of {drawing.width} x {drawing.height} (width x height), but {image.name} is {views}",
        expected="polygons that were drawn on this image at its size",
        remedy=_explain_size(drawing, image, stored)
        + (f"; keep its EXIF orientation {stored.orientation}" if stored.orientation != UPRIGHT else ""),
    )


def _explain_size(drawing: Drawing, image: Path, stored: Stored) -> str:
    restore = f"put the picture of {drawing.width} x {drawing.height} back that the polygons were drawn on"
    for height, width in dict.fromkeys((stored.size, stored.upright)):
        if drawing.height and abs(drawing.width * height / (drawing.height * width) - 1) < _ASPECT_TOLERANCE:
            factor = height / drawing.height
            return (
                f"the picture was resized after labelling: {restore}; or multiply all coordinates of this image by "
                f"{factor:g}, and correct its size in the annotation"
            )
    if (drawing.height, drawing.width) == stored.size[::-1]:
        return (
            f"the picture was turned by 90 degrees after labelling, or lost its EXIF orientation: {restore}; or turn "
            f"{image.name} back by 90 degrees, in the direction in which its content fits the polygons"
        )
    return f"the picture was cropped or exchanged after labelling: {restore}, or label {image.name} again"
