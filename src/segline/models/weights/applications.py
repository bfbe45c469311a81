"""Fetch weights of Keras Applications, and copy them to our encoders, whose layers have the same names."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy.typing as npt

from segline.errors import SourceError
from segline.models.weights.catalogue import Published

_MATCHED_BY_ORDER = (keras.layers.Conv2D, keras.layers.BatchNormalization, keras.layers.LayerNormalization)


def fetch(published: Published) -> keras.Model:
    """Fetch the classifier without its classification layer, from Keras's cache or from the network.

    Raises:
        SourceError: the weights are not in the cache, and cannot be fetched.
    """
    assert published.application
    try:
        classifier: keras.Model = getattr(keras.applications, published.application)(
            include_top=False, weights="imagenet"
        )
    except Exception as error:  # Keras raises a bare Exception when the address cannot be reached
        raise SourceError(
            f"ImageNet weights of {published.encoder}",
            found=f"cannot be fetched: {error}",
            expected=f"{published.file}, from the network or from Keras's cache (~/.keras/models)",
            remedy=f"where there is a network, run `segline weights fetch {published.encoder} --output DIR`, and carry "
            "DIR here (SEGLINE_WEIGHTS); or choose an encoder whose weights are a package: segline weights list",
        ) from error
    return classifier


def copy(source: keras.Model, target: keras.Model) -> None:
    """Copy weights layer by layer: by name, or by order if Keras Applications gives the layer no name of its own.

    Raises:
        ValueError: a layer has no counterpart, or one of another shape.
    """
    ours = {layer.name: layer for layer in _list_weighted(target)}
    theirs = {layer.name: layer for layer in _list_weighted(source)}
    pairs = [(layer, ours[name]) for name, layer in theirs.items() if name in ours]
    unnamed = [layer for name, layer in theirs.items() if name not in ours]
    missing = [layer for name, layer in ours.items() if name not in theirs]
    for kind in _MATCHED_BY_ORDER:
        pairs += zip(_select(kind, unnamed), _select(kind, missing), strict=True)
    if len(pairs) != len(ours):
        raise ValueError(f"{len(pairs)} of {len(ours)} layers have a counterpart in Keras Applications")
    for one, other in pairs:
        other.set_weights(
            [_fit_shape(value, weight) for value, weight in zip(one.get_weights(), other.weights, strict=True)]
        )


def _fit_shape(value: npt.NDArray[Any], weight: Any) -> npt.NDArray[Any]:
    """Swap the last axes of a kernel with one group for each channel: our layer is a depthwise convolution."""
    grouped = value.ndim == 4 and value.shape != tuple(weight.shape) and value.shape[2] == 1
    return value.swapaxes(2, 3) if grouped else value


def _list_weighted(model: keras.Model) -> Iterator[Any]:
    """List the layers with weights, also those inside models."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _list_weighted(layer)
        elif layer.weights:
            yield layer


def _select(kind: type[keras.Layer], layers: list[Any]) -> list[Any]:
    return [layer for layer in layers if isinstance(layer, kind)]
