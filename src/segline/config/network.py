"""The complete description of one network."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from segline.config.fields import DecoderName, Depth, EncoderName, FamilyName, Positive, Rate, Strict, Stride


class ModelConfig(Strict):
    """The complete description of one network.

    Every family has the fields up to `dropout`. A family's ``OPTIONS`` names the other fields that it has.
    """

    network: FamilyName
    classes: Positive
    width: Positive = 16
    """Filters of the first level; each deeper level has twice as many."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    depth: Depth = 4
    """Number of times that the network halves the sides of its input."""
    batch_norm: bool = True
    penultimate: Positive | None = None
    """Channels of an additional 3x3 convolution before the head (the original U-Net has 2); None for none."""
    residual: bool = False
    """Add the input of each level to the output of its convolutions."""
    separable: bool = False
    """Use depthwise-separable convolutions in the levels, which need much less arithmetic."""
    skips: bool = False
    """Add skip connections from encoder to decoder, in a network that has none by default."""
    heads: Positive = 1
    """Number of outputs with a loss: more than one is deep supervision."""
    encoder: EncoderName | None = None
    """The classification network that is the encoder, for networks that have one."""
    decoder: DecoderName | None = None
    """The part that turns the encoder's features into logits, for networks with a choice of decoders."""
    output_stride: Stride = 16
    """Side of the image divided by the side of the encoder's deepest features."""
    weights: str | None = None
    """Initial weights of the encoder: a file that Segline wrote, or None for random ones."""
    freeze: bool = False
    """Do not train the encoder, nor update its batch-norm statistics."""
    encoder_rate: Rate = 1.0
    """Learning rate of the encoder, divided by that of the rest of the network."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.heads > self.depth:
            raise PydanticCustomError("heads", "at most `depth` heads", {})
        return self
