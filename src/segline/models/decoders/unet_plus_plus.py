"""U-Net++'s decoder on any encoder: decoders of every depth in one, with dense skip connections.

Zhou et al. 2018 (arXiv:1807.10165), with the nodes of `segline.models.unet_plus_plus`: node (level, step) convolves
the earlier nodes of its level and the up-sampled node below. Level 0 is the encoder's finest. Its logits are
up-sampled to the image's size.

With several heads the first output is their mean, and `segline.models.prune` cuts the network at one of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from keras import layers

from segline.config import ModelConfig
from segline.models import blocks


def decode(features: Mapping[int, Any], config: ModelConfig) -> list[Any]:
    """Decode to the finest stride of the encoder; dropout acts on the deepest features."""
    strides = sorted(features)
    last = len(strides) - 1
    nodes: dict[tuple[int, int], Any] = {(level, 0): features[stride] for level, stride in enumerate(strides)}
    nodes[last, 0] = blocks.dropout(nodes[last, 0], config.dropout, name="bottom_dropout")
    for step in range(1, last + 1):
        for level in range(last + 1 - step):
            nodes[level, step] = _join_nodes(nodes, level, step, strides, config)
    steps = range(last, last - config.heads, -1)
    if config.heads == 1:
        return [blocks.enlarged_head(nodes[0, last], config, factor=strides[0])]
    logits = [blocks.enlarged_head(nodes[0, step], config, factor=strides[0], name=f"logits_{step}") for step in steps]
    return [layers.Average(name="logits", dtype="float32")(logits), *logits]


def count_heads(strides: Sequence[int]) -> int:
    """Count the decoders: one for each depth."""
    return len(strides) - 1


def _join_nodes(
    nodes: Mapping[tuple[int, int], Any], level: int, step: int, strides: Sequence[int], config: ModelConfig
) -> Any:
    """Convolve the earlier nodes of the level together with the up-sampled node below."""
    name = f"node_{level}_{step}"
    stride, coarser = strides[level : level + 2]
    raised = layers.UpSampling2D(coarser // stride, name=f"{name}_upsample")(nodes[level + 1, step - 1])
    joined = layers.Concatenate(name=f"{name}_join")([*(nodes[level, earlier] for earlier in range(step)), raised])
    return blocks.pair(joined, config.width * stride, config, name=name)
