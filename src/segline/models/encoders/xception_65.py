"""The aligned Xception of DeepLabV3+ (Chen et al. 2018, arXiv:1802.02611): 65 layers, no pooling.

Every separable convolution normalises twice: after its depthwise and after its pointwise part.
Strides are in the convolutions. As in DeepLab's own ``xception_65``, the shortcut of a block is a
convolution (entry and exit), the block's input (middle), or absent (the last block).
"""

from typing import Any

from keras import layers

from segline.models import blocks

SKIPS = {2: "entry_conv2_relu", 4: "entry_block2_sepconv2_norm", 8: "entry_block2_add", 16: "middle_block16_add"}

_MIDDLE_BLOCKS = 16


def features(image: Any, output_stride: int) -> tuple[Any, Any]:
    """Compute low features (N, H/4, W/4, 256) and deep features (N, H/s, W/s, 2048)."""
    tensor = blocks.convolution(image, 32, strides=2, batch_norm=True, name="entry_conv1")
    tensor = blocks.convolution(tensor, 64, batch_norm=True, name="entry_conv2")
    tensor, _ = _add_block(tensor, (128,) * 3, stride=2, name="entry_block1")
    tensor, low = _add_block(tensor, (256,) * 3, stride=2, name="entry_block2")
    tensor, _ = _add_block(tensor, (728,) * 3, stride=2 if output_stride >= 16 else 1, name="entry_block3")
    dilation = 1 if output_stride >= 16 else 2
    for place in range(1, _MIDDLE_BLOCKS + 1):
        tensor, _ = _add_block(tensor, (728,) * 3, dilation=dilation, shortcut="sum", name=f"middle_block{place}")
    last_stride = 2 if output_stride == 32 else 1
    tensor, _ = _add_block(tensor, (728, 1024, 1024), stride=last_stride, dilation=dilation, name="exit_block1")
    dilation *= 1 if output_stride == 32 else 2
    tensor, _ = _add_block(
        tensor, (1536, 1536, 2048), dilation=dilation, shortcut="none", name="exit_block2", after=True
    )
    return low, tensor


def _add_block(
    previous: Any,
    filters: tuple[int, ...],
    *,
    name: str,
    stride: int = 1,
    dilation: int = 1,
    shortcut: str = "convolution",
    after: bool = False,
) -> tuple[Any, Any]:
    """Apply three separable convolutions, the last one strided, and add the shortcut.

    Args:
        shortcut: a strided 1x1 ``convolution`` of the input, the input itself (``sum``), or ``none``.
        after: apply ReLU after the depthwise and the pointwise part of each separable convolution, not before it.

    Returns:
        The output of the block, and the output of its second convolution.
    """
    tensor = low = previous
    for order, count in enumerate(filters, start=1):
        tensor = _convolve(
            tensor,
            count,
            name=f"{name}_sepconv{order}",
            stride=stride if order == len(filters) else 1,
            dilation=dilation,
            after=after,
        )
        if order == 2:
            low = tensor
    if shortcut == "convolution":
        previous = blocks.convolution(
            previous,
            filters[-1],
            kernel=1,
            strides=stride,
            batch_norm=True,
            activation=None,
            name=f"{name}_shortcut",
        )
    if shortcut != "none":
        tensor = layers.Add(name=f"{name}_add")([tensor, previous])
    return tensor, low


def _convolve(tensor: Any, filters: int, *, name: str, stride: int, dilation: int, after: bool) -> Any:
    if not after:
        tensor = layers.Activation("relu", name=f"{name}_relu")(tensor)
    return blocks.split_separable(
        tensor, filters, strides=stride, dilation=dilation, activation="relu" if after else None, name=name
    )
