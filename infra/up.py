"""``make up``: MLflow, a Prefect server and a worker on loopback, all of it ended by Ctrl-C.

The processes are those of ``infra/Procfile``; MLFLOW_PORT and PREFECT_PORT move them to other ports.
"""

import os
import socket
import sys
from pathlib import Path

from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Printer

PORTS = {"MLFLOW_PORT": 5000, "PREFECT_PORT": 4200}


def main() -> int:
    """Check the ports, start the processes, wait for them; returns the exit code."""
    root = Path(__file__).resolve().parent.parent
    ports = {name: int(os.environ.get(name, port)) for name, port in PORTS.items()}
    for name, port in ports.items():
        if _is_taken(port):
            sys.stderr.write(
                f"error: {name}: port {port} of 127.0.0.1 is taken, expected a free one\n"
                f"  remedy: end what listens there (another `make up`?), or choose another: make up {name}={port + 1}\n"
            )
            return 1
    environment = os.environ | {
        **{name: str(port) for name, port in ports.items()},
        "SEGLINE_ROOT": str(root),
        "PREFECT_HOME": os.environ.get("PREFECT_HOME", str(root / ".prefect")),
        "PREFECT_API_URL": f"http://127.0.0.1:{ports['PREFECT_PORT']}/api",
        "PYTHONUNBUFFERED": "1",
    }
    manager = Manager(Printer(sys.stdout))
    for name, command in parse_procfile((root / "infra" / "Procfile").read_text(encoding="utf-8")).processes.items():
        manager.add_process(name, command, env=environment, cwd=str(root))
    manager.loop()
    # Ctrl-C is how this is meant to end.
    return 0 if manager.returncode in {0, -2, 130} else manager.returncode


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
