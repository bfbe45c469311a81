"""Run one `make up` for each project, and end what a killed one left behind.

If `make up` itself is killed, the servers, the worker and its flows continue without it. They hold the ports, and
nobody sees what they print.
"""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from filelock import FileLock, Timeout

from segline.errors import ConfigError
from segline.project import Project
from segline.storage import reporting_storage

MARK = "SEGLINE_UP"
"""Environment variable that all processes of `make up` inherit; its value is the project's folder."""

_GRACE_SECONDS = 5.0


@contextmanager
def alone(project: Project) -> Iterator[None]:
    """Hold the lock of `make up` for this project.

    Raises:
        ConfigError: another `make up` holds it.
        StorageError: the lock file cannot be written.
    """
    lock = FileLock(project.up_lock, timeout=0)
    with reporting_storage(project.up_lock):
        project.up_lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise ConfigError(
                project.root,
                found="`make up` runs already for this project",
                expected="one at a time, because its servers share a database",
                remedy="use the servers that it started, or end it with Ctrl-C first",
            ) from error
    try:
        yield
    finally:
        lock.release()


def end(project: Project) -> str | None:
    """Kill the processes that an earlier `make up` of this project left; return a line to tell the user."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = (process for process in psutil.process_iter() if process.pid not in ours)
    left = [process for process in found if _is_left(process, str(project.root))]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_GRACE_SECONDS)
    return f"an earlier `make up` was killed: its {len(left)} processes that still ran are ended" if left else None


def _is_left(process: psutil.Process, root: str) -> bool:
    try:
        return process.environ().get(MARK) == root
    except psutil.Error:  # it ended meanwhile, or belongs to another user
        return False
