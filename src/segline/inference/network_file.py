"""Load ``network.keras`` without running code from it; refuse a network that does not match its description."""

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

_RGB_CHANNELS = 3
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"  # Keras's names in its archive
_MAX_CONFIG_BYTES = 1 << 24
_UNSAVED_BYTES = 1 << 20  # room for variables that Keras does not save, such as seeds
_MAX_COMPRESSION = 20  # Keras does not compress weights at all
_UNCHECKED_BYTES = 1 << 24  # weights up to this size may be compressed by any factor


def load(path: Path, *, classes: int, stride: int) -> keras.Model:
    """Load a network, and check that it maps images (N, H, W, 3) to logits (N, H, W, `classes`).

    Args:
        stride: the sides of its input are multiples of this.

    Raises:
        DataError: the file is damaged, its layers are larger than its weights, it contains code of its own,
            or it is another kind of network.
    """
    import segline.models.blocks  # noqa: F401  (registers its layers, so that Keras finds them by name)

    try:
        network = _load_checked(path)
        reason = _find_mismatch(network, classes=classes, stride=stride)
    except Exception as error:  # Keras raises many types of error on damaged files
        words = str(error).strip() or type(error).__name__
        raise DataError(
            path,
            found=f"no network that Keras can load: {shortened(words.splitlines()[0])}",
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


def _load_checked(path: Path) -> keras.Model:
    """Build the network, load its weights, and refuse layers that need more memory than the weights have."""
    config, stored = _read_config(path)
    # Inside the scope, variables have a shape but no memory: their size is checked before any memory is taken.
    with keras.StatelessScope(initialize_variables=False) as scope:
        try:
            network = keras.saving.deserialize_keras_object(config, safe_mode=True)
            needed = sum(prod(each.shape) * np.dtype(each.dtype).itemsize for each in network.variables)
            if needed > stored + _UNSAVED_BYTES:
                raise ValueError(f"layers of {needed} bytes, but weights of {stored}")
            scope.initialize_variables = True
        except BaseException:
            keras.utils.clear_session(free_memory=False)  # otherwise Keras's next scope would create the variables
            raise
    _load_weights(network, path)
    return network


def _load_weights(network: keras.Model, path: Path) -> None:
    """Load the weights, if the disk has room from an unpacked copy: Keras reads that four times as fast."""
    with ExitStack() as cleanup:
        source = path
        try:
            folder = cleanup.enter_context(tempfile.TemporaryDirectory())
            with zipfile.ZipFile(path) as archive:
                source = Path(archive.extract(_WEIGHTS, folder))
        except OSError:
            source = path
        network.load_weights(source)


def _read_config(path: Path) -> tuple[dict[str, Any], int]:
    """Read how the network is built, and how many bytes its weights have.

    Raises:
        ValueError: the file is not what Keras writes, or is compressed more than weights can be.
        BadZipFile, KeyError, NotImplementedError, RuntimeError: from `zipfile`.
    """
    with zipfile.ZipFile(path) as archive:
        config, weights = archive.getinfo(_CONFIG), archive.getinfo(_WEIGHTS)
        if config.file_size > _MAX_CONFIG_BYTES:
            raise ValueError(f"a {_CONFIG} of {config.file_size} bytes")
        if weights.file_size > _UNCHECKED_BYTES + _MAX_COMPRESSION * weights.compress_size:
            raise ValueError(f"weights of {weights.file_size} bytes in {weights.compress_size}")
        content = strict_json.loads(archive.read(config))
    if not isinstance(content, dict):
        raise ValueError(f"a {_CONFIG} that is not a JSON object")
    return {**content, "compile_config": None}, weights.file_size


def _find_mismatch(network: Any, *, classes: int, stride: int) -> str:
    """Describe the first property of `network` that `load` does not accept; "" if there is none."""
    if not isinstance(network, keras.Model) or not network.built:
        return "no inputs and outputs"
    if len(network.inputs) != 1:
        return f"{len(network.inputs)} inputs"
    if len(network.outputs) != 1:
        return f"{len(network.outputs)} outputs"
    image, output = network.inputs[0].shape, network.outputs[0].shape
    if len(image) != 4 or image[-1] != _RGB_CHANNELS or any(side is not None for side in image[:-1]):
        return f"inputs of shape {image}"
    if len(output) != 4 or output[-1] != classes:
        return f"outputs of shape {output}"
    if not keras.backend.is_float_dtype(network.outputs[0].dtype):
        return f"outputs of type {network.outputs[0].dtype}"
    sides = stride, 3 * stride
    try:
        found = network.compute_output_shape((1, *sides, _RGB_CHANNELS))
    except Exception as error:  # each layer raises its own
        return f"no output for images of {sides} pixels ({shortened(str(error).splitlines()[0])})"
    if not isinstance(found, tuple):
        return f"a {type(found).__name__} of outputs"
    if any(side not in (wanted, None) for side, wanted in zip(found[1:3], sides, strict=True)):
        return f"outputs of {found[1:3]} pixels for images of {sides}"
    bad = next((each for each in network.variables if _has_non_finite(each)), None)
    return "" if bad is None else f"weights in {bad.path} that are NaN or infinite"


def _has_non_finite(variable: Any) -> bool:
    values = keras.ops.convert_to_numpy(variable)
    return bool(np.issubdtype(values.dtype, np.inexact)) and not bool(np.isfinite(values).all())
