"""The learning rate over a fit: linear warm-up, then decay."""

import math
from typing import Any, Literal

import keras
from keras import ops

Decay = Literal["polynomial", "cosine", "constant"]


@keras.saving.register_keras_serializable(package="segline")
class WarmUpDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rise linearly to `peak` over `warm_up` steps, then fall towards 0 at `steps`.

    The polynomial decay, (1 - t) ** `power`, is DeepLab's "poly" policy (Chen et al. 2017,
    arXiv:1606.00915); the cosine one is that of Loshchilov & Hutter 2017 (arXiv:1608.03983), without
    restarts. The first step already has a rate above 0, the last too: every step teaches something.

    Args:
        peak: the highest learning rate.
        steps: batches of the whole fit.
        warm_up: steps of them spent rising.
        decay: the shape of the fall.
        power: exponent of the polynomial.
    """

    def __init__(
        self, peak: float, *, steps: int, warm_up: int = 0, decay: Decay = "polynomial", power: float = 0.9
    ) -> None:
        if not 0 <= warm_up <= steps:
            raise ValueError(f"warm_up must be within 0..steps, but is {warm_up} of {steps}")
        super().__init__()
        self.peak, self.steps, self.warm_up, self.decay, self.power = peak, steps, warm_up, decay, power

    def __call__(self, step: Any) -> Any:
        """Learning rate of `step`, counted from 0; float32."""
        step = ops.cast(step, "float32")
        rising = (step + 1) / max(self.warm_up, 1)
        remaining = ops.clip((self.steps - step) / max(self.steps - self.warm_up, 1), 0.0, 1.0)
        return self.peak * ops.where(step < self.warm_up, rising, self._fallen(remaining))

    def _fallen(self, remaining: Any) -> Any:
        """Share of the peak by the share of the steps that remain."""
        if self.decay == "polynomial":
            return ops.power(remaining, self.power)
        if self.decay == "cosine":
            return (1 - ops.cos(math.pi * remaining)) / 2
        return ops.ones_like(remaining)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "peak": self.peak,
            "steps": self.steps,
            "warm_up": self.warm_up,
            "decay": self.decay,
            "power": self.power,
        }
