"""How far a network's confidence can be taken for a probability, from counts.

Softmax outputs are scores that sum to one; whether a pixel answered with 0.9 is right nine times in ten
is measured here and nowhere else. Everything is read off one sufficient statistic that adds up over images,
`Confidences`: the confusion matrix of each bin of confidence, and the sums of the confidences.

Confidence is the probability that the network gives to the class that it answers. Void truth is not counted.
Guo et al., On Calibration of Modern Neural Networks, ICML 2017: expected calibration error, 15 bins of equal
width, (0, 1/15], (1/15, 2/15] .., and temperature scaling.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segline.core.confusion import Counts, mean_iou, outcomes
from segline.core.labels import VOID, Mask

Logits = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float32]

BINS = 15
"""Bins of a reliability diagram, of equal width."""

_PARTS, _HALVINGS = 4, 16
_EDGES = np.concatenate(
    [
        np.arange(1, BINS * _PARTS) / (BINS * _PARTS),
        1 - 0.5 ** np.arange(1, _HALVINGS + 1) / (BINS * _PARTS),  # most pixels of a good network are here
    ]
)
"""What lies between the fine bins that pixels are counted in; each bin of a diagram is some of these."""

FINE = len(_EDGES) + 1

TEMPERATURES = (0.05, 20.0)
"""Temperatures are looked for between these."""


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """A reliability diagram and what is read off it; plain values for JSON.

    Args:
        pixels: labelled pixels of each of the `BINS` bins of confidence, bin ``b`` being (b/15, (b+1)/15].
        confidence: mean confidence of each bin, 0..1; None where it has no pixel.
        accuracy: share of each bin's pixels that are right, 0..1; None where it has no pixel. A bar of a
            diagram is as high as this, and its gap is what lies between it and `confidence`.
        ece: expected calibration error, 0..1: mean of \\|accuracy - confidence\\| over the bins, by their
            pixels; None without pixels.
        mce: the largest gap of any bin, however few pixels it has.
    """

    pixels: tuple[int, ...]
    confidence: tuple[float | None, ...]
    accuracy: tuple[float | None, ...]
    ece: float | None
    mce: float | None


@dataclass(frozen=True, kw_only=True)
class Abstention:
    """What a network scores that answers only where it is confident enough; plain values for JSON.

    All of one length (at most `FINE`), from every pixel answered to the most confident ones alone. Pixels
    without an answer are left out as void is: they are no misses.

    Args:
        threshold: pixels of a confidence above this are answered, 0 first.
        answered: share of the labelled pixels that are answered, 1 first, falling, in (0, 1].
        pixel_accuracy: of the answered pixels, 0..1.
        miou: mean IoU of the answered pixels over the classes that are left among them, 0..1.
        classes: how many those are. Where it falls, `miou` can jump: a class that is never answered any
            more, and whose pixels are all left out, is no longer in the mean.
    """

    threshold: tuple[float, ...]
    answered: tuple[float, ...]
    pixel_accuracy: tuple[float, ...]
    miou: tuple[float, ...]
    classes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Confidences at one temperature; plain values for JSON.

    Args:
        temperature: what logits were divided by; 1 for the softmax as it is.
        overall: of all labelled pixels.
        per_class: by the class that was answered, in the order of the label map.
        log_loss: mean of -ln(probability of the true class) over the labelled pixels, in nats.
        brier: mean of the squared distance between probabilities and truth, 0..2.
    """

    temperature: float
    overall: Reliability
    per_class: tuple[Reliability, ...]
    log_loss: float | None
    brier: float | None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """All a report says about confidences on one split; plain values for JSON (`as_json`).

    Args:
        names: of the classes, in the order of the label map.
        images: of the split.
        labelled_pixels: that were counted; void is not.
        before: of the softmax as it is.
        after: with the temperature; None where none was fitted.
        fitted_on: the split that the temperature was fitted on; None where none was.
        abstention: by the confidences `after`, or else `before`.
    """

    dataset: str
    split: str
    protocol: str
    split_digest: str
    label_map: str
    names: tuple[str, ...]
    images: int
    labelled_pixels: int
    before: Scored
    after: Scored | None
    fitted_on: str | None
    abstention: Abstention

    @property
    def statement(self) -> str:
        """What must be said beside any probability of this network."""
        if self.before.overall.ece is None:
            return "Softmax outputs are no probabilities: no labelled pixel says how far they are off."
        off = f"Softmax outputs are no probabilities: on {self.split} they are off by {self.before.overall.ece:.3f} (ECE)"
        if self.after is None or self.after.overall.ece is None:
            return f"{off}; no temperature was fitted."
        return (
            f"{off}; divided by the temperature {self.after.temperature:.2f}, fitted on {self.fitted_on}, "
            f"by {self.after.overall.ece:.3f}."
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values, `statement` among them."""
        return {**asdict(self), "statement": self.statement}
