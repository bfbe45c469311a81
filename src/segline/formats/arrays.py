"""Read NumPy's ``.npy`` and ``.npz`` files; the size of each array is checked before memory is allocated for it."""

import io
import struct
import tokenize
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_DAMAGE_ERRORS = (
    OSError,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    TypeError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return array name -> shape; check that each array has as many bytes as its header says.

    Raises:
        ValueError: `path` is not an ``.npz`` file, or an array has fewer bytes than its header says.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {info.filename.removesuffix(".npy"): _read_shape_of(archive, info) for info in archive.infolist()}
    except _DAMAGE_ERRORS as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _read_shape_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[int, ...]:
    with archive.open(info) as member:
        return _read_shape(member, size=info.file_size)


def _read_shape(stream: IO[bytes], *, size: int) -> tuple[int, ...]:
    read_header = _HEADER_READERS.get(npy.read_magic(stream))
    if read_header is None:
        raise ValueError("an array in the format of a later NumPy")
    shape, _, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize > size:
        raise ValueError(f"an array of shape {shape} in {size} bytes")
    return tuple(shape)


def parse(data: bytes) -> npt.NDArray[Any]:
    """Return the array in the bytes of a ``.npy`` file.

    Raises:
        ValueError: `data` is not a ``.npy`` file, or has fewer bytes than the header says.
    """
    try:
        _read_shape(io.BytesIO(data), size=len(data))
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    except _DAMAGE_ERRORS as error:
        raise ValueError(str(error) or type(error).__name__) from error


def load(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return array name -> array.

    Raises:
        ValueError: as for `shapes`, or an array is damaged.
    """
    shapes(path)
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
            return dict(content)
    except _DAMAGE_ERRORS as error:
        raise ValueError(str(error) or type(error).__name__) from error
