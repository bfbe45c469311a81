"""EfficientNetV2-B0 (Tan & Le 2021, arXiv:2104.00298), as in Keras Applications, but without stochastic depth.

The first stages convolve with full 3x3 kernels, which is faster than depthwise ones on large features. The later stages
have squeeze-and-excitation. With ImageNet's 1,000 classes it has 7,200,312 parameters.
"""

from collections.abc import Callable
from typing import Any

from keras import layers

from segline.models import blocks

WEIGHTS = {
    "application": "EfficientNetV2B0",
    "file": "efficientnetv2-b0_notop.h5",
    "bytes": 24_274_472,
    "licence": "Apache-2.0",
    "top_1": 78.7,
    "published": "https://keras.io/api/applications",
}
SKIPS = {2: "block1a_project_activation", 4: "block2b_add", 8: "block3b_add", 16: "block5e_add"}

_STAGES = (
    (True, 1, 1, 16, 1),
    (True, 2, 4, 32, 2),
    (True, 2, 4, 48, 2),
    (False, 2, 4, 96, 3),
    (False, 1, 6, 112, 5),
    (False, 2, 6, 192, 8),
)
"""Full or depthwise kernels, stride, expansion, filters and blocks of each stage; the stem has stride 2 before them."""
_LOW_STAGE = 2  # the last stage whose features have a quarter of the image's sides
_STEM_FILTERS, _OUTPUT_FILTERS = 32, 1280
_SQUEEZED_SHARE = 0.25  # channels after the squeeze, divided by those of the block's input


def features(image: Any, output_stride: int) -> tuple[Any, Any]:
    """Compute low features (N, H/4, W/4, 32) and deep features (N, H/s, W/s, 1280)."""
    tensor = _convolve(blocks.standardise(image), _STEM_FILTERS, kernel=3, strides=2, name="stem_")
    strides = [stride if order == 0 else 1 for _, stride, *_, count in _STAGES for order in range(count)]
    steps = blocks.dilate(strides, reached=2, output_stride=output_stride)
    low = tensor
    for stage, (full, _, expansion, filters, count) in enumerate(_STAGES, start=1):
        add_block: Callable[..., Any] = _add_full_block if full else _add_depthwise_block
        for order in range(count):
            stride, dilation = next(steps)
            name = f"block{stage}{chr(ord('a') + order)}_"
            after = add_block(tensor, filters, expansion=expansion, stride=stride, dilation=dilation, name=name)
            same = stride == 1 and after.shape[-1] == tensor.shape[-1]
            tensor = layers.Add(name=f"{name}add")([after, tensor]) if same else after
        if stage == _LOW_STAGE:
            low = tensor
    return low, _convolve(tensor, _OUTPUT_FILTERS, name="top_")


def _add_full_block(tensor: Any, filters: int, *, expansion: int, stride: int, dilation: int, name: str) -> Any:
    """Expand channels by a 3x3 convolution and project them; without expansion, convolve once."""
    if expansion == 1:
        return _convolve(tensor, filters, kernel=3, strides=stride, dilation=dilation, name=f"{name}project_")
    channels = expansion * int(tensor.shape[-1])
    tensor = _convolve(tensor, channels, kernel=3, strides=stride, dilation=dilation, name=f"{name}expand_")
    return _convolve(tensor, filters, activation=False, name=f"{name}project_")


def _add_depthwise_block(tensor: Any, filters: int, *, expansion: int, stride: int, dilation: int, name: str) -> Any:
    """Expand channels, convolve each one, weigh the channels, project them."""
    squeezed = int(_SQUEEZED_SHARE * int(tensor.shape[-1]))
    tensor = _convolve(tensor, expansion * int(tensor.shape[-1]), name=f"{name}expand_")
    tensor = blocks.DepthwiseConv2D(
        3,
        strides=stride,
        dilation=dilation,
        padding="same",
        use_bias=False,
        depthwise_initializer=blocks.INITIALIZER,
        name=f"{name}dwconv2",
    )(tensor)
    tensor = blocks.normalise(tensor, name=f"{name}bn")
    tensor = layers.Activation("silu", name=f"{name}activation")(tensor)
    return _convolve(_excite(tensor, squeezed, name=name), filters, activation=False, name=f"{name}project_")


def _excite(tensor: Any, squeezed: int, *, name: str) -> Any:
    """Multiply each channel by a factor computed from the means of all channels (Hu et al. 2018, arXiv:1709.01507)."""
    channels = int(tensor.shape[-1])
    factors = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}se_squeeze")(tensor)
    factors = layers.Conv2D(squeezed, 1, activation="silu", name=f"{name}se_reduce")(factors)
    factors = layers.Conv2D(channels, 1, activation="sigmoid", name=f"{name}se_expand")(factors)
    return layers.Multiply(name=f"{name}se_excite")([tensor, factors])


def _convolve(
    tensor: Any,
    filters: int,
    *,
    name: str,
    kernel: int = 1,
    strides: int = 1,
    dilation: int = 1,
    activation: bool = True,
) -> Any:
    """Convolve without bias, normalise, apply the sigmoid linear unit."""
    tensor = blocks.Conv2D(
        filters,
        kernel,
        strides=strides,
        dilation=dilation,
        padding="same",
        use_bias=False,
        kernel_initializer=blocks.INITIALIZER,
        name=f"{name}conv",
    )(tensor)
    tensor = blocks.normalise(tensor, name=f"{name}bn")
    return layers.Activation("silu", name=f"{name}activation")(tensor) if activation else tensor
