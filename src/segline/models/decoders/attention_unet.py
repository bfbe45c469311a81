"""Attention U-Net: a U-Net whose skip connections pass through attention gates.

Oktay et al. 2018 (arXiv:1804.03999). A gate compares the encoder's features with the coarser features of the decoder,
on the coarser grid. It multiplies each position of the encoder's features by a coefficient from 0 to 1, so
that the decoder sees mainly what it is looking for.
"""

from collections.abc import Mapping
from typing import Any

from keras import layers

from segline.config import ModelConfig
from segline.models import blocks
from segline.models.decoders import unet

count_heads = unet.count_heads


def decode(features: Mapping[int, Any], config: ModelConfig) -> list[Any]:
    """Decode as `unet` does, with gates before the concatenations."""
    return unet.decode(features, config, gate=_gate)


def _gate(skip: Any, signal: Any, name: str) -> Any:
    """Multiply `skip` (N, 2h, 2w, C) by coefficients (N, 2h, 2w, 1) that it and `signal` (N, h, w, D) give.

    As in the paper the coefficients are computed on the grid of `signal` from half as many channels as `skip` has, then
    up-sampled linearly. The result is projected and normalised.
    """
    channels = int(skip.shape[-1])
    compared = [
        layers.Conv2D(
            max(1, channels // 2),
            size,
            strides=size,
            use_bias=name.endswith("signal"),
            kernel_initializer=blocks.INITIALIZER,
            name=name,
        )(tensor)
        for tensor, size, name in ((skip, 2, f"{name}_gate_skip"), (signal, 1, f"{name}_gate_signal"))
    ]
    both = layers.Activation("relu", name=f"{name}_gate_relu")(layers.Add(name=f"{name}_gate_add")(compared))
    score = layers.Conv2D(1, 1, kernel_initializer=blocks.INITIALIZER, name=f"{name}_gate_score")(both)
    share = layers.Activation("sigmoid", name=f"{name}_gate_sigmoid")(score)
    share = blocks.Enlarge(2, name=f"{name}_gate_upsample")(share)
    gated = layers.Multiply(name=f"{name}_gate")([skip, share])
    return blocks.convolution(gated, channels, kernel=1, batch_norm=True, activation=None, name=f"{name}_gate_project")
