"""First weights and dropout from a seed alone.

Keras draws the seeds of initialisers and dropout layers from Python's one global generator. In a
flow that generator is not ours: Prefect's threads draw from it (`prefect.utilities.math`), so that
seeding it first makes two runs equal only most of the time.
"""

import hashlib
from collections.abc import Iterator

import keras
import numpy as np
from keras.initializers import Initializer


def reseed(model: keras.Model, seed: int) -> None:
    """Draw the weights of `model` anew, each from `seed` and its own place, and seed its dropout.

    Works on any freshly built Keras model whose layers keep an initialiser as ``<name>_initializer``
    beside the weight ``<name>`` or ``<name>_kernel``, as Keras's own do.

    Raises:
        ValueError: a weight with random first values was not reached.
    """
    drawn: set[int] = set()
    for place, layer in enumerate(_layers(model)):
        for name, initializer in vars(layer).items():
            if name.endswith("_initializer") and isinstance(initializer, Initializer):
                weight = _weight(layer, name.removesuffix("_initializer"))
                if weight is not None:
                    weight.assign(_seeded(initializer, _derived(seed, place, name))(weight.shape, weight.dtype))
                    drawn.add(id(weight))
        if isinstance(layer, keras.layers.Dropout):
            state = layer.seed_generator.state
            state.assign(np.array([_derived(seed, place), 0], dtype="uint32"))
    missed = [weight.path for weight in model.trainable_weights if id(weight) not in drawn]
    if missed:
        raise ValueError(f"weights without a known initialiser: {', '.join(missed)}")


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Every layer, those of models inside included."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _weight(layer: keras.Layer, name: str) -> keras.Variable | None:
    # A depthwise convolution keeps what its depthwise_initializer draws as its kernel.
    for candidate in (name, f"{name}_kernel", f"_{name}", "kernel" if name == "depthwise" else name):
        weight = getattr(layer, candidate, None)
        if isinstance(weight, keras.Variable):
            return weight
    return None


def _seeded(initializer: Initializer, seed: int) -> Initializer:
    settings = initializer.get_config()
    return type(initializer).from_config({**settings, "seed": seed} if "seed" in settings else settings)


def _derived(seed: int, *place: object) -> int:
    """31 bits from `seed` and a place, the same in every process."""
    return int.from_bytes(hashlib.sha256(repr((seed, *place)).encode()).digest()[:4], "big") >> 1
