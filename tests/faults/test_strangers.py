"""What reaches our servers from elsewhere: another page of the browser, another user, another host.

Before, Prefect's servers of `make up` and of `make run` took every request of any page, with
``access-control-allow-origin: *``; a deployment with ``job_variables: {"command": ...}``, ``pull_steps`` or any
entrypoint was then run by the worker. MLflow's let pages of every port of loopback read and write.
"""

import base64
import contextlib
import http.server
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import httpx
import psutil
import pytest
import websockets.sync.client
from websockets.exceptions import WebSocketException

from flows import login
from infra import up, worker
from segline.errors import ConfigError
from segline.registry.server import OwnPages, create_app

ROOT = Path(__file__).parent.parent.parent
STRANGERS = {
    "a page": {"Origin": "http://evil.example"},
    "a page without a name": {"Origin": "null"},
    "a rebound host": {"Host": "evil.example", "Origin": "http://evil.example"},
    "an empty password": {"Authorization": "Basic " + base64.b64encode(b"segline:").decode()},
    "a wrong password": {"Authorization": "Basic " + base64.b64encode(b"segline:segline").decode()},
    "a token": {"Authorization": "Bearer segline"},
}
OPEN = {"/api/health", "/api/ready"}  # what tells no more than that the server is there


def own_login(variables):
    profiles = tomllib.loads(Path(variables["PREFECT_PROFILES_PATH"]).read_text())["profiles"]
    return profiles["segline"]["PREFECT_API_AUTH_STRING"]


def own_header(variables):
    return {"Authorization": "Basic " + base64.b64encode(own_login(variables).encode()).decode()}


@pytest.fixture(scope="module")
def routes(prefect_api):
    """Every method and path of Prefect's own description of itself."""
    schema = httpx.get(f"{prefect_api['PREFECT_API_URL']}/openapi.json", headers=own_header(prefect_api), timeout=60)
    paths = schema.json()["paths"]
    found = [(method.upper(), f"/api{path}") for path, methods in paths.items() for method in methods]
    assert {("POST", "/api/deployments/"), ("POST", "/api/flows/"), ("PATCH", "/api/work_pools/{name}")} <= set(found)
    assert ("POST", "/api/deployments/{id}/create_flow_run") in found
    return found


@pytest.mark.parametrize("stranger", STRANGERS)
def test_prefect_refuses_every_request_without_the_login(prefect_api, routes, stranger):
    server = prefect_api["PREFECT_API_URL"].removesuffix("/api")
    with httpx.Client(headers=STRANGERS[stranger], timeout=60) as client:
        for method, path in routes:
            answer = client.request(method, server + path.replace("{", "").replace("}", ""))
            assert "access-control-allow-origin" not in answer.headers
            if path in OPEN:
                assert answer.status_code == 200
            else:
                assert answer.status_code == 401, (method, path)


@pytest.mark.parametrize("path", ["events/in", "events/out", "logs/out", "task_runs/subscriptions/scheduled"])
@pytest.mark.parametrize("told", [None, "segline:segline"])
def test_prefect_refuses_every_websocket_without_the_login(prefect_api, path, told):
    address = f"{prefect_api['PREFECT_API_URL'].replace('http', 'ws')}/{path}"

    def hear(subprotocols):
        with websockets.sync.client.connect(address, subprotocols=subprotocols, open_timeout=20) as socket:
            socket.send(json.dumps({"type": "auth", "token": told}))
            return socket.recv(timeout=20)

    for subprotocols in (None, ["prefect"]):
        with pytest.raises(WebSocketException):
            hear(subprotocols)


def test_prefect_answers_to_the_login(prefect_api):
    address = f"{prefect_api['PREFECT_API_URL']}/flows/filter"
    assert httpx.post(address, json={}, headers=own_header(prefect_api)).status_code == 200


def test_prefect_needs_no_typing_in_the_projects_folder(prefect_api, tmp_path):
    """`prefect` finds the login through the checkout's own prefect.toml, as a person's shell would."""
    profiles = Path(prefect_api["PREFECT_PROFILES_PATH"])
    (tmp_path / ".prefect").mkdir()
    (tmp_path / login.PLACE).write_bytes(profiles.read_bytes())
    (tmp_path / "prefect.toml").write_bytes((ROOT / "prefect.toml").read_bytes())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment["PREFECT_API_URL"] = prefect_api["PREFECT_API_URL"]
    command = [sys.executable, "-m", "prefect", "work-pool", "ls"]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_the_login_is_of_the_user_alone_and_git_does_not_see_it(tmp_path):
    login.environment(tmp_path)
    path = tmp_path / login.PLACE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert subprocess.run(["git", "check-ignore", "-q", str(login.PLACE)], cwd=ROOT, check=False).returncode == 0
    made = path.read_text()
    login.environment(tmp_path)
    assert path.read_text() == made


def test_a_login_that_others_could_read_is_replaced(tmp_path):
    path = tmp_path / login.PLACE
    variables = login.environment(tmp_path)
    known = own_login(variables)
    path.chmod(0o644)
    login.environment(tmp_path)
    assert own_login(variables) != known
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_other_profiles_of_the_file_stay(tmp_path):
    path = tmp_path / login.PLACE
    path.parent.mkdir()
    path.write_text('active = "cloud"\n[profiles.cloud]\nPREFECT_API_URL = "https://x.example/api"  # ours\n')
    login.environment(tmp_path)
    content = tomllib.loads(path.read_text())
    assert content["active"] == "cloud"
    assert set(content["profiles"]) == {"cloud", "segline"}
    assert "# ours" in path.read_text()


@pytest.mark.parametrize("text", ["[profiles", "profiles = 3", "profiles.segline = 3", "\x00"])
def test_a_damaged_file_of_logins_is_named(tmp_path, text):
    path = tmp_path / login.PLACE
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ConfigError, match="profiles"):
        login.environment(tmp_path)


def answer(headers, *, method="GET", kind="http"):
    """Send a request through `OwnPages` to an application that answers 200; returns the first message sent."""
    import asyncio

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    sent = []

    async def send(message):
        sent.append(message)

    scheme = "http" if kind == "http" else "ws"
    named = [(name.lower().encode(), value.encode()) for name, value in [("Host", "127.0.0.1:5000"), *headers]]
    scope = {"type": kind, "scheme": scheme, "method": method, "headers": named}
    asyncio.run(OwnPages(app)(scope, None, send))
    return sent[0].get("status", sent[0].get("code"))


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:8123", "http://localhost:5000", "https://127.0.0.1:5000", ""],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
def test_mlflow_refuses_other_pages_those_of_loopback_too(origin, method):
    assert answer([("Origin", origin)], method=method) == 403
    assert answer([("Origin", origin)], kind="websocket") == 1008


def test_mlflow_refuses_a_second_origin():
    assert answer([("Origin", "http://127.0.0.1:5000"), ("Origin", "http://evil.example")]) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_mlflow_refuses_what_another_page_asks_for_without_an_origin(site):
    assert answer([("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "no-cors")]) == 403
    assert answer([("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "navigate")]) == 200  # a link that a person follows
    assert answer([("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "navigate")], method="POST") == 403


@pytest.mark.parametrize("headers", [[], [("Origin", "http://127.0.0.1:5000")], [("Sec-Fetch-Site", "same-origin")]])
def test_mlflow_serves_its_own_page_and_clients(headers):
    assert answer(headers, method="POST") == 200


def test_make_up_starts_mlflow_behind_the_guard():
    """The real server and a real browser are asked in tests/e2e/test_up.py."""
    (installed,) = [each for each in entry_points(group="mlflow.app") if each.name == "segline"]
    assert installed.load() is create_app
    command = up.commands(ROOT)["mlflow"]
    assert "--app-name segline" in command
    assert '--allowed-hosts "127.0.0.1:$MLFLOW_PORT,localhost:$MLFLOW_PORT"' in command
    assert "$MLFLOW_BACKEND_STORE_URI" not in command  # everybody sees it there


def test_a_flows_own_server_answers_no_page():
    asked = "from prefect.settings import get_current_settings as s; print(repr(s().server.api.cors_allowed_origins))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-c", asked]
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "''"


def test_the_worker_of_make_up_does_not_begin_at_a_server_without_a_login():
    class Open(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Open) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(SystemExit, match="found HTTP 200 for a request without login, expected 401"):
            worker._refuse_open_server(f"http://127.0.0.1:{server.server_port}/api")


def test_the_login_stays_here(tmp_path):
    """Before, it was sent to whatever server PREFECT_API_URL named."""
    (tmp_path / "params.yaml").touch()
    environment = os.environ | login.environment(tmp_path)
    environment |= {"PREFECT_API_URL": "http://prefect.example:4200/api", "SEGLINE_ROOT": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    command = [sys.executable, "-c", "from flows import reporting; reporting._check_server()"]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "a server on another machine, together with the login of this folder's own servers" in answer.stderr
    assert own_login(environment) not in answer.stdout + answer.stderr


STUCK = """
import atexit, subprocess, sys, time
from flows import temporary
temporary._GRACE_SECONDS = 1.0
def hang():
    print("began", child.pid, flush=True)
    while True:
        try:
            time.sleep(60)
        except BaseException:  # as what swallows every exception does
            pass
with temporary.ending_within_seconds():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    {what}
"""


@pytest.mark.parametrize(
    "what",
    [
        "hang()",
        "atexit.register(hang); raise KeyboardInterrupt",
        "print('began', child.pid, flush=True); time.sleep(60)",
    ],
)
def test_a_flow_that_is_told_to_stop_is_gone_with_its_children_whatever_hangs(what):
    """Before, `make run` was alive 25 s after Ctrl-C."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    command = [sys.executable, "-c", STUCK.format(what=what)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as flow:
        child = psutil.Process(int(flow.stdout.readline().split()[1]))
        flow.send_signal(signal.SIGINT)
        assert flow.wait(timeout=8) == 128 + signal.SIGINT
    with contextlib.suppress(psutil.NoSuchProcess):
        assert child.status() == psutil.STATUS_ZOMBIE
