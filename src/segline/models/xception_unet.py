"""A U-Net-like network: separable-convolution residual encoder, residual transposed decoder.

The Keras example "Image segmentation with a U-Net-like architecture" (Chollet 2019), whose blocks
are those of Xception (arXiv:1610.02357). As in the original, encoder and decoder are connected at the
bottom only. The option ``skips`` adds connections: a level's features go through a 1x1 convolution and
are added to the decoder's features of the same sides (as in Chaurasia & Culurciello 2017,
arXiv:1707.03718), at almost no cost. Width 32, depth 4 and 3 classes give 2,058,979 parameters.

One difference to the original changes no result: a decoder block up-samples once, after its sum. The original
up-samples both summands, and convolves one of them afterwards. Up-sampling by repetition commutes with addition
and with a 1x1 convolution. In the order used here, that convolution needs a quarter of the arithmetic.
"""

from typing import Any

import keras
from keras import layers

from segline.config import ModelConfig
from segline.models import blocks

OPTIONS = frozenset({"depth", "batch_norm", "penultimate", "skips"})


def build(config: ModelConfig) -> keras.Model:
    """Build the network of `config`; dropout acts at the bottom, between encoder and decoder."""
    filters = [blocks.filters_of(level, config) for level in range(config.depth)]
    image, tensor = blocks.image_input()
    tensor = blocks.convolution(tensor, filters[0], strides=2, batch_norm=config.batch_norm, use_bias=True, name="stem")
    features = [tensor]
    for level in range(1, config.depth):
        tensor = _go_down(tensor, filters[level], config, name=f"down_{level + 1}")
        features.append(tensor)
    tensor = blocks.dropout(tensor, config.dropout, name="bottom_dropout")
    for level in reversed(range(config.depth)):
        if config.skips and level < config.depth - 1:
            tensor = _add_skip(tensor, features[level], name=f"skip_{level + 1}")
        tensor = _go_up(tensor, filters[level], config, name=f"up_{level + 1}")
    return keras.Model(image, blocks.head(tensor, config, kernel=3), name=config.network)


def _go_down(previous: Any, filters: int, config: ModelConfig, *, name: str) -> Any:
    """Halve the sides: two separable convolutions and a pooling, added to a strided 1x1 convolution."""
    tensor = previous
    for order in ("first", "second"):
        tensor = layers.Activation("relu", name=f"{name}_{order}_relu")(tensor)
        tensor = blocks.convolution(
            tensor,
            filters,
            separable=True,
            batch_norm=config.batch_norm,
            use_bias=True,
            activation=None,
            name=f"{name}_{order}",
        )
    tensor = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(tensor)
    residual = layers.Conv2D(filters, 1, strides=2, padding="same", name=f"{name}_residual")(previous)
    return layers.Add(name=f"{name}_add")([tensor, residual])


def _add_skip(tensor: Any, features: Any, *, name: str) -> Any:
    """Add an encoder level's features to `tensor`, after a 1x1 convolution to as many channels."""
    projected = blocks.convolution(features, tensor.shape[-1], kernel=1, activation=None, name=f"{name}_project")
    return layers.Add(name=name)([tensor, projected])


def _go_up(previous: Any, filters: int, config: ModelConfig, *, name: str) -> Any:
    """Double the sides: two transposed convolutions, added to a 1x1 convolution, then up-sampling."""
    tensor = previous
    for order in ("first", "second"):
        tensor = layers.Activation("relu", name=f"{name}_{order}_relu")(tensor)
        tensor = blocks.transposed(
            tensor, filters, batch_norm=config.batch_norm, use_bias=True, activation=None, name=f"{name}_{order}"
        )
    residual = layers.Conv2D(filters, 1, padding="same", name=f"{name}_residual")(previous)
    total = layers.Add(name=f"{name}_add")([tensor, residual])
    return layers.UpSampling2D(2, name=f"{name}_upsample")(total)
