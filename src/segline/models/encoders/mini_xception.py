"""The small Xception of Chollet, Deep Learning with Python (2nd edition, 2021), chapter 9.

Five residual blocks of separable convolutions, 32 to 512 filters. With a classification head of one
output it has 721,857 parameters.
"""

from typing import Any

from keras import layers

from segline.models import blocks

SKIPS = {2: "block1_add", 4: "block2_add", 8: "block3_add", 16: "block4_add"}

_FILTERS = (32, 64, 128, 256, 512)


def features(image: Any, output_stride: int) -> tuple[Any, Any]:
    """Compute low features (N, H/4, W/4, 64) and deep features (N, H/s, W/s, 512)."""
    tensor = low = blocks.convolution(image, 32, kernel=5, use_bias=False, activation=None, name="stem")
    reached, dilation = 1, 1
    for place, filters in enumerate(_FILTERS, start=1):
        stride = 2 if reached < output_stride else 1
        reached *= stride
        tensor = _add_block(tensor, filters, stride=stride, dilation=dilation, name=f"block{place}")
        dilation *= 2 // stride
        if place == 2:
            low = tensor
    return low, tensor


def _add_block(previous: Any, filters: int, *, stride: int, dilation: int, name: str) -> Any:
    """Add two separable convolutions and a pooling to a strided 1x1 convolution of the input."""
    tensor = previous
    for order in ("first", "second"):
        tensor = blocks.normalise(tensor, name=f"{name}_{order}_norm")
        tensor = layers.Activation("relu", name=f"{name}_{order}_relu")(tensor)
        tensor = blocks.separable(tensor, filters, dilation=dilation, name=f"{name}_{order}")
    tensor = layers.MaxPooling2D(3, strides=stride, padding="same", name=f"{name}_pool")(tensor)
    residual = blocks.convolution(
        previous, filters, kernel=1, strides=stride, use_bias=False, activation=None, name=f"{name}_residual"
    )
    return layers.Add(name=f"{name}_add")([tensor, residual])
