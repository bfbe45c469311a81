"""DeepLabV3+'s decoder on any encoder: atrous spatial pyramid pooling (ASPP), then low-level features.

Chen et al. 2018 (arXiv:1802.02611). With width 16 pyramid and decoder have the paper's 256 filters. The paper's
convolutions are separable; with ``separable: false`` they are plain, as in DeepLabV3 (Chen et al. 2017,
arXiv:1706.05587).

The paper concatenates the image-level branch with the other branches, then projects them. Here the branch is
projected alone and added to the projection of the others. The projection is linear, so the result and the number
of parameters are the same, but no feature map with a single repeated value is needed.
"""

from collections.abc import Mapping
from typing import Any

from keras import layers

from segline.config import ModelConfig
from segline.models import blocks

_DILATIONS = {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}
"""Output stride -> dilations of the pyramid. All three rows cover the same distance in pixels of the image."""
_LOW_LEVEL_SHARE = 48 / 256
"""Filters of the low-level features divided by those of the decoder, as in the paper."""
_LOW_LEVEL_STRIDE = 4


def decode(features: Mapping[int, Any], config: ModelConfig) -> list[Any]:
    """Decode to a quarter of the image's sides, with ``16 * width`` filters; dropout acts after the pyramid."""
    filters, stride = 16 * config.width, max(features)
    tensor = _pool_pyramid(features[stride], filters, config, dilations=_DILATIONS[stride])
    tensor = blocks.dropout(tensor, config.dropout, name="pyramid_dropout")
    tensor = blocks.Enlarge(stride // _LOW_LEVEL_STRIDE, name="pyramid_upsample")(tensor)
    low = blocks.convolution(
        features[_LOW_LEVEL_STRIDE], round(_LOW_LEVEL_SHARE * filters), kernel=1, batch_norm=True, name="low"
    )
    tensor = layers.Concatenate(name="decoder_join")([tensor, low])
    for order in ("first", "second"):
        tensor = _convolve(tensor, filters, config, name=f"decoder_{order}")
    return [blocks.enlarged_head(tensor, config, factor=_LOW_LEVEL_STRIDE)]


def _convolve(tensor: Any, filters: int, config: ModelConfig, *, name: str, dilation: int = 1) -> Any:
    if config.separable:
        return blocks.split_separable(tensor, filters, dilation=dilation, activation="relu", name=name)
    return blocks.dilated(tensor, filters, dilation=dilation, name=name)


def _pool_pyramid(deep: Any, filters: int, config: ModelConfig, *, dilations: tuple[int, ...]) -> Any:
    """Convolve the deep features at several dilations, and add the projected mean of the whole image."""
    branches = [blocks.convolution(deep, filters, kernel=1, batch_norm=True, name="pyramid_0")]
    branches += [
        _convolve(deep, filters, config, dilation=dilation, name=f"pyramid_{place}")
        for place, dilation in enumerate(dilations, start=1)
    ]
    whole = layers.GlobalAveragePooling2D(keepdims=True, name="whole_pool")(deep)
    whole = blocks.convolution(whole, filters, kernel=1, batch_norm=True, name="whole")
    joined = layers.Concatenate(name="pyramid_join")(branches)
    projected = [
        blocks.convolution(tensor, filters, kernel=1, use_bias=False, activation=None, name=name)
        for name, tensor in (("project", joined), ("project_whole", whole))
    ]
    total = blocks.normalise(layers.Add(name="project_add")(projected), name="project_norm")
    return layers.Activation("relu", name="project_relu")(total)
