"""ConvNeXt-Tiny (Liu et al. 2022, arXiv:2201.03545), as in Keras Applications, but without stochastic depth.

It has large kernels and layer normalisation, so small batches do not harm it. With ImageNet's 1,000 classes it has
28,589,128 parameters.

A step between stages convolves with stride and kernel 2. If dilation replaces its stride, the features at the even
positions are exactly those of the classifier.
"""

from typing import Any

from keras import layers

from segline.models import blocks

WEIGHTS = {
    "application": "ConvNeXtTiny",
    "file": "convnext_tiny_notop.h5",
    "bytes": 111_650_432,
    "licence": "MIT",
    "top_1": 81.3,
    "published": "https://keras.io/api/applications",
}
SKIPS = {
    4: "convnext_tiny_stage_0_block_2_add",
    8: "convnext_tiny_stage_1_block_2_add",
    16: "convnext_tiny_stage_2_block_8_add",
}

_NAME = "convnext_tiny"  # of Keras Applications, at the start of each layer's name
_STAGES = ((96, 3), (192, 3), (384, 9), (768, 3))
"""Filters and blocks of each stage. The first one follows the stem of stride 4, the others a step of stride 2."""
_LAYER_SCALE = 1e-6
_EPSILON = 1e-6


def features(image: Any, output_stride: int) -> tuple[Any, Any]:
    """Compute low features (N, H/4, W/4, 96) and deep features (N, H/s, W/s, 768)."""
    filters, count = _STAGES[0]
    tensor = layers.Conv2D(filters, 4, strides=4, kernel_initializer=blocks.INITIALIZER, name=f"{_NAME}_stem_conv")(
        blocks.standardise(image)
    )
    tensor = _normalise(tensor, f"{_NAME}_stem_layernorm")
    low = tensor = _add_stage(tensor, 0, count, dilation=1)
    steps = list(blocks.dilate([2] * (len(_STAGES) - 1), reached=4, output_stride=output_stride))
    for stage, (filters, count) in enumerate(_STAGES[1:], start=1):
        stride, dilation = steps[stage - 1]
        tensor = _normalise(tensor, f"{_NAME}_downsampling_layernorm_{stage - 1}")
        tensor = blocks.Conv2D(
            filters,
            2,
            strides=stride,
            dilation=dilation,
            padding="same",
            kernel_initializer=blocks.INITIALIZER,
            name=f"{_NAME}_downsampling_conv_{stage - 1}",
        )(tensor)
        tensor = _add_stage(tensor, stage, count, dilation=dilation if stride > 1 else 2 * dilation)
    return low, _normalise(tensor, f"{_NAME}_layernorm")


def _add_stage(tensor: Any, stage: int, count: int, *, dilation: int) -> Any:
    for order in range(count):
        tensor = _add_block(tensor, dilation=dilation, name=f"{_NAME}_stage_{stage}_block_{order}")
    return tensor


def _add_block(previous: Any, *, dilation: int, name: str) -> Any:
    """Convolve each channel with a 7x7 kernel, widen the channels fourfold and narrow them again; add the input."""
    channels = int(previous.shape[-1])
    tensor = blocks.DepthwiseConv2D(
        7,
        dilation=dilation,
        padding="same",
        depthwise_initializer=blocks.INITIALIZER,
        name=f"{name}_depthwise_conv",
    )(previous)
    tensor = _normalise(tensor, f"{name}_layernorm")
    tensor = layers.Dense(4 * channels, kernel_initializer=blocks.INITIALIZER, name=f"{name}_pointwise_conv_1")(tensor)
    tensor = layers.Activation("gelu", name=f"{name}_gelu")(tensor)
    tensor = layers.Dense(channels, kernel_initializer=blocks.INITIALIZER, name=f"{name}_pointwise_conv_2")(tensor)
    tensor = blocks.LayerScale(_LAYER_SCALE, name=f"{name}_layer_scale")(tensor)
    return layers.Add(name=f"{name}_add")([previous, tensor])


def _normalise(tensor: Any, name: str) -> Any:
    return layers.LayerNormalization(epsilon=_EPSILON, name=name)(tensor)
