"""LinkNet's decoder on any encoder: narrow up-sampling blocks, whose results are added to the encoder's features.

Chaurasia & Culurciello 2017 (arXiv:1707.03718). A block reduces its input to a quarter of its channels by a 1x1
convolution, doubles the sides by a transposed 3x3 convolution, and expands to the channels of the encoder's features.
Sums instead of concatenations make it one of the fastest decoders.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from keras import layers

from segline.config import ModelConfig
from segline.models import blocks, decoders


def decode(features: Mapping[int, Any], config: ModelConfig) -> list[Any]:
    """Decode to full resolution; dropout acts on the deepest features. Heads are on the finest levels.

    Levels without features of the encoder have ``2 * stride * width`` filters: with width 16 the last one has the
    paper's 32.
    """
    stride = max(features)
    tensor = blocks.dropout(features[stride], config.dropout, name="bottom_dropout")
    levels = {}
    while stride > 1:
        stride //= 2
        skip = features.get(stride)
        filters = 2 * stride * config.width if skip is None else int(skip.shape[-1])
        tensor = _go_up(tensor, filters, config, name=f"up_{stride}")
        if skip is not None:
            tensor = layers.Add(name=f"up_{stride}_add")([tensor, skip])
        levels[stride] = tensor
    return decoders.supervise_levels(levels, config)


def count_heads(strides: Sequence[int]) -> int:
    """Count the levels: one for each halving of the sides."""
    return max(strides).bit_length() - 1


def _go_up(tensor: Any, filters: int, config: ModelConfig, *, name: str) -> Any:
    """Reduce the channels, double the sides, expand the channels.

    A separable convolution has no transposed form in Keras; pixels are repeated before it instead.
    """
    narrow = max(1, int(tensor.shape[-1]) // 4)
    tensor = blocks.convolution(tensor, narrow, kernel=1, batch_norm=True, name=f"{name}_reduce")
    if config.separable:
        tensor = layers.UpSampling2D(2, name=f"{name}_upsample")(tensor)
        tensor = blocks.convolution(tensor, narrow, batch_norm=True, separable=True, name=f"{name}_smooth")
    else:
        tensor = blocks.transposed(tensor, narrow, strides=2, batch_norm=True, name=f"{name}_upsample")
    return blocks.convolution(tensor, filters, kernel=1, batch_norm=True, name=f"{name}_expand")
