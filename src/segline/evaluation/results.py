"""The counts of an evaluation, and reading and writing them.

Nothing here needs a network: `segline.evaluation.bundles.evaluate` counts the predictions of a network, and
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

from segline.core.labels import Identity
from segline.core.metrics.confusion import Counts, constant, mean_iou
from segline.core.metrics.road import THRESHOLDS
from segline.core.statistics.bootstrap import Interval, bootstrap
from segline.core.statistics.resampling import group_places
from segline.formats import arrays as files
from segline.formats import strict_json
from segline.storage import atomic_file

BOOTSTRAP_SEED = 20

_ARRAY_FIELDS = ("per_image", "boundary", "road")
_TEXT_FIELDS = ("dataset", "split", "protocol", "split_digest", "label_map", "unnamed")
_FOLDER_NAME = re.compile(r"\w[\w.-]*")  # reports are kept in a folder of the dataset's name


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Counts of each image, and the rules they were counted under.

    Args:
        unnamed: digest of the classes without their names, as `LabelMap.unnamed_digest`; empty if it is not known.
        groups: name of each image's group (images that show the same drive or animal), in the order of `ids`; "" for an
            image that is a group of its own. None if all images are, or if the groups are not known: `grouping`.
        per_image: int64 (N, C, C + 1), one confusion matrix an image, in the order of `ids`.
        categories: name -> train ids, as `LabelMap.categories` has them; empty where classes have none.
        extra_scores: groups of metrics that the dataset's definition declares.
        boundary: int64 (N, 3, C), `core.metrics.boundary.boundary_counts` of each image; None if not counted.
        road: int64 (N, 2, 256), `core.metrics.road.confidence_histogram` of each image, at the size of the label;
            None if no declared score needs it, or if there were no probabilities.

    Raises:
        ValueError: the numbers of groups and images differ.
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
    unnamed: str = ""
    categories: Mapping[str, Sequence[int]] = field(default_factory=dict)
    extra_scores: tuple[str, ...] = ()
    boundary: Counts | None = None
    road: Counts | None = None

    @property
    def identity(self) -> Identity:
        """The classes, as `core.labels.same_classes` takes them."""
        return Identity(digest=self.label_map, unnamed=self.unnamed, names=self.names)

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
        """Digest of the confusion matrices of all images, 16 hex digits."""
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
    """Return the names of the images' groups for `Evaluation`: None if every image is a group of its own."""
    return tuple(names) if len(set(group_places(names))) < len(names) else None


def save(evaluation: Evaluation, path: Path) -> None:
    """Write an evaluation with the counts of each image, atomically: the file is complete, or not written."""
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
    # Opened here, because NumPy leaves a damaged file open.
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
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
    """Check that the fields are those of `Evaluation`, and that texts and names are valid."""
    expected = {item.name for item in dataclasses.fields(Evaluation)} - set(_ARRAY_FIELDS)
    if lacking := expected - fields.keys():
        raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
    if unknown := fields.keys() - expected:
        raise ValueError(f"it holds {', '.join(sorted(unknown))}, which are no fields of an evaluation")
    json.dumps(fields, ensure_ascii=False).encode()  # fails on half a surrogate pair, which JSON can hold, but no page
    for key in _TEXT_FIELDS:
        if not isinstance(fields[key], str):
            raise ValueError(f"{key} is {fields[key]!r}, expected a text")
    if not _FOLDER_NAME.fullmatch(fields["dataset"]):
        raise ValueError(f"dataset {fields['dataset']!r} is not a plain name (letters, digits, _ . -)")
    for key in ("names", "ids"):
        if not fields[key] or not all(isinstance(name, str) for name in fields[key]):
            raise ValueError(f"{key} must be a list of names")
        if len(set(fields[key])) < len(fields[key]):
            raise ValueError(f"{key} must differ, but one occurs twice")
    for key in ("groups", "extra_scores"):
        if not all(isinstance(name, str) for name in fields[key] or ()):
            raise ValueError(f"{key} must be a list of names")
    for name, ids in fields["categories"].items():
        if not set(ids) <= set(range(len(fields["names"]))):
            raise ValueError(f"category {name} has class ids {ids}, but there are {len(fields['names'])} classes")


def _refuse_arrays(arrays: dict[str, npt.NDArray[Any]], *, images: int, classes: int) -> None:
    """Check shape and type of the counts against the numbers of images and classes."""
    expected = {
        "per_image": (images, classes, classes + 1),
        "boundary": (images, 3, classes),
        "road": (images, 2, THRESHOLDS.size),
    }
    for key, array in arrays.items():
        if array.shape != expected[key]:
            named = f"{images} images and {classes} classes"
            raise ValueError(f"{key} has shape {array.shape}, expected {expected[key]} for {named}")
        if array.dtype != np.int64 or array.min() < 0:
            found = f"{array.dtype}{' below 0' if array.dtype == np.int64 else ''}"
            raise ValueError(f"{key} holds {found}, expected counts (int64, 0 or more)")
