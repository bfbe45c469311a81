"""The feature pyramid network's decoder on any encoder, in the form for semantic segmentation.

Lin et al. 2017 (arXiv:1612.03144): a top-down path adds up-sampled coarse features to 1x1 projections of fine
ones. Kirillov et al. 2019 (Panoptic FPN, arXiv:1901.02446): each level of this pyramid is convolved and up-sampled to a
quarter of the image's sides, and the levels are summed. With width 16 the pyramid has the papers' 256 filters, the
branches have 128. The papers normalise groups of channels; here batches are normalised, as everywhere in Segline.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from keras import layers

from segline.config import ModelConfig
from segline.models import blocks, decoders

_FINEST = 4  # stride; the papers use no finer features


def decode(features: Mapping[int, Any], config: ModelConfig) -> list[Any]:
    """Decode to a quarter of the image's sides; dropout acts on the sum. Further heads are on the pyramid."""
    pyramid = _go_down(features, 16 * config.width)
    branches = [_raise(level, stride, config) for stride, level in pyramid.items()]
    total = layers.Add(name="branches_add")(branches) if len(branches) > 1 else branches[0]
    total = blocks.dropout(total, config.dropout, name="branches_dropout")
    coarser = {stride: level for stride, level in pyramid.items() if stride > _FINEST}
    return decoders.supervise_levels({_FINEST: total, **coarser}, config)


def count_heads(strides: Sequence[int]) -> int:
    """Count the levels of the pyramid."""
    return sum(stride >= _FINEST for stride in strides)


def _go_down(features: Mapping[int, Any], filters: int) -> dict[int, Any]:
    """Compute the pyramid, from the coarsest level to the finest: stride -> (N, H / stride, W / stride, filters)."""
    pyramid: dict[int, Any] = {}
    above, coarser = None, 0
    for stride in sorted((stride for stride in features if stride >= _FINEST), reverse=True):
        level = layers.Conv2D(filters, 1, kernel_initializer=blocks.INITIALIZER, name=f"lateral_{stride}")(
            features[stride]
        )
        if above is not None:
            raised = layers.UpSampling2D(coarser // stride, name=f"pyramid_{stride}_upsample")(above)
            level = layers.Add(name=f"pyramid_{stride}_add")([level, raised])
        pyramid[stride] = above = level
        coarser = stride
    return pyramid


def _raise(level: Any, stride: int, config: ModelConfig) -> Any:
    """Convolve a level of the pyramid, and double its sides bilinearly, until it has the finest stride."""
    tensor, filters, reached = level, 8 * config.width, stride
    while True:
        name = f"branch_{stride}_{reached}"
        tensor = blocks.convolution(tensor, filters, batch_norm=True, separable=config.separable, name=name)
        if reached > _FINEST:
            tensor = blocks.Enlarge(2, name=f"{name}_upsample")(tensor)
            reached //= 2
        if reached == _FINEST:
            return tensor
