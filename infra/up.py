"""Run ``make up``: start MLflow, a Prefect server and a worker on loopback; Ctrl-C ends all of them.

The processes are listed in ``infra/Procfile``. MLFLOW_PORT and PREFECT_PORT set other ports.
"""

import os
import signal
import socket
import sys
from pathlib import Path

from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Printer

from flows import login
from infra import leftovers
from segline.console import complain, say
from segline.errors import ConfigError, SeglineError
from segline.project import Project, embedded_artifacts, embedded_store
from segline.registry import location

PORTS = {"MLFLOW_PORT": 5000, "PREFECT_PORT": 4200}


def main() -> int:
    """Start the processes and wait for them; return the exit code."""
    root = Path(__file__).resolve().parent.parent
    os.environ["SEGLINE_ROOT"] = str(root)
    try:
        project = Project.load()
        with leftovers.alone(project):
            for line in (leftovers.end(project), location.follow_move(project)):
                if line:
                    say(line)
            return _run(root)
    except SeglineError as error:
        complain(f"error: {error}")
        return 1


def _run(root: Path) -> int:
    ports = {name: _read_port(name, default) for name, default in PORTS.items()}
    for name, port in ports.items():
        _refuse_taken(name, port)
    environment = environment_of(root, ports)
    # Closing the terminal must end all processes, as Ctrl-C does.
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    manager = Manager(Printer(sys.stdout))
    for name, command in commands(root).items():
        manager.add_process(name, command, env=environment, cwd=str(root))
    manager.loop()
    # Ctrl-C is the normal end.
    return 0 if manager.returncode in {0, 130} else int(manager.returncode)


def environment_of(root: Path, ports: dict[str, int]) -> dict[str, str]:
    """Return the environment for the processes of the project at `root`. It has the path of the login, not the login.

    Args:
        ports: port by name, as in `PORTS`.

    Raises:
        ConfigError: the login file is damaged.
        StorageError: it cannot be written.
    """
    prefect = f"http://127.0.0.1:{ports['PREFECT_PORT']}"
    return login.drop_others(dict(os.environ)) | {
        **login.environment(root),
        **{name: str(port) for name, port in ports.items()},
        "SEGLINE_ROOT": str(root),
        leftovers.MARK: str(root),
        "PREFECT_HOME": os.environ.get("PREFECT_HOME", str(root / ".prefect")),
        "PREFECT_API_URL": f"{prefect}/api",
        "PREFECT_UI_API_URL": "/api",  # relative: on the host name by which the page was opened
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": prefect,
        "MLFLOW_BACKEND_STORE_URI": _choose_store(root),  # not as an argument, because all users can see command lines
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": embedded_artifacts(root).as_uri(),
        "PYTHONUNBUFFERED": "1",
    }


def commands(root: Path) -> dict[str, str]:
    """Read the processes from ``infra/Procfile``: name -> shell command."""
    text = (root / "infra" / "Procfile").read_text(encoding="utf-8")
    return dict(parse_procfile(text).processes)


def _read_port(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or len(text) > len("65535") or not 0 < int(text) < 65536:
        raise ConfigError(name, found=repr(text), expected="a port from 1 to 65535", remedy=f"make up {name}={default}")
    return int(text)


def _refuse_taken(name: str, port: int) -> None:
    """Raise a `ConfigError` if a program listens on `port` of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ConfigError(
                name,
                found=f"port {port} of 127.0.0.1 is in use",
                expected="a free port",
                remedy=f"end the program that listens there, or choose another port: make up {name}={port + 1}",
            )


def _choose_store(root: Path) -> str:
    """Return the database of MLflow's server: MLFLOW_TRACKING_URI, unless it is unset or the address of a server."""
    stated = os.environ.get("MLFLOW_TRACKING_URI", "")
    return embedded_store(root) if not stated or stated.startswith("http") else stated


if __name__ == "__main__":
    sys.exit(main())
