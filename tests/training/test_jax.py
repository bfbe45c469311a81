"""The same code trains on Keras's JAX backend: equal arithmetic, and a fit that resumes."""

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import portable
import pytest
from places import HELPERS, ROOT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed (pip install jax)"
)


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `portable.py` finds in a process whose backend is JAX."""
    path = tmp_path_factory.mktemp("jax") / "found.json"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(HELPERS)]),
        "KERAS_BACKEND": "jax",
        # Compiling takes most of a test's time; four fits compile the same.
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
        "JAX_COMPILATION_CACHE_DIR": str(path.parent / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, str(HELPERS / "portable.py"), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(done.stderr)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_every_loss_is_that_of_tensorflow(on_jax: dict[str, Any]) -> None:
    assert on_jax["losses"] == pytest.approx(portable.losses(), rel=1e-5)


def test_counts_are_those_of_tensorflow(on_jax: dict[str, Any]) -> None:
    counts, miou = portable.counts()
    assert on_jax["counts"][0] == counts
    assert on_jax["counts"][1] == pytest.approx(miou, rel=1e-6)


def test_three_steps_from_the_same_weights_lose_as_much_as_on_tensorflow(on_jax: dict[str, Any]) -> None:
    assert on_jax["steps"] == pytest.approx(portable.steps(), rel=1e-4)


def test_a_fit_learns_and_resumes_to_the_same_weights(on_jax: dict[str, Any]) -> None:
    found = on_jax["fits"]
    assert found["losses"][1] < found["losses"][0]
    assert found["val_losses"][0] == found["val_losses"][1]
    assert found["differing"] == 0


def test_a_fit_that_diverges_says_so(on_jax: dict[str, Any]) -> None:
    assert on_jax["fits"]["diverged"].startswith("TrainingError: epoch 1, step ")
    assert "with the samples band_" in on_jax["fits"]["diverged"]
