"""The figures of a dataset that a plan is derived from, read from its fingerprint.

All lengths are pixels of prepared images, that is after `prepare.short_side`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from segline.config import Flip
from segline.data.images.scale import scaled_size
from segline.data.size.short_side import take_training_figures
from segline.datasets.base import Dataset
from segline.errors import ConfigError, DataError
from segline.formats import strict_json
from segline.project import Files

Size = tuple[int, int]
"""Height and width, pixels."""

_OBJECT_QUANTILE = "q75"  # of a class's components: the smaller half is mostly fragments, not objects


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The figures of a dataset that a plan is derived from.

    Args:
        dataset: its name.
        digest: of the fingerprint.
        classes: number of classes of the label map.
        samples: number of training images.
        size: of the median training image.
        validated: a size with at least as many pixels as any image of the validation split.
        validated_images: number of images of the validation split, as far as the dataset names one.
        thing: height and width of an object of the median class; None if nothing is labelled.
        shares: each class that occurs -> its share of the labelled training pixels.
        flips: flip -> whether a flipped image is still plausible, and the reason.
    """

    dataset: str
    digest: str
    classes: int
    samples: int
    size: Size
    validated: Size
    thing: Size | None
    shares: Mapping[str, float]
    flips: Mapping[Flip, tuple[bool, str]]
    validated_images: int = 0

    @property
    def pixels(self) -> int:
        """Count the pixels of the training split, as if all images had the median size."""
        return self.samples * self.size[0] * self.size[1]


def read(folder: Path, dataset: Dataset, *, short_side: int | None) -> Facts:
    """Read the facts from the fingerprint that the stage `validate` wrote to `folder`.

    Raises:
        DataError: there is no fingerprint, or its training split is empty.
        ConfigError: it is the fingerprint of other data.
    """
    path = folder / Files.FINGERPRINT
    command = f"dvc repro validate@{dataset.name}"
    try:
        text = path.read_text(encoding="utf-8")
        fingerprint = strict_json.loads(text)
    except (OSError, ValueError) as error:
        raise DataError(
            path, found=f"no fingerprint ({error})", expected="the file of stage `validate`", remedy=f"run {command}"
        ) from error
    found = fingerprint.get("dataset"), fingerprint.get("protocol"), fingerprint.get("label_map")
    wanted = dataset.name, dataset.protocol, dataset.label_map.digest
    if found != wanted:
        raise ConfigError(
            path,
            found=f"the fingerprint of (dataset, protocol, label map) = {found}",
            expected=f"{wanted}, by params.yaml and the dataset's definition",
            remedy=f"run {command}",
        )
    return facts(fingerprint, short_side=short_side)


def facts(fingerprint: Mapping[str, Any], *, short_side: int | None) -> Facts:
    """Compute the facts of a `fingerprint`, for images prepared at `short_side`.

    Raises:
        DataError: the training split is empty.
    """
    train = take_training_figures(fingerprint)
    height, width = (round(train["sizes"][side]["median"]) for side in ("height", "width"))
    size = scaled_size(height, width, short_side=short_side)
    validation = fingerprint["splits"]["validation"]
    return Facts(
        dataset=fingerprint["dataset"],
        digest=hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:16],
        classes=len(fingerprint["classes"]),
        samples=train["samples"],
        size=size,
        validated=_bound_size((validation if validation["samples"] else train)["sizes"], short_side),
        validated_images=validation["samples"],
        thing=_measure_object(train["classes"], size),
        shares={name: each["share"] for name, each in train["classes"].items() if each["share"]},
        flips={
            name: (fingerprint["symmetry"][name]["legal"], fingerprint["symmetry"][name]["why"])
            for name in ("left_right", "up_down")
        },
    )


def _bound_size(sizes: Mapping[str, Any], short_side: int | None) -> Size:
    """Compute a size with at least as many pixels as any image.

    If images are scaled, it is the size of the most elongated one; else it is the greatest height and width.
    """
    height, width = round(sizes["height"]["max"]), round(sizes["width"]["max"])
    if short_side is None:
        return height, width
    short = min(short_side, height, width)
    return short, round(short * max(sizes["aspect"]["max"], 1 / sizes["aspect"]["min"]))


def _measure_object(classes: Mapping[str, Any], size: Size) -> Size | None:
    """Compute the height and width of an object of the median class; None if nothing is labelled."""
    spreads = [each["components"] for each in classes.values() if each["components"]["count"]]
    if not spreads:
        return None
    shares = [median(each[f"{side}_share"][_OBJECT_QUANTILE] for each in spreads) for side in ("height", "width")]
    return max(1, round(shares[0] * size[0])), max(1, round(shares[1] * size[1]))
