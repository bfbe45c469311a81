"""Memory that calls take, whatever their process did before.

Two figures, because TensorFlow's allocator keeps what its tensors leave and gives it to the next ones: memory
of tensors that a process has once had is in no later growth of its resident memory. That allocator counts the
kept pieces that it gives, which may be larger than what was asked for: a small U-Net's tensors took 27 MiB in
a new process and 36 MiB in one that had trained.
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

_GLANCE = 0.005  # seconds between two looks, where the kernel does not watch
_SECONDS = 20 * _GLANCE  # that calls go on for, so that looks see short ones too
_DEVICE = "CPU:0"
_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory of this process around some calls, bytes; that of a GPU is not counted.

    Args:
        tensor_bytes: the most that TensorFlow's tensors took at once, above what they held before; None where
            it does not count them, as another backend or allocator, whose tensors are then resident growth.
        resident_before_bytes: as they begin: libraries, the network, and whatever else the process holds.
        resident_peak_bytes: the greatest while they run.
    """

    tensor_bytes: int | None
    resident_before_bytes: int
    resident_peak_bytes: int

    @property
    def added_bytes(self) -> int:
        """Growth of resident memory meanwhile: what the calls take besides tensors that find kept memory."""
        return self.resident_peak_bytes - self.resident_before_bytes


def taken(call: Callable[[], object]) -> Memory:
    """Memory that `call` takes; it is called once or more, for 0.1 s.

    It has been called before: what a first call sets up and keeps is then not counted. Memory that was
    freed is handed back to the system first, as calls that find it again would seem to take none. The peak
    is the kernel's high-water mark where it can be reset (Linux, proc(5): clear_refs), and else the greatest
    of looks every 5 ms, which a shorter peak escapes.
    """
    _hand_back()
    _reset_tensors()
    with _watching() as peak:
        before = _resident()
        begun = time.perf_counter()
        call()
        while time.perf_counter() - begun < _SECONDS:
            call()
        most = peak()
    return Memory(tensor_bytes=_tensors(), resident_before_bytes=before, resident_peak_bytes=max(before, most))


def _reset_tensors() -> None:
    """Let the peak of tensors be what they take now."""
    if _counts_tensors():
        import tensorflow

        tensorflow.config.experimental.reset_memory_stats(_DEVICE)


def _tensors() -> int | None:
    """Bytes: the peak since, less what tensors take now, when those of the calls are gone."""
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


def _hand_back() -> None:
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim  # glibc's
    except (AttributeError, OSError, TypeError):
        return
    trim(0)


@contextmanager
def _watching() -> Iterator[Callable[[], int]]:
    """Yield a function that tells the greatest resident memory since, bytes."""
    if _kernel_watches():
        yield _high_water
        return
    stop, most = threading.Event(), [_resident()]

    def look() -> None:
        while not stop.wait(_GLANCE):
            most[0] = max(most[0], _resident())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield lambda: most[0]
    finally:
        stop.set()
        watcher.join()


def _kernel_watches() -> bool:
    """Whether there is a high-water mark, and it is now set to the present memory."""
    try:
        _RESET.write_text("5", encoding="ascii")
        return _high_water() > 0
    except OSError:
        return False


def _high_water() -> int:
    lines = _STATUS.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)
