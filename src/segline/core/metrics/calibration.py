"""How far a network's confidence can be taken for a probability, from counts.

Softmax outputs are scores that sum to one; whether a pixel answered with 0.9 is right nine times in ten
is measured here and nowhere else. Everything is read off one sufficient statistic that adds up over images,
`Confidences`: the confusion matrix of each bin of confidence, and the sums of the confidences.

Confidence is the probability that the network gives to the class that it answers. Void truth is not counted.
Guo et al., On Calibration of Modern Neural Networks, ICML 2017: expected calibration error, 15 bins of equal
width, (0, 1/15], (1/15, 2/15] ..
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segline.core.labels import VOID, Mask
from segline.core.metrics.confusion import Counts, outcomes

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


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """A reliability diagram and what is read off it; plain values for JSON.

    Args:
        pixels: labelled pixels of each of the `BINS` bins of confidence, bin ``b`` being (b/15, (b+1)/15].
        confidence: mean confidence of each bin, 0..1; None where it has no pixel.
        accuracy: share of each bin's pixels that are right, 0..1; None where it has no pixel. A bar of a
            diagram is as high as this, and its gap is what lies between it and `confidence`.
        ece: expected calibration error, 0..1: mean of the distance of accuracy and confidence over the bins, by their
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
        threshold: pixels of a confidence above this are answered, and all of them at the first, which is 0.
        answered: share of the labelled pixels that are answered, 1 first, falling, in (0, 1].
        pixel_accuracy: of the answered pixels, 0..1.
        miou_lost_as_0: mean IoU of the answered pixels, 0..1, over the same classes at every threshold: those in
            truth or answer of all pixels. A class that neither truth nor answer of the answered pixels holds any
            more is lost, and counts 0; were it left out, the mean would climb to 1 as hard classes leave it.
        classes: how many are not lost; those of the mean first, never rising.
    """

    threshold: tuple[float, ...]
    answered: tuple[float, ...]
    pixel_accuracy: tuple[float, ...]
    miou_lost_as_0: tuple[float, ...]
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
        before = self.before.overall.ece
        if before is None:
            return "Softmax outputs are no probabilities: no labelled pixel says how far they are off."
        off = f"Softmax outputs are no probabilities: on {self.split} they are off by {before:.3f} (ECE)"
        if self.after is None:
            return f"{off}; no temperature was fitted."
        return (
            f"{off}; divided by the temperature {self.after.temperature:.2f}, fitted on {self.fitted_on}, "
            f"by {self.after.overall.ece:.3f}.{_made_worse(self.before, self.after, self.split)}"
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values, `statement` among them."""
        return {**asdict(self), "statement": self.statement}


def _made_worse(before: Scored, after: Scored, split: str) -> str:
    """Which errors rose with the temperature, as far as three digits show, and which fell; empty where none rose."""
    pairs = {
        "ECE": (before.overall.ece, after.overall.ece),
        "log loss": (before.log_loss, after.log_loss),
        "Brier score": (before.brier, after.brier),
    }
    moved = {"worse": list[str](), "better": list[str]()}
    for name, (old, new) in pairs.items():
        if old is not None and new is not None and f"{old:.3f}" != f"{new:.3f}":
            moved["worse" if new > old else "better"].append(f"{name} {old:.3f} to {new:.3f}")
    if not moved["worse"]:
        return ""
    but = f"; better: {', '.join(moved['better'])}" if moved["better"] else ""
    return f" On {split} the temperature made it worse: {', '.join(moved['worse'])}{but}."


@dataclass(frozen=True, kw_only=True)
class Confidences:
    """Labelled pixels, counted by their confidence; adds up over images.

    Args:
        confusions: int64 (FINE, C, C + 1), a confusion matrix of each fine bin of confidence.
        sums: float64 (FINE, C), the pixels' confidences summed, by bin and answered class.
        log_loss: sum of -ln(probability of the true class).
        brier: sum of the squared distances between probabilities and truth.
    """

    confusions: Counts
    sums: npt.NDArray[np.float64]
    log_loss: float
    brier: float

    def __add__(self, other: "Confidences") -> "Confidences":
        return Confidences(
            confusions=self.confusions + other.confusions,
            sums=self.sums + other.sums,
            log_loss=self.log_loss + other.log_loss,
            brier=self.brier + other.brier,
        )

    @property
    def pixels(self) -> int:
        """Labelled pixels that were counted."""
        return int(self.confusions.sum())


def none(classes: int) -> Confidences:
    """No pixel at all: what a sum starts with."""
    return Confidences(
        confusions=np.zeros((FINE, classes, classes + 1), dtype=np.int64),
        sums=np.zeros((FINE, classes)),
        log_loss=0.0,
        brier=0.0,
    )


def count(truth: Mask, answer: Mask, probabilities: Probabilities) -> Confidences:
    """Count the labelled pixels of one image.

    Args:
        truth: uint8 (H, W), train ids and `VOID`.
        answer: uint8 (H, W), train ids; the class whose probability is the confidence.
        probabilities: float32 (H, W, C).

    Raises:
        ValueError: sizes differ, an id is no class, or `probabilities` are none (logits, for example).
    """
    classes = probabilities.shape[-1]
    if not truth.shape == answer.shape == probabilities.shape[:-1]:
        raise ValueError(f"truth is {truth.shape}, answer {answer.shape}, but probabilities {probabilities.shape}")
    labelled = truth != VOID
    if not labelled.any():
        return none(classes)
    true, answered = truth[labelled].astype(np.intp), answer[labelled].astype(np.intp)
    flat = probabilities[labelled]
    for name, ids in (("truth", true), ("answer", answered)):
        if ids.max() >= classes:
            raise ValueError(f"{name} holds id {ids.max()}, but there are {classes} classes")
    if not (flat.min() >= 0 and np.abs(flat.sum(axis=-1) - 1).max() < 1e-3):  # written so that NaN is refused too
        raise ValueError("probabilities must be at least 0 and sum to 1: are they logits?")
    rows = np.arange(true.size)
    confidence, given = flat[rows, answered].astype(np.float64), flat[rows, true].astype(np.float64)
    place = np.searchsorted(_EDGES, confidence, side="left") * classes  # a bin holds its upper edge
    pairs = np.bincount((place + true) * classes + answered, minlength=FINE * classes**2)
    squares = np.einsum("nc,nc->n", flat, flat, dtype=np.float64).sum()
    return Confidences(
        confusions=np.pad(pairs.reshape(FINE, classes, classes).astype(np.int64), ((0, 0), (0, 0), (0, 1))),
        sums=np.asarray(np.bincount(place + answered, confidence, FINE * classes), np.float64).reshape(FINE, classes),
        # A probability that float32 rounds to 0 is no certainty.
        log_loss=float(-np.log(np.maximum(given, np.finfo(np.float32).tiny)).sum()),
        brier=float(squares - 2 * given.sum() + true.size),
    )


def scored(counts: Confidences, *, temperature: float) -> Scored:
    """What `counts` say, which were counted at `temperature`."""
    right = np.diagonal(counts.confusions, axis1=1, axis2=2)  # (FINE, C), by answered class
    claimed = counts.confusions.sum(axis=1)[:, :-1]
    total = counts.pixels
    return Scored(
        temperature=temperature,
        overall=_reliability(claimed.sum(axis=1), right.sum(axis=1), counts.sums.sum(axis=1)),
        per_class=tuple(map(_reliability, claimed.T, right.T, counts.sums.T)),
        log_loss=counts.log_loss / total if total else None,
        brier=counts.brier / total if total else None,
    )


def _reliability(pixels: Counts, right: Counts, sums: npt.NDArray[np.float64]) -> Reliability:
    """The diagram of `FINE` bins each of pixels, right ones among them and summed confidences."""
    coarse = np.arange(BINS) * _PARTS
    pixels, right, sums = (np.add.reduceat(values, coarse) for values in (pixels, right, sums))
    gaps, total = np.abs(right - sums), int(pixels.sum())
    occupied = pixels > 0
    means, shares = (
        tuple(part / whole if whole else None for part, whole in zip(values.tolist(), pixels.tolist(), strict=True))
        for values in (sums, right)
    )
    return Reliability(
        pixels=tuple(pixels.tolist()),
        confidence=means,
        accuracy=shares,
        ece=float(gaps.sum() / total) if total else None,
        mce=float((gaps[occupied] / pixels[occupied]).max()) if total else None,
    )


def abstention(counts: Confidences) -> Abstention:
    """The curve of answering only above each of the fine bins' edges; thresholds that change nothing are left out."""
    kept = counts.confusions[::-1].cumsum(axis=0)[::-1]  # pixels of this bin and above
    pixels = kept.sum(axis=(1, 2))
    chosen = np.flatnonzero((np.diff(pixels, append=0) != 0) & (pixels > 0))
    kept, pixels, lower = kept[chosen], pixels[chosen], np.concatenate([[0.0], _EDGES])[chosen]
    if chosen.size:
        lower[0] = 0.0  # nothing lies below it
    result = outcomes(kept)
    ious = result.iou
    classes = (~np.isnan(ious)).sum(axis=-1)
    return Abstention(
        threshold=tuple(lower.tolist()),
        answered=tuple((pixels / max(counts.pixels, 1)).tolist()),
        pixel_accuracy=tuple((result.true_positive.sum(axis=-1) / pixels).tolist()),
        miou_lost_as_0=tuple((np.nansum(ious, axis=-1) / classes[:1]).tolist()),
        classes=tuple(classes.tolist()),
    )
