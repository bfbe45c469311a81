"""Build encoders, one file each: classification networks without their head, the start of segmentation networks.

To add one, add ``<encoder>.py`` with ``features(image, output_stride) -> (low, deep)`` to this folder.
``image`` is (N, H, W, 3) within -1..1. ``low`` has a quarter of its sides, ``deep`` its sides divided by
`output_stride`, a power of 2 from 8 to 32. Where the classifier would halve the sides further, the following
convolutions are dilated instead (Chen et al. 2017, arXiv:1706.05587).

``SKIPS`` of the file names the layers whose outputs decoders join: the stride of the features, that is the image's
side divided by theirs -> the last layer with it, 2 (if there is one) to 16. Sums of residual blocks are better than
what a block expands to: they have fewer channels. Without ``SKIPS``, decoders get ``low`` and ``deep`` alone.

If weights are published for an encoder, ``WEIGHTS`` of its file describes them, as literal values: the fields of
`segline.models.weights.catalogue.Published`. The layers of an encoder of Keras Applications have the same names as
there, because weights are copied by name. Keras's own builders are not used, because they have no dilation.
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from segline.errors import ConfigError
from segline.formats import arrays
from segline.storage import atomic_file

NAME = "encoder"
"""Name of the encoder layer inside a network."""

DEFAULT = "mobilenet_v2"

_LOW_STRIDE = 4  # of the low features


def build(encoder: str, *, output_stride: int) -> keras.Model:
    """Build `encoder`: (N, H, W, 3) within -1..1 -> its low-level and its deep features."""
    image = keras.Input((None, None, 3), name="scaled")
    return keras.Model(image, list(_load_family(encoder).features(image, output_stride)), name=NAME)


def build_pyramid(encoder: str, *, output_stride: int) -> keras.Model:
    """Build `encoder` with the features of every stride: (N, H, W, 3) within -1..1 -> those of `list_strides`.

    Layers, names and weights are those of `build`.
    """
    model, skips = build(encoder, output_stride=output_stride), _find_skips(encoder)
    if not skips:
        return model
    joined = [model.get_layer(skips[stride]).output for stride in list_strides(encoder, output_stride)[:-1]]
    return keras.Model(model.input, [*joined, model.outputs[-1]], name=NAME)


def list_strides(encoder: str, output_stride: int) -> tuple[int, ...]:
    """List the strides of the features of `encoder`, in rising order; the last one is `output_stride`."""
    skips = _find_skips(encoder) or (_LOW_STRIDE,)
    return (*sorted(stride for stride in skips if stride < output_stride), output_stride)


def _find_skips(encoder: str) -> dict[int, str]:
    return getattr(_load_family(encoder), "SKIPS", {})


def _load_family(encoder: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{encoder}")


def load_weights(model: keras.Model, *, encoder: str, weights: str) -> None:
    """Load initial weights into the encoder `model`.

    Args:
        model: the result of `build`.
        encoder: its name.
        weights: a file that `save_weights` wrote for the same encoder at any output stride.

    Raises:
        ConfigError: the file does not exist, is damaged, or holds the weights of another network.
    """
    if not Path(weights).is_file():
        raise ConfigError(
            weights,
            found="no such file",
            expected=f"weights of {encoder}",
            remedy="correct search.weights, or delete it to start with random weights",
        )
    for layer, values in zip(_list_weighted(model), _read_weights(Path(weights), model, encoder), strict=True):
        layer.set_weights(values)


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of the encoder `model`, layer by layer, to the ``.npz`` file `path`.

    Raises:
        StorageError: no room or no right to write.
    """
    with atomic_file(path) as partial, partial.open("wb") as handle:
        np.savez(handle, **list_weights(model))


def list_weights(model: keras.Model) -> dict[str, Any]:
    """List the weights of the encoder `model` layer by layer: ``<layer>/<place>`` -> array."""
    return {
        f"{layer.name}/{place}": value
        for layer in _list_weighted(model)
        for place, value in enumerate(layer.get_weights())
    }


def _read_weights(path: Path, model: keras.Model, encoder: str) -> list[list[npt.NDArray[Any]]]:
    """Read the values of each layer, and refuse a file that does not fit. Keras's own reader ignores differences."""
    try:
        found = arrays.shapes(path)
    except ValueError as error:
        raise ConfigError(
            path,
            found=f"not a weights file ({error})",
            expected="a .npz file that Segline wrote",
            remedy="train the encoder again, or name another file in search.weights",
        ) from error
    wanted = {
        f"{layer.name}/{place}": tuple(value.shape)
        for layer in _list_weighted(model)
        for place, value in enumerate(layer.weights)
    }
    if found != wanted:
        differing = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        raise ConfigError(
            path,
            found=f"not the weights of {encoder}: {len(differing)} differ in shape, such as {', '.join(differing[:3])}",
            expected=f"the {len(wanted)} weights of {encoder}",
            remedy="name the encoder of this file in search.encoders, or another file in search.weights",
        )
    read = arrays.load(path)
    unusable = [name for name, value in read.items() if value.dtype.kind != "f" or not np.isfinite(value).all()]
    if unusable:
        raise ConfigError(
            path,
            found=f"weights that are NaN, infinite or no floating-point numbers: {', '.join(unusable[:3])}",
            expected="finite floating-point weights",
            remedy="train the encoder again, or name another file in search.weights",
        )
    return [[read[f"{layer.name}/{place}"] for place in range(len(layer.weights))] for layer in _list_weighted(model)]


def _list_weighted(model: keras.Model) -> list[keras.Layer]:
    return [layer for layer in model.layers if layer.weights]
