"""Choose the size at which images are prepared, for ``prepare.short_side: auto``.

Small objects ask for large images, memory and the size of the files for small ones:

- The thinnest class should keep `SEEN` pixels, so that it keeps 3 where a network halves its input once.
- A crop that shows an object with its surroundings must fit into ``training.memory``, `CROPS` at a time.
- Images are never scaled up.

Only the fingerprint's figures of the training split and the memory budget decide, so that equal data give equal sizes
on every machine.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from segline.errors import DataError
from segline.formats import strict_json
from segline.project import Files

SEEN = 6.0
"""Pixels that the thinnest class should have after scaling."""

STEP = 32
"""Sizes are multiples of it, so that crops can be as high as the images."""

CONTEXT = 2.0
"""Sides of a crop, divided by those of the median object in it."""

CROPS = 2
"""The least number of crops in a batch."""

BASE_GIBIBYTES = 0.75
"""Memory of a training process before the first crop. A test compares it with `training.fit.memory_estimate`."""

PIXEL_BYTES, CLASS_BYTES = 1600, 40
"""Memory of a pixel of a crop in the default network: for features, and for each class."""

_MIN_PRESENCE = 0.05  # rarer classes do not decide
_COMPONENT_QUANTILE = "q75"  # of a class's components; the smaller half is mostly fragments, not objects


@dataclass(frozen=True, kw_only=True)
class ShortSide:
    """A size, and the reason for it.

    Args:
        pixels: of the shorter side.
        why: what decided.
        larger: what the next larger size would bring and cost; empty if images have no more pixels.
    """

    pixels: int
    why: str
    larger: str


def choose_short_side(fingerprint: Mapping[str, Any], *, memory: float) -> ShortSide:
    """Choose the short side for the dataset of a fingerprint.

    Args:
        fingerprint: content of ``fingerprint.json``.
        memory: GiB that a training may take.

    Raises:
        DataError: the training split is empty.
    """
    train = take_training_figures(fingerprint)
    native = round(min(train["sizes"][side]["median"] for side in ("height", "width")))
    most = max(STEP, native // STEP * STEP)
    name, thickness = _find_thinnest(train["classes"], native)
    wanted = max(STEP, math.ceil(native * SEEN / thickness / STEP) * STEP)
    fitting = _find_largest_fitting(train, memory=memory, most=most, classes=len(fingerprint["classes"]))
    pixels = min(wanted, fitting, most)
    seen = f"{name}, the thinnest class, is {thickness * pixels / native:.1f} pixels thick"
    if pixels == wanted:
        why = f"{seen}; it should have {SEEN:g}"
    elif pixels == fitting and fitting < most:
        why = f"{seen}; for {SEEN:g} it would need {wanted}, but then {CROPS} crops of an object with its surroundings "
        why += f"exceed {memory:g} GiB (training.memory)"
    else:
        why = f"{seen}; the images have no more pixels ({native})"
    return ShortSide(pixels=pixels, why=why, larger=_describe_larger(pixels, most, name, thickness / native))


def take_training_figures(fingerprint: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the figures of the training split of a fingerprint.

    Raises:
        DataError: the split is empty.
    """
    train: Mapping[str, Any] = fingerprint["splits"]["train"]
    if not train["samples"]:
        raise DataError(
            f"{fingerprint['dataset']} fingerprint",
            found="an empty training split",
            expected="images to train on",
            remedy="check the manifest, which lists the split of each sample, and whether it is left out",
        )
    return train


def read_fingerprint(folder: Path, dataset: str) -> Mapping[str, Any]:
    """Read the fingerprint that the stage `validate` wrote to `folder`.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    path = folder / Files.FINGERPRINT
    try:
        content: Mapping[str, Any] = strict_json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            path,
            found=f"no fingerprint ({error})",
            expected="the file of stage `validate`, from which `prepare.short_side: auto` is derived",
            remedy=f"run dvc repro validate@{dataset}",
        ) from error
    return content


def _find_thinnest(classes: Mapping[str, Any], native: int) -> tuple[str, float]:
    """Return the thinnest class and its thickness in pixels: the median over its pixels."""
    found = [
        (each["components"]["thickness"]["median"], name)
        for name, each in classes.items()
        if each["components"]["thickness"] is not None and (each["presence"] or 0.0) >= _MIN_PRESENCE
    ]
    thickness, name = min(found, default=(float(native), "the image"))
    return name, max(1.0, thickness)


def _find_largest_fitting(train: Mapping[str, Any], *, memory: float, most: int, classes: int) -> int:
    """Return the largest size at which `CROPS` crops of an object with its surroundings fit into memory."""
    spreads = [each["components"] for each in train["classes"].values() if each["components"]["count"]]
    aspect = train["sizes"]["aspect"]["median"]
    share = 1.0
    for side in ("height_share", "width_share"):
        extent = median(each[side][_COMPONENT_QUANTILE] for each in spreads) if spreads else 1.0
        share *= min(1.0, CONTEXT * extent)
    room = (memory - BASE_GIBIBYTES) * 2**30 / (CROPS * (PIXEL_BYTES + CLASS_BYTES * classes))
    pixels = math.sqrt(max(0.0, room) / (share * max(aspect, 1 / aspect)))
    return min(most, max(STEP, int(pixels) // STEP * STEP))


def _describe_larger(pixels: int, most: int, name: str, relative: float) -> str:
    """Say what the next larger size would bring and cost."""
    larger = pixels + STEP
    if larger > most:
        return ""
    factor = (larger / pixels) ** 2
    return (
        f"{larger} would show {name} {relative * larger:.1f} pixels thick, and take {factor:.2g} times the disk space, "
        "and the time and memory of a pass over whole images"
    )
