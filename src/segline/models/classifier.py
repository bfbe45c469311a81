"""A classification head on any encoder.

It is trained on a segmentation dataset's labels of whole images, such as a pet's breed. Its encoder then has
the initial weights for a segmentation network. With ``mini_xception`` and one class it has 721,857 parameters.
Its output is the logits of a single pixel, so the code that trains and evaluates segmentation networks can
also train and evaluate it.
"""

import keras
from keras import layers

from segline.config import ModelConfig
from segline.models import blocks, encoders

OPTIONS = frozenset({"encoder", "weights", "freeze"})

_STRIDE = 32


def build(config: ModelConfig) -> keras.Model:
    """Build the classifier of `config`.

    Returns:
        Image (N, H, W, 3) 0..255, H and W multiples of 32 -> logits float32 (N, 1, 1, classes).
    """
    image, scaled = blocks.image_input()
    encoder = encoders.build(config.encoder or encoders.DEFAULT, output_stride=_STRIDE)
    encoder.trainable = not config.freeze
    _, deep = encoder(scaled)
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(deep)
    pooled = blocks.dropout(pooled, config.dropout, name="dropout")
    return keras.Model(image, blocks.head(pooled, config), name=config.network)


def stride(config: ModelConfig) -> int:  # noqa: ARG001
    """Return 32, the pixels that the sides of the image must be multiples of."""
    return _STRIDE
