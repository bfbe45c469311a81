"""Files of PyTorch are read without PyTorch, and nothing that they name is run."""

import hashlib
import io
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from segline.formats import torch_state

MAGIC = 0x1950A86A20F9469CFC6C


class Named:
    """Pickled as a name of a module that need not be here."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Storage:
    def __init__(self, kind: str, key: str, count: int) -> None:
        self.pid = ("storage", Named("torch", kind), key, "cpu", count, None)


class Tensor:
    """Pickled as PyTorch pickles a tensor."""

    def __init__(self, storage: Storage, *, shape: tuple, strides: tuple, offset: int = 0) -> None:
        self.arguments = (storage, offset, shape, strides, False, OrderedDict())


class Writer(pickle._Pickler):
    """Write names as they are, and storages as persistent ids."""

    def persistent_id(self, value: object) -> object:
        return value.pid if isinstance(value, Storage) else None

    def save(self, value: object, *further: object, **options: object) -> None:
        if isinstance(value, Named):
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Tensor):
            self.save(Named("torch._utils", "_rebuild_tensor_v2"))
            self.save(value.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(value, *further, **options)


def write(state: dict, numbers: dict[str, np.ndarray], *, protocol: int = 1001) -> bytes:
    stream = io.BytesIO()
    for part in (MAGIC, protocol, {"little_endian": True}, OrderedDict(state), list(numbers)):
        Writer(stream, protocol=2).dump(part)
    for values in numbers.values():
        stream.write(struct.pack("<q", values.size) + values.tobytes())
    return stream.getvalue()


KERNEL = np.arange(24, dtype="<f4").reshape(2, 3, 4)
STATE = {
    "conv.weight": Tensor(Storage("FloatStorage", "1", 24), shape=(2, 3, 4), strides=(12, 4, 1)),
    "turned": Tensor(Storage("FloatStorage", "1", 24), shape=(3, 2), strides=(4, 12), offset=1),
    "count": Tensor(Storage("LongStorage", "2", 1), shape=(), strides=()),
}
NUMBERS = {"1": KERNEL, "2": np.array([7], "<i8")}


def test_arrays_are_those_that_were_written() -> None:
    found = torch_state.parse(write(STATE, NUMBERS))
    np.testing.assert_array_equal(found["conv.weight"], KERNEL)
    np.testing.assert_array_equal(found["turned"], KERNEL[:, :, 1].T)
    assert found["count"] == 7
    assert found["count"].shape == ()


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("collections", "Counter")]
)
def test_a_file_that_names_anything_else_is_refused(module: str, name: str) -> None:
    with pytest.raises(ValueError, match=rf"names {module}\.{name}"):
        torch_state.parse(write({**STATE, "evil": Named(module, name)}, NUMBERS))


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    content = b"".join(pickle.dumps(part, 2) for part in (MAGIC, 1001, Evil()))
    with pytest.raises(ValueError, match="weights do not need"):
        torch_state.parse(content)
    assert not (tmp_path / "ran").exists()


def described(**tensor: object) -> bytes:
    options = {"shape": (24,), "strides": (1,), **tensor}
    return write({"one": Tensor(Storage("FloatStorage", "1", 24), **options)}, {"1": KERNEL})


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"PK\x03\x04" + bytes(100), id="PyTorch's later format"),
        pytest.param(write(STATE, NUMBERS, protocol=1002), id="another protocol"),
        pytest.param(write(STATE, NUMBERS)[:-20], id="cut off"),
        pytest.param(described(shape=(25,)), id="more numbers than there are"),
        pytest.param(described(shape=(2, 12), strides=(20, 1)), id="beyond the end"),
        pytest.param(described(shape=(1 << 40,), strides=(0,)), id="one number repeated without end"),
        pytest.param(described(strides=(-1,), offset=23), id="backwards"),
        pytest.param(described(shape=(24, 1)), id="a stride too few"),
        pytest.param(write({"one": [1]}, {}), id="no tensor"),
        pytest.param(write(STATE, {"1": KERNEL, "2": NUMBERS["2"], "3": KERNEL}), id="numbers of no tensor"),
        pytest.param(write(STATE, {"1": KERNEL[:1], "2": NUMBERS["2"]}), id="fewer numbers than stated"),
    ],
)
def test_damaged_files_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        torch_state.parse(content)


def test_another_digest_is_refused_before_anything_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(write({"evil": Named("os", "system")}, {}))
    with pytest.raises(ValueError, match="SHA-256"):
        torch_state.read(path, sha256="0" * 64)
    path.write_bytes(write(STATE, NUMBERS))
    found = torch_state.read(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    np.testing.assert_array_equal(found["conv.weight"], KERNEL)
