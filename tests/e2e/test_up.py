"""`make up`: real servers and a real worker, and nothing of them left after Ctrl-C."""

import os
import signal
import sys
import time

import httpx
import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def descendants(root):
    """Processes that belong to the project at `root`, by what they were told."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SEGLINE_ROOT") == str(root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def ports(request):
    import socket

    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    numbers = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return numbers


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP])
def test_a_deployment_runs_and_the_end_leaves_nothing_behind(project_copy, ports, how):
    mlflow, prefect = ports
    api = f"http://127.0.0.1:{prefect}/api"
    project_copy.environment |= {"MLFLOW_PORT": str(mlflow), "PREFECT_PORT": str(prefect)}
    with project_copy.start(sys.executable, "infra/up.py") as up:
        for line in up.stdout:
            if "started!" in line:
                break
        assert httpx.get(f"http://127.0.0.1:{mlflow}/health", timeout=10).status_code == 200
        project_copy.environment["PREFECT_API_URL"] = api
        project_copy.run("rm", "-rf", "data/prepared")  # something to do, so that a stage is under way
        project_copy.run(sys.executable, "-m", "prefect", "deployment", "run", "data/local")
        for line in up.stdout:
            if "Beginning flow run" in line:
                break
        os.killpg(up.pid, how)
        up.wait(timeout=60)
        assert up.returncode in ({0} if how == signal.SIGINT else {0, 143, -signal.SIGHUP})
        deadline = time.monotonic() + 20
        while (left := descendants(project_copy.root)) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not left, [process.cmdline() for process in left]


def test_a_killed_flow_leaves_its_server_to_the_next_one_which_ends_it(project_copy):
    del project_copy.environment["PREFECT_API_URL"]
    project_copy.kill_when("Beginning flow run", sys.executable, "-u", "-m", "flows.data")
    project_copy.run(sys.executable, "-m", "flows.data")
    assert not [process for process in descendants(project_copy.root) if "uvicorn" in " ".join(process.cmdline())]


def test_a_taken_port_is_named(project_copy, ports):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0]))
        taken.listen()
        project_copy.environment["MLFLOW_PORT"] = str(ports[0])
        answer = project_copy.run(sys.executable, "infra/up.py", check=False)
    assert answer.returncode == 1
    assert f"port {ports[0]} of 127.0.0.1 is taken" in answer.stderr
    project_copy.environment["MLFLOW_PORT"] = "abc"
    answer = project_copy.run(sys.executable, "infra/up.py", check=False)
    assert "MLFLOW_PORT: found 'abc'" in answer.stderr
