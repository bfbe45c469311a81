"""Suggest patterns for images and masks whose names differ in more than the usual endings."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from segline.data.look.glob_patterns import common_start

_MIN_SHARE = 0.5


def suggest_patterns(images: Sequence[str], masks: Sequence[str]) -> tuple[str, str] | None:
    """Find what all names of the images, and all names of the masks, have in common around the part that pairs them.

    Args:
        images: paths of images in one folder.
        masks: paths of masks in one folder.

    Returns:
        Two patterns, such as ``images/img_*.jpg`` and ``masks/of img_*.png``, that pair at least half of the masks;
        None if there are none.
    """
    of_images, of_masks = _split_names(images), _split_names(masks)
    for image_cut, mask_cut in ((cut, other) for cut in of_images for other in of_masks):
        cores, others = of_images[image_cut], of_masks[mask_cut]
        if "" not in cores and len(set(cores) & set(others)) >= max(1, _MIN_SHARE * len(others)):
            return _write(images[0], image_cut), _write(masks[0], mask_cut)
    return None


def _split_names(paths: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Split names into a common start, a core and a common end: (start, end) -> cores, longest cores first."""
    stems = [PurePosixPath(path).stem for path in paths]
    start = common_start(stems).rstrip("0123456789") if len(stems) > 1 else ""
    end = common_start([stem[::-1] for stem in stems])[::-1].lstrip("0123456789") if len(stems) > 1 else ""
    found = {}
    for before, after in (("", ""), (start, ""), ("", end), (start, end)):
        if all(len(stem) > len(before) + len(after) for stem in stems):
            found[before, after] = [stem[len(before) : len(stem) - len(after)] for stem in stems]
    return found


def _write(path: str, cut: tuple[str, str]) -> str:
    whole = PurePosixPath(path)
    return (whole.parent / f"{cut[0]}*{cut[1]}{whole.suffix}").as_posix()
