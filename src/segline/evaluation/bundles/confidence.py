"""Fit a temperature and measure calibration on prepared splits, at the labels' native size."""

import numpy as np

from segline.core.labels import Mask
from segline.core.metrics import calibration, temperature
from segline.core.metrics.calibration import Calibration
from segline.core.metrics.temperature import Fitted, Logits
from segline.errors import DataError
from segline.evaluation.bundles.evaluate import predict_sample, refuse_mismatch
from segline.evaluation.bundles.scored_split import ScoredSplit
from segline.inference.bundle import Bundle
from segline.progress import Advance

PIXELS = 1 << 18
"""Number of labelled pixels to fit a temperature on, drawn evenly from all images."""

SEED = 21

__all__ = ["PIXELS", "SEED", "Fitted", "Judge", "fit"]


def fit(bundle: Bundle, split: ScoredSplit, *, progress: Advance) -> Fitted:
    """Fit the temperature that the logits of `bundle` are divided by.

    This takes one pass over the images. Memory does not grow with their number: with more images, fewer pixels of each
    are kept.

    Args:
        split: validation, never the split whose scores are reported.
        progress: called with 1 after each image.

    Raises:
        DataError: `split` does not fit the bundle, or has no labelled pixel.
    """
    refuse_mismatch(bundle, split)
    generator = np.random.default_rng(SEED)
    parts = []
    for index in range(len(split)):
        truth, _, logits = predict_sample(bundle, split, index)
        parts.append(temperature.draw_pixels(truth, logits, most=max(1, PIXELS // len(split)), generator=generator))
        progress(1)
    pixels = temperature.join_pixels(parts)
    if not pixels.truth.size:
        raise DataError(
            f"{split.dataset} {split.name} split",
            found="no labelled pixel",
            expected="labelled pixels to fit the temperature on",
            remedy="correct the masks",
        )
    return Fitted(temperature=temperature.fit(pixels), split=split.name, digest=split.digest)


class Judge:
    """Measure image by image how well a network's confidences are calibrated, before and after a temperature.

    Predicted classes are those of `evaluate`: a binary task's threshold decides as it does there. Confidence is the
    probability of the predicted class. For a bundle with mirrors, the averaged probabilities are measured.

    Args:
        fitted: result of `fit` on another split; None to measure the plain softmax alone.

    Raises:
        ValueError: the temperature was fitted on `split` itself.
        DataError: `split` does not fit the bundle.
    """

    def __init__(self, bundle: Bundle, split: ScoredSplit, *, fitted: Fitted | None) -> None:
        if fitted and (fitted.split == split.name or fitted.digest == split.digest):
            raise ValueError(f"the temperature was fitted on {split.name}, so its calibration cannot be measured there")
        refuse_mismatch(bundle, split)
        self._bundle, self._split, self._fitted = bundle, split, fitted
        self._before = self._after = calibration.count_nothing(len(bundle.labels))

    def see(self, truth: Mask, answer: Mask, logits: Logits) -> None:
        """Count one image: label and predicted mask, uint8 (H, W), and logits, float32 (H, W, C)."""
        self._before += calibration.count(truth, answer, temperature.softmax(logits))
        if self._fitted is not None:
            self._after += calibration.count(
                truth, answer, temperature.softmax(logits, temperature=self._fitted.temperature)
            )

    def judged(self) -> Calibration:
        """Compute the calibration over all images; call `see` for each image before."""
        before, after, fitted = self._before, self._after, self._fitted
        return Calibration(
            dataset=self._split.dataset,
            split=self._split.name,
            protocol=self._split.protocol,
            split_digest=self._split.digest,
            label_map=self._split.label_map,
            names=self._bundle.labels.names,
            images=len(self._split),
            labelled_pixels=before.pixels,
            before=calibration.summarise_calibration(before, temperature=1.0),
            after=None if fitted is None else calibration.summarise_calibration(after, temperature=fitted.temperature),
            fitted_on=fitted.split if fitted else None,
            abstention=calibration.compute_abstention(before if fitted is None else after),
        )
