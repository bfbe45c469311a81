"""Real servers on loopback, which end with the test."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx

from flows import login


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end(process):
    """End a process group that a test started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdout:
        process.stdout.close()


@contextmanager
def prefect_server(home):
    """A Prefect server as `make up` starts it; yields the variables that its clients need."""
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    profile = login.environment(home)
    environment = os.environ | profile | {"PREFECT_HOME": str(home / ".prefect"), "DO_NOT_TRACK": "1"}
    environment |= {"PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": own}
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            cwd=home,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(f"{own}/api/health", said=home / "log")
            yield profile | {"PREFECT_API_URL": f"{own}/api"}
        finally:
            end(server)


def wait_for(address, *, said, seconds=120):
    """Wait until a server answers 200; fail with what it `said`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx.get(address, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise AssertionError(said.read_text())
