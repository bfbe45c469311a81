"""Describe the machine on which something is measured, and its load meanwhile."""

import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras
import psutil

_PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "opencv-python-headless")
_IDLE_TIMES = {"idle", "iowait", "guest", "guest_nice"}  # guests' time is already part of user's and nice's
_MAX_SHARE_OF_OTHERS = 0.1  # of the used cores; if other processes need more, times count as disturbed


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine that something was measured on.

    Args:
        cores: number of logical cores that this process may use.
        threads: number of threads that the arithmetic was limited to; None where it was not limited.
        devices: devices that Keras computes on.
        versions: package -> version, Python's included.
    """

    processor: str
    cores: int
    threads: int | None
    devices: tuple[str, ...]
    system: str
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Load:
    """How busy the machine was while something was measured.

    Args:
        average: load average of the minute before, which includes this process's earlier work; None on a system
            without one.
        cores: number of logical cores of the whole machine.
        used: number of these cores that the measured calls may use.
        others: number of cores that other processes kept busy meanwhile, a host's other guests included.
    """

    average: float | None
    cores: int
    used: int
    others: float

    @property
    def disturbed(self) -> bool:
        """Whether other processes needed cores that the measured calls use, so that the times are too long."""
        return self.others > self.cores - self.used + _MAX_SHARE_OF_OTHERS * self.used


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Times read at one moment.

    Args:
        wall: wall-clock time, seconds.
        busy: core seconds that all processes of the machine have computed.
        own: core seconds of this process, all threads; its children count as others.
        average: load average of the last minute; None on a system without one.
    """

    wall: float
    busy: float
    own: float
    average: float | None


def describe(*, threads: int | None = None) -> Machine:
    """Describe the machine that this process runs on."""
    versions = {"python": platform.python_version(), "backend": keras.backend.backend()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    affinity = getattr(os, "sched_getaffinity", None)
    return Machine(
        processor=_name_processor(),
        cores=len(affinity(0)) if affinity else os.cpu_count() or 1,
        threads=threads,
        devices=tuple(sorted(str(device) for device in keras.distribution.list_devices())),
        system=f"{platform.system()} {platform.machine()}",
        versions=versions,
    )


def read_times() -> Reading:
    """Read the times now."""
    times, own = psutil.cpu_times()._asdict(), psutil.Process().cpu_times()
    return Reading(
        wall=time.perf_counter(),
        busy=sum(value for name, value in times.items() if name not in _IDLE_TIMES),
        own=own.user + own.system,
        average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def compute_load(first: Reading, last: Reading, *, machine: Machine, cores: int | None = None) -> Load:
    """Compute the load between two readings, while the measured calls may use all that `machine` allows.

    Args:
        cores: number of cores of the whole machine; None for this machine's.
    """
    whole = cores or psutil.cpu_count() or machine.cores
    others = (last.busy - first.busy) - (last.own - first.own)
    return Load(
        average=first.average,
        cores=whole,
        used=min(machine.threads or machine.cores, machine.cores, whole),
        others=max(0.0, others / (last.wall - first.wall)),  # below 0 only because of the clocks' resolution
    )


def _name_processor() -> str:
    """Find the processor's name, from Python where the system does not tell it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] else platform.processor() or platform.machine() or "unknown"
