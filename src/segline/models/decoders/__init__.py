"""Build decoders, one file each: from the features of any encoder to logits. `segline.models.composed` joins the two.

To add one, add ``<decoder>.py`` with ``decode(features, config) -> list`` to this folder:

- ``features``: stride -> (N, H / stride, W / stride, channels). The strides are powers of 2 from 2 or 4 on, of
  which some may be missing. The largest is ``config.output_stride``; its features have the most channels.
- the result: logits as `segline.models` describes them, the most important first. The first has the image's size.
- ``config.width``: filters at full resolution. A level of stride s has ``s * width`` filters, like a U-Net.
- ``config.separable``: whether 3x3 convolutions are depthwise-separable. ``config.dropout`` acts once.

A decoder that can have several heads also defines ``count_heads(strides) -> int``: how many at most.
"""

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from keras import layers

from segline.config import ModelConfig
from segline.models import blocks

DEFAULT = "unet"


def decode(features: Mapping[int, Any], config: ModelConfig) -> list[Any]:
    """Compute the logits of each head from the `features` of an encoder, with the decoder of `config`."""
    logits: list[Any] = _load_family(config.decoder).decode(features, config)
    return logits


def count_heads(decoder: str | None, strides: Sequence[int]) -> int:
    """Count the heads that `decoder` can have at most, if the encoder has features of these `strides`."""
    family = _load_family(decoder)
    return int(family.count_heads(strides)) if hasattr(family, "count_heads") else 1


def _load_family(decoder: str | None) -> ModuleType:
    return importlib.import_module(f"{__name__}.{decoder or DEFAULT}")


def supervise_levels(levels: Mapping[int, Any], config: ModelConfig) -> list[Any]:
    """Compute logits of the finest level at the image's size, and of coarser levels if `config` has more heads.

    Args:
        levels: stride -> features of the decoder.
        config: of the network.
    """
    finest, *coarser = sorted(levels)
    logits = [blocks.enlarged_head(levels[finest], config, factor=finest)]
    return logits + [
        layers.Conv2D(config.classes, 1, dtype="float32", name=f"supervised_{stride}")(levels[stride])
        for stride in coarser[: config.heads - 1]
    ]
