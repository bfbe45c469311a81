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
from segline.errors import SeglineError
from segline.project import embedded_store

PORTS = {"MLFLOW_PORT": 5000, "PREFECT_PORT": 4200}


def main() -> int:
    """Check the ports, start the processes, wait for them; return the exit code."""
    root = Path(__file__).resolve().parent.parent
    ports = {name: _read_port(name, default) for name, default in PORTS.items()}
    for name, port in ports.items():
        if _is_taken(port):
            sys.stderr.write(
                f"error: {name}: port {port} of 127.0.0.1 is in use, expected a free port\n"
                f"  remedy: end the program that listens there (another `make up`?), or choose another port: "
                f"make up {name}={port + 1}\n"
            )
            return 1
    try:
        environment = environment_of(root, ports)
    except SeglineError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
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
        "PREFECT_HOME": os.environ.get("PREFECT_HOME", str(root / ".prefect")),
        "PREFECT_API_URL": f"{prefect}/api",
        "PREFECT_UI_API_URL": "/api",  # relative: on the host name by which the page was opened
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": prefect,
        "MLFLOW_BACKEND_STORE_URI": _choose_store(root),  # not as an argument, because all users can see command lines
        "PYTHONUNBUFFERED": "1",
    }


def commands(root: Path) -> dict[str, str]:
    """Read the processes from ``infra/Procfile``: name -> shell command."""
    text = (root / "infra" / "Procfile").read_text(encoding="utf-8")
    return dict(parse_procfile(text).processes)


def _read_port(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or len(text) > len("65535") or not 0 < int(text) < 65536:
        sys.exit(f"error: {name}: found {text!r}, expected a port from 1 to 65535\n  remedy: make up {name}={default}")
    return int(text)


def _choose_store(root: Path) -> str:
    """Return the database of MLflow's server: MLFLOW_TRACKING_URI, unless it is unset or the address of a server."""
    stated = os.environ.get("MLFLOW_TRACKING_URI", "")
    return embedded_store(root) if not stated or stated.startswith("http") else stated


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
