"""``network.keras``: loaded without running what is in it, and refused where it does not do what a bundle says."""

import tempfile
import zipfile
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Any

import keras
import numpy as np

from segline.errors import DataError, shortened
from segline.formats import strict_json

CHANNELS = 3
"""Of images, RGB."""

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"  # Keras's names in its archive
_MAX_CONFIG_BYTES = 1 << 24
_SPARE_BYTES = 1 << 20  # of variables that Keras does not keep, such as seeds
_MAX_EXPANSION = 20  # times that weights are packed; Keras does not pack them at all
_PACKED_SMALL_BYTES = 1 << 24


def load(path: Path, *, classes: int, stride: int) -> keras.Model:
    """Load a network, and see that it is images (N, H, W, 3) -> logits (N, H, W, `classes`).

    Args:
        stride: what the sides of its input are multiples of.

    Raises:
        DataError: it is damaged, larger than its weights, executes code of its own, or is another kind of network.
    """
    import segline.models.blocks  # noqa: F401  (its layers must be known by name)

    try:
        network = _loaded(path)
        reason = _mismatch(network, classes=classes, stride=stride)
    except Exception as error:  # what Keras raises on damaged files is not a closed set
        said = str(error).strip() or type(error).__name__
        raise DataError(
            path,
            found=f"no network that Keras can load: {shortened(said.splitlines()[0])}",
            expected="the file that Segline wrote",
            remedy="restore it, or name another model",
        ) from error
    if reason:
        raise DataError(
            path,
            found=f"a network with {reason}",
            expected=f"RGB images in, {classes} finite logits for each pixel out, as {path.parent.name} describes it",
            remedy="restore the folder, or name another model",
        )
    return network


def _loaded(path: Path) -> keras.Model:
    config, held = _config(path)
    # Inside the scope no variable has memory yet: how much they take is known before any is taken.
    with keras.StatelessScope(initialize_variables=False) as scope:
        try:
            network = keras.saving.deserialize_keras_object(config, safe_mode=True)
            needed = sum(prod(each.shape) * np.dtype(each.dtype).itemsize for each in network.variables)
            if needed > held + _SPARE_BYTES:
                raise ValueError(f"layers of {needed} bytes, but weights of {held}")
            scope.initialize_variables = True
        except BaseException:
            keras.utils.clear_session(free_memory=False)  # Keras would make the variables in its next scope
            raise
    _fill(network, path)
    return network


def _fill(network: keras.Model, path: Path) -> None:
    """Load the weights; from a file of their own where there is room, as Keras is four times as fast then."""
    with ExitStack() as cleanup:
        source = path
        try:
            folder = cleanup.enter_context(tempfile.TemporaryDirectory())
            with zipfile.ZipFile(path) as archive:
                source = Path(archive.extract(_WEIGHTS, folder))
        except OSError:
            source = path
        network.load_weights(source)


def _config(path: Path) -> tuple[dict[str, Any], int]:
    """How the network is built, and how many bytes its weights have.

    Raises:
        ValueError: it is not what Keras writes, or is packed as no weights are.
        BadZipFile, KeyError, NotImplementedError, RuntimeError: as `zipfile` has it.
    """
    with zipfile.ZipFile(path) as archive:
        config, weights = archive.getinfo(_CONFIG), archive.getinfo(_WEIGHTS)
        if config.file_size > _MAX_CONFIG_BYTES:
            raise ValueError(f"a {_CONFIG} of {config.file_size} bytes")
        if weights.file_size > _PACKED_SMALL_BYTES + _MAX_EXPANSION * weights.compress_size:
            raise ValueError(f"weights of {weights.file_size} bytes in {weights.compress_size}")
        content = strict_json.loads(archive.read(config))
    if not isinstance(content, dict):
        raise ValueError(f"a {_CONFIG} that is no object")
    return {**content, "compile_config": None}, weights.file_size


def _mismatch(network: Any, *, classes: int, stride: int) -> str:
    """What is not as `load` wants it; empty where all is."""
    if not isinstance(network, keras.Model) or not network.built:
        return "no inputs and outputs"
    if len(network.inputs) != 1:
        return f"{len(network.inputs)} inputs"
    if len(network.outputs) != 1:
        return f"{len(network.outputs)} outputs"
    given, answer = network.inputs[0].shape, network.outputs[0].shape
    if len(given) != 4 or given[-1] != CHANNELS or any(side is not None for side in given[:-1]):
        return f"inputs of shape {given}"
    if len(answer) != 4 or answer[-1] != classes:
        return f"answers of shape {answer}"
    if not keras.backend.is_float_dtype(network.outputs[0].dtype):
        return f"answers of type {network.outputs[0].dtype}"
    sides = stride, 3 * stride
    try:
        answered = network.compute_output_shape((1, *sides, CHANNELS))
    except Exception as error:  # each layer's own
        return f"no answer to images of {sides} pixels ({shortened(str(error).splitlines()[0])})"
    if not isinstance(answered, tuple):
        return f"a {type(answered).__name__} of answers"
    if any(side not in (wanted, None) for side, wanted in zip(answered[1:3], sides, strict=True)):
        return f"answers of {answered[1:3]} pixels to images of {sides}"
    return next((f"weights in {each.path} that are NaN or infinite" for each in network.variables if _wild(each)), "")


def _wild(variable: Any) -> bool:
    values = keras.ops.convert_to_numpy(variable)
    return bool(np.issubdtype(values.dtype, np.inexact)) and not bool(np.isfinite(values).all())
