"""Fit a temperature: one divisor of all logits that brings confidences closer to probabilities.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4. Temperature scaling changes no predicted
class. It is fitted on a split whose scores are not reported.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segline.core.labels import VOID, Mask

Logits = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float32]

TEMPERATURES = (0.05, 20.0)
"""Lowest and highest temperature that `fit` returns."""

_PIXELS_AT_A_TIME = 1 << 14  # whose logits are converted to float64


def softmax(logits: Logits, *, temperature: float = 1.0) -> Probabilities:
    """Divide logits, float32 (..., C), by `temperature` and convert them to probabilities, float32 (..., C).

    The highest logit has the highest probability at every temperature, to the last bit. Others can be rounded to the
    same value, which is why classes are predicted from logits and never from probabilities.
    """
    _refuse_temperature(temperature)
    shifted: Probabilities = logits - logits.max(axis=-1, keepdims=True)
    shifted /= np.float32(temperature)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=-1, keepdims=True)
    return shifted


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A temperature, with the name and the digest of the split that it was fitted on."""

    temperature: float
    split: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """Sample of labelled pixels to fit a temperature on.

    Args:
        logits: float32 (P, C).
        truth: uint8 (P,), train ids.
        weights: float64 (P,), number of labelled pixels that each one represents.
    """

    logits: Logits
    truth: Mask
    weights: npt.NDArray[np.float64]


def draw_pixels(truth: Mask, logits: Logits, *, most: int, generator: np.random.Generator) -> Pixels:
    """Draw at most `most` labelled pixels of one image, without replacement and with equal weights.

    Args:
        truth: uint8 (H, W), train ids and `VOID`.
        logits: float32 (H, W, C).
        most: at least 1.

    Raises:
        ValueError: sizes differ.
    """
    if truth.shape != logits.shape[:-1]:
        raise ValueError(f"truth is {truth.shape}, but logits are {logits.shape}")
    places = np.flatnonzero(truth.ravel() != VOID)
    labelled = places.size
    if labelled > most:
        places = generator.choice(places, most, replace=False, shuffle=False)
    weight = labelled / max(places.size, 1)
    return Pixels(
        logits=np.asarray(logits.reshape(-1, logits.shape[-1])[places]),
        truth=np.asarray(truth.ravel()[places]),
        weights=np.full(places.size, weight),
    )


def join_pixels(parts: Sequence[Pixels]) -> Pixels:
    """Join the pixels of all `parts`; there is at least one part."""
    return Pixels(
        logits=np.concatenate([part.logits for part in parts]),
        truth=np.concatenate([part.truth for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
    )


def fit(pixels: Pixels) -> float:
    """Find the temperature with the lowest log loss within `TEMPERATURES`; of equally low ones the highest.

    The loss is convex in the inverse temperature b. Its slope is the mean of the logits z under softmax(b z), minus
    the true class's logit, and rises with b. The root is found by bisection, to 1e-7 of its value.

    Raises:
        ValueError: there is no pixel, or a true id is not a class.
    """
    if not pixels.truth.size:
        raise ValueError("a temperature needs at least one labelled pixel")
    if int(pixels.truth.max()) >= pixels.logits.shape[-1]:
        raise ValueError(f"truth holds id {pixels.truth.max()}, but there are {pixels.logits.shape[-1]} classes")
    lowest, highest = (math.log(1 / temperature) for temperature in reversed(TEMPERATURES))
    while highest - lowest > 1e-7:
        middle = (lowest + highest) / 2
        lowest, highest = (middle, highest) if _compute_slope(pixels, math.exp(middle)) < 0 else (lowest, middle)
    return math.exp(-(lowest + highest) / 2)


def _compute_slope(pixels: Pixels, inverse: float) -> float:
    """Compute the derivative of the weighted log loss at an inverse temperature."""
    total = 0.0
    for start in range(0, len(pixels.truth), _PIXELS_AT_A_TIME):
        part = slice(start, start + _PIXELS_AT_A_TIME)
        truth = pixels.truth[part]
        # Classes first: with three classes on the last axis NumPy takes four times as long.
        logits = pixels.logits[part].T.astype(np.float64, order="C")
        logits -= logits.max(axis=0)
        shares = np.exp(inverse * logits)
        expected = np.einsum("cn,cn->n", shares, logits) / shares.sum(axis=0)
        slopes = expected - logits[truth, np.arange(len(truth))]
        total += float((pixels.weights[part] * slopes).sum())  # a BLAS product would keep all cores spinning
    return total


def _refuse_temperature(temperature: float) -> None:
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature is {temperature}, but must be above 0")
