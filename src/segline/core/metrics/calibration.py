"""Measure how well a network's confidences are calibrated, from counts.

Softmax outputs are scores that sum to one. Whether a pixel predicted with confidence 0.9 is right nine times in ten
is measured here and nowhere else. Everything is computed from one sufficient statistic that adds up over images,
`Confidences`: the confusion matrix of each bin of confidence, and the sums of the confidences.

Confidence is the probability that the network gives to the class that it predicts. Void truth is not counted.
Guo et al., On Calibration of Modern Neural Networks, ICML 2017: expected calibration error, 15 bins of equal width,
(0, 1/15], (1/15, 2/15] ..
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segline.core.labels import VOID, Mask
from segline.core.metrics.confusion import Counts, outcomes

Probabilities = npt.NDArray[np.float32]

BINS = 15
"""Number of bins of a reliability diagram, of equal width."""

_FINE_PER_BIN, _HALVINGS = 4, 16
_EDGES = np.concatenate(
    [
        np.arange(1, BINS * _FINE_PER_BIN) / (BINS * _FINE_PER_BIN),
        # Finer near 1, where most pixels of a good network are.
        1 - 0.5 ** np.arange(1, _HALVINGS + 1) / (BINS * _FINE_PER_BIN),
    ]
)
"""Inner edges of the fine bins that pixels are counted in; each bin of a diagram joins some fine bins."""

FINE = len(_EDGES) + 1
"""Number of fine bins."""


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """A reliability diagram and its errors; plain values for JSON.

    Args:
        pixels: labelled pixels of each of the `BINS` bins of confidence; bin ``b`` is (b/15, (b+1)/15].
        confidence: mean confidence of each bin, 0..1; None for a bin without pixels.
        accuracy: share of each bin's pixels that are right, 0..1; None for a bin without pixels. It is the height
            of a bar in the diagram, and the gap is its difference to `confidence`.
        ece: expected calibration error, 0..1: mean difference of accuracy and confidence over the bins, weighted by
            their pixels; None without pixels.
        mce: maximum calibration error: the largest gap of any bin, however few pixels it has.
    """

    pixels: tuple[int, ...]
    confidence: tuple[float | None, ...]
    accuracy: tuple[float | None, ...]
    ece: float | None
    mce: float | None


@dataclass(frozen=True, kw_only=True)
class Abstention:
    """Scores of a network that abstains where its confidence is too low; plain values for JSON.

    All sequences have one length (at most `FINE`), from all pixels answered to only the most confident ones.
    Pixels without an answer are ignored like void: they are not misses.

    Args:
        threshold: pixels with a confidence above this are answered. The first is 0: all pixels are answered.
        answered: share of the labelled pixels that are answered, in (0, 1], 1 first, falling.
        pixel_accuracy: accuracy of the answered pixels, 0..1.
        miou_lost_as_0: mean IoU of the answered pixels, 0..1, over the same classes at every threshold: those in
            truth or prediction of all pixels. A class that occurs in neither truth nor prediction of the answered
            pixels is lost, and counts as 0. Without that, the mean would rise to 1 as hard classes are lost.
        classes: number of classes that are not lost; the first is the number in the mean, and it never rises.
    """

    threshold: tuple[float, ...]
    answered: tuple[float, ...]
    pixel_accuracy: tuple[float, ...]
    miou_lost_as_0: tuple[float, ...]
    classes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Calibration at one temperature; plain values for JSON.

    Args:
        temperature: divisor of the logits; 1 for the plain softmax.
        overall: diagram of all labelled pixels.
        per_class: diagram of each predicted class, in the order of the label map.
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
    """Calibration of a network on one split; plain values for JSON (`as_json`).

    Args:
        names: class names, in the order of the label map.
        images: number of images of the split.
        labelled_pixels: number of counted pixels, without void.
        before: for the plain softmax.
        after: with the temperature; None where none was fitted.
        fitted_on: split that the temperature was fitted on; None where none was.
        abstention: by the confidences of `after`, or of `before` where there is no `after`.
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
        """Sentence to print beside any probability of this network."""
        before = self.before.overall.ece
        if before is None:
            return "Softmax outputs are not probabilities. Their error is unknown: the split has no labelled pixel."
        error = f"Softmax outputs are not probabilities. On {self.split} their calibration error (ECE) is {before:.3f}"
        if self.after is None:
            return f"{error}; no temperature was fitted."
        return (
            f"{error}, and {self.after.overall.ece:.3f} with the temperature {self.after.temperature:.2f} that was "
            f"fitted on {self.fitted_on}.{_describe_worse(self.before, self.after, self.split)}"
        )

    def as_json(self) -> dict[str, Any]:
        """Convert to plain values, with `statement` among them."""
        return {**asdict(self), "statement": self.statement}


def _describe_worse(before: Scored, after: Scored, split: str) -> str:
    """Say which errors rose with the temperature, to three digits, and which fell; empty where none rose."""
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
    return f" On {split} the temperature made some errors worse: {', '.join(moved['worse'])}{but}."


@dataclass(frozen=True, kw_only=True)
class Confidences:
    """Counts of labelled pixels by their confidence; they add up over images.

    Args:
        confusions: int64 (FINE, C, C + 1), a confusion matrix for each fine bin of confidence.
        sums: float64 (FINE, C), sum of the pixels' confidences, by bin and predicted class.
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
        """Number of counted pixels."""
        return int(self.confusions.sum())


def count_nothing(classes: int) -> Confidences:
    """Return counts of no pixel, to start a sum with."""
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
        answer: uint8 (H, W), predicted train ids; the confidence is the probability of this class.
        probabilities: float32 (H, W, C).

    Raises:
        ValueError: sizes differ, an id is not a class, or `probabilities` are not probabilities but, say, logits.
    """
    classes = probabilities.shape[-1]
    if not truth.shape == answer.shape == probabilities.shape[:-1]:
        raise ValueError(f"truth is {truth.shape}, answer {answer.shape}, but probabilities {probabilities.shape}")
    labelled = truth != VOID
    if not labelled.any():
        return count_nothing(classes)
    true, answered = truth[labelled].astype(np.intp), answer[labelled].astype(np.intp)
    flat = probabilities[labelled]
    for name, ids in (("truth", true), ("answer", answered)):
        if ids.max() >= classes:
            raise ValueError(f"{name} holds id {ids.max()}, but there are {classes} classes")
    if not (flat.min() >= 0 and np.abs(flat.sum(axis=-1) - 1).max() < 1e-3):  # written so that NaN is refused, too
        raise ValueError("probabilities must be at least 0 and sum to 1: are they logits?")
    rows = np.arange(true.size)
    confidence, given = flat[rows, answered].astype(np.float64), flat[rows, true].astype(np.float64)
    place = np.searchsorted(_EDGES, confidence, side="left") * classes  # a bin includes its upper edge
    pairs = np.bincount((place + true) * classes + answered, minlength=FINE * classes**2)
    squares = np.einsum("nc,nc->n", flat, flat, dtype=np.float64).sum()
    return Confidences(
        confusions=np.pad(pairs.reshape(FINE, classes, classes).astype(np.int64), ((0, 0), (0, 0), (0, 1))),
        sums=np.asarray(np.bincount(place + answered, confidence, FINE * classes), np.float64).reshape(FINE, classes),
        # A probability that float32 rounds to 0 is not certainly 0.
        log_loss=float(-np.log(np.maximum(given, np.finfo(np.float32).tiny)).sum()),
        brier=float(squares - 2 * given.sum() + true.size),
    )


def summarise_calibration(counts: Confidences, *, temperature: float) -> Scored:
    """Compute calibration from `counts`, which were counted at `temperature`."""
    right = np.diagonal(counts.confusions, axis1=1, axis2=2)  # (FINE, C), by answered class
    claimed = counts.confusions.sum(axis=1)[:, :-1]
    total = counts.pixels
    return Scored(
        temperature=temperature,
        overall=_compute_reliability(claimed.sum(axis=1), right.sum(axis=1), counts.sums.sum(axis=1)),
        per_class=tuple(map(_compute_reliability, claimed.T, right.T, counts.sums.T)),
        log_loss=counts.log_loss / total if total else None,
        brier=counts.brier / total if total else None,
    )


def _compute_reliability(pixels: Counts, right: Counts, sums: npt.NDArray[np.float64]) -> Reliability:
    """Compute a diagram from the pixels, the right pixels and the summed confidences of `FINE` bins each."""
    coarse = np.arange(BINS) * _FINE_PER_BIN
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


def compute_abstention(counts: Confidences) -> Abstention:
    """Compute scores at each edge of the fine bins as threshold; thresholds that change nothing are left out."""
    kept = counts.confusions[::-1].cumsum(axis=0)[::-1]  # pixels of this bin and above
    pixels = kept.sum(axis=(1, 2))
    chosen = np.flatnonzero((np.diff(pixels, append=0) != 0) & (pixels > 0))
    kept, pixels, lower = kept[chosen], pixels[chosen], np.concatenate([[0.0], _EDGES])[chosen]
    if chosen.size:
        lower[0] = 0.0  # no pixel lies below it
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
