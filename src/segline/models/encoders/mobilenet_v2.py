"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381): inverted residuals, the lightest encoder."""

from typing import Any

from keras import layers

from segline.models import blocks

_STAGES = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
"""Filters, blocks and stride of each stage; the stem has stride 2 before them."""
_LOW = 2  # stage whose features keep a quarter of the sides


def features(image: Any, output_stride: int) -> tuple[Any, Any]:
    """Low features (N, H/4, W/4, 24) and deep ones (N, H/s, W/s, 1280)."""
    tensor = layers.Conv2D(
        32, 3, strides=2, padding="same", use_bias=False, kernel_initializer=blocks.INITIALIZER, name="Conv1"
    )(image)
    tensor = _norm(tensor, "bn_Conv1")
    tensor = layers.ReLU(6.0, name="Conv1_relu")(tensor)
    low, place, reached, dilation = tensor, 0, 2, 1
    for stage, (filters, count, first_stride) in enumerate(_STAGES, start=1):
        for repetition in range(count):
            stride = first_stride if repetition == 0 else 1
            following = dilation
            if stride == 2 and reached >= output_stride:  # the layers after it see farther instead
                stride, following = 1, dilation * 2
            reached *= stride
            tensor = _block(tensor, filters, place, stride=stride, dilation=dilation)
            dilation, place = following, place + 1
        if stage == _LOW:
            low = tensor
    tensor = layers.Conv2D(1280, 1, use_bias=False, kernel_initializer=blocks.INITIALIZER, name="Conv_1")(tensor)
    tensor = _norm(tensor, "Conv_1_bn")
    return low, layers.ReLU(6.0, name="out_relu")(tensor)


def _block(previous: Any, filters: int, place: int, *, stride: int, dilation: int) -> Any:
    """Widen sixfold, filter each channel, narrow; add the input where nothing changed size."""
    name = f"block_{place}" if place else "expanded_conv"
    width = int(previous.shape[-1])
    tensor = previous
    if place:
        tensor = layers.Conv2D(
            6 * width, 1, use_bias=False, kernel_initializer=blocks.INITIALIZER, name=f"{name}_expand"
        )(tensor)
        tensor = layers.ReLU(6.0, name=f"{name}_expand_relu")(_norm(tensor, f"{name}_expand_BN"))
    tensor = blocks.DepthwiseConv2D(
        3,
        strides=stride,
        dilation=dilation,
        padding="same",
        use_bias=False,
        depthwise_initializer=blocks.INITIALIZER,
        name=f"{name}_depthwise",
    )(tensor)
    tensor = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(_norm(tensor, f"{name}_depthwise_BN"))
    tensor = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer=blocks.INITIALIZER, name=f"{name}_project")(
        tensor
    )
    tensor = _norm(tensor, f"{name}_project_BN")
    same = width == filters and stride == 1 and place > 0
    return layers.Add(name=f"{name}_add")([previous, tensor]) if same else tensor


def _norm(tensor: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.9, name=name)(tensor)
