"""U-Net's decoder on any encoder: up-sample, join the encoder's features of the same size, convolve twice.

Ronneberger, Fischer, Brox 2015 (arXiv:1505.04597). As in segmentation_models.pytorch (Iakubovskii 2019), up-sampling
repeats pixels, and one level more than the encoder has leads to full resolution. With width 16 its filters are
theirs: 256, 128, 64, 32, 16.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras import layers

from segline.config import ModelConfig
from segline.models import blocks, decoders

Gate = Callable[[Any, Any, str], Any]
"""Changes the encoder's features before they are joined: takes them, the coarser decoder features, and a name."""


def decode(features: Mapping[int, Any], config: ModelConfig, *, gate: Gate | None = None) -> list[Any]:
    """Decode to full resolution; dropout acts on the deepest features. Heads are on the finest levels."""
    stride = max(features)
    tensor = blocks.dropout(features[stride], config.dropout, name="bottom_dropout")
    levels = {}
    while stride > 1:
        stride //= 2
        tensor = levels[stride] = _join(tensor, features.get(stride), stride, config, gate)
    return decoders.supervise_levels(levels, config)


def count_heads(strides: Sequence[int]) -> int:
    """Count the levels: one for each halving of the sides."""
    return max(strides).bit_length() - 1


def _join(tensor: Any, skip: Any, stride: int, config: ModelConfig, gate: Gate | None) -> Any:
    """Double the sides of `tensor`, concatenate the encoder's `skip` if there is one, convolve twice."""
    name = f"up_{stride}"
    raised = layers.UpSampling2D(2, name=f"{name}_upsample")(tensor)
    if skip is not None:
        skip = skip if gate is None else gate(skip, tensor, name)
        raised = layers.Concatenate(name=f"{name}_join")([skip, raised])
    return blocks.pair(raised, config.width * stride, config, name=name)
