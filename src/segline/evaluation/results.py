"""What an evaluation counted, the figures read off it, and its file.

Nothing here needs a network: `segline.evaluation.evaluate` counts what one answers, and
`segline.evaluation.score` what a folder holds.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segline.core.boundary import boundary_iou
from segline.core.confusion import Counts, Ratios, constant, iou, mean_iou, mean_of_present, merged
from segline.core.road import road_scores
from segline.core.scores import OVERALL, category_counts, per_class
from segline.core.statistics import Interval, Score, bootstrap, group_places
from segline.storage import atomic_file

BOOTSTRAP_SEED = 20

ROAD = ("not road", "road")
"""Classes of a task that KITTI road's scores are for."""

PETS = ("foreground", "background", "border")
"""Classes of Oxford Pets' trimaps."""

_PETS = {"foreground_iou_border_rest": [[0], [1, 2]], "foreground_iou_border_void": [[0], [1]]}
_ROAD = ("max_f", "average_precision")  # road's scores that intervals are of; the others are of MaxF's threshold
_OVERALL = ("pixel_accuracy", "mean_class_accuracy", "frequency_weighted_iou", "macro_f1")
_PER_CLASS = ("iou", "precision", "recall", "f1")
_ARRAYS = ("per_image", "boundary", "road")  # of `Evaluation`


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was counted, and under which rules.

    Args:
        groups: what each image shows together with others (a drive, an animal), in the order of `ids`; "" for one
            that stands for itself. None where all do, and where nobody said: `grouping`.
        per_image: int64 (N, C, C + 1), one confusion matrix an image, in the order of `ids`.
        categories: name -> train ids, as `LabelMap.categories` has them; empty where classes have none.
        boundary: int64 (N, 3, C), `core.boundary.boundary_counts` of each image; None where it was not asked for.
        road: int64 (N, 2, 256), `core.road.confidence_histogram` of each image, at the labels' place and size;
            None where the classes are not `ROAD`, or where there were no probabilities.

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
    boundary: Counts | None = None
    road: Counts | None = None

    def __post_init__(self) -> None:
        if self.groups is not None and len(self.groups) != len(self.ids):
            raise ValueError(f"{len(self.ids)} images, but {len(self.groups)} groups")

    @property
    def counts(self) -> Counts:
        """The split's one confusion matrix, int64 (C, C + 1)."""
        total: Counts = self.per_image.sum(axis=0)
        return total

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur."""
        return float(mean_iou(self.counts))

    @property
    def digest(self) -> str:
        """Changes with any bit of any image's confusion matrix."""
        return hashlib.sha256(np.ascontiguousarray(self.per_image).tobytes()).hexdigest()[:16]

    def interval(self, *, resamples: int, confidence: float) -> Interval:
        """Bootstrap interval of `miou` over the images, whole groups of them where there are any; reproducible."""
        return _interval(self, self.per_image, mean_iou, resamples, confidence)

    def intervals(self, *, resamples: int, confidence: float) -> dict[str, Interval]:
        """The same of every figure over the whole split, by its name in `summary`; NaN where a figure is undefined."""
        return {
            name: _interval(self, counts, score, resamples, confidence)
            for name, (counts, score) in _figures(self).items()
        }

    def baseline(self, *, commonest: int) -> float:
        """Mean IoU of always answering class `commonest` on the same images."""
        return float(mean_iou(constant(self.counts, prediction=commonest)))


def _interval(evaluation: Evaluation, counts: Counts, score: Score, resamples: int, confidence: float) -> Interval:
    return bootstrap(
        counts,
        score=score,
        groups=evaluation.groups,
        resamples=resamples,
        confidence=confidence,
        seed=BOOTSTRAP_SEED,
    )


def _figures(evaluation: Evaluation) -> dict[str, tuple[Counts, Score]]:
    """Every figure over the whole split: its name, the counts of each image and what is read off their sum.

    Categories, boundary IoU and road scores only where there are some.
    """
    figures = {name: (evaluation.per_image, OVERALL[name]) for name in ("miou", *_OVERALL)}
    if evaluation.categories:
        figures["mean_category_iou"] = evaluation.per_image, partial(_category_miou, categories=evaluation.categories)
    if evaluation.boundary is not None:
        figures["boundary_miou"] = evaluation.boundary, lambda counts: mean_of_present(boundary_iou(counts))
    if evaluation.names == PETS:
        figures |= {name: (evaluation.per_image, partial(_first_iou, merges=merges)) for name, merges in _PETS.items()}
    if evaluation.road is not None:
        figures |= {name: (evaluation.road, partial(_road_score, field=name)) for name in _ROAD}
    return figures


def _category_miou(counts: Counts, *, categories: Mapping[str, Sequence[int]]) -> Ratios:
    return mean_of_present(iou(category_counts(counts, categories)))


def _first_iou(counts: Counts, *, merges: list[list[int]]) -> Ratios:
    found: Ratios = iou(merged(counts, merges))[..., 0]
    return found


def _road_score(counts: Counts, *, field: str) -> Ratios:
    """Of pooled counts int64 (..., 2, 256), float64 (...)."""
    pooled = counts.reshape(-1, *counts.shape[-2:])
    return np.array([getattr(road_scores(each), field) for each in pooled]).reshape(counts.shape[:-2])


def grouping(names: Sequence[str]) -> tuple[str, ...] | None:
    """Names of groups, one an image, as `Evaluation` has them: None where every image stands for itself."""
    return tuple(names) if len(set(group_places(names))) < len(names) else None


def extra_scores(evaluation: Evaluation) -> dict[str, float]:
    """Scores that a dataset's protocol always reports beside the mean IoU.

    Oxford Pets: foreground against the rest, and foreground IoU with the border as void.
    """
    if evaluation.names != PETS:
        return {}
    return {name: float(_first_iou(evaluation.counts, merges=merges)) for name, merges in _PETS.items()}


def summary(evaluation: Evaluation, *, intervals: Mapping[str, Interval], baseline: float | None) -> dict[str, Any]:
    """Plain values for JSON: every figure with its protocol, digests and interval; None for what is undefined.

    Categories, boundary IoU and road scores are in it only where there are some.

    Args:
        intervals: of `Evaluation.intervals`.
        baseline: mean IoU of a constant answer; None where it is not known which would be fair.
    """
    counts, interval = evaluation.counts, intervals["miou"]
    shares = per_class(counts)
    return {
        "dataset": evaluation.dataset,
        "split": evaluation.split,
        "protocol": evaluation.protocol,
        "split_digest": evaluation.split_digest,
        "label_map_digest": evaluation.label_map,
        "images": len(evaluation.ids),
        "groups": interval.groups,
        "labelled_pixels": int(counts.sum()),
        "void_pixels": evaluation.void_pixels,
        "miou": evaluation.miou,
        "miou_low": interval.low,
        "miou_high": interval.high,
        "confidence": interval.confidence,
        "interval_method": interval.method,
        "caveat": interval.caveat,
        **({} if baseline is None else {"baseline_miou": baseline}),
        "intervals": {name: {"low": plain(found.low), "high": plain(found.high)} for name, found in intervals.items()},
        **{name: plain(OVERALL[name](counts)) for name in _OVERALL},
        **{f"per_class_{name}": _named(evaluation.names, shares[name]) for name in _PER_CLASS},
        **_category_scores(evaluation),
        **_boundary_scores(evaluation),
        **_road_scores(evaluation),
        **{name: plain(value) for name, value in extra_scores(evaluation).items()},
        "confusion": counts.tolist(),
        "counts_digest": evaluation.digest,
    }


def _category_scores(evaluation: Evaluation) -> dict[str, Any]:
    if not evaluation.categories:
        return {}
    ratios = iou(category_counts(evaluation.counts, evaluation.categories))
    return {
        "mean_category_iou": plain(mean_of_present(ratios)),
        "per_category_iou": _named(evaluation.categories, ratios),
    }


def _boundary_scores(evaluation: Evaluation) -> dict[str, Any]:
    """Counts are summed over the images, then the ratio of each class is taken, as for the mean IoU."""
    if evaluation.boundary is None:
        return {}
    ratios = boundary_iou(evaluation.boundary.sum(axis=0))
    return {
        "boundary_miou": plain(mean_of_present(ratios)),
        "per_class_boundary_iou": _named(evaluation.names, ratios),
    }


def _road_scores(evaluation: Evaluation) -> dict[str, Any]:
    """Named after the view: the benchmark's table is of the bird's-eye view, and has other figures."""
    if evaluation.road is None:
        return {}
    pooled = road_scores(evaluation.road.sum(axis=0))
    return {"road_image_space": {name: plain(value) for name, value in asdict(pooled).items()}}


def plain(value: float | Ratios) -> float | None:
    """One number for JSON, which has no word for what is undefined."""
    return None if np.isnan(value) else float(value)


def _named(names: Iterable[str], ratios: Ratios) -> dict[str, float | None]:
    return {name: plain(value) for name, value in zip(names, ratios.tolist(), strict=True)}


def save(evaluation: Evaluation, path: Path) -> None:
    """Write an evaluation, per-image counts included, whole or not at all."""
    fields = {key: value for key, value in vars(evaluation).items() if key not in _ARRAYS}
    arrays = {key: value for key in _ARRAYS if (value := getattr(evaluation, key)) is not None}
    with atomic_file(path) as partial, partial.open("wb") as handle:
        np.savez_compressed(handle, **arrays, fields=np.array(json.dumps(fields)))


def load(path: Path) -> Evaluation:
    """Read what `save` wrote, now or before an evaluation had groups, categories, boundary or road."""
    with np.load(path, allow_pickle=False) as content:
        fields = json.loads(str(content["fields"]))
        arrays = {key: content[key] for key in _ARRAYS if key in content}
    fields["names"], fields["ids"] = tuple(fields["names"]), tuple(fields["ids"])
    fields["categories"] = {name: tuple(ids) for name, ids in fields.get("categories", {}).items()}
    fields["groups"] = None if fields.get("groups") is None else tuple(fields["groups"])
    return Evaluation(**arrays, **fields)
