"""Build the networks, one file for each family. ``params.yaml`` names a family by its file name.

To add a family, add ``<network>.py`` with ``build(config) -> keras.Model`` and ``OPTIONS`` to this folder.
Every family follows the same contract:

- input ``(N, H, W, 3)`` RGB, uint8 or float, 0..255; H and W multiples of `stride`. The network's
  own first layer rescales it, so that training and serving cannot differ;
- output logits, float32, ``(N, H, W, classes)``. If ``heads`` is above 1, more outputs follow for training
  only, the most important first: ``(N, h, w, classes)`` with sides that divide H and W;
- ``width`` filters at the first level, doubled at each deeper level, and ``dropout`` at the deepest levels.
  The docstring of a family with an encoder says how the family uses ``width`` and ``dropout``;
- ``OPTIONS`` lists the other fields of `ModelConfig` that the family has. A field means the same in every
  family that has it;
- if H and W must be multiples of something else than ``2 ** depth``, the file defines ``stride(config) -> int``.

Importing this package does not import Keras. Keras is imported when a family is built.
"""

import hashlib
import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from segline.config import AUTO, CLASSIFICATION, IMAGENET, ModelConfig
from segline.errors import ConfigError

if TYPE_CHECKING:
    import keras

_COMMON_FIELDS = {"network", "classes", "width", "dropout"}
_HEAD_PREFIX = "logits_"  # start of the name of each layer that is a head


def build(config: ModelConfig) -> "keras.Model":
    """Build the network that `config` describes, with random weights from Keras's global seed.

    Raises:
        ConfigError: `config` sets an option that the family does not have.
    """
    model: keras.Model = _load_family(config).build(config)
    return model


def has_option(network: str, name: str) -> bool:
    """Return whether the family `network` understands the field `name` of `ModelConfig`."""
    return name in importlib.import_module(f"{__name__}.{network}").OPTIONS


def weights_digest(weights: str | None) -> str | None:
    """Identify an encoder's initial `weights` by the content of their file, not by its path.

    Returns:
        The SHA-256 of the file; None for random weights.

    Raises:
        ConfigError: the file cannot be read.
    """
    if weights is None:
        return None
    try:
        with Path(weights).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            weights,
            found=f"cannot be read ({error.strerror})",
            expected=f"`{AUTO}`, `{IMAGENET}`, `{CLASSIFICATION}`, or a file of encoder weights that Segline wrote",
            remedy="correct search.weights",
        ) from error


def load_encoder(model: "keras.Model", config: ModelConfig) -> None:
    """Load the encoder's initial weights into `model`; do nothing if `config` names none.

    Raises:
        ConfigError: the file does not exist, is damaged, or holds the weights of another network.
    """
    if config.weights is None:
        return
    from segline.models import encoders

    encoder = config.encoder or encoders.DEFAULT
    encoders.load_weights(model.get_layer(encoders.NAME), encoder=encoder, weights=config.weights)


def deployed(model: "keras.Model") -> "keras.Model":
    """Return `model` with its first output only, for prediction. The new model shares the layers."""
    import keras

    return model if len(model.outputs) == 1 else keras.Model(model.input, model.outputs[0], name=model.name)


def prune(model: "keras.Model", *, head: int) -> "keras.Model":
    """Reduce a network that averages several heads to its head number `head`, which needs less computation.

    For U-Net++ this is the paper's fast mode: head n is the output of the U-Net of depth n inside the network.

    Raises:
        ConfigError: the network has no such head.
    """
    import keras

    known = [layer.name for layer in model.layers if layer.name.startswith(_HEAD_PREFIX)]
    if f"{_HEAD_PREFIX}{head}" not in known:
        numbers = ", ".join(sorted(name.removeprefix(_HEAD_PREFIX) for name in known))
        raise ConfigError(
            f"{model.name} head {head}",
            found="no such head",
            expected=f"one of {numbers}" if known else "a network that averages several heads, such as U-Net++",
            remedy="name an existing head, or train such a network with more `search.heads`",
        )
    return keras.Model(model.input, model.get_layer(f"{_HEAD_PREFIX}{head}").output, name=model.name)


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
        if name not in known | _COMMON_FIELDS and value != field.default:
            raise ConfigError(
                f"{config.network}.{name}",
                found=repr(value),
                expected=f"only options that {config.network} has: {', '.join(sorted(known)) or 'none'}",
                remedy="delete it, or choose another network",
            )
    return family
