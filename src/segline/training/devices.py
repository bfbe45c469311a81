"""Find GPUs of this machine that Keras's backend does not see, so that nobody trains on a CPU without knowing it.

The GPUs are looked for without any of CUDA's libraries: those may be exactly what is missing.
"""

import os
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from segline.training import backend

DRIVER = Path("/proc/driver/nvidia/gpus")
"""Folder in which NVIDIA's driver for Linux has a folder of each GPU."""

_LISTING_SECONDS = 20.0  # `nvidia-smi` wakes sleeping GPUs
_CUDA_PACKAGE = "nvidia-cudnn-cu12"  # one of the libraries that `tensorflow[and-cuda]` brings
_INSTALL = "make run GPU=1, which installs TensorFlow's CUDA libraries"
_ASK_TENSORFLOW = (
    "see whether nvidia-smi lists the GPU; TensorFlow's own reason: "
    "TF_CPP_MIN_LOG_LEVEL=0 python -c 'import tensorflow; tensorflow.config.list_physical_devices()'"
)


def list_machine_gpus() -> list[str]:
    """List the models of the NVIDIA GPUs of this machine, such as ``NVIDIA H200``; empty if there is none.

    Where the driver has no such folder (WSL, some containers), ``nvidia-smi`` is asked.
    """
    models = [_read_model(path) for path in sorted(DRIVER.glob("*/information"))]
    return models or _ask_nvidia_smi()


def _read_model(information: Path) -> str:
    for line in information.read_text("utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "Model":
            return value.strip()
    return "NVIDIA GPU"


def _ask_nvidia_smi() -> list[str]:
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_LISTING_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()] if answer.returncode == 0 else []


def describe_unused_gpus() -> str:
    """Describe the GPUs of this machine if the backend sees none of them, with the remedy; "" if all is well."""
    models = list_machine_gpus()
    if not models or any(name.upper().startswith("GPU") for name in backend.describe_devices()):
        return ""
    found = f"this machine has {', '.join(models)}, but {backend.name()} sees no GPU and trains on the CPU"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and not hidden.replace("-1", "").strip(" ,"):
        return f"{found}; remedy: unset CUDA_VISIBLE_DEVICES, which is {hidden!r} and hides it"
    return f"{found}; remedy: {_ASK_TENSORFLOW if _has_cuda() else _INSTALL}"


def _has_cuda() -> bool:
    try:
        version(_CUDA_PACKAGE)
    except PackageNotFoundError:
        return False
    return True
