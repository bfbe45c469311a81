"""Read the weights in a file of PyTorch's first format, without PyTorch and without running code from the file.

Such a file is a series of pickles, then the numbers. A pickle can name any function and have it called, so the reader
here knows only four names, and none of them is imported: they build a plain description of each tensor.
"""

import hashlib
import io
import pickle
from collections import OrderedDict
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from segline.reading import read_bytes

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_MAX_BYTES = 1 << 30
_TYPES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Tensor(NamedTuple):
    """A tensor, described by the arguments that PyTorch would build it from. Strides count elements."""

    storage: tuple[Any, ...]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Unpickle plain values, ordered dictionaries and descriptions of tensors; refuse all else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name of PyTorch.

        Raises:
            UnpicklingError: the name is not needed for weights.
        """
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        if module == "torch" and name in _TYPES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}, which weights do not need")

    def persistent_load(self, pid: Any) -> Any:
        """Return the description of a storage: kind, type, key, device, number of elements, view."""
        return pid


def read(path: Path, *, sha256: str) -> dict[str, npt.NDArray[Any]]:
    """Return name -> array of the state dictionary in `path`.

    Args:
        sha256: digest that the file must have; nothing is unpickled before it is compared.

    Raises:
        ValueError: the file has another digest, or does not hold weights alone.
        OSError: it cannot be read.
    """
    content = read_bytes(path, limit=_MAX_BYTES)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"SHA-256 {found}")
    return parse(content)


def parse(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return name -> array of the state dictionary in the bytes of a file.

    Raises:
        ValueError: the file does not hold weights alone.
    """
    stream = io.BytesIO(content)
    try:
        magic, protocol, _, described, keys = (_Unpickler(stream).load() for _ in range(5))
        if (magic, protocol) != (_MAGIC, _PROTOCOL):
            raise ValueError("not a file of PyTorch's first format")
        storages = _read_storages(stream, described.values(), keys)
        return {str(name): _build(tensor, storages) for name, tensor in described.items()}
    except ValueError:
        raise
    except Exception as error:  # unpickling damaged bytes raises almost any type
        raise ValueError(str(error) or type(error).__name__) from error


def _read_storages(stream: io.BytesIO, tensors: Any, keys: Any) -> dict[str, npt.NDArray[Any]]:
    """Read the numbers of each storage: its number of elements, then the elements."""
    types = {tensor.storage[2]: (_TYPES[tensor.storage[1]], int(tensor.storage[4])) for tensor in tensors}
    storages = {}
    for key in keys:
        dtype, count = types[key]
        stated = int.from_bytes(stream.read(8), "little", signed=True)
        data = stream.read(max(0, count) * dtype.itemsize)
        if stated != count or len(data) != count * dtype.itemsize:
            raise ValueError(f"{len(data)} bytes for {count} numbers")
        storages[key] = np.frombuffer(data, dtype=dtype)
    return storages


def _build(tensor: _Tensor, storages: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Build the array of a tensor, and check that it lies within its storage."""
    storage, (offset, shape, strides) = storages[tensor.storage[2]], tensor[1:]
    if min((offset, *shape, *strides), default=0) < 0 or len(shape) != len(strides):
        raise ValueError(f"a tensor of shape {shape}, strides {strides}, offset {offset}")
    last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
    if prod(shape) > storage.size or last >= storage.size:
        raise ValueError(f"a tensor of shape {shape} in {storage.size} numbers")
    bytes_between = [step * storage.itemsize for step in strides]
    view = np.lib.stride_tricks.as_strided(storage[offset:], shape=shape, strides=bytes_between, writeable=False)
    return np.array(view)
