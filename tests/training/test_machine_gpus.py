"""A machine with a GPU that trains on its CPU is told so; before, nothing was said."""

import stat

import pytest

from segline.training import backend, devices


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """What NVIDIA's driver shows of two GPUs."""
    for number, text in enumerate(("Model: \t\t NVIDIA H200\nIRQ:   1\n", "Model: NVIDIA A10\n")):
        folder = tmp_path / "gpus" / f"0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(text)
    monkeypatch.setattr(devices, "DRIVER", tmp_path / "gpus")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path / "gpus"


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Put a program of this name on PATH, which a shell script stands for."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(script):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return write


def test_the_drivers_list_names_the_gpus(driver):
    assert devices.list_machine_gpus() == ["NVIDIA H200", "NVIDIA A10"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [("echo 'NVIDIA L4'", ["NVIDIA L4"]), ("echo failed; exit 9", []), ("true", [])],
    ids=["a GPU", "no driver", "no GPU"],
)
def test_without_the_drivers_list_nvidia_smi_is_asked(tmp_path, monkeypatch, nvidia_smi, script, expected):
    monkeypatch.setattr(devices, "DRIVER", tmp_path / "none")
    assert devices.list_machine_gpus() == []
    nvidia_smi(script)
    assert devices.list_machine_gpus() == expected


def test_a_gpu_without_cuda_is_told_with_the_command_that_installs_it(driver):
    if any(name.startswith("GPU") for name in backend.describe_devices()):
        pytest.skip("this machine has a GPU that the backend sees")
    said = devices.describe_unused_gpus()
    assert "this machine has NVIDIA H200, NVIDIA A10, but tensorflow sees no GPU and trains on the CPU" in said
    assert "make run GPU=1" in said


@pytest.mark.parametrize("value", ["", "-1", " "])
def test_a_gpu_that_is_hidden_on_purpose_is_told_so(driver, monkeypatch, value):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    if not any(name.startswith("GPU") for name in backend.describe_devices()):
        assert "unset CUDA_VISIBLE_DEVICES" in devices.describe_unused_gpus()


def test_with_cuda_installed_the_remedy_is_not_to_install_it(driver, monkeypatch):
    monkeypatch.setattr(devices, "version", lambda name: "9")
    monkeypatch.setattr(backend, "describe_devices", lambda: ["CPU"])
    said = devices.describe_unused_gpus()
    assert "make run GPU=1" not in said
    assert "nvidia-smi" in said


def test_nothing_is_said_where_the_backend_sees_the_gpu_or_there_is_none(driver, tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "describe_devices", lambda: ["CPU", "GPU NVIDIA H200"])
    assert devices.describe_unused_gpus() == ""
    monkeypatch.setattr(devices, "list_machine_gpus", list)
    assert devices.describe_unused_gpus() == ""


def test_the_backend_names_its_devices():
    assert "CPU" in backend.describe_devices()
    assert backend.name() == "tensorflow"
