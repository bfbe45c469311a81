"""Encoder-decoder without skip connections: strided convolutions down, transposed convolutions up.

The network of Chollet, Deep Learning with Python (2nd edition, 2021), chapter 9. Width 64, depth 3,
no batch norm and 3 classes give 2,880,643 parameters.
"""

import keras

from segline.config import ModelConfig
from segline.models import blocks

OPTIONS = frozenset({"depth", "batch_norm", "penultimate", "separable"})


def build(config: ModelConfig) -> keras.Model:
    """Build the network of `config`; dropout acts at the bottom."""
    filters = [blocks.filters_of(level, config) for level in range(config.depth)]
    image, tensor = blocks.image_input()
    for level, count in enumerate(filters, start=1):
        for order, strides in (("first", 2), ("second", 1)):
            tensor = blocks.convolution(
                tensor,
                count,
                strides=strides,
                name=f"down_{level}_{order}",
                batch_norm=config.batch_norm,
                separable=config.separable,
            )
    tensor = blocks.dropout(tensor, config.dropout, name="bottom_dropout")
    for level, count in reversed(list(enumerate(filters, start=1))):
        for order, strides in (("first", 1), ("second", 2)):
            tensor = blocks.transposed(
                tensor, count, strides=strides, name=f"up_{level}_{order}", batch_norm=config.batch_norm
            )
    return keras.Model(image, blocks.head(tensor, config, kernel=3), name=config.network)
