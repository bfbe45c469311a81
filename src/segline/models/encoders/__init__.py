"""Encoders: what a classifier sees in an image, for segmentation networks to begin with, one file each.

Adding one is adding ``<encoder>.py`` with ``features(image, output_stride) -> (low, deep)`` to this
folder. ``image`` is (N, H, W, 3) within -1..1; ``low`` has a quarter of its sides, ``deep`` its sides
over `output_stride`, a power of 2 from 8 to 32: where a classifier would halve further, its
convolutions are dilated instead (Chen et al. 2017, arXiv:1706.05587).

The layers of Keras Applications' classifiers bear their names, so that ImageNet weights find their
place; Keras's own builders take no dilation.
"""

import importlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from segline.errors import ConfigError, SourceError
from segline.formats import arrays
from segline.storage import atomic_file

NAME = "encoder"
"""The encoder's name inside a network."""

DEFAULT = "mobilenet_v2"

IMAGENET = {"mobilenet_v2": "MobileNetV2", "xception": "Xception"}
"""Encoders that Keras Applications has ImageNet weights for, and their builders there."""


def build(encoder: str, *, output_stride: int) -> keras.Model:
    """(N, H, W, 3) within -1..1 -> the low-level and the deep features of `encoder`."""
    family = importlib.import_module(f"{__name__}.{encoder}")
    image = keras.Input((None, None, 3), name="scaled")
    return keras.Model(image, list(family.features(image, output_stride)), name=NAME)


def load_weights(model: keras.Model, *, encoder: str, weights: str) -> None:
    """Put first weights into the encoder `model`.

    Args:
        model: what `build` returned.
        encoder: its name.
        weights: ``imagenet``, or a file that `save_weights` wrote, of the same encoder at any output stride.

    Raises:
        ConfigError: no such file, or one of another network.
        SourceError: the ImageNet weights cannot be fetched.
    """
    if weights == "imagenet":
        _transfer(_imagenet(encoder), model)
        return
    if not Path(weights).is_file():
        raise ConfigError(
            weights,
            found="no such file",
            expected=f"weights of {encoder}, or `imagenet`",
            remedy="correct model.weights, or leave it out to begin from drawn weights",
        )
    for layer, values in zip(_weighted(model), _read(Path(weights), model, encoder), strict=True):
        layer.set_weights(values)


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of the encoder `model`, by layer, to the ``.npz`` file `path`.

    Raises:
        StorageError: no room or no right to write.
    """
    arrays = {
        f"{layer.name}/{place}": value for layer in _weighted(model) for place, value in enumerate(layer.get_weights())
    }
    with atomic_file(path) as partial, partial.open("wb") as handle:
        np.savez(handle, **arrays)


def _read(path: Path, model: keras.Model, encoder: str) -> list[list[npt.NDArray[Any]]]:
    """Values for each of the model's layers, all of them fitting: Keras's own reader skips in silence."""
    try:
        found = arrays.shapes(path)
    except ValueError as error:
        raise ConfigError(
            path, found=f"no file of weights ({error})", expected="a .npz that Segline wrote", remedy="write it anew"
        ) from error
    wanted = {
        f"{layer.name}/{place}": tuple(value.shape)
        for layer in _weighted(model)
        for place, value in enumerate(layer.weights)
    }
    if found != wanted:
        unlike = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        raise ConfigError(
            path,
            found=f"not the weights of {encoder}: {len(unlike)} differ, such as {', '.join(unlike[:3])}",
            expected=f"the {len(wanted)} weights of {encoder}",
            remedy="name the encoder that the file is of",
        )
    read = arrays.load(path)
    wild = [name for name, value in read.items() if value.dtype.kind != "f" or not np.isfinite(value).all()]
    if wild:
        raise ConfigError(
            path,
            found=f"weights that are NaN, infinite or no numbers: {', '.join(wild[:3])}",
            expected="finite floating-point weights",
            remedy="write it anew",
        )
    return [[read[f"{layer.name}/{place}"] for place in range(len(layer.weights))] for layer in _weighted(model)]


def _weighted(model: keras.Model) -> list[keras.Layer]:
    return [layer for layer in model.layers if layer.weights]


def _imagenet(encoder: str) -> keras.Model:
    if encoder not in IMAGENET:
        raise ConfigError(
            f"{encoder}.weights",
            found="no ImageNet weights are published for it in Keras Applications",
            expected=f"one of {', '.join(sorted(IMAGENET))}",
            remedy="choose one of these, a file, or no weights",
        )
    try:
        classifier: keras.Model = getattr(keras.applications, IMAGENET[encoder])(include_top=False, weights="imagenet")
    except Exception as error:  # it raises a bare Exception when the address cannot be reached
        raise SourceError(
            f"ImageNet weights of {encoder}",
            found=f"cannot be fetched: {error}",
            expected="Keras's weights, from the network or from its cache (~/.keras/models)",
            remedy="fetch them once on a machine with a network and copy the cache, or begin from drawn weights",
        ) from error
    return classifier


def _transfer(source: keras.Model, target: keras.Model) -> None:
    """Copy weights layer by layer: by name, or by order where Keras Applications gave no name."""
    ours = {layer.name: layer for layer in _weighted(target)}
    theirs = _weighted(source)
    unnamed = [layer for layer in theirs if layer.name not in ours]
    left = [layer for name, layer in ours.items() if name not in {layer.name for layer in theirs}]
    named = [(layer, ours[layer.name]) for layer in theirs if layer.name in ours]
    by_order = [
        pair
        for kind in (keras.layers.Conv2D, keras.layers.BatchNormalization)
        for pair in zip(_of(kind, unnamed), _of(kind, left), strict=True)
    ]
    for one, other in (*named, *by_order):
        other.set_weights(one.get_weights())


def _of(kind: type[keras.Layer], layers: list[Any]) -> list[Any]:
    return [layer for layer in layers if type(layer) is kind]
