"""`make up`: real servers and a real worker, and nothing of them left after Ctrl-C."""

import contextlib
import http.server
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import httpx
import psutil
import pytest
from filelock import FileLock
from serving import free_port, read_until

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
def ports():
    return [free_port() for _ in range(2)]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP])
def test_a_deployment_runs_and_the_end_leaves_nothing_behind(project_copy, ports, how):
    mlflow, prefect = ports
    api = f"http://127.0.0.1:{prefect}/api"
    project_copy.forget_server()
    project_copy.environment |= {"MLFLOW_PORT": str(mlflow), "PREFECT_PORT": str(prefect)}
    with project_copy.start(sys.executable, "-m", "infra.up") as up:
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


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_the_end_of_make_up_interrupted_is_ended_by_the_next_one(project_copy, ports, how):
    """Before, the run stayed RUNNING, and its deployment's only slot taken: later runs waited for good.

    After a SIGKILL the servers lived on, too, and the next `make up` only said that a port is in use.
    """
    project_copy.forget_server()
    project_copy.environment |= {"MLFLOW_PORT": str(ports[0]), "PREFECT_PORT": str(ports[1])}
    api = {"PREFECT_API_URL": f"http://127.0.0.1:{ports[1]}/api"}
    for strike in (how, signal.SIGINT):
        with project_copy.start(sys.executable, "-m", "infra.up") as up:
            said = read_until(up, "started!")
            project_copy.run("rm", "-rf", "data/prepared")  # something to do, so that a stage is under way
            project_copy.environment |= api
            project_copy.run(sys.executable, "-m", "prefect", "deployment", "run", "data/local")
            del project_copy.environment["PREFECT_API_URL"]
            said += read_until(up, "Beginning flow run" if strike == how else "Completed")
            os.killpg(up.pid, strike)
            up.wait(timeout=60)
        how = None
    assert "is ended as crashed: its process is gone" in said
    with contextlib.closing(sqlite3.connect(project_copy.root / ".prefect" / "prefect.db")) as database:
        states = sorted(name for (name,) in database.execute("select state_type from flow_run"))
        assert states == ["COMPLETED", "CRASHED"]
        assert database.execute("select active_slots from concurrency_limit_v2").fetchall() == [(0,)]


def test_two_deployments_at_once_say_nothing_of_a_locked_database(project_copy, ports):
    """Both write to Prefect's SQLite file; the second worker lets them run at the same moment."""
    project_copy.forget_server()
    project_copy.environment |= {"MLFLOW_PORT": str(ports[0]), "PREFECT_PORT": str(ports[1])}
    prefect = (sys.executable, "-m", "prefect")
    with project_copy.start(sys.executable, "-m", "infra.up") as up:
        said = [read_until(up, "started!")]
        project_copy.environment["PREFECT_API_URL"] = f"http://127.0.0.1:{ports[1]}/api"
        reader = threading.Thread(target=lambda: said.extend(up.stdout))
        reader.start()
        with project_copy.start(*prefect, "worker", "start", "--pool", "segline", "--type", "process") as second:
            said.append(read_until(second, "started!"))
            other = threading.Thread(target=lambda: said.extend(second.stdout))
            other.start()
            runs = [
                subprocess.Popen(
                    [*prefect, "deployment", "run", name, "--watch"],
                    cwd=project_copy.root,
                    env=project_copy.environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                for name in ("data/local", "training/local")
            ]
            said += [run.communicate(timeout=400)[0] for run in runs]
        os.killpg(up.pid, signal.SIGINT)
        for thread in (reader, other):
            thread.join(timeout=60)
    text = "".join(said)
    assert [run.returncode for run in runs] == [0, 0], text[-4000:]
    assert "database is locked" not in text
    assert "Traceback" not in text


def test_a_second_make_up_of_a_project_is_refused(project_copy, ports):
    project_copy.environment |= {"MLFLOW_PORT": str(ports[0]), "PREFECT_PORT": str(ports[1])}
    with FileLock(project_copy.root / ".segline" / "up.lock"):
        answer = project_copy.run(sys.executable, "-m", "infra.up", check=False)
    assert answer.returncode == 1
    assert "`make up` runs already for this project" in answer.stderr


def test_a_killed_flow_leaves_its_server_to_the_next_one_which_ends_it(project_copy):
    project_copy.forget_server()
    project_copy.kill_when("Beginning flow run", sys.executable, "-u", "-m", "flows.data")
    assert "is ended as crashed: its process is gone" in project_copy.run(sys.executable, "-m", "flows.data").stdout
    assert not [process for process in descendants(project_copy.root) if "uvicorn" in " ".join(process.cmdline())]


PAGE = """<pre></pre><iframe name="frame"></iframe><form method="post" enctype="text/plain" target="frame"
action="MLFLOW/api/2.0/mlflow/experiments/create"><input name='{"name": "evil form", "x": "' value='"}'></form><script>
const said = document.querySelector("pre"), json = {"Content-Type": "application/json"};
const tell = (what, how) => { said.textContent += `${what}: ${how}\\n`; };
const targets = {
  flow: ["PREFECT/api/flows/", {name: "evil"}],
  deployment: ["PREFECT/api/deployments/", {name: "evil", flow_id: "0", job_variables: {command: "touch pwned"}}],
  experiment: ["MLFLOW/api/2.0/mlflow/experiments/create", {name: "evil"}],
  ajax: ["MLFLOW/ajax-api/2.0/mlflow/experiments/create", {name: "evil ajax"}],
};
for (const [name, [address, content]] of Object.entries(targets)) {
  const body = JSON.stringify(content), plain = {"Content-Type": "text/plain"};
  fetch(address, {method: "POST", headers: json, body}).then(() => tell(name, "READ"), () => tell(name, "refused"));
  fetch(address, {method: "POST", mode: "no-cors", headers: plain, body}).catch(() => {});
  navigator.sendBeacon(address, new Blob([body], {type: "text/plain"}));
}
for (const address of ["MLFLOW/ajax-api/2.0/mlflow/experiments/search?max_results=9", "PREFECT/api/admin/version"])
  fetch(address).then(() => tell("get", "READ"), () => tell("get", "refused"));
const socket = new WebSocket("PREFECT/api/events/out".replace("http", "ws"), "prefect");
socket.onopen = () => socket.send(JSON.stringify({type: "auth", token: null}));
socket.onmessage = () => tell("socket", "READ");
socket.onclose = () => tell("socket", "refused");
document.forms[0].submit();
</script>"""


@pytest.fixture
def page(ports):
    """A page that attacks both servers, on a third port of loopback; yields the port."""
    mlflow, prefect = (f"http://127.0.0.1:{port}" for port in ports)
    content = PAGE.replace("MLFLOW", mlflow).replace("PREFECT", prefect).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed (apt-get install chromium)")
def test_pages_of_other_ports_and_hosts_neither_read_nor_write(project_copy, ports, page, tmp_path):
    project_copy.forget_server()
    project_copy.environment |= {"MLFLOW_PORT": str(ports[0]), "PREFECT_PORT": str(ports[1])}
    with project_copy.start(sys.executable, "-m", "infra.up") as up:
        for line in up.stdout:
            if "started!" in line:
                break
        # The servers block once nobody reads what they say.
        threading.Thread(target=up.stdout.read, daemon=True).start()
        for host in ("127.0.0.1", "localhost", "evil.example"):
            chromium = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
            chromium += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
            chromium += [f"--user-data-dir={tmp_path / host}", "--host-resolver-rules=MAP evil.example 127.0.0.1"]
            chromium += ["--virtual-time-budget=20000", "--dump-dom", f"http://{host}:{page}/"]
            seen = subprocess.run(chromium, capture_output=True, text=True, timeout=120, check=True).stdout
            said = seen.split("<pre>")[1].split("</pre>")[0].split("\n")
            assert said.count("get: refused") == 2
            assert {"flow: refused", "deployment: refused", "experiment: refused", "ajax: refused"} <= set(said)
            assert "READ" not in "".join(said)
        assert [each.name for each in project_copy.client().search_experiments()] == ["Default"]
        assert sorted(flows_of(project_copy.root)) == ["data", "training"]


def flows_of(root):
    """Names of the flows in Prefect's database."""
    with contextlib.closing(sqlite3.connect(root / ".prefect" / "prefect.db")) as database:
        return [name for (name,) in database.execute("select name from flow")]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("sight", ["Starting temporary server", "trial 1/", "epoch 1"])
def test_a_stopped_training_is_gone_within_ten_seconds_and_goes_on_later(project_copy, how, sight):
    """Before, Ctrl-C ended the server first; the flow then tried to reach it, and was alive after 25 s."""
    project_copy.forget_server()
    with project_copy.start(sys.executable, "-u", "-m", "flows.training") as flow:
        for line in flow.stdout:
            if sight in line:
                break
        # What ends a service ends its first process alone; what a terminal says, all of its processes hear.
        (os.kill if how == signal.SIGTERM else os.killpg)(flow.pid, how)
        told = time.monotonic()
        said = flow.stdout.read()
        flow.wait(timeout=20)
        while descendants(project_copy.root):
            time.sleep(0.1)
            assert time.monotonic() - told < 10
    assert flow.returncode == 128 + how
    if how == signal.SIGINT:  # of a closed terminal multiprocessing itself may complain
        assert "Traceback" not in said
    assert all(run.info.status == "KILLED" for run in project_copy.parents())
    assert "promoted" in project_copy.train().stdout


def test_a_taken_port_is_named(project_copy, ports):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0]))
        taken.listen()
        project_copy.environment["MLFLOW_PORT"] = str(ports[0])
        answer = project_copy.run(sys.executable, "-m", "infra.up", check=False)
    assert answer.returncode == 1
    assert f"port {ports[0]} of 127.0.0.1 is in use" in answer.stderr
    project_copy.environment["MLFLOW_PORT"] = "abc"
    answer = project_copy.run(sys.executable, "-m", "infra.up", check=False)
    assert "MLFLOW_PORT: 'abc', expected a port" in answer.stderr
