"""What an evaluation counted, the figures read off it, and its file.

Nothing here needs a network: `segline.evaluation.evaluate` counts what one answers, and
`segline.evaluation.score` what a folder holds.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segline.core.confusion import Counts, constant, iou, mean_iou, merged, pixel_accuracy
from segline.core.statistics import Interval, bootstrap, group_places
from segline.storage import atomic_file

BOOTSTRAP_SEED = 20


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was counted, and under which rules.

    Args:
        groups: what each image shows together with others (a drive, an animal), in the order of `ids`; "" for one
            that stands for itself. None where all do, and where nobody said: `grouping`.
        per_image: int64 (N, C, C + 1), one confusion matrix an image, in the order of `ids`.

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
        return bootstrap(
            self.per_image, groups=self.groups, resamples=resamples, confidence=confidence, seed=BOOTSTRAP_SEED
        )

    def baseline(self, *, commonest: int) -> float:
        """Mean IoU of always answering class `commonest` on the same images."""
        return float(mean_iou(constant(self.counts, prediction=commonest)))


def grouping(names: Sequence[str]) -> tuple[str, ...] | None:
    """Names of groups, one an image, as `Evaluation` has them: None where every image stands for itself."""
    return tuple(names) if len(set(group_places(names))) < len(names) else None


def extra_scores(evaluation: Evaluation) -> dict[str, float]:
    """Scores that a dataset's protocol always reports beside the mean IoU.

    Oxford Pets: foreground against the rest, and foreground IoU with the border as void.
    """
    if evaluation.names != ("foreground", "background", "border"):
        return {}
    merge, void = merged(evaluation.counts, [[0], [1, 2]]), merged(evaluation.counts, [[0], [1]])
    return {"foreground_iou_border_rest": float(iou(merge)[0]), "foreground_iou_border_void": float(iou(void)[0])}


def summary(evaluation: Evaluation, *, interval: Interval, baseline: float | None) -> dict[str, Any]:
    """Plain values for JSON: every figure with its protocol, digests and interval.

    Args:
        baseline: mean IoU of a constant answer; None where it is not known which would be fair.
    """
    ratios = iou(evaluation.counts)
    return {
        "dataset": evaluation.dataset,
        "split": evaluation.split,
        "protocol": evaluation.protocol,
        "split_digest": evaluation.split_digest,
        "label_map_digest": evaluation.label_map,
        "images": len(evaluation.ids),
        "groups": interval.groups,
        "labelled_pixels": int(evaluation.counts.sum()),
        "void_pixels": evaluation.void_pixels,
        "miou": evaluation.miou,
        "miou_low": interval.low,
        "miou_high": interval.high,
        "confidence": interval.confidence,
        "interval_method": interval.method,
        "caveat": interval.caveat,
        **({} if baseline is None else {"baseline_miou": baseline}),
        "pixel_accuracy": pixel_accuracy(evaluation.counts),
        "per_class_iou": {
            name: None if np.isnan(value) else float(value)
            for name, value in zip(evaluation.names, ratios, strict=True)
        },
        **extra_scores(evaluation),
        "confusion": evaluation.counts.tolist(),
        "counts_digest": evaluation.digest,
    }


def save(evaluation: Evaluation, path: Path) -> None:
    """Write an evaluation, per-image counts included, whole or not at all."""
    fields = {key: value for key, value in vars(evaluation).items() if key != "per_image"}
    with atomic_file(path) as partial, partial.open("wb") as handle:
        np.savez_compressed(handle, per_image=evaluation.per_image, fields=np.array(json.dumps(fields)))


def load(path: Path) -> Evaluation:
    """Read what `save` wrote; a file from before there were groups has none."""
    with np.load(path, allow_pickle=False) as content:
        fields = json.loads(str(content["fields"]))
        per_image = content["per_image"]
    groups = fields.pop("groups", None)
    fields["names"], fields["ids"] = tuple(fields["names"]), tuple(fields["ids"])
    return Evaluation(per_image=per_image, groups=None if groups is None else tuple(groups), **fields)
