"""Two devices that share each batch learn what one learns from all of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from places import HELPERS, ROOT

from segline.training import backend

Found = dict[str, Any]


def start(folder: Path, *, on: str) -> tuple[Found, Found]:
    """What `devices.py` found on one device and on two."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(HELPERS)]),
        "KERAS_BACKEND": on,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",  # what JAX goes by
    }
    command = [sys.executable, str(HELPERS / "devices.py"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(done.stderr)
    one, two = (json.loads((folder / f"{name}.json").read_text()) for name in ("one", "two"))
    return one, two


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Found]:
    return start(tmp_path_factory.mktemp("devices"), on="tensorflow")


def assert_same_fit(one: Found, two: Found) -> None:
    assert [set(metrics) for metrics in one["history"]] == [set(metrics) for metrics in two["history"]]
    for first, second in zip(one["history"], two["history"], strict=True):
        for name in set(first) - {"images_per_second"}:
            assert second[name] == pytest.approx(first[name], rel=1e-5), name
    for first, second in zip(one["weights"], two["weights"], strict=True):
        np.testing.assert_allclose(second, first, atol=1e-5)
    np.testing.assert_allclose(two["logits"], one["logits"], rtol=1e-4, atol=1e-4)


def test_a_fit_on_two_devices_interrupted_and_taken_up_again_is_that_of_one(found: tuple[Found, Found]) -> None:
    """Every loss, whole-batch counts, averaged weights and batch normalisation; the halves have nothing in common."""
    assert_same_fit(found[0]["fit"], found[1]["fit"])


@pytest.mark.parametrize(("gpus", "batch", "used"), [(0, 8, 0), (1, 8, 1), (3, 8, 2), (4, 8, 4), (3, 9, 3), (2, 7, 1)])
def test_as_many_gpus_share_a_batch_as_divide_it(monkeypatch, gpus: int, batch: int, used: int) -> None:
    found = [f"gpu:{number}" for number in range(gpus)] or ["cpu:0"]
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: found)
    assert backend.list_accelerators(batch) == found[:used]


@pytest.mark.slow
def test_on_jax_too(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="jax is not installed (pip install jax)")
    one, two = start(tmp_path, on="jax")
    assert_same_fit(one["fit"], two["fit"])


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_gradients_are_added_up_before_they_are_clipped_and_judged(found: tuple[Found, Found], precision: str) -> None:
    one, two = (each[precision] for each in found)
    for first, second in zip(one["weights"], two["weights"], strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-6)
    assert two["bad"] == one["bad"] == (1 if precision == "float32" else None)
    assert two["scale"] == one["scale"]
