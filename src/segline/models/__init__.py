"""Network families: one file each, named in ``params.yaml`` by its file name.

Adding a family is adding ``<network>.py`` with ``build(config) -> keras.Model`` to this folder.
Every family keeps the same contract:

- input ``(N, H, W, 3)`` RGB, uint8 or float, 0..255; H and W multiples of `stride`. The network's
  own first layer rescales it, so that training and serving cannot differ;
- output logits, float32, ``(N, H, W, classes)``;
- every field of `ModelConfig` means the same thing: ``width`` filters at the first level, doubling
  per level; ``depth`` halvings; ``dropout`` at the deepest levels; ``batch_norm`` after every
  convolution but the head; ``penultimate`` channels of a 3x3 convolution before the head.

Importing this package imports no Keras: a family is loaded when it is built.
"""

import importlib
from typing import TYPE_CHECKING

from segline.config import ModelConfig

if TYPE_CHECKING:
    import keras


def build(config: ModelConfig) -> "keras.Model":
    """Build the network that `config` describes, freshly initialised from Keras's global seed."""
    family = importlib.import_module(f"{__name__}.{config.network}")
    model: keras.Model = family.build(config)
    return model


def stride(config: ModelConfig) -> int:
    """What the sides of the network's input must be a multiple of, pixels."""
    return int(2**config.depth)
