"""Measure the memory that calls take, independently of what their process did before.

Two values are measured, because TensorFlow's allocator keeps freed memory for its next tensors, so that reused memory
does not show as growth of the process's resident memory. The allocator counts the pieces that it gives out, which
can be larger than requested: a small U-Net's tensors took 27 MiB in a new process, and 36 MiB in one that had trained.
"""

import ctypes
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import psutil

_SAMPLING_SECONDS = 0.005  # between two samples, if the kernel keeps no high-water mark
_REPEATING_SECONDS = 20 * _SAMPLING_SECONDS  # the call is repeated, so that samples catch short peaks
_DEVICE = "CPU:0"
_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory of this process during some calls, bytes; a GPU's memory is not counted.

    Args:
        tensor_bytes: peak of TensorFlow's tensors, above what they held before. None where tensors are not counted,
            as with another backend or allocator; they are then part of the resident growth.
        resident_before_bytes: resident memory at the start: libraries, the network, and all else.
        resident_peak_bytes: highest resident memory during the calls.
    """

    tensor_bytes: int | None
    resident_before_bytes: int
    resident_peak_bytes: int

    @property
    def added_bytes(self) -> int:
        """Growth of resident memory: what the calls take besides tensors that reuse kept memory."""
        return self.resident_peak_bytes - self.resident_before_bytes


def measure(call: Callable[[], object]) -> Memory:
    """Measure the memory that `call` takes; it is repeated for 0.1 s.

    Run `call` once before, so that memory that its first run allocates and keeps is not counted. Freed memory is
    first returned to the system, because calls that reuse it would seem to take none. The peak is the kernel's
    high-water mark where that can be reset (Linux, proc(5): clear_refs). Elsewhere memory is sampled every 5 ms, which
    misses shorter peaks.
    """
    _return_freed_memory()
    _reset_tensor_peak()
    with _watch_resident() as peak:
        before = _read_resident()
        begun = time.perf_counter()
        call()
        while time.perf_counter() - begun < _REPEATING_SECONDS:
            call()
        most = peak()
    return Memory(tensor_bytes=_read_tensor_peak(), resident_before_bytes=before, resident_peak_bytes=max(before, most))


def _reset_tensor_peak() -> None:
    """Set TensorFlow's peak of tensor memory to the present value."""
    if _counts_tensors():
        import tensorflow

        tensorflow.config.experimental.reset_memory_stats(_DEVICE)


def _read_tensor_peak() -> int | None:
    """Read the peak since the reset, minus what tensors take now, bytes; those of the calls are freed by now."""
    if not _counts_tensors():
        return None
    import tensorflow

    found = tensorflow.config.experimental.get_memory_info(_DEVICE)
    return int(found["peak"] - found["current"])


def _counts_tensors() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow

    try:
        tensorflow.config.experimental.get_memory_info(_DEVICE)
    except (ValueError, tensorflow.errors.OpError):
        return False
    return True


def _return_freed_memory() -> None:
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim  # exists in glibc alone
    except (AttributeError, OSError, TypeError):
        return
    trim(0)


@contextmanager
def _watch_resident() -> Iterator[Callable[[], int]]:
    """Yield a function that returns the highest resident memory since the start of the block, bytes."""
    if _reset_high_water():
        yield _read_high_water
        return
    stop, most = threading.Event(), [_read_resident()]

    def sample() -> None:
        while not stop.wait(_SAMPLING_SECONDS):
            most[0] = max(most[0], _read_resident())

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield lambda: most[0]
    finally:
        stop.set()
        sampler.join()


def _reset_high_water() -> bool:
    """Set the kernel's high-water mark to the present memory; return False where there is none."""
    try:
        _RESET.write_text("5", encoding="ascii")
        return _read_high_water() > 0
    except OSError:
        return False


def _read_high_water() -> int:
    lines = _STATUS.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _read_resident() -> int:
    return int(psutil.Process().memory_info().rss)
