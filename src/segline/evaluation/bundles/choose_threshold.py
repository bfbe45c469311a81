"""Choose the foreground threshold of a binary task on the validation split."""

import numpy as np

from segline.core.metrics.threshold import BINS, Threshold, choose_best, histogram
from segline.data.prepare.prepared import PreparedSplit
from segline.errors import TrainingError
from segline.inference.bundle import Bundle
from segline.inference.predict import logits_of
from segline.progress import Advance


def choose(bundle: Bundle, split: PreparedSplit, *, progress: Advance) -> Threshold:
    """Choose the threshold that gives `bundle` the highest mean IoU on `split`, at the prepared scale.

    One pass is enough for all thresholds, because pixels are counted by truth and probability.

    Args:
        bundle: of two classes; its own threshold is ignored.
        split: the split that chose the weights, never the one whose scores are reported.
        progress: called with 1 after each image.

    Raises:
        TrainingError: `split` has no labelled pixel.
    """
    counts = np.zeros((len(bundle.labels), BINS), dtype=np.int64)
    for index in range(len(split)):
        counts += histogram(split.mask(index), logits_of(bundle, split.image(index)))
        progress(1)
    if not counts.any():
        raise TrainingError(
            f"{split.dataset} {split.name} split",
            found="no labelled pixel",
            expected="labelled pixels to choose the threshold by",
            remedy="set training.threshold in params.yaml to a number, or correct the masks",
        )
    return choose_best(counts)
