"""The pyramid scene parsing network's decoder on any encoder: the image's context at four scales.

Zhao et al. 2017 (arXiv:1612.01105). The deepest features are averaged over 1, 4, 9 and 36 regions. Each of the
four small maps is projected to a quarter of the channels, up-sampled, and concatenated with the features. With width
32 the following convolution has the paper's 512 filters. The paper uses output stride 8.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from segline.config import ModelConfig
from segline.models import blocks

_BINS = (1, 2, 3, 6)  # regions along each side


def decode(features: Mapping[int, Any], config: ModelConfig) -> list[Any]:
    """Decode the deepest features alone; dropout acts after the last convolution."""
    stride = max(features)
    deep = features[stride]
    reduced = max(1, int(deep.shape[-1]) // len(_BINS))
    scales = [deep]
    for bins in _BINS:
        name = f"scale_{bins}"
        pooled = RegionMeans(bins, name=f"{name}_pool")(deep)
        pooled = blocks.convolution(pooled, reduced, kernel=1, batch_norm=True, name=name)
        scales.append(EnlargeLike(name=f"{name}_upsample")([pooled, deep]))
    tensor = layers.Concatenate(name="scales_join")(scales)
    tensor = blocks.convolution(
        tensor, 16 * config.width, batch_norm=True, separable=config.separable, name="bottleneck"
    )
    tensor = blocks.dropout(tensor, config.dropout, name="bottleneck_dropout")
    return [blocks.enlarged_head(tensor, config, factor=stride)]


@keras.saving.register_keras_serializable(package="segline")
class RegionMeans(layers.Layer):
    """Average over ``bins * bins`` regions, for features of any size.

    Regions are those of PyTorch's ``AdaptiveAvgPool2d``: they cover all positions, and overlap if `bins` does not
    divide the side.
    """

    def __init__(self, bins: int, **options: Any) -> None:
        super().__init__(**options)
        self.bins = bins

    def call(self, inputs: Any) -> Any:
        """Average (N, H, W, C) to (N, bins, bins, C)."""
        _, height, width, _ = ops.shape(inputs)
        rows, columns = (ops.cast(self._weigh(side), inputs.dtype) for side in (height, width))
        return ops.einsum("iw,nrwc->nric", columns, ops.einsum("rh,nhwc->nrwc", rows, inputs))

    def _weigh(self, side: Any) -> Any:
        """Compute the share of each position in each region: (bins, side)."""
        place = ops.arange(side, dtype="int32")
        number = np.arange(self.bins, dtype=np.int32)[:, None]
        first, behind = number * side // self.bins, ((number + 1) * side + self.bins - 1) // self.bins
        inside = ops.cast(ops.logical_and(place >= first, place < behind), "float32")
        return inside / ops.sum(inside, axis=1, keepdims=True)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Replace the sides by the number of regions."""
        return (input_shape[0], self.bins, self.bins, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "bins": self.bins}


@keras.saving.register_keras_serializable(package="segline")
class EnlargeLike(layers.Layer):
    """Bilinear up-sampling of a small map to the sides of another one, with half-pixel centres as in OpenCV."""

    def call(self, inputs: list[Any]) -> Any:
        """Up-sample the first tensor, (N, h, w, C), to the sides of the second."""
        small, like = inputs
        _, height, width, _ = ops.shape(like)
        rows, columns = (
            ops.cast(self._weigh(side, int(bins)), small.dtype)
            for side, bins in ((height, small.shape[1]), (width, small.shape[2]))
        )
        return ops.einsum("wi,nhic->nhwc", columns, ops.einsum("hr,nric->nhic", rows, small))

    def _weigh(self, side: Any, bins: int) -> Any:
        """Compute the share of each of `bins` points in each position: (side, bins)."""
        centres = (ops.arange(side, dtype="float32") + 0.5) * bins / ops.cast(side, "float32") - 0.5
        distance = ops.clip(centres, 0.0, bins - 1.0)[:, None] - np.arange(bins, dtype=np.float32)
        return ops.maximum(1.0 - ops.abs(distance), 0.0)

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Take the sides of the second tensor and the channels of the first."""
        small, like = input_shape
        return (*like[:3], small[-1])
