"""The description of a fit: all that its result depends on, apart from the data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from segline import models
from segline.config import ModelConfig, Training
from segline.errors import ConfigError
from segline.training.objective.schedule import WarmUpDecay

_LEAST_SIDE = 2  # of an encoder's deepest features, pixels


@dataclass(frozen=True, kw_only=True)
class Job:
    """One fit.

    Args:
        model_config: the network; its own dropout is used, not that of `training`.
        training: batch, steps, loss, optimizer and all else; its `epochs` is not used.
        learning_rate: the peak of the schedule.
        epochs: number of epochs, which the schedule spans.
        seed: of initial weights and dropout.
        class_weights: of the cross-entropies, by train id (`losses.balanced_weights`); None for equal weights.
    """

    model_config: ModelConfig
    training: Training
    learning_rate: float
    epochs: int
    seed: int
    class_weights: tuple[float, ...] | None = None

    @property
    def steps(self) -> int:
        """Count the batches of all epochs."""
        return self.epochs * self.training.steps

    @property
    def fine_tunes(self) -> bool:
        """True if the encoder has initial weights, and is to be trained."""
        return self.model_config.weights is not None and not self.model_config.freeze

    @property
    def frozen_epochs(self) -> int:
        """Count the epochs at the start in which the encoder is not trained; at most half of all."""
        return min(self.training.fine_tuning.frozen_epochs, self.epochs // 2) if self.fine_tunes else 0

    def schedule(self, *, first: int = 0) -> WarmUpDecay:
        """Make the schedule of the learning rate, for an optimizer whose first step is `first`."""
        return WarmUpDecay(
            self.learning_rate,
            steps=self.steps,
            warm_up=round(self.training.warm_up * self.steps),
            decay=self.training.schedule,
            thaw=self.frozen_epochs * self.training.steps,
            first=first,
        )

    def identity(self) -> dict[str, object]:
        """Describe the job in JSON values. A checkpoint with another description is refused."""
        return {
            "model": self.model_config.model_dump(mode="json", exclude={"weights"}),
            "weights": models.weights_digest(self.model_config.weights),
            "training": self.training.model_dump(mode="json", exclude={"mirrors"}),  # used in prediction only
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "class_weights": None if self.class_weights is None else list(self.class_weights),
            "seed": self.seed,
            "backend": keras.backend.backend(),
            "keras": keras.__version__,
        }

    def check(self) -> None:
        """Refuse a job that cannot be fitted.

        Raises:
            ConfigError: an epoch has no steps, or the crop's sides are not multiples of the network's stride.
        """
        if self.training.steps < 1:
            raise ConfigError(
                "training.steps",
                found=str(self.training.steps),
                expected="the batches of an epoch, at least 1",
                remedy="set training.steps to at least 1; in Python, call `Training.over` first to replace 0",
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


def check_depth(crop: tuple[int, int], *, encoders: Sequence[str], output_stride: int) -> None:
    """Refuse a crop of which encoders would keep features with a side of one pixel, without neighbours.

    Raises:
        ConfigError: a side of the crop is too short.
    """
    least = _LEAST_SIDE * output_stride
    if min(crop) < least:
        raise ConfigError(
            "training.crop",
            found=f"{list(crop)}, of which {' and '.join(encoders)} would keep only one pixel",
            expected=f"sides of at least {least} with search.output_stride {output_stride}",
            remedy="take a larger crop (prepare.short_side and training.memory may limit it), or a lower "
            "search.output_stride",
        )
