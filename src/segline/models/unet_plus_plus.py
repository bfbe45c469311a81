"""U-Net++: U-Nets of every depth in one, their skips joined densely.

Zhou et al. 2018 (arXiv:1807.10165). Node (level, step) convolves all earlier nodes of its level and
the up-sampled node below; the nodes (0, 1) .. (0, depth) each end a U-Net of that depth, and each
may have a head. Up-sampling is a 2x2 transposed convolution. With filters 32..512, no norm, an RGB
image, one class and one head it has 9,042,177 parameters.

With several heads the output is their mean, the paper's accurate mode; `prune` gives the fast one.
"""

from typing import Any

import keras
from keras import layers

from segline.config import ModelConfig
from segline.errors import ConfigError
from segline.models import blocks

OPTIONS = frozenset({"depth", "batch_norm", "penultimate", "residual", "separable", "heads"})


def build(config: ModelConfig) -> keras.Model:
    """Build the U-Net++ of `config`; dropout acts at the two deepest nodes of the encoder.

    Its outputs are the mean of all heads and, where there are several, the heads, the deepest
    U-Net's first.
    """
    image, tensor = blocks.image_input()
    nodes: dict[tuple[int, int], Any] = {}
    for level in range(config.depth + 1):
        tensor = blocks.pair(tensor, _filters(level, config), config, name=_name(level, 0))
        if level >= config.depth - 1:
            tensor = blocks.dropout(tensor, config.dropout, name=f"{_name(level, 0)}_dropout")
        nodes[level, 0] = tensor
        if level < config.depth:
            tensor = layers.MaxPooling2D(2, name=f"{_name(level, 0)}_pool")(tensor)
    for step in range(1, config.depth + 1):
        for level in range(config.depth + 1 - step):
            nodes[level, step] = _node(nodes, level, step, config)
    heads = range(config.depth, max(0, config.depth - config.heads), -1)
    logits = [blocks.head(nodes[0, step], config, name=f"logits_{step}") for step in heads]
    if len(logits) == 1:
        return keras.Model(image, logits[0], name=config.network)
    mean = layers.Average(name="logits", dtype="float32")(logits)
    return keras.Model(image, [mean, *logits], name=config.network)


def prune(model: keras.Model, *, head: int) -> keras.Model:
    """The U-Net of depth `head` inside a network with several heads: fast mode.

    Raises:
        ConfigError: the network has no such head.
    """
    known = [layer.name for layer in model.layers if layer.name.startswith("logits_")]
    if f"logits_{head}" not in known:
        raise ConfigError(
            f"{model.name} head {head}",
            found="no such head",
            expected=f"one of {', '.join(sorted(name.removeprefix('logits_') for name in known))}"
            if known
            else "a U-Net++ that was trained with several heads",
            remedy="train `unet_plus_plus` with more of `search.heads`, or ask for a head that is there",
        )
    return keras.Model(model.input, model.get_layer(f"logits_{head}").output, name=model.name)


def _filters(level: int, config: ModelConfig) -> int:
    return int(config.width * 2**level)


def _name(level: int, step: int) -> str:
    return f"node_{level}_{step}"


def _node(nodes: dict[tuple[int, int], Any], level: int, step: int, config: ModelConfig) -> Any:
    name, filters = _name(level, step), _filters(level, config)
    raised = layers.Conv2DTranspose(
        filters, 2, strides=2, kernel_initializer=blocks.INITIALIZER, name=f"{name}_upsample"
    )(nodes[level + 1, step - 1])
    joined = layers.Concatenate(name=f"{name}_join")([*(nodes[level, earlier] for earlier in range(step)), raised])
    return blocks.pair(joined, filters, config, name=name)
