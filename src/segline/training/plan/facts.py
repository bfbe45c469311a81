"""What a plan needs to know of a dataset, read off its fingerprint: figures of the training split.

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
from segline.datasets.base import Dataset
from segline.errors import ConfigError, DataError
from segline.formats import strict_json
from segline.project import Files

Size = tuple[int, int]
"""Height and width, pixels."""

_LARGE = "q75"  # quantile of a class's components that stands for its objects: the smaller half is mostly crumbs


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A dataset in the figures that a plan is made of.

    Args:
        dataset: its name.
        digest: of the fingerprint.
        classes: how many the label map has.
        samples: training images.
        size: the median training image.
        validated: a size that no image of the validation split exceeds in pixels.
        thing: sides of the median class's larger components; None where nothing is labelled.
        shares: share of the labelled training pixels, of each class that occurs.
        flips: whether each mirror image is one more image, and why.
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

    @property
    def pixels(self) -> int:
        """Pixels of the training split, as if all images were the median one."""
        return self.samples * self.size[0] * self.size[1]


def read(folder: Path, dataset: Dataset, *, short_side: int | None) -> Facts:
    """Read the facts off the fingerprint that the validate stage left in `folder`.

    Raises:
        DataError: there is none.
        ConfigError: it is that of other data.
    """
    path = folder / Files.FINGERPRINT
    command = f"dvc repro validate@{dataset.name}"
    try:
        text = path.read_text(encoding="utf-8")
        fingerprint = strict_json.loads(text)
    except (OSError, ValueError) as error:
        raise DataError(
            path, found=f"no fingerprint ({error})", expected="that of the validate stage", remedy=f"run {command}"
        ) from error
    found, wanted = (
        (fingerprint.get("dataset"), fingerprint.get("protocol"), fingerprint.get("label_map")),
        (dataset.name, dataset.protocol, dataset.label_map.digest),
    )
    if found != wanted:
        raise ConfigError(
            path,
            found=f"the fingerprint of (dataset, protocol, label map) = {found}",
            expected=f"{wanted} as params.yaml and the code say now",
            remedy=f"run {command}",
        )
    return facts(fingerprint, short_side=short_side)


def facts(fingerprint: Mapping[str, Any], *, short_side: int | None) -> Facts:
    """Take the facts from a fingerprint, for images prepared at `short_side`.

    Raises:
        DataError: the training split is empty.
    """
    train = fingerprint["splits"]["train"]
    if not train["samples"]:
        raise DataError(
            f"{fingerprint['dataset']} fingerprint",
            found="an empty training split",
            expected="images to train on",
            remedy="look at the manifest: every sample is in another split, or left out",
        )
    size = _scaled([train["sizes"][side]["median"] for side in ("height", "width")], short_side)
    validation = fingerprint["splits"]["validation"]
    return Facts(
        dataset=fingerprint["dataset"],
        digest=hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:16],
        classes=len(fingerprint["classes"]),
        samples=train["samples"],
        size=size,
        validated=_largest((validation if validation["samples"] else train)["sizes"], short_side),
        thing=_thing(train["classes"], size),
        shares={name: each["share"] for name, each in train["classes"].items() if each["share"]},
        flips={
            name: (fingerprint["symmetry"][name]["legal"], fingerprint["symmetry"][name]["why"])
            for name in ("left_right", "up_down")
        },
    )


def _scaled(sides: list[float], short_side: int | None) -> Size:
    return scaled_size(round(sides[0]), round(sides[1]), short_side=short_side)


def _largest(sizes: Mapping[str, Any], short_side: int | None) -> Size:
    """Find a size of at least as many pixels as any image has: the greatest height and width, or length."""
    height, width = round(sizes["height"]["max"]), round(sizes["width"]["max"])
    if short_side is None:
        return height, width
    short = min(short_side, height, width)
    return short, round(short * max(sizes["aspect"]["max"], 1 / sizes["aspect"]["min"]))


def _thing(classes: Mapping[str, Any], size: Size) -> Size | None:
    spreads = [each["components"] for each in classes.values() if each["components"]["count"]]
    if not spreads:
        return None
    shares = [median(each[f"{side}_share"][_LARGE] for each in spreads) for side in ("height", "width")]
    return max(1, round(shares[0] * size[0])), max(1, round(shares[1] * size[1]))
