"""Xception (Chollet 2017, arXiv:1610.02357), as in Keras Applications but padded throughout.

Keras pads neither of the two first convolutions; here they are padded, so that features lie over
the pixels that they are of.
"""

from typing import Any

from keras import layers

from segline.models import blocks

_MIDDLE = 8  # blocks of the middle flow


def features(image: Any, output_stride: int) -> tuple[Any, Any]:
    """Low features (N, H/4, W/4, 128) and deep ones (N, H/s, W/s, 2048)."""
    tensor = image
    for order, (filters, stride) in enumerate(((32, 2), (64, 1)), start=1):
        tensor = layers.Conv2D(
            filters,
            3,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer=blocks.INITIALIZER,
            name=f"block1_conv{order}",
        )(tensor)
        tensor = _relu(_norm(tensor, f"block1_conv{order}_bn"), f"block1_conv{order}_act")
    tensor = low = _halving(tensor, 2, (128, 128), first_relu=False)
    tensor = _halving(tensor, 3, (256, 256))
    dilation = 1
    tensor = _halving(tensor, 4, (728, 728), stride=2 if output_stride >= 16 else 1)
    if output_stride < 16:
        dilation = 2
    for place in range(5, 5 + _MIDDLE):
        tensor = _middle(tensor, place, dilation)
    tensor = _halving(tensor, 13, (728, 1024), stride=2 if output_stride == 32 else 1, dilation=dilation)
    dilation *= 1 if output_stride == 32 else 2
    for order, filters in ((1, 1536), (2, 2048)):
        name = f"block14_sepconv{order}"
        tensor = _relu(_separable(tensor, filters, name, dilation), f"{name}_act")
    return low, tensor


def _halving(
    previous: Any,
    place: int,
    filters: tuple[int, int],
    *,
    stride: int = 2,
    dilation: int = 1,
    first_relu: bool = True,
) -> Any:
    """Two separable convolutions and a pooling, added to a strided 1x1 convolution."""
    name, tensor = f"block{place}", previous
    for order, count in enumerate(filters, start=1):
        if order > 1 or first_relu:
            tensor = _relu(tensor, f"{name}_sepconv{order}_act")
        tensor = _separable(tensor, count, f"{name}_sepconv{order}", dilation)
    tensor = layers.MaxPooling2D(3, strides=stride, padding="same", name=f"{name}_pool")(tensor)
    residual = layers.Conv2D(
        filters[-1],
        1,
        strides=stride,
        use_bias=False,
        kernel_initializer=blocks.INITIALIZER,
        name=f"{name}_residual",
    )(previous)
    return layers.Add(name=f"{name}_add")([tensor, _norm(residual, f"{name}_residual_bn")])


def _middle(previous: Any, place: int, dilation: int) -> Any:
    name, tensor = f"block{place}", previous
    for order in (1, 2, 3):
        tensor = _relu(tensor, f"{name}_sepconv{order}_act")
        tensor = _separable(tensor, 728, f"{name}_sepconv{order}", dilation)
    return layers.Add(name=f"{name}_add")([tensor, previous])


def _separable(tensor: Any, filters: int, name: str, dilation: int) -> Any:
    tensor = blocks.separable(tensor, filters, dilation=dilation, name=name)
    return _norm(tensor, f"{name}_bn")


def _norm(tensor: Any, name: str) -> Any:
    return blocks.normalise(tensor, name=name)


def _relu(tensor: Any, name: str) -> Any:
    return layers.Activation("relu", name=name)(tensor)
