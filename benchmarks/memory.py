"""Measure the peak anonymous memory of a command and all its processes; pages of mapped files do not count."""

import subprocess
import sys
import time
from pathlib import Path

import psutil


def peak(code: str, *arguments: str) -> int:
    """Run `code` in this folder; return the largest sum of ``RssAnon`` in bytes. Shared pages count in each process.

    Raises:
        subprocess.CalledProcessError: `code` failed.
    """
    command, largest = [sys.executable, "-c", code, *arguments], 0
    with subprocess.Popen(command, cwd=Path(__file__).parent) as running:
        while running.poll() is None:
            largest = max(largest, _sum_anonymous(running.pid))
            time.sleep(0.05)
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command)
    return largest


def _sum_anonymous(pid: int) -> int:
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(_read_anonymous(process.pid) for process in processes)


def _read_anonymous(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
