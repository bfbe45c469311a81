"""The counts of an evaluation, and the file that keeps them.

Nothing here needs a network: `segline.evaluation.bundles.evaluate` counts a network's answers, and
`segline.evaluation.folders.score` counts the files of a folder.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segline.core.metrics.confusion import Counts, constant, mean_iou
from segline.core.metrics.road import THRESHOLDS
from segline.core.statistics.bootstrap import Interval, bootstrap
from segline.core.statistics.resampling import group_places
from segline.formats import arrays as files
from segline.formats import strict_json
from segline.storage import atomic_file

BOOTSTRAP_SEED = 20

_ARRAY_FIELDS = ("per_image", "boundary", "road")
_TEXT_FIELDS = ("dataset", "split", "protocol", "split_digest", "label_map")
_FOLDER_NAME = re.compile(r"\w[\w.-]*")  # reports are kept in a folder of the dataset's name


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Counts of each image, and the rules they were counted under.

    Args:
        groups: what each image shows together with others (a drive, an animal), in the order of `ids`; "" for one
            that stands for itself. None where all do, and where nobody said: `grouping`.
        per_image: int64 (N, C, C + 1), one confusion matrix an image, in the order of `ids`.
        categories: name -> train ids, as `LabelMap.categories` has them; empty where classes have none.
        extra_scores: groups of metrics that the dataset's definition declares.
        boundary: int64 (N, 3, C), `core.metrics.boundary.boundary_counts` of each image; None if not asked for.
        road: int64 (N, 2, 256), `core.metrics.road.confidence_histogram` of each image, at the labels' place and size;
            None where no declared score needs it, or where there were no probabilities.

    Raises:
        ValueError: not as many groups as images.
    """

    dataset: str
    split: str
    protocol: str
    split_digest: str
    label_map: str
    names: tuple[str, ...]
    ids: tuple[str, ...]
    groups: tuple[str, ...] | None
    void_pixels: int
    per_image: Counts
    categories: Mapping[str, Sequence[int]] = field(default_factory=dict)
    extra_scores: tuple[str, ...] = ()
    boundary: Counts | None = None
    road: Counts | None = None

    def __post_init__(self) -> None:
        if self.groups is not None and len(self.groups) != len(self.ids):
            raise ValueError(f"{len(self.ids)} images, but {len(self.groups)} groups")

    @property
    def counts(self) -> Counts:
        """The confusion matrix of the whole split, int64 (C, C + 1)."""
        total: Counts = self.per_image.sum(axis=0)
        return total

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur."""
        return float(mean_iou(self.counts))

    @property
    def digest(self) -> str:
        """Digest of the confusion matrices of all images: it changes with any bit of them."""
        return hashlib.sha256(np.ascontiguousarray(self.per_image).tobytes()).hexdigest()[:16]

    def interval(self, *, resamples: int, confidence: float) -> Interval:
        """Compute the bootstrap interval of `miou` over the images, or over whole groups of them; reproducible."""
        return bootstrap(
            self.per_image, groups=self.groups, resamples=resamples, confidence=confidence, seed=BOOTSTRAP_SEED
        )

    def baseline(self, *, commonest: int) -> float:
        """Compute the mean IoU of always answering class `commonest` on the same images."""
        return float(mean_iou(constant(self.counts, prediction=commonest)))


def grouping(names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names of the images' groups as `Evaluation` keeps them: None where every image stands for itself."""
    return tuple(names) if len(set(group_places(names))) < len(names) else None


def save(evaluation: Evaluation, path: Path) -> None:
    """Write an evaluation, per-image counts included, whole or not at all."""
    fields = {key: value for key, value in vars(evaluation).items() if key not in _ARRAY_FIELDS}
    arrays = {key: value for key in _ARRAY_FIELDS if (value := getattr(evaluation, key)) is not None}
    with atomic_file(path) as partial, partial.open("wb") as handle:
        np.savez_compressed(handle, **arrays, fields=np.array(json.dumps(fields)))


def load(path: Path) -> Evaluation:
    """Read an evaluation that `save` wrote.

    Raises:
        ValueError: a part is missing, unknown, or does not fit the others. NumPy and zipfile raise other errors for a
            damaged file; `segline.evaluation.compare.read` reports them all.
    """
    files.shapes(path)
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:  # NumPy's own leaks on damage
        fields = strict_json.loads(str(content["fields"]))
        arrays = {key: content[key] for key in _ARRAY_FIELDS if key in content}
    _refuse_fields(fields)
    for key in ("names", "ids", "extra_scores"):
        fields[key] = tuple(fields[key])
    fields["categories"] = {name: tuple(ids) for name, ids in fields["categories"].items()}
    fields["groups"] = None if fields["groups"] is None else tuple(fields["groups"])
    _refuse_arrays(arrays, images=len(fields["ids"]), classes=len(fields["names"]))
    return Evaluation(**arrays, **fields)


def _refuse_fields(fields: dict[str, Any]) -> None:
    """Check that the fields are those of `Evaluation`, texts are texts, and names can name a file and a row."""
    expected = {item.name for item in dataclasses.fields(Evaluation)} - set(_ARRAY_FIELDS)
    if lacking := expected - fields.keys():
        raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
    if unknown := fields.keys() - expected:
        raise ValueError(f"it holds {', '.join(sorted(unknown))}, which no evaluation has")
    json.dumps(fields, ensure_ascii=False).encode()  # half a character, which JSON can hold, no page can
    for key in _TEXT_FIELDS:
        if not isinstance(fields[key], str):
            raise ValueError(f"{key} is {fields[key]!r}, no text")
    if not _FOLDER_NAME.fullmatch(fields["dataset"]):
        raise ValueError(f"dataset {fields['dataset']!r} is no plain name")
    for key in ("names", "ids"):
        if not fields[key] or not all(isinstance(name, str) for name in fields[key]):
            raise ValueError(f"{key} are no names")
        if len(set(fields[key])) < len(fields[key]):
            raise ValueError(f"{key} name something twice")
    for key in ("groups", "extra_scores"):
        if not all(isinstance(name, str) for name in fields[key] or ()):
            raise ValueError(f"{key} are no names")
    for name, ids in fields["categories"].items():
        if not set(ids) <= set(range(len(fields["names"]))):
            raise ValueError(f"category {name} has classes {ids}, of {len(fields['names'])} in all")


def _refuse_arrays(arrays: dict[str, npt.NDArray[Any]], *, images: int, classes: int) -> None:
    """Check that counts are counts, of as many images and classes as are named."""
    expected = {
        "per_image": (images, classes, classes + 1),
        "boundary": (images, 3, classes),
        "road": (images, 2, THRESHOLDS.size),
    }
    for key, array in arrays.items():
        if array.shape != expected[key]:
            named = f"{images} images and {classes} classes are named"
            raise ValueError(f"{key} is of shape {array.shape}, but {named}: {expected[key]}")
        if array.dtype != np.int64 or array.min() < 0:
            raise ValueError(f"{key} holds no counts, but {array.dtype}{' below 0' if array.dtype == np.int64 else ''}")
