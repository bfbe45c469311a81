"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381): inverted residuals, the lightest encoder."""

from typing import Any

from keras import layers

from segline.models import blocks

WEIGHTS = {
    "application": "MobileNetV2",
    "file": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    "bytes": 9_406_464,
    "licence": "Apache-2.0",
    "top_1": 71.3,
    "published": "https://keras.io/api/applications",
}
SKIPS = {2: "expanded_conv_project_BN", 4: "block_2_add", 8: "block_5_add", 16: "block_12_add"}

_STAGES = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
"""Filters, blocks and stride of each stage; the stem has stride 2 before them."""
_LOW_STAGE = 2  # the last stage whose features have a quarter of the image's sides
_OUTPUT_FILTERS = 1280


def features(image: Any, output_stride: int) -> tuple[Any, Any]:
    """Compute low features (N, H/4, W/4, 24) and deep features (N, H/s, W/s, 1280)."""
    tensor = _convolve(image, 32, kernel=3, strides=2, name="Conv1")
    tensor = blocks.normalise(tensor, name="bn_Conv1")
    tensor = layers.ReLU(6.0, name="Conv1_relu")(tensor)
    strides = [stride if order == 0 else 1 for _, count, stride in _STAGES for order in range(count)]
    steps = blocks.dilate(strides, reached=2, output_stride=output_stride)
    low, place = tensor, 0
    for stage, (filters, count, _) in enumerate(_STAGES, start=1):
        for _ in range(count):
            stride, dilation = next(steps)
            tensor = _add_block(tensor, filters, place, stride=stride, dilation=dilation)
            place += 1
        if stage == _LOW_STAGE:
            low = tensor
    tensor = _convolve(tensor, _OUTPUT_FILTERS, name="Conv_1")
    tensor = blocks.normalise(tensor, name="Conv_1_bn")
    return low, layers.ReLU(6.0, name="out_relu")(tensor)


def _add_block(previous: Any, filters: int, place: int, *, stride: int, dilation: int) -> Any:
    """Expand channels sixfold, convolve each channel, project; add the input if the shape stays the same."""
    name = f"block_{place}" if place else "expanded_conv"
    width = int(previous.shape[-1])
    tensor = previous
    if place:
        tensor = _convolve(tensor, 6 * width, name=f"{name}_expand")
        tensor = layers.ReLU(6.0, name=f"{name}_expand_relu")(blocks.normalise(tensor, name=f"{name}_expand_BN"))
    tensor = blocks.DepthwiseConv2D(
        3,
        strides=stride,
        dilation=dilation,
        padding="same",
        use_bias=False,
        depthwise_initializer=blocks.INITIALIZER,
        name=f"{name}_depthwise",
    )(tensor)
    tensor = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(blocks.normalise(tensor, name=f"{name}_depthwise_BN"))
    tensor = _convolve(tensor, filters, name=f"{name}_project")
    tensor = blocks.normalise(tensor, name=f"{name}_project_BN")
    same = width == filters and stride == 1 and place > 0
    return layers.Add(name=f"{name}_add")([previous, tensor]) if same else tensor


def _convolve(tensor: Any, filters: int, *, name: str, kernel: int = 1, strides: int = 1) -> Any:
    return blocks.convolution(
        tensor, filters, kernel=kernel, strides=strides, use_bias=False, activation=None, name=name
    )
