"""Compare the image that a LabelMe file names (``imagePath``) with the image of its own name.

Base names are compared, because the folders in ``imagePath`` are often those of another machine.
"""

import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from segline.datasets.base import Pair
from segline.datasets.own.annotation_files import is_labelme, read_json
from segline.errors import DataError, shortened
from segline.reading import is_regular

_MAX_NAMES_SHOWN = 3


class Images:
    """The images of a folder, by their base names.

    Args:
        root: the user's folder.
        paths: its images, relative to `root`.
    """

    def __init__(self, root: Path, paths: Iterable[str]) -> None:
        self.root, self._of_name = root, dict[str, list[str]]()
        for path in paths:
            self._of_name.setdefault(_base_name(path), []).append(path)

    def find(self, named: str, labelme: str) -> list[str]:
        """List the images that the LabelMe file `labelme` may mean by the path `named`; one, if the path exists."""
        if not named.strip():
            return []
        exact = os.path.normpath(PurePosixPath(labelme).parent / named.replace("\\", "/"))
        if not exact.startswith(("..", "/")) and is_regular(self.root / exact):
            return [exact]
        return self._of_name.get(_base_name(named), [])


def _base_name(path: str) -> str:
    return unicodedata.normalize("NFC", path.replace("\\", "/").rpartition("/")[2]).casefold()


def names_another(named: str, *, labelme: str, image: str, images: Images) -> bool:
    """Return whether a LabelMe file, paired with `image` by its own name, names an image that is not there.

    Raises:
        DataError: it names another image that is there.
    """
    meant = images.find(named, labelme)
    if not named.strip() or image in meant:
        return False
    if not meant:
        return _base_name(named) != _base_name(image)
    paired, other = PurePosixPath(image).name, PurePosixPath(meant[0]).stem
    raise DataError(
        images.root / labelme,
        found=f"its own name is that of {image}, but its imagePath {shortened(repr(named))} is {meant[0]}",
        expected="one image for each annotation file",
        remedy=f"look which of the two images the polygons fit: if it is {image}, write {paired!r} as imagePath into "
        f"{labelme}; if it is {meant[0]}, rename the file to {other}.json, and if there is such a file already, keep "
        "the right one of the two",
    )


def describe_stale(files: list[tuple[str, str]]) -> str:
    """Note the LabelMe files that name an image which is not there, as (file, imagePath)."""
    file, named = files[0]
    count = "1 LabelMe file names" if len(files) == 1 else f"{len(files)} LabelMe files name"
    return f"{count} an image that is not there, such as {file}: {shortened(repr(named))}; paired by their own names"


def pair_by_image_path(pairs: Iterable[Pair], root: Path) -> tuple[list[Pair], list[str]]:
    """Pair the LabelMe files that no image is named like with the image that they name.

    Returns:
        All pairs, and notes.

    Raises:
        DataError: a file names an image that another file describes already.
    """
    known = list(pairs)
    alone = [pair for pair in known if pair.image is None and pair.mask is not None]
    if not alone:
        return known, []
    images = Images(root, [pair.image for pair in known if pair.image is not None])
    of_image: dict[str, Pair] = {pair.image: pair for pair in known if pair.image is not None}
    paired: list[str] = []
    for pair in alone:
        file = str(pair.mask)
        meant = images.find(_read_image_path(root / file), file)
        if len(meant) != 1 or meant[0] not in of_image:
            continue
        other = of_image[meant[0]]
        if other.mask is not None:
            raise DataError(
                root / file,
                found=f"its imagePath is {meant[0]}, which {other.mask} describes too",
                expected="one annotation file for each image",
                remedy="move the file that is not valid out of the folder; if it describes another image, correct its "
                "imagePath",
            )
        of_image[meant[0]] = Pair(id=other.id, image=other.image, mask=file, split=None)
        paired.append(file)
    return _replace(known, of_image, set(paired)), _describe_paired(paired)


def _replace(pairs: Iterable[Pair], of_image: Mapping[str, Pair], paired: set[str]) -> list[Pair]:
    return [
        of_image[pair.image] if pair.image is not None else pair
        for pair in pairs
        if pair.image is not None or pair.mask not in paired
    ]


def _describe_paired(files: list[str]) -> list[str]:
    if not files:
        return []
    more = f" and {len(files) - _MAX_NAMES_SHOWN} more" if len(files) > _MAX_NAMES_SHOWN else ""
    return [f"paired by imagePath, because no image has their name: {', '.join(files[:_MAX_NAMES_SHOWN])}{more}"]


def _read_image_path(path: Path) -> str:
    """Return ``imagePath`` of a LabelMe file; empty if it has none, or is another file."""
    try:
        content = read_json(path)
    except DataError:
        return ""
    named = content["imagePath"] if is_labelme(content) else ""
    return named if isinstance(named, str) else ""
