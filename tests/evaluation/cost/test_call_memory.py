"""Memory of calls that take a known amount, after a past that must not matter."""

import ctypes
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from segline.evaluation.cost import call_memory

MEGABYTES = 200
ALLOWED = (0.97 * MEGABYTES * 1e6, 1.3 * MEGABYTES * 1e6)  # other threads of the test's process may take some, too
GLIBC = hasattr(ctypes.CDLL(None), "malloc_trim")


def one_array(held=0.0):
    """200 MB, written to, held for some seconds, and free at the return."""
    array = np.ones(MEGABYTES * 1_000_000, np.uint8)
    time.sleep(held)
    return array[-1]


def small_arrays(held=0.0):
    """As much in pieces that the C library keeps for the next who asks; the last one hinders it from shrinking."""
    pieces = [np.ones(50_000, np.uint8) for _ in range(20 * MEGABYTES)]
    time.sleep(held)
    return pieces[-1]


@pytest.fixture(params=["kernel", "looks"])
def held(request, monkeypatch, tmp_path):
    """Seconds that memory is held to be seen: none by the kernel's high-water mark, some by looks instead of it."""
    if request.param == "looks":
        monkeypatch.setattr(call_memory, "_RESET", tmp_path / "no folder" / "clear_refs")
    elif not Path("/proc/self/clear_refs").exists():
        pytest.skip("no high-water mark that can be reset here")
    return 0.0 if request.param == "kernel" else 0.3


def test_the_peak_is_what_a_call_takes_though_it_is_free_again_afterwards(held):
    found = call_memory.measure(lambda: one_array(held))
    assert ALLOWED[0] < found.added_bytes < ALLOWED[1]
    assert found.resident_peak_bytes - found.resident_before_bytes == found.added_bytes
    assert found.resident_before_bytes > 10e6  # Python and NumPy


def test_a_greater_peak_before_it_does_not_count(held):
    np.ones(5 * MEGABYTES * 1_000_000, np.uint8)
    assert ALLOWED[0] < call_memory.measure(lambda: one_array(held)).added_bytes < ALLOWED[1]


def test_what_the_process_holds_before_counts_as_before(held):
    least = call_memory.measure(lambda: None)
    kept = np.ones(MEGABYTES * 1_000_000, np.uint8)
    found = call_memory.measure(lambda: one_array(held))
    assert kept[-1] == 1
    assert ALLOWED[0] < found.added_bytes < ALLOWED[1]
    assert found.resident_before_bytes - least.resident_before_bytes > 0.9 * MEGABYTES * 1e6
    assert least.added_bytes < 0.3 * MEGABYTES * 1e6


@pytest.mark.skipif(not GLIBC, reason="needs the C library's malloc_trim")
def test_memory_that_was_freed_but_not_handed_back_counts_again(held):
    kept = small_arrays()
    found = call_memory.measure(lambda: small_arrays(held))
    assert kept[-1] == 1
    assert ALLOWED[0] < found.added_bytes < ALLOWED[1]


def test_tensors_count_though_the_backend_has_kept_memory_for_them():
    def call():
        ones = keras.ops.ones((12_500_000,), "float32")
        return keras.ops.convert_to_numpy(ones + 1)[0]

    call()
    keras.ops.convert_to_numpy(keras.ops.ones((100_000_000,), "float32"))  # a greater peak, that must not count
    held = keras.ops.ones((5_000_000,), "float32")  # of before
    first, second = call_memory.measure(call), call_memory.measure(call)
    assert held.shape == (5_000_000,)
    for found in (first, second):
        if found.tensor_bytes is None:  # a build of TensorFlow that counts none: NumPy's copy is resident, too
            assert 99e6 < found.added_bytes < 175e6
        else:
            assert 99e6 < found.tensor_bytes < 125e6  # twice 50 MB


@pytest.mark.usefixtures("held")
def test_a_call_that_fails_leaves_no_one_watching():
    def fail():
        raise ValueError("no answer")

    before = threading.active_count()
    with pytest.raises(ValueError, match="no answer"):
        call_memory.measure(fail)
    assert threading.active_count() == before
