"""Make initial weights and dropout depend on a seed only.

Keras draws the seeds of initialisers and dropout layers from Python's global random generator. In a Prefect
flow, Prefect's threads draw from it too (`prefect.utilities.math`). So two runs could differ even if both seed
the generator first.
"""

import hashlib
from collections.abc import Iterator

import keras
import numpy as np
from keras.initializers import Initializer


def reseed(model: keras.Model, seed: int) -> None:
    """Draw the weights of `model` again, each from `seed` and its position in the model, and seed its dropout.

    It works on any newly built Keras model whose layers store the initialiser of the weight ``<name>`` or
    ``<name>_kernel`` as ``<name>_initializer``, as Keras's own layers do.

    Raises:
        ValueError: a trainable weight has no known initialiser.
    """
    drawn: set[int] = set()
    for place, layer in enumerate(_list_layers(model)):
        for name, initializer in vars(layer).items():
            if name.endswith("_initializer") and isinstance(initializer, Initializer):
                weight = _find_weight(layer, name.removesuffix("_initializer"))
                if weight is not None:
                    draw = _seed_initializer(initializer, _derive_seed(seed, place, name))
                    weight.assign(draw(weight.shape, weight.dtype))
                    drawn.add(id(weight))
        if isinstance(layer, keras.layers.Dropout):
            state = layer.seed_generator.state
            state.assign(np.array([_derive_seed(seed, place), 0], dtype="uint32"))
    missed = [weight.path for weight in model.trainable_weights if id(weight) not in drawn]
    if missed:
        raise ValueError(f"weights without a known initialiser: {', '.join(missed)}")


def _list_layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield every layer of `model`, and of the models inside it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _list_layers(layer)
        else:
            yield layer


def _find_weight(layer: keras.Layer, name: str) -> keras.Variable | None:
    # In a depthwise convolution, `depthwise_initializer` belongs to the weight `kernel`.
    for candidate in (name, f"{name}_kernel", f"_{name}", "kernel" if name == "depthwise" else name):
        weight = getattr(layer, candidate, None)
        if isinstance(weight, keras.Variable):
            return weight
    return None


def _seed_initializer(initializer: Initializer, seed: int) -> Initializer:
    settings = initializer.get_config()
    return type(initializer).from_config({**settings, "seed": seed} if "seed" in settings else settings)


def _derive_seed(seed: int, *place: object) -> int:
    """Derive 31 bits from `seed` and a place, the same in every process."""
    return int.from_bytes(hashlib.sha256(repr((seed, *place)).encode()).digest()[:4], "big") >> 1
