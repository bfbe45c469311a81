"""What a fit is asked to do: all that its result depends on, apart from the data."""

import math
from dataclasses import dataclass
from typing import Any

import keras

from segline import models
from segline.config import ModelConfig, Training
from segline.errors import ConfigError
from segline.training.objective.schedule import WarmUpDecay


@dataclass(frozen=True, kw_only=True)
class Job:
    """One fit.

    Args:
        model_config: the network; its own dropout holds, not that of `training`.
        training: batch, steps, weight decay and warm-up; its `epochs` does not count.
        learning_rate: the peak of the schedule.
        epochs: how many; the schedule spans them.
        seed: of first weights and dropout.
        class_weights: of the cross-entropies, by train id (`losses.balanced_weights`); none for equal ones.
    """

    model_config: ModelConfig
    training: Training
    learning_rate: float
    epochs: int
    seed: int
    class_weights: tuple[float, ...] | None = None

    @property
    def steps(self) -> int:
        """Batches of all epochs."""
        return self.epochs * self.training.steps

    def schedule(self) -> WarmUpDecay:
        """The learning rate by step."""
        warm_up = round(self.training.warm_up * self.steps)
        return WarmUpDecay(self.learning_rate, steps=self.steps, warm_up=warm_up, decay=self.training.schedule)

    def identity(self) -> dict[str, Any]:
        """What a checkpoint of this job must say of itself."""
        return {
            "model": self.model_config.model_dump(mode="json", exclude={"weights"}),
            "weights": models.weights_digest(self.model_config.weights),
            "training": self.training.model_dump(mode="json", exclude={"mirrors"}),  # of predictions alone
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "class_weights": None if self.class_weights is None else list(self.class_weights),
            "seed": self.seed,
            "backend": keras.backend.backend(),
            "keras": keras.__version__,
        }

    def check(self) -> None:
        """Refuse what cannot be fitted.

        Raises:
            ConfigError: an epoch has no steps, or the crop's sides are no multiples of the network's stride.
        """
        if self.training.steps < 1:
            raise ConfigError(
                "training.steps",
                found=str(self.training.steps),
                expected="the batches of an epoch, at least 1",
                remedy="state a number, or have those of one pass counted first (`Training.over`)",
            )
        stride = models.stride(self.model_config)
        crop = self.training.crop
        if not any(side % stride for side in crop):
            return
        nearest = [sorted({max(stride, side // stride * stride), math.ceil(side / stride) * stride}) for side in crop]
        raise ConfigError(
            "training.crop",
            found=f"{list(crop)}",
            expected=f"multiples of {stride}, the stride of {self.model_config.network}",
            remedy="take a height of {} and a width of {}".format(*(" or ".join(map(str, sides)) for sides in nearest)),
        )
