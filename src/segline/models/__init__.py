"""Network families: one file each, named in ``params.yaml`` by its file name.

To add a family, add ``<network>.py`` with ``build(config) -> keras.Model`` and ``OPTIONS`` to this folder.
Every family keeps the same contract:

- input ``(N, H, W, 3)`` RGB, uint8 or float, 0..255; H and W multiples of `stride`. The network's
  own first layer rescales it, so that training and serving cannot differ;
- output logits, float32, ``(N, H, W, classes)``. With ``heads`` above 1 further logits follow, for
  training alone, the most important first: ``(N, h, w, classes)`` with sides that divide H and W;
- ``width`` filters at the first level, doubling per level, and ``dropout`` at the deepest levels. A
  family that begins with an encoder documents itself how it uses the two;
- ``OPTIONS`` lists the further fields of `ModelConfig` that the family understands. A field means the
  same in every family that has it;
- sides that are no multiple of ``2 ** depth``, but of something else, need ``stride(config) -> int``.

Importing this package does not import Keras: a family is loaded when it is built.
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

_OF_EVERY_FAMILY = {"network", "classes", "width", "dropout"}
_HEAD = "logits_"  # begins the names of the layers that are heads


def build(config: ModelConfig) -> "keras.Model":
    """Build the network that `config` describes, freshly initialised from Keras's global seed.

    Raises:
        ConfigError: `config` sets an option that the family does not have.
    """
    model: keras.Model = _load_family(config).build(config)
    return model


def has_option(network: str, name: str) -> bool:
    """Return whether the family `network` understands the field `name` of `ModelConfig`."""
    return name in importlib.import_module(f"{__name__}.{network}").OPTIONS


def weights_digest(weights: str | None) -> str | None:
    """Identify an encoder's first `weights` by content, wherever their file lies.

    Returns:
        ``imagenet`` for the published weights, the SHA-256 of a file, None for drawn weights.

    Raises:
        ConfigError: the file cannot be read.
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
    """Load the encoder's first weights into `model`; do nothing where `config` names none.

    Raises:
        ConfigError: the file does not exist, or holds the weights of another network.
        SourceError: the ImageNet weights cannot be fetched.
    """
    if config.weights is None:
        return
    from segline.models import encoders

    encoder = config.encoder or encoders.DEFAULT
    encoders.load_weights(model.get_layer(encoders.NAME), encoder=encoder, weights=config.weights)


def deployed(model: "keras.Model") -> "keras.Model":
    """Return `model` with its first output alone, for prediction; the layers are shared."""
    import keras

    return model if len(model.outputs) == 1 else keras.Model(model.input, model.outputs[0], name=model.name)


def prune(model: "keras.Model", *, head: int) -> "keras.Model":
    """Cut a network that averages several heads down to its head number `head`; it then computes less.

    For U-Net++ this is the paper's fast mode: head n is the U-Net of depth n inside.

    Raises:
        ConfigError: the network has no such head.
    """
    import keras

    known = [layer.name for layer in model.layers if layer.name.startswith(_HEAD)]
    if f"{_HEAD}{head}" not in known:
        numbers = ", ".join(sorted(name.removeprefix(_HEAD) for name in known))
        raise ConfigError(
            f"{model.name} head {head}",
            found="no such head",
            expected=f"one of {numbers}" if known else "a network that averages several heads, such as U-Net++",
            remedy="name a head that is there, or train such a network with more of `search.heads`",
        )
    return keras.Model(model.input, model.get_layer(f"{_HEAD}{head}").output, name=model.name)


def stride(config: ModelConfig) -> int:
    """Return the number of pixels that the sides of the network's input must be multiples of."""
    family = _load_family(config)
    return int(family.stride(config) if hasattr(family, "stride") else 2**config.depth)


def _load_family(config: ModelConfig) -> ModuleType:
    """Import the family of `config`; refuse an option that it does not have."""
    family = importlib.import_module(f"{__name__}.{config.network}")
    known: frozenset[str] = family.OPTIONS
    for name, field in ModelConfig.model_fields.items():
        value = getattr(config, name)
        if name not in known | _OF_EVERY_FAMILY and value != field.default:
            raise ConfigError(
                f"{config.network}.{name}",
                found=repr(value),
                expected=f"only options that {config.network} has: {', '.join(sorted(known)) or 'none'}",
                remedy="delete it, or choose another network",
            )
    return family
