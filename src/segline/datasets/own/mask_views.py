"""Find the mask files that were painted on the upright view of a photo whose EXIF orientation turns it.

Segline uses the pixels of a photo as they are stored (`segline.datasets.own.views`), so that such a mask must be turned
back. Where the two views differ in size, the size of the mask tells. Where they do not, the user must say it.
"""

from collections.abc import Iterable
from pathlib import Path

from segline.datasets.base import Pair
from segline.datasets.own import views
from segline.datasets.own.polygon_rules import PolygonRules
from segline.errors import DataError


def find_turned(pairs: Iterable[Pair], source: Path, *, rules: PolygonRules) -> dict[str, int]:
    """Find the masks that must be turned back: sample id -> EXIF orientation of the photo.

    Args:
        pairs: paths relative to `source`; the masks are pictures.

    Raises:
        DataError: both views of a photo have the size of its mask, and the user has not said which one it was.
    """
    found = {}
    for pair in pairs:
        if pair.image is None or pair.mask is None:
            continue
        turn = _find_turn(source / pair.image, source / pair.mask, rules)
        if turn != views.UPRIGHT:
            found[pair.id] = turn
    return found


def _find_turn(image: Path, mask: Path, rules: PolygonRules) -> int:
    try:
        stored = views.read_stored(image)
        if stored.orientation == views.UPRIGHT:
            return views.UPRIGHT
        size = views.read_stored(mask).size
    except DataError:
        return views.UPRIGHT  # the validate stage reports files that cannot be read
    return views.find_turn_of_mask(image, size, place=mask, rules=rules)
