"""U-Net: an encoder and a decoder of 3x3 convolution pairs, joined level by level.

Ronneberger, Fischer, Brox 2015 (arXiv:1505.04597), padded so that output and input have equal
sides. Up-sampling repeats pixels and convolves, which leaves no checkerboard (Odena et al. 2016).
The classic form (width 64, depth 4, no batch norm, penultimate 2, one class) has 34,514,437
parameters.
"""

from typing import Any

import keras
from keras import layers

from segline.config import ModelConfig
from segline.models import blocks


def build(config: ModelConfig) -> keras.Model:
    """Build the U-Net of `config`; dropout acts at the two deepest levels of the encoder."""
    image, tensor = blocks.image_input()
    skips = []
    for level in range(config.depth):
        tensor = _pair(tensor, level, config, name=f"down_{level + 1}")
        if level == config.depth - 1:
            tensor = blocks.dropout(tensor, config.dropout, name=f"down_{level + 1}_dropout")
        skips.append(tensor)
        tensor = layers.MaxPooling2D(2, name=f"down_{level + 1}_pool")(tensor)
    tensor = _pair(tensor, config.depth, config, name="bottom")
    tensor = blocks.dropout(tensor, config.dropout, name="bottom_dropout")
    for level in reversed(range(config.depth)):
        tensor = _join(tensor, skips[level], level, config)
    return keras.Model(image, blocks.head(tensor, config), name=config.network)


def _pair(tensor: Any, level: int, config: ModelConfig, *, name: str) -> Any:
    """Two 3x3 convolutions with the filters of `level`."""
    for order in ("first", "second"):
        tensor = blocks.convolution(
            tensor, config.width * 2**level, name=f"{name}_{order}", batch_norm=config.batch_norm
        )
    return tensor


def _join(tensor: Any, skip: Any, level: int, config: ModelConfig) -> Any:
    """Double the sides of `tensor`, concatenate the encoder's `skip`, convolve twice."""
    name = f"up_{level + 1}"
    tensor = layers.UpSampling2D(2, name=f"{name}_upsample")(tensor)
    tensor = blocks.convolution(tensor, config.width * 2**level, name=f"{name}_widen", batch_norm=config.batch_norm)
    tensor = layers.Concatenate(name=f"{name}_join")([skip, tensor])
    return _pair(tensor, level, config, name=name)
