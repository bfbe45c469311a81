"""The learning rate over a fit: linear warm-up, then decay."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

DECAYS: Mapping[str, Callable[[Any, float], Any]] = {
    "polynomial": lambda remaining, power: ops.power(remaining, power),
    "cosine": lambda remaining, _: (1 - ops.cos(math.pi * remaining)) / 2,
    "constant": lambda remaining, _: ops.ones_like(remaining),
}
"""Name -> function of the share of the steps that remain, and of a power. It returns the rate as a share of the peak.

Polynomial is DeepLab's "poly" policy (Chen et al. 2017, arXiv:1606.00915). Cosine is that of Loshchilov &
Hutter 2017 (arXiv:1608.03983), without restarts. `segline.config` reads the names from this file.
"""

_ARGUMENTS = ("peak", "steps", "warm_up", "decay", "power", "thaw", "first")


@keras.saving.register_keras_serializable(package="segline")
class WarmUpDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rise linearly to `peak` over `warm_up` steps, then fall towards 0 at `steps`.

    The rate is above 0 at the first and at the last step, so that every step changes the weights.

    Args:
        peak: the highest learning rate.
        steps: number of batches of the whole fit.
        warm_up: number of steps during which the rate rises.
        decay: how the rate falls, one of `DECAYS`.
        power: exponent of the polynomial.
        thaw: step at which a frozen encoder begins to be trained; the rate rises again over `warm_up` steps from there.
        first: number of the first step, for an optimizer that begins in the middle of the fit.
    """

    def __init__(
        self,
        peak: float,
        *,
        steps: int,
        warm_up: int = 0,
        decay: str = "polynomial",
        power: float = 0.9,
        thaw: int = 0,
        first: int = 0,
    ) -> None:
        if not 0 <= warm_up <= steps:
            raise ValueError(f"warm_up must be within 0..steps, but is {warm_up} of {steps}")
        super().__init__()
        self.peak, self.steps, self.warm_up, self.decay, self.power = peak, steps, warm_up, decay, power
        self.thaw, self.first = thaw, first

    def __call__(self, step: Any) -> Any:
        """Compute the learning rate of `step`, counted from 0 and from `first` on; float32."""
        step = ops.cast(step, "float32") + self.first
        rising = (step + 1) / max(self.warm_up, 1)
        remaining = ops.clip((self.steps - step) / max(self.steps - self.warm_up, 1), 0.0, 1.0)
        rate = self.peak * ops.where(step < self.warm_up, rising, DECAYS[self.decay](remaining, self.power))
        if not self.thaw:
            return rate
        rising_again = ops.clip((step - self.thaw + 1) / max(self.warm_up, 1), 0.0, 1.0)
        return rate * ops.where(step < self.thaw, 1.0, rising_again)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in _ARGUMENTS}
