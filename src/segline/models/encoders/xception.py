"""Xception (Chollet 2017, arXiv:1610.02357), as in Keras Applications, but every convolution is padded.

Keras does not pad the first two convolutions. Here they are padded, so that features are aligned with the
pixels that they were computed from.
"""

from typing import Any

from keras import layers

from segline.models import blocks

WEIGHTS = {
    "application": "Xception",
    "file": "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "bytes": 83_683_744,
    "licence": "MIT",
    "top_1": 79.0,
    "published": "https://keras.io/api/applications",
}
SKIPS = {2: "block1_conv2_act", 4: "block2_add", 8: "block3_add", 16: "block12_add"}

_MIDDLE_BLOCKS = 8


def features(image: Any, output_stride: int) -> tuple[Any, Any]:
    """Compute low features (N, H/4, W/4, 128) and deep features (N, H/s, W/s, 2048)."""
    tensor = image
    for order, (filters, stride) in enumerate(((32, 2), (64, 1)), start=1):
        name = f"block1_conv{order}"
        tensor = blocks.convolution(tensor, filters, strides=stride, use_bias=False, activation=None, name=name)
        tensor = _apply_relu(blocks.normalise(tensor, name=f"block1_conv{order}_bn"), f"block1_conv{order}_act")
    tensor = low = _halve(tensor, 2, (128, 128), first_relu=False)
    tensor = _halve(tensor, 3, (256, 256))
    dilation = 1
    tensor = _halve(tensor, 4, (728, 728), stride=2 if output_stride >= 16 else 1)
    if output_stride < 16:
        dilation = 2
    for place in range(5, 5 + _MIDDLE_BLOCKS):
        tensor = _add_middle_block(tensor, place, dilation)
    tensor = _halve(tensor, 13, (728, 1024), stride=2 if output_stride == 32 else 1, dilation=dilation)
    dilation *= 1 if output_stride == 32 else 2
    for order, filters in ((1, 1536), (2, 2048)):
        name = f"block14_sepconv{order}"
        tensor = _apply_relu(_convolve(tensor, filters, name, dilation), f"{name}_act")
    return low, tensor


def _halve(
    previous: Any,
    place: int,
    filters: tuple[int, int],
    *,
    stride: int = 2,
    dilation: int = 1,
    first_relu: bool = True,
) -> Any:
    """Add two separable convolutions and a pooling to a strided 1x1 convolution of the input."""
    name, tensor = f"block{place}", previous
    for order, count in enumerate(filters, start=1):
        if order > 1 or first_relu:
            tensor = _apply_relu(tensor, f"{name}_sepconv{order}_act")
        tensor = _convolve(tensor, count, f"{name}_sepconv{order}", dilation)
    tensor = layers.MaxPooling2D(3, strides=stride, padding="same", name=f"{name}_pool")(tensor)
    residual = blocks.convolution(
        previous, filters[-1], kernel=1, strides=stride, use_bias=False, activation=None, name=f"{name}_residual"
    )
    return layers.Add(name=f"{name}_add")([tensor, blocks.normalise(residual, name=f"{name}_residual_bn")])


def _add_middle_block(previous: Any, place: int, dilation: int) -> Any:
    name, tensor = f"block{place}", previous
    for order in (1, 2, 3):
        tensor = _apply_relu(tensor, f"{name}_sepconv{order}_act")
        tensor = _convolve(tensor, 728, f"{name}_sepconv{order}", dilation)
    return layers.Add(name=f"{name}_add")([tensor, previous])


def _convolve(tensor: Any, filters: int, name: str, dilation: int) -> Any:
    """Apply a separable convolution and normalise its output."""
    return blocks.normalise(blocks.separable(tensor, filters, dilation=dilation, name=name), name=f"{name}_bn")


def _apply_relu(tensor: Any, name: str) -> Any:
    return layers.Activation("relu", name=name)(tensor)
