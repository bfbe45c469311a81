"""DeepLabV3+: an encoder, pyramid pooling by dilation, and a decoder with low-level features.

Chen et al. 2018 (arXiv:1802.02611). With the encoder ``xception_65``, 21 classes and width 16, whose
pyramid and decoder then have the paper's 256 filters, it has 41,258,213 parameters. The encoder is a
model of its own inside, named ``encoder``: its weights are loaded, kept and frozen there.

The pyramid's image-level branch is added after the projection instead of being concatenated before
it: the projection is linear, so that the sum is the same, with the same parameters, and no feature
map of one repeated value is made.
"""

from typing import Any

import keras
from keras import layers

from segline.config import ModelConfig
from segline.models import blocks, encoders

OPTIONS = frozenset({"encoder", "output_stride", "weights", "freeze"})

_RATES = {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}
"""Dilations of the pyramid by output stride: the same reach in pixels."""
_LOW = 48 / 256  # share of the decoder's filters that the low-level features are brought to


def build(config: ModelConfig) -> keras.Model:
    """Build the network of `config`: ``16 * width`` filters in pyramid and decoder, dropout between them."""
    image, scaled = blocks.image_input()
    filters = 16 * config.width
    encoder = encoders.build(config.encoder or encoders.DEFAULT, output_stride=config.output_stride)
    encoder.trainable = not config.freeze
    low, deep = encoder(scaled)
    tensor = _pyramid(deep, filters, rates=_RATES[config.output_stride])
    tensor = blocks.dropout(tensor, config.dropout, name="pyramid_dropout")
    tensor = _upsample(tensor, config.output_stride // 4, name="pyramid_upsample")
    low = blocks.convolution(low, round(_LOW * filters), kernel=1, batch_norm=True, name="low")
    tensor = layers.Concatenate(name="decoder_join")([tensor, low])
    for order in ("first", "second"):
        tensor = blocks.split_separable(tensor, filters, activation="relu", name=f"decoder_{order}")
    logits = layers.Conv2D(config.classes, 1, dtype="float32", name="coarse_logits")(tensor)
    logits = blocks.Enlarge(4, dtype="float32", name="logits")(logits)
    return keras.Model(image, logits, name=config.network)


def stride(config: ModelConfig) -> int:
    """The output stride: sides that are multiples of it come back as they were."""
    return int(config.output_stride)


def _pyramid(deep: Any, filters: int, *, rates: tuple[int, ...]) -> Any:
    branches = [blocks.convolution(deep, filters, kernel=1, batch_norm=True, name="pyramid_0")]
    branches += [
        blocks.split_separable(deep, filters, dilation=rate, activation="relu", name=f"pyramid_{place}")
        for place, rate in enumerate(rates, start=1)
    ]
    whole = layers.GlobalAveragePooling2D(keepdims=True, name="whole_pool")(deep)
    whole = blocks.convolution(whole, filters, kernel=1, batch_norm=True, name="whole")
    projected = [
        layers.Conv2D(filters, 1, use_bias=False, kernel_initializer=blocks.INITIALIZER, name=name)(tensor)
        for name, tensor in (
            ("project", layers.Concatenate(name="pyramid_join")(branches)),
            ("project_whole", whole),
        )
    ]
    total = blocks.normalise(layers.Add(name="project_add")(projected), name="project_norm")
    return layers.Activation("relu", name="project_relu")(total)


def _upsample(tensor: Any, factor: int, *, name: str) -> Any:
    return tensor if factor == 1 else blocks.Enlarge(factor, name=name)(tensor)
