"""FCN-8s: VGG-16 made fully convolutional, with predictions at strides 32, 16 and 8 added up.

Long, Shelhamer, Darrell 2015 (arXiv:1411.4038). Width 64 without batch norm is the paper's network: with 21 classes,
134 million parameters. The two up-samplings by 2 are learned and begin as bilinear ones; the last, by 8, stays
bilinear. The paper pads the image by 100 pixels and crops the logits; here every convolution is padded.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from segline.config import ModelConfig
from segline.models import blocks

OPTIONS = frozenset({"batch_norm"})

_STRIDE = 32
_LEVELS = 5
_SCORED = (4, 3)  # levels whose features are scored too, counted from 1


def build(config: ModelConfig) -> keras.Model:
    """Build the FCN-8s of `config`; dropout acts after each of the two convolutions with ``64 * width`` filters."""
    image, tensor = blocks.image_input()
    pooled = {}
    for level in range(_LEVELS):
        tensor = blocks.vgg_level(tensor, level, config, name=f"down_{level + 1}")
        tensor = pooled[level + 1] = layers.MaxPooling2D(2, name=f"down_{level + 1}_pool")(tensor)
    for kernel, name in ((7, "first"), (1, "second")):
        tensor = blocks.convolution(
            tensor, 64 * config.width, kernel=kernel, batch_norm=config.batch_norm, name=f"classify_{name}"
        )
        tensor = blocks.dropout(tensor, config.dropout, name=f"classify_{name}_dropout")
    scores = _score(tensor, config, name="score")
    for level in _SCORED:
        raised = layers.Conv2DTranspose(
            config.classes,
            4,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=Bilinear(),
            dtype="float32",
            name=f"score_{level}_upsample",
        )(scores)
        own = _score(pooled[level], config, name=f"score_{level}")
        scores = layers.Add(dtype="float32", name=f"score_{level}_add")([raised, own])
    logits = blocks.Enlarge(2 ** min(_SCORED), dtype="float32", name="logits")(scores)
    return keras.Model(image, logits, name=config.network)


def stride(config: ModelConfig) -> int:  # noqa: ARG001
    """Return 32, the pixels that the sides of the image must be multiples of."""
    return _STRIDE


def _score(tensor: Any, config: ModelConfig, *, name: str) -> Any:
    return layers.Conv2D(config.classes, 1, dtype="float32", name=name)(tensor)


@keras.saving.register_keras_serializable(package="segline")
class Bilinear(keras.initializers.Initializer):
    """Weights of a transposed 4x4 convolution of stride 2 that up-samples each channel bilinearly."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return the kernel (4, 4, channels, channels)."""
        weights = np.array([0.25, 0.75, 0.75, 0.25])
        kernel = np.outer(weights, weights)[:, :, None, None] * np.eye(shape[-1])
        return keras.ops.convert_to_tensor(kernel, dtype=dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments: none."""
        return {}
