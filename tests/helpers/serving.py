"""Real servers on loopback, which end with the test."""

import os
import signal
import socket
import subprocess
import sysconfig
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

from infra import up

ROOT = Path(__file__).parents[2]


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
    """The Prefect server of `make up`, with its files in `home`; yields the variables that its clients need."""
    ports = {"MLFLOW_PORT": free_port(), "PREFECT_PORT": free_port()}
    with server("prefect", home, ports, health=f"http://127.0.0.1:{ports['PREFECT_PORT']}/api/health") as environment:
        told = ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH")
        yield {name: environment[name] for name in told}


@contextmanager
def server(name, home, ports, *, health):
    """A process of `make up`, with its files in `home`; yields its environment."""
    service = Service(name, home, ports, health=health)
    service.start()
    try:
        yield service.environment
    finally:
        end(service.process)


class Service:
    """A process of `make up` that a test may kill and start again: same port, same files in `home`."""

    def __init__(self, name, home, ports, *, health):
        self.name, self.home, self.health, self.process = name, home, health, None
        home.joinpath("prefect.toml").write_bytes((ROOT / "prefect.toml").read_bytes())
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.environment = kept | up.environment_of(home, ports)
        self.environment |= {"PREFECT_HOME": str(home / ".prefect"), "DO_NOT_TRACK": "1"}
        self.environment["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])

    def start(self):
        """Start the process in a process group of its own, and wait until it answers."""
        said = self.home / "log"
        with said.open("a") as log:
            self.process = subprocess.Popen(
                up.commands(ROOT)[self.name],
                shell=True,
                cwd=self.home,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_for(self.health, said=said)
        except AssertionError:
            end(self.process)
            raise

    def kill(self):
        """Kill the whole process group, as a crash of its machine would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def read_until(process, sight):
    """What a process prints until a line has `sight`."""
    said = ""
    for line in process.stdout:
        said += line
        if sight in line:
            return said
    raise AssertionError(f"never said {sight!r}:\n{said}")


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
