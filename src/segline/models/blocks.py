"""What every network family starts and ends with, and the layers they share.

Tensors are channels-last, (N, H, W, C). Initialisation is He's normal one throughout
(He et al. 2015, arXiv:1502.01852), for rectified units.
"""

from typing import Any

import keras
from keras import layers

from segline.config import ModelConfig

INITIALIZER = "he_normal"


def image_input() -> tuple[Any, Any]:
    """The network's input, (N, H, W, 3) 0..255 of any number type, and the same within -1..1."""
    image = keras.Input((None, None, 3), name="image")
    # In float32 even under mixed precision: the subtraction would cancel most bits of a half.
    return image, layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="rescale")(image)


def convolution(
    tensor: Any,
    filters: int,
    *,
    name: str,
    kernel: int = 3,
    batch_norm: bool = False,
    activation: str | None = "relu",
    **options: Any,
) -> Any:
    """Convolution, batch normalisation if asked for, activation; same sides.

    A bias that batch normalisation would subtract again is left out.
    """
    tensor = layers.Conv2D(
        filters,
        kernel,
        padding="same",
        use_bias=not batch_norm,
        kernel_initializer=INITIALIZER,
        name=name,
        **options,
    )(tensor)
    if batch_norm:
        tensor = normalise(tensor, name=f"{name}_norm")
    return tensor if activation is None else layers.Activation(activation, name=f"{name}_{activation}")(tensor)


def normalise(tensor: Any, *, name: str) -> Any:
    """Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167).

    Keras's momentum of 0.99 needs some 400 steps until the running statistics are those of the
    data; a short trial would be judged by statistics that are still the initial ones.
    """
    return layers.BatchNormalization(momentum=0.9, name=name)(tensor)


def dropout(tensor: Any, rate: float, *, name: str) -> Any:
    """Dropout where `rate` is above 0, else nothing at all."""
    return layers.Dropout(rate, name=name)(tensor) if rate else tensor


def head(tensor: Any, config: ModelConfig, *, kernel: int = 1) -> Any:
    """Logits (N, H, W, classes), float32, after the penultimate 3x3 convolution where there is one."""
    if config.penultimate is not None:
        tensor = convolution(tensor, config.penultimate, name="penultimate")
    return layers.Conv2D(config.classes, kernel, padding="same", dtype="float32", name="logits")(tensor)
