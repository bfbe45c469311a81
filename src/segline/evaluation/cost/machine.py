"""Where something is measured, and how busy that machine is meanwhile."""

import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras
import psutil

_PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "opencv-python-headless")
_NOT_BUSY = {"idle", "iowait", "guest", "guest_nice"}  # guests' time is in user's and nice's already
_UNNOTICED = 0.1  # share of the cores used that others may take before times are in doubt


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where something was measured.

    Args:
        cores: logical ones that this process may use.
        threads: that the arithmetic was limited to; None: it was not.
        devices: what Keras computes on.
        versions: package -> version, Python's too.
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
        average: load average of the minute before, in which this process's own earlier work counts;
            None: the system has none.
        cores: logical ones of the whole machine.
        used: of them, those that the measured calls may use.
        others: cores that all but this process kept busy meanwhile, a host's other guests included.
    """

    average: float | None
    cores: int
    used: int
    others: float

    @property
    def disturbed(self) -> bool:
        """Whether others needed cores that the measured calls use, so that times came out too long."""
        return self.others > self.cores - self.used + _UNNOTICED * self.used


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One look at the clocks.

    Args:
        wall: seconds.
        busy: core seconds that anything has computed for on the machine.
        own: core seconds of this process, all threads; its children are others.
        average: load average of the last minute.
    """

    wall: float
    busy: float
    own: float
    average: float | None


def here(*, threads: int | None = None) -> Machine:
    """Name the machine that this runs on."""
    versions = {"python": platform.python_version(), "backend": keras.backend.backend()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    affinity = getattr(os, "sched_getaffinity", None)
    return Machine(
        processor=_processor(),
        cores=len(affinity(0)) if affinity else os.cpu_count() or 1,
        threads=threads,
        devices=tuple(sorted(str(device) for device in keras.distribution.list_devices())),
        system=f"{platform.system()} {platform.machine()}",
        versions=versions,
    )


def read() -> Reading:
    """Look at the clocks now."""
    times, own = psutil.cpu_times()._asdict(), psutil.Process().cpu_times()
    return Reading(
        wall=time.perf_counter(),
        busy=sum(value for name, value in times.items() if name not in _NOT_BUSY),
        own=own.user + own.system,
        average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def load(first: Reading, last: Reading, *, machine: Machine, cores: int | None = None) -> Load:
    """Between two readings, of calls that use what `machine` lets them.

    Args:
        cores: of the whole machine; None: this one's.
    """
    whole = cores or psutil.cpu_count() or machine.cores
    others = (last.busy - first.busy) - (last.own - first.own)
    return Load(
        average=first.average,
        cores=whole,
        used=min(machine.threads or machine.cores, machine.cores, whole),
        others=max(0.0, others / (last.wall - first.wall)),  # below 0 by the clocks' ticks alone
    )


def _processor() -> str:
    """The processor's name; what Python knows of it where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] else platform.processor() or platform.machine() or "unknown"
