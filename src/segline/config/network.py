"""One network, completely described."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from segline.config.fields import Depth, EncoderName, FamilyName, Positive, Strict, Stride


class ModelConfig(Strict):
    """One network, completely described; from ``depth`` on, what only some families have (their ``OPTIONS``)."""

    network: FamilyName
    classes: Positive
    width: Positive = 16
    """Filters of the first level; each level below doubles them."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    depth: Depth = 4
    """How often the network halves its input's sides."""
    batch_norm: bool = True
    penultimate: Positive | None = None
    """Channels of a 3x3 convolution put before the head (the classic U-Net has 2), or none."""
    residual: bool = False
    """Add a level's input to what its convolutions make of it."""
    separable: bool = False
    """Depthwise-separable convolutions in the levels: a fraction of the arithmetic."""
    skips: bool = False
    """Lead each level's features past the bottom, to the decoder, in a network that has no such ways of its own."""
    heads: Positive = 1
    """Outputs that training looks at: more than one is deep supervision."""
    encoder: EncoderName | None = None
    """Which classifier's layers the network begins with, where it begins with one."""
    output_stride: Stride = 16
    """Sides of the image over sides of the encoder's deepest features."""
    weights: str | None = None
    """First weights of the encoder: ``imagenet``, a file that `segline` wrote, or none (drawn)."""
    freeze: bool = False
    """Leave the encoder as it is, its batch-norm statistics too."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.heads > self.depth:
            raise PydanticCustomError("heads", "at most as many heads as depth", {})
        return self
