"""U-Net: an encoder and a decoder of 3x3 convolution pairs, joined level by level.

Ronneberger, Fischer, Brox 2015 (arXiv:1505.04597), padded so that output and input have equal
sides. Up-sampling repeats pixels and convolves, which avoids checkerboard artefacts (Odena et al. 2016).
The classic form (width 64, depth 4, no batch norm, penultimate 2, one class) has 34,514,437
parameters. Additional heads are on the decoder's coarser levels (deep supervision as in nnU-Net, Isensee
et al. 2021). Each head has half the sides of the one before.
"""

from typing import Any

import keras
from keras import layers

from segline.config import ModelConfig
from segline.models import blocks

OPTIONS = frozenset({"depth", "batch_norm", "penultimate", "residual", "separable", "heads"})


def build(config: ModelConfig) -> keras.Model:
    """Build the U-Net of `config`; dropout acts at the two deepest levels of the encoder."""
    image, tensor = blocks.image_input()
    skips = []
    for level in range(config.depth):
        tensor = blocks.pair(tensor, blocks.filters_of(level, config), config, name=f"down_{level + 1}")
        if level == config.depth - 1:
            tensor = blocks.dropout(tensor, config.dropout, name=f"down_{level + 1}_dropout")
        skips.append(tensor)
        tensor = layers.MaxPooling2D(2, name=f"down_{level + 1}_pool")(tensor)
    tensor = blocks.pair(tensor, blocks.filters_of(config.depth, config), config, name="bottom")
    tensor = blocks.dropout(tensor, config.dropout, name="bottom_dropout")
    logits = []
    for level in reversed(range(config.depth)):
        tensor = _join(tensor, skips[level], level, config)
        if level < config.heads:
            logits.append(blocks.head(tensor, config, name=f"logits_{level + 1}" if level else "logits"))
    return keras.Model(image, logits[::-1] if len(logits) > 1 else logits[0], name=config.network)


def _join(tensor: Any, skip: Any, level: int, config: ModelConfig) -> Any:
    """Double the sides of `tensor`, concatenate the encoder's `skip`, convolve twice."""
    name, filters = f"up_{level + 1}", blocks.filters_of(level, config)
    tensor = layers.UpSampling2D(2, name=f"{name}_upsample")(tensor)
    tensor = blocks.convolution(tensor, filters, name=f"{name}_widen", batch_norm=config.batch_norm)
    tensor = layers.Concatenate(name=f"{name}_join")([skip, tensor])
    return blocks.pair(tensor, filters, config, name=name)
