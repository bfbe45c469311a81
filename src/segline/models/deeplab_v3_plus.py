"""DeepLabV3+: an encoder, atrous spatial pyramid pooling (ASPP), and a decoder with low-level features.

Chen et al. 2018 (arXiv:1802.02611). With the encoder ``xception_65``, 21 classes and width 16 it has
41,258,213 parameters; pyramid and decoder then have the paper's 256 filters. The encoder is a model
inside the network, named ``encoder``: its weights are loaded, saved and frozen there.

The paper concatenates the image-level branch with the other branches, then projects them. Here the branch is
projected alone and added to the projection of the others. The projection is linear, so the result and the number
of parameters are the same, but no feature map with a single repeated value is needed.
"""

from typing import Any

import keras
from keras import layers

from segline.config import ModelConfig
from segline.models import blocks, encoders

OPTIONS = frozenset({"encoder", "output_stride", "weights", "freeze"})

_DILATIONS = {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}
"""Output stride -> dilations of the pyramid. All three rows cover the same distance in pixels of the image."""
_LOW_LEVEL_SHARE = 48 / 256
"""Filters of the low-level features divided by those of the decoder, as in the paper."""


def build(config: ModelConfig) -> keras.Model:
    """Build the network of `config`: ``16 * width`` filters in pyramid and decoder, dropout between them."""
    image, scaled = blocks.image_input()
    filters = 16 * config.width
    encoder = encoders.build(config.encoder or encoders.DEFAULT, output_stride=config.output_stride)
    encoder.trainable = not config.freeze
    low, deep = encoder(scaled)
    tensor = _pool_pyramid(deep, filters, dilations=_DILATIONS[config.output_stride])
    tensor = blocks.dropout(tensor, config.dropout, name="pyramid_dropout")
    if config.output_stride > 4:
        tensor = blocks.Enlarge(config.output_stride // 4, name="pyramid_upsample")(tensor)
    low = blocks.convolution(low, round(_LOW_LEVEL_SHARE * filters), kernel=1, batch_norm=True, name="low")
    tensor = layers.Concatenate(name="decoder_join")([tensor, low])
    for order in ("first", "second"):
        tensor = blocks.split_separable(tensor, filters, activation="relu", name=f"decoder_{order}")
    logits = layers.Conv2D(config.classes, 1, dtype="float32", name="coarse_logits")(tensor)
    logits = blocks.Enlarge(4, dtype="float32", name="logits")(logits)
    return keras.Model(image, logits, name=config.network)


def stride(config: ModelConfig) -> int:
    """Return the output stride. If the image's sides are multiples of it, logits have the image's size."""
    return int(config.output_stride)


def _pool_pyramid(deep: Any, filters: int, *, dilations: tuple[int, ...]) -> Any:
    """Convolve the deep features at several dilations, and add the projected mean of the whole image."""
    branches = [blocks.convolution(deep, filters, kernel=1, batch_norm=True, name="pyramid_0")]
    branches += [
        blocks.split_separable(deep, filters, dilation=dilation, activation="relu", name=f"pyramid_{place}")
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
