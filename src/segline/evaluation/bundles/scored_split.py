"""Choose the split that a network is scored on, at the scale that the network was trained on."""

from pathlib import Path
from typing import get_args

from segline.core.labels import Image, Mask
from segline.data.prepare.prepared import SCORED, Prepared, PreparedSplit, RescaledSplit
from segline.datasets.base import Split
from segline.errors import DataError
from segline.inference.bundle import Bundle


class AtTrainingScale:
    """A prepared split with labels at the prepared scale, as in training, for scores that are not published.

    Its protocol names the scale, so that its scores are never compared with scores on native labels.
    """

    def __init__(self, split: PreparedSplit) -> None:
        self.name, self.dataset, self.digest = split.name, split.dataset, split.digest
        scaled = split.short_side is not None
        self.protocol = f"{split.protocol} at short side {split.short_side}" if scaled else split.protocol
        self.label_map, self.short_side = split.label_map, split.short_side
        self.ids, self.groups, self.extra_scores = split.ids, split.groups, split.extra_scores
        self._split = split

    def __len__(self) -> int:
        return len(self._split)

    def image(self, index: int) -> Image:
        """Read a scaled image, uint8 (h, w, 3)."""
        return self._split.image(index)

    def label(self, index: int) -> Mask:
        """Read a scaled mask, uint8 (h, w) train ids."""
        return self._split.mask(index)


ScoredSplit = PreparedSplit | RescaledSplit | AtTrainingScale
"""Images and labels to score a model on, at any scale."""


def fitting(bundle: Bundle, prepared: Prepared, *, name: str, raw: Path, manifest_folder: Path) -> ScoredSplit:
    """Find the split `name` with native labels and images at the scale of `bundle`.

    Images of another scale than the prepared one are decoded again. The training split keeps no native labels: it is
    scored at the prepared scale, and its protocol says so.

    Args:
        raw: the dataset's extracted archives, read only where the scale differs.
        manifest_folder: the dataset's manifest, read only where the scale differs.

    Raises:
        DataError: there is no such split, or images at the network's scale cannot be made.
    """
    if name not in get_args(Split):
        raise DataError(
            f"{prepared.meta['dataset']} {name} split",
            found="no such split",
            expected=f"one of {', '.join(get_args(Split))}",
            remedy="give one of them as --split",
        )
    split = prepared.split(name)
    if name in SCORED and split.short_side == bundle.short_side:
        return split
    if name not in SCORED:
        if split.short_side != bundle.short_side:
            raise DataError(
                f"{prepared.meta['dataset']} {name} split",
                found=f"images at short side {split.short_side}, and no native labels to score another scale with",
                expected=f"{bundle.short_side}, the scale this network was trained on",
                remedy=f"score {' or '.join(SCORED)} instead, or prepare the data at that scale",
            )
        return AtTrainingScale(split)
    if not (raw.is_dir() and manifest_folder.is_dir()):
        raise DataError(
            raw,
            found="no raw data to make images of another scale from",
            expected=f"the {prepared.meta['dataset']} images, to scale them to short side {bundle.short_side}",
            remedy="run dvc repro (or dvc pull), then the same command",
        )
    return split.rescaled(raw=raw, manifest_folder=manifest_folder, short_side=bundle.short_side)
