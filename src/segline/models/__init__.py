"""Network families: one file each, named in ``params.yaml`` by its file name.

Adding a family is adding ``<network>.py`` with ``build(config) -> keras.Model`` to this folder.
Every family keeps the same contract:

- input ``(N, H, W, 3)`` RGB, uint8 or float, 0..255; H and W multiples of `stride`. The network's
  own first layer rescales it, so that training and serving cannot differ;
- output logits, float32, ``(N, H, W, classes)``. With ``heads`` above 1 further logits follow for
  training to look at, the most important first, ``(N, h, w, classes)`` with sides that divide H and W;
- ``width`` filters at the first level, doubling per level, and ``dropout`` at the deepest levels; a
  family that begins with an encoder says itself what it makes of them. The further fields of
  `ModelConfig`, ``depth`` halvings first, are those that the family lists in ``OPTIONS``, and mean the
  same thing in all that have them.

Importing this package imports no Keras: a family is loaded when it is built.
"""

import hashlib
import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from segline.config import CLASSIFICATION, IMAGENET, ModelConfig
from segline.errors import ConfigError

if TYPE_CHECKING:
    import keras

_OPTIONAL = (
    "depth",
    "batch_norm",
    "penultimate",
    "residual",
    "separable",
    "skips",
    "heads",
    "encoder",
    "output_stride",
    "weights",
    "freeze",
)


def build(config: ModelConfig) -> "keras.Model":
    """Build the network that `config` describes, freshly initialised from Keras's global seed.

    Raises:
        ConfigError: `config` asks for what the family has not got.
    """
    family = _family(config)
    model: keras.Model = family.build(config)
    return model


def has_option(network: str, name: str) -> bool:
    """Whether the family `network` understands the field `name` of `ModelConfig`."""
    family = importlib.import_module(f"{__name__}.{network}")
    return name in family.OPTIONS


def weights_digest(weights: str | None) -> str | None:
    """What an encoder's first `weights` are: a published name, a file's SHA-256 wherever it lies, None for drawn ones.

    Raises:
        ConfigError: no such file.
    """
    if weights in (None, IMAGENET):
        return weights
    try:
        with Path(str(weights)).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            str(weights),
            found=f"cannot be read ({error.strerror})",
            expected=f"`{IMAGENET}`, `{CLASSIFICATION}`, or a file of encoder weights that Segline wrote",
            remedy="correct search.weights",
        ) from error


def load_encoder(model: "keras.Model", config: ModelConfig) -> None:
    """Put the encoder's first weights into `model`, where `config` names some.

    Raises:
        ConfigError: no such file, or one of another network.
        SourceError: the ImageNet weights cannot be fetched.
    """
    if config.weights is None:
        return
    from segline.models import encoders

    encoder = config.encoder or encoders.DEFAULT
    encoders.load_weights(model.get_layer(encoders.NAME), encoder=encoder, weights=config.weights)


def deployed(model: "keras.Model") -> "keras.Model":
    """The same layers with the first output alone: what predicts once training is over."""
    import keras

    return model if len(model.outputs) == 1 else keras.Model(model.input, model.outputs[0], name=model.name)


def stride(config: ModelConfig) -> int:
    """What the sides of the network's input must be a multiple of, pixels."""
    family = _family(config)
    return int(family.stride(config) if hasattr(family, "stride") else 2**config.depth)


def _family(config: ModelConfig) -> ModuleType:
    family = importlib.import_module(f"{__name__}.{config.network}")
    known: frozenset[str] = family.OPTIONS
    for name in _OPTIONAL:
        value = getattr(config, name)
        if name not in known and value != type(config).model_fields[name].default:
            raise ConfigError(
                f"{config.network}.{name}",
                found=repr(value),
                expected=f"no such option: {config.network} has {', '.join(sorted(known)) or 'none'} of these",
                remedy="delete it, or choose another network",
            )
    return family
