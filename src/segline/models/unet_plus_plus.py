"""U-Net++: U-Nets of every depth in one network, with dense skip connections.

Zhou et al. 2018 (arXiv:1807.10165). Node (level, step) convolves all earlier nodes of its level and
the up-sampled node below. Node (0, d), for d from 1 to depth, is the output of a U-Net of depth d, and may
have a head. Up-sampling is a 2x2 transposed convolution. With filters 32..512, no norm, an RGB image, one
class and one head it has 9,042,177 parameters.

With several heads the output is their mean, the paper's accurate mode; `segline.models.prune` gives
the fast mode.
"""

from typing import Any

import keras
from keras import layers

from segline.config import ModelConfig
from segline.models import blocks

OPTIONS = frozenset({"depth", "batch_norm", "penultimate", "residual", "separable", "heads"})


def build(config: ModelConfig) -> keras.Model:
    """Build the U-Net++ of `config`; dropout acts at the two deepest nodes of the encoder.

    The first output is the mean of all heads. If there are several heads, they are the following outputs, the
    head of the deepest U-Net first.
    """
    image, tensor = blocks.image_input()
    nodes: dict[tuple[int, int], Any] = {}
    for level in range(config.depth + 1):
        tensor = blocks.pair(tensor, blocks.filters_of(level, config), config, name=f"node_{level}_0")
        if level >= config.depth - 1:
            tensor = blocks.dropout(tensor, config.dropout, name=f"node_{level}_0_dropout")
        nodes[level, 0] = tensor
        if level < config.depth:
            tensor = layers.MaxPooling2D(2, name=f"node_{level}_0_pool")(tensor)
    for step in range(1, config.depth + 1):
        for level in range(config.depth + 1 - step):
            nodes[level, step] = _join_nodes(nodes, level, step, config)
    heads = range(config.depth, max(0, config.depth - config.heads), -1)
    logits = [blocks.head(nodes[0, step], config, name=f"logits_{step}") for step in heads]
    if len(logits) == 1:
        return keras.Model(image, logits[0], name=config.network)
    mean = layers.Average(name="logits", dtype="float32")(logits)
    return keras.Model(image, [mean, *logits], name=config.network)


def _join_nodes(nodes: dict[tuple[int, int], Any], level: int, step: int, config: ModelConfig) -> Any:
    """Convolve the earlier nodes of the level together with the up-sampled node below."""
    name, filters = f"node_{level}_{step}", blocks.filters_of(level, config)
    below = nodes[level + 1, step - 1]
    raised = blocks.transposed(below, filters, kernel=2, strides=2, activation=None, name=f"{name}_upsample")
    joined = layers.Concatenate(name=f"{name}_join")([*(nodes[level, earlier] for earlier in range(step)), raised])
    return blocks.pair(joined, filters, config, name=name)
