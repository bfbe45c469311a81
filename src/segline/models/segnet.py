"""SegNet: VGG's convolutions down, and up again through the positions of the pooled maxima.

Badrinarayanan, Kendall, Cipolla 2017 (arXiv:1511.00561). A pooling remembers which of its four pixels was the largest;
the decoder puts values back there, and zeros elsewhere, so no features need to be kept but these positions.
Width 64 and depth 5 are the paper's network.
"""

from typing import Any

import keras
from keras import layers, ops

from segline.config import ModelConfig
from segline.models import blocks

OPTIONS = frozenset({"depth", "batch_norm", "separable"})


def build(config: ModelConfig) -> keras.Model:
    """Build the SegNet of `config`; dropout acts at the bottom. Levels have at most ``8 * width`` filters."""
    image, tensor = blocks.image_input()
    positions = []
    for level in range(config.depth):
        tensor = blocks.vgg_level(tensor, level, config, name=f"down_{level + 1}")
        tensor, position = PoolWithPositions(name=f"down_{level + 1}_pool")(tensor)
        positions.append(position)
    tensor = blocks.dropout(tensor, config.dropout, name="bottom_dropout")
    for level in reversed(range(config.depth)):
        tensor = Unpool(name=f"up_{level + 1}_unpool")([tensor, positions[level]])
        tensor = _go_up(tensor, level, config, name=f"up_{level + 1}")
    return keras.Model(image, blocks.head(tensor, config, kernel=3), name=config.network)


def _go_up(tensor: Any, level: int, config: ModelConfig, *, name: str) -> Any:
    """Mirror the convolutions of an encoder level. The last one has the filters of the level above.

    At the first level that last one is the head.
    """
    count = blocks.VGG_CONVOLUTIONS[level]
    filters = [blocks.vgg_filters(level, config)] * (count - 1)
    filters += [blocks.vgg_filters(level - 1, config)] if level else []
    return blocks.convolutions(tensor, filters, config, name=name)


@keras.saving.register_keras_serializable(package="segline")
class PoolWithPositions(layers.Layer):
    """Take the largest of each 2x2 pixels, and remember where it was.

    TensorFlow has such an operation, but Keras has none that works on every backend.
    """

    def call(self, inputs: Any) -> tuple[Any, Any]:
        """Pool (N, H, W, C) to the maxima (N, H/2, W/2, C) and their positions (N, H/2, W/2, 4, C): one 1, three 0."""
        count, height, width, channels = ops.shape(inputs)
        blocks_of_2 = ops.reshape(inputs, (count, height // 2, 2, width // 2, 2, channels))
        candidates = ops.reshape(
            ops.transpose(blocks_of_2, (0, 1, 3, 2, 4, 5)), (count, height // 2, width // 2, 4, channels)
        )
        positions = ops.one_hot(ops.argmax(candidates, axis=3), 4, axis=3, dtype=inputs.dtype)
        return ops.sum(candidates * positions, axis=3), positions

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[tuple[int | None, ...], ...]:
        """Halve the sides; an unknown side stays None."""
        count, height, width, channels = input_shape
        half = (count, *(None if side is None else side // 2 for side in (height, width)))
        return (*half, channels), (*half, 4, channels)


@keras.saving.register_keras_serializable(package="segline")
class Unpool(layers.Layer):
    """Put values back to the positions that `PoolWithPositions` remembers; the other pixels are 0."""

    def call(self, inputs: list[Any]) -> Any:
        """Un-pool (N, h, w, C) with positions (N, h, w, 4, C) to (N, 2h, 2w, C)."""
        values, positions = inputs
        count, height, width, channels = ops.shape(values)
        placed = ops.reshape(positions * values[:, :, :, None], (count, height, width, 2, 2, channels))
        return ops.reshape(ops.transpose(placed, (0, 1, 3, 2, 4, 5)), (count, 2 * height, 2 * width, channels))

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Double the sides; an unknown side stays None."""
        count, height, width, channels = input_shape[0]
        return (count, *(None if side is None else side * 2 for side in (height, width)), channels)
