"""A classification head on any encoder: what is in the image, not where.

Trained on what a segmentation dataset says of whole images (a pet's breed), its encoder is a first one
for segmentation. With ``mini_xception`` and one class it has 721,857 parameters. Its logits are those of
a single pixel, so that whatever trains and measures segmentation networks does the same with it.
"""

import keras
from keras import layers

from segline.config import ModelConfig
from segline.models import blocks, encoders

OPTIONS = frozenset({"encoder", "weights", "freeze"})

_STRIDE = 32


def build(config: ModelConfig) -> keras.Model:
    """Image (N, H, W, 3) 0..255, H and W multiples of 32 -> logits float32 (N, 1, 1, classes)."""
    image, scaled = blocks.image_input()
    encoder = encoders.build(config.encoder or encoders.DEFAULT, output_stride=_STRIDE)
    encoder.trainable = not config.freeze
    _, deep = encoder(scaled)
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(deep)
    pooled = blocks.dropout(pooled, config.dropout, name="dropout")
    return keras.Model(image, blocks.head(pooled, config), name=config.network)


def stride(config: ModelConfig) -> int:  # noqa: ARG001
    """What the sides of the image must be a multiple of, pixels."""
    return _STRIDE
