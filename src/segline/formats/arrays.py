"""NumPy's ``.npy`` and ``.npz`` files: what their arrays take is known before any memory is."""

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

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_DAMAGED = (
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
    """Array name -> shape, each with as many bytes behind it as it says.

    Raises:
        ValueError: `path` is no such archive, or an array's header says what is not there.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {info.filename.removesuffix(".npy"): _member(archive, info) for info in archive.infolist()}
    except _DAMAGED as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[int, ...]:
    with archive.open(info) as member:
        return _shape(member, size=info.file_size)


def _shape(stream: IO[bytes], *, size: int) -> tuple[int, ...]:
    read_header = _HEADERS.get(npy.read_magic(stream))
    if read_header is None:
        raise ValueError("an array of a later NumPy")
    shape, _, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize > size:
        raise ValueError(f"an array of shape {shape} in {size} bytes")
    return tuple(shape)


def parse(data: bytes) -> npt.NDArray[Any]:
    """The array in the bytes of a ``.npy`` file.

    Raises:
        ValueError: they are none, or it is larger than they are.
    """
    try:
        _shape(io.BytesIO(data), size=len(data))
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    except _DAMAGED as error:
        raise ValueError(str(error) or type(error).__name__) from error


def load(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Array name -> array.

    Raises:
        ValueError: as for `shapes`, or an array is damaged.
    """
    shapes(path)
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
            return dict(content)
    except _DAMAGED as error:
        raise ValueError(str(error) or type(error).__name__) from error
