"""The learning rate over a fit: linear warm-up, then polynomial decay."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="segline")
class WarmUpPolynomial(keras.optimizers.schedules.LearningRateSchedule):
    """Rise linearly to `peak` over `warm_up` steps, then fall to 0 at `steps` as (1 - t) ** `power`.

    The decay is DeepLab's "poly" policy (Chen et al. 2017, arXiv:1606.00915). The first step already
    has a rate above 0, the last too: every step teaches something.

    Args:
        peak: the highest learning rate.
        steps: batches of the whole fit.
        warm_up: steps of them spent rising.
        power: exponent of the decay.
    """

    def __init__(self, peak: float, *, steps: int, warm_up: int = 0, power: float = 0.9) -> None:
        if not 0 <= warm_up <= steps:
            raise ValueError(f"warm_up must be within 0..steps, but is {warm_up} of {steps}")
        super().__init__()
        self.peak, self.steps, self.warm_up, self.power = peak, steps, warm_up, power

    def __call__(self, step: Any) -> Any:
        """Learning rate of `step`, counted from 0; float32."""
        step = ops.cast(step, "float32")
        rising = (step + 1) / max(self.warm_up, 1)
        remaining = (self.steps - step) / max(self.steps - self.warm_up, 1)
        decay = ops.power(ops.clip(remaining, 0.0, 1.0), self.power)
        return self.peak * ops.where(step < self.warm_up, rising, decay)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"peak": self.peak, "steps": self.steps, "warm_up": self.warm_up, "power": self.power}
