"""Describe the machine: the first line that every benchmark prints."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MIRROR = ROOT.parent / "shared/data/mirror"


def line(*packages: str) -> str:
    """Return processor, load, and the versions of Python and `packages`."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    found = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{os.cpu_count()} cores of {model}, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, {found}"
    )
