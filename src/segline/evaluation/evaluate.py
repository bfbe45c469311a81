"""Score a network on a prepared split, at the labels' native size, from counts."""

from collections.abc import Callable

import numpy as np

from segline.core.confusion import confusion
from segline.core.labels import VOID, Image, Mask
from segline.data.prepared import PreparedSplit, RescaledSplit
from segline.errors import DataError
from segline.evaluation.results import BOOTSTRAP_SEED, Evaluation, extra_scores, load, save, summary
from segline.inference.bundle import Bundle
from segline.inference.predict import predict_scaled

__all__ = [
    "BOOTSTRAP_SEED",
    "AtTrainingScale",
    "Evaluation",
    "Split",
    "evaluate",
    "extra_scores",
    "load",
    "refuse_mismatch",
    "save",
    "summary",
]


class AtTrainingScale:
    """A prepared split labelled by the masks of its own scale, as training sees it: to look at, not to publish.

    Its protocol says at which scale, so that its scores are never compared with those of native labels.
    """

    def __init__(self, split: PreparedSplit) -> None:
        self.name, self.digest = split.name, split.digest
        scaled = split.short_side is not None
        self.protocol = f"{split.protocol} at short side {split.short_side}" if scaled else split.protocol
        self.label_map, self.ids, self.short_side = split.label_map, split.ids, split.short_side
        self._split = split

    def __len__(self) -> int:
        return len(self._split)

    def image(self, index: int) -> Image:
        """Scaled image, uint8 (h, w, 3)."""
        return self._split.image(index)

    def label(self, index: int) -> Mask:
        """Scaled mask, uint8 (h, w) train ids."""
        return self._split.mask(index)


Split = PreparedSplit | RescaledSplit | AtTrainingScale


def evaluate(bundle: Bundle, split: Split, *, progress: Callable[[int, int], None]) -> Evaluation:
    """Run `bundle` over `split`.

    Args:
        progress: called with (done, total) after each image.

    Raises:
        DataError: the network answers other classes than the split's labels have, or no image is there.
    """
    refuse_mismatch(bundle, split)
    classes = len(bundle.labels)
    per_image = np.zeros((len(split), classes, classes + 1), dtype=np.int64)
    void_pixels = 0
    for index in range(len(split)):
        label = split.label(index)
        mask = predict_scaled(bundle, split.image(index), height=label.shape[0], width=label.shape[1])
        per_image[index] = confusion(label, mask, classes=classes)
        void_pixels += int(np.count_nonzero(label == VOID))
        progress(index + 1, len(split))
    return Evaluation(
        dataset=bundle.dataset,
        split=split.name,
        protocol=split.protocol,
        split_digest=split.digest,
        label_map=split.label_map,
        names=bundle.labels.names,
        ids=tuple(split.ids),
        void_pixels=void_pixels,
        per_image=per_image,
    )


def refuse_mismatch(bundle: Bundle, split: Split) -> None:
    """See, before the first image, that `bundle` can be judged on `split`.

    Raises:
        DataError: it answers other classes than the labels have, images are at another scale, or there is none.
    """
    if bundle.labels.digest != split.label_map:
        raise DataError(
            f"{bundle.dataset} {split.name} split",
            found=f"label map {split.label_map}",
            expected=f"the network's, {bundle.labels.digest}",
            remedy="score it on data of its own label map, or train again",
        )
    if bundle.short_side != split.short_side:
        raise DataError(
            f"{bundle.dataset} {split.name} split",
            found=f"images at short side {split.short_side}",
            expected=f"{bundle.short_side}, the scale this network was trained on",
            remedy="use PreparedSplit.rescaled",
        )
    if len(split) == 0:
        raise DataError(
            f"{bundle.dataset} {split.name} split", found="no sample", expected="at least one", remedy="run dvc repro"
        )
