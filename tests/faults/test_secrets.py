"""Planted secrets: none is printed, logged, raised, tagged or stored, and each gets where it belongs.

What happened before, seen on the code of then: `doctor` and `models list` printed the password of an
MLFLOW_TRACKING_URI whose server was down, `?token=` and unknown schemes too (databases without their
driver ended in a traceback); `source: http://host/x?token=...` and every misspelt address with a login
(`http:/user:password@host`, `user:password@host:/x`) were printed, and sent on to the MLflow of flows.
"""

import logging
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from segline import config
from segline.console import run_reporting
from segline.data.download import source_login
from segline.errors import ConfigError, SeglineError, TrackingError
from segline.masking import mask_process, masked
from segline.project import Project

SECRET = "hunter2-Zwölf/@:s"  # what addresses, headers and JSON all spell differently
PLAIN = "hunter2secret"
PARAMS = Path(__file__).parent.parent.parent / "params.yaml"

ADDRESSES = [
    "http://ann:{}@host/x",
    "HTTPS://ANN:{}@HOST",
    "weird+driver://ann:{}@host",
    "postgresql+psycopg2://ann:{}@host:5432/db",
    "http://:{}@host",
    "http://{}@host/x",
    "http://ann:{}@[::1]:5000/x",
    "http://ann:a@{}@host/x",
    "http://ann:a/{}@host/x",
    "http://ann:a:{}@host/x",
    "http://ann:x?{}@host/",
    "http://ann:x#{}@host/",
    "http://ann:{}",
    "http:/ann:{}@host",
    "weird:/ann:{}@host",
    "//ann:{}@host/x",
    "smb:\\\\ann:{}@host",
    "simplecache::http://ann:{}@host/x",
    "http:\\/\\/ann:{}@host",
    "ann:{}@proxy.example.org:3128",
    "ann:{}@host:/x",
    "http://host/x?token={}",
    "http://host/x?{}",
    "http://host?a=b&sig={}",
    "https://host/x?X-Amz-Signature={}&X-Amz-Date=1",
    "http://[::1]:5/x?token={}",
    "http://host/x#{}",
    "http://host/#access_token={}",
]
SENTENCES = [
    "see '{}', which is down",
    '{{"uri": "{}"}}',
    "('{}')",
    "{}: no server answers",
    "it said <{}>.",
]
OTHERS = [
    "HTTPConnectionPool(host='h', port=9): Max retries exceeded with url: /x?sig={} (Caused by ...)",
    '"GET /x?token={} HTTP/1.1" 200',
    "{{'password': '{}', 'host': 'h'}}",
    "host=h password={} dbname=x",
    "Authorization: Bearer {}",
    "{{'Authorization': 'Basic {}'}}",
    "DefaultEndpointsProtocol=https;AccountKey={};",
]
HARMLESS = [
    "sqlite:////folder/a@b/m#1.db",
    "sqlite:///mlflow.db",
    "/home/ann@corp/x",
    "file:///home/ann@corp/x?y",
    "s3://bucket/f@2/x",
    "models:/segline-kitti@champion",
    "http://127.0.0.1:9: no MLflow server answers ([Errno 111])",
    "http://127.0.0.1:5000/#/experiments/1/runs/2",
    "https://www.cityscapes-dataset.com/leftImg8bit.zip, expected a file",
    "set CITYSCAPES_PASSWORD and SEGLINE_SOURCE_TOKEN: both",
    "the user name or password was refused",
    "dvc repro --single-item download@kitti, and 'dvc.yaml:download@kitti'",
    "http://host: refused",
    "mailto:ann@example.org",
    "image:tag@sha256:9f",
    "images/photo.jpg?size=large.png: a damaged PNG",
    "images/token=5.png: no image",
    "See https://docs.prefect.io/v3/concepts/server#how-to-guides for more information",
    "params.yaml:12 training.batch",
]


@pytest.fixture(autouse=True)
def _undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a developer, or an earlier test, has set."""
    for name in (*os.environ,):
        if name.startswith(("MLFLOW_TRACKING_", "SEGLINE_SOURCE_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_masked_wherever_it_stands(address: str, sentence: str) -> None:
    shown = masked(sentence.format(address.format(PLAIN)))
    assert PLAIN not in shown
    assert masked(shown) == shown
    assert str(SeglineError(shown, found=address.format(PLAIN), remedy="")).count(PLAIN) == 0


@pytest.mark.parametrize("text", OTHERS)
def test_a_secret_that_is_called_one_is_masked(text: str) -> None:
    assert PLAIN not in masked(text.format(PLAIN))


@pytest.mark.parametrize("text", HARMLESS)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert masked(text) == text


def test_variables_may_come_and_go_meanwhile() -> None:
    """MLflow's telemetry sets and takes away one in a thread of its own: a KeyError ended a task of `make run`."""
    done = threading.Event()

    def toggle() -> None:
        while not done.is_set():
            os.environ["_MLFLOW_TELEMETRY_SESSION_ID"] = "1"
            os.environ.pop("_MLFLOW_TELEMETRY_SESSION_ID", None)

    thread = threading.Thread(target=toggle)
    thread.start()
    try:
        assert {masked("a line") for _ in range(2000)} == {"a line"}
    finally:
        done.set()
        thread.join()


def test_what_is_not_secret_of_an_address_stays() -> None:
    shown = masked("http://ann:secret@example.org:5/mirror/?signature=1&part=2, or http://b:c@h/x.")
    assert shown == "http://***@example.org:5/mirror/?signature=***&part=***, or http://***@h/x."


@pytest.mark.parametrize("text", ["a" * 30_000, "a:" * 20_000, "http://" + "." * 20_000 + "x", "?a" * 20_000])
@pytest.mark.timeout(5)  # 503 s for 200,000 letters, with a scheme of any length
def test_a_long_text_is_masked_in_no_time(text: str) -> None:
    assert masked(text) == text or "?a" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEGLINE_SOURCE_TOKEN", SECRET),
        ("SEGLINE_SOURCE_PASSWORD", SECRET),
        ("MLFLOW_TRACKING_TOKEN", SECRET),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", SECRET),
        ("CITYSCAPES_PASSWORD", SECRET),
        ("PREFECT_API_KEY", SECRET),
        ("PREFECT_SERVER_API_AUTH_STRING", f"admin:{SECRET}"),
        ("https_proxy", "ann:{quoted}@proxy:3128"),
        ("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://ann:{quoted}@h/prefect"),
        ("MLFLOW_TRACKING_URI", "ann:{quoted}@h"),
    ],
)
def test_what_a_variable_holds_is_masked_in_every_spelling(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    import base64
    import json
    from urllib.parse import quote

    spellings = [SECRET, quote(SECRET, safe=""), quote(SECRET), json.dumps(SECRET)[1:-1]]
    monkeypatch.setenv(name, value.replace("{quoted}", spellings[1]))
    for each in spellings:
        assert masked(f"it said {each}.") == "it said ***."
    if "admin:" in value:
        assert masked(base64.b64encode(value.encode()).decode()) == "***"


def test_short_values_and_folders_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"X_TOKEN": "a", "Y_TOKEN": "false", "Z_PASSWORD": "unet", "PWD": "/folder/of/mine"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", "postgresql://mlflow:mlflow@host/mlflow")
    monkeypatch.setenv("REPOSITORY_URL", "deploy@host:x")
    text = "a false deploy of unet_plus_plus in /folder/of/mine with mlflow.db"
    assert masked(text) == text
    assert masked("unet, the password") == "***, the password"


def test_logs_of_any_library_are_masked(caplog: pytest.LogCaptureFixture) -> None:
    mask_process()
    mask_process()
    log = logging.getLogger("httpx")
    with caplog.at_level(logging.INFO):
        log.info('HTTP Request: %s %s "%s"', "GET", f"http://ann:{PLAIN}@h/x?token={PLAIN}", "200 OK")
        try:
            raise ValueError(f"postgresql://ann:{PLAIN}@h/db")
        except ValueError:
            log.exception("it failed")
        log.info("%d of %d", 3, 4)
    formatted = "\n".join(logging.Formatter().format(record) for record in caplog.records)
    assert PLAIN not in formatted
    assert "Traceback" in formatted
    assert "http://***@h/x?token=***" in formatted
    assert "3 of 4" in formatted
    assert caplog.records[-1].args == (3, 4)


def test_neither_a_reported_problem_nor_its_cause_nor_a_defect_shows_a_secret(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        try:
            raise ValueError(f"http://ann:{PLAIN}@h")
        except ValueError as error:
            raise TrackingError("x", found=str(error), remedy="") from error

    with pytest.raises(SystemExit):
        run_reporting(fail, debug=True)
    try:
        raise ValueError(f"http://ann:{PLAIN}@h")
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert said.count("Traceback") == 3
    assert said.count("http://***@h") > 3
    assert PLAIN not in said


def test_what_a_task_raises_is_stored_without_secrets() -> None:
    import quiet_prefect  # noqa: F401  # before the flows

    from flows import reporting

    @reporting.without_secrets
    def task(address: str) -> None:
        raise OSError(address)

    with pytest.raises(RuntimeError, match=r"OSError: http://\*\*\*@h") as caught:
        task(f"http://ann:{PLAIN}@h")
    assert "".join(traceback.format_exception(caught.value)).count(PLAIN) == 0
    with pytest.raises(OSError, match="plain"):
        task("plain")


def _params(folder: Path, **changes: object) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(PARAMS.read_text()) | changes))
    return path


SOURCES = [
    *(address for address in ADDRESSES if address != "http://ann:{}"),
    "s3://key:{}@bucket/x",
    " http://ann:{}@host",
    "http://ann:{}%40host/x",
    "host/x?token={}",
    "http://host/{}?",
]


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_with_a_secret_is_refused_with_the_variable_to_use(tmp_path: Path, source: str) -> None:
    """`?token=` was accepted, printed by doctor, sent as part of every archive's address, and kept in dvc.lock."""
    with pytest.raises(ConfigError) as caught:
        config.load(_params(tmp_path, source=source.format(PLAIN)))
    assert PLAIN not in "".join(traceback.format_exception(caught.value))
    assert "params.yaml:" in caught.value.place
    for name in ("SEGLINE_SOURCE_TOKEN", "SEGLINE_SOURCE_USER", "SEGLINE_SOURCE_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        assert name in caught.value.remedy


@pytest.mark.parametrize("source", [["http://ann:{}@h"], {"url": "http://h", "password": "{}"}, {"token": "{}"}])
def test_a_source_of_another_shape_is_refused_without_showing_it(tmp_path: Path, source: object) -> None:
    text = yaml.safe_load(yaml.safe_dump(source).replace("{}", PLAIN))
    with pytest.raises(ConfigError) as caught:
        config.load(_params(tmp_path, source=text))
    assert PLAIN not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("options", {"kitti": {"path": "http://ann:{}@h/x"}}),
        ("search", {"weights": "https://h/weights.h5?sig={}"}),
        ("datasets", {"kitti": "http://ann:{}@h/x"}),
    ],
)
def test_a_secret_in_any_other_key_is_refused_too(tmp_path: Path, section: str, change: object) -> None:
    text = yaml.safe_load(yaml.safe_dump(change).replace("{}", PLAIN))
    with pytest.raises(ConfigError, match="a secret in it") as caught:
        config.load(_params(tmp_path, **{section: text}))
    assert PLAIN not in str(caught.value)


@pytest.mark.parametrize("source", ["official", "sample", "data/a@b", "/x/ann@corp", "http://h:80/x", "s3://b/f@2"])
def test_a_source_without_a_secret_is_none(tmp_path: Path, source: str) -> None:
    assert config.load(_params(tmp_path, source=source)).source == source


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        ({}, None),
        ({"TOKEN": "t0ken"}, "Bearer t0ken"),
        ({"USER": "ann", "PASSWORD": "s:crét"}, "Basic YW5uOnM6Y3LDqXQ="),
        ({"TOKEN": "", "USER": "", "PASSWORD": ""}, None),
    ],
)
def test_a_mirrors_login_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], header: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"SEGLINE_SOURCE_{name}", value)
    assert source_login.read_authorization("https://mirror/x") == header
    assert source_login.read_authorization("s3://mirror/x") is None
    assert source_login.read_authorization("/mirror/x") is None


@pytest.mark.parametrize(
    "variables",
    [
        {"USER": "ann"},
        {"PASSWORD": PLAIN},
        {"TOKEN": PLAIN, "USER": "ann"},
        {"TOKEN": PLAIN, "PASSWORD": PLAIN},
        {"TOKEN": PLAIN + "\n"},
        {"TOKEN": PLAIN + "é"},
        {"USER": "ann:b", "PASSWORD": PLAIN},
        {"USER": "ann", "PASSWORD": PLAIN + "\r\nX: y"},
    ],
)
def test_variables_that_cannot_be_a_login_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"SEGLINE_SOURCE_{name}", value)
    with pytest.raises(ConfigError, match=r"^SEGLINE_SOURCE_\w+: ") as caught:
        source_login.read_authorization("https://mirror/x")
    assert PLAIN not in str(caught.value)


def test_the_login_of_a_tracking_server_is_in_no_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The address with the password was passed on to MLflow, the machine's monitor, and every error."""
    _params(tmp_path)
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # so that they are put back
    monkeypatch.setenv("SEGLINE_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ann:s%40crét@host:5/x")
    for _ in range(2):
        assert Project.load().tracking_uri == "https://host:5/x"
        assert os.environ["MLFLOW_TRACKING_URI"] == "https://host:5/x"
        assert os.environ["MLFLOW_TRACKING_USERNAME"] == "ann"
        assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "s@crét"


@pytest.mark.parametrize(
    "address",
    ["http://h/x?token={}", "http://h/#{}", "http://{}@h", "http://:{}@h", "http://ann:{}/x@h", "http://ann:{}@[::1"],
)
def test_a_tracking_address_that_cannot_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    _params(tmp_path)
    monkeypatch.setenv("SEGLINE_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(PLAIN))
    with pytest.raises(ConfigError, match=r"MLFLOW_TRACKING_URI: .*\n.*MLFLOW_TRACKING_TOKEN") as caught:
        Project.load()
    assert PLAIN not in str(caught.value)


@pytest.fixture
def _tracking_as_before() -> Iterator[None]:
    """MLflow keeps the address that it was given last."""
    import mlflow

    yield
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    mlflow.set_registry_uri(None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("_tracking_as_before")
def test_a_tracking_server_is_asked_with_the_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its health was asked for without MLFLOW_TRACKING_USERNAME and the like, which a server behind a login refuses."""
    import http.server
    import threading

    from segline.registry.tracking import check_server, connect

    got: list[tuple[str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            got.append((self.path, self.headers.get("Authorization")))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    place = f"127.0.0.1:{server.server_port}"
    check_server(f"http://{place}")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    check_server(f"http://{place}")
    _params(tmp_path)
    monkeypatch.setenv("SEGLINE_ROOT", str(tmp_path))
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # so that they are put back
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:secret@{place}")
    client = connect(Project.load())
    server.shutdown()
    server.server_close()
    assert client.tracking_uri == f"http://{place}"
    assert [login for _, login in got[:2]] == [None, "Bearer t0ken"]
    assert len(got) > 3
    assert {login for _, login in got[2:]} == {"Basic YW5uOnNlY3JldA=="}
    assert any("experiments/search" in path for path, _ in got)


@pytest.mark.usefixtures("_tracking_as_before")
@pytest.mark.parametrize("uri", ["nonsense+driver://ann:{}@h/db", "postgresql+nodriver://ann:{}@h/db"])
def test_a_database_that_cannot_be_opened_is_told_without_its_password(tmp_path: Path, uri: str) -> None:
    """`postgresql+psycopg2://` without psycopg2 ended in a traceback."""
    from segline.registry.tracking import connect

    with pytest.raises(TrackingError) as caught:
        connect(Project(root=tmp_path, tracking_uri=uri.format(PLAIN), workers=1))
    assert PLAIN not in str(caught.value)
    assert PLAIN not in repr(Project(root=tmp_path, tracking_uri=uri.format(PLAIN), workers=1))


_BOTH = """
from segline.cli import main
for command in (["doctor"], ["--debug", "models", "list"]):
    try:
        main(command)
    except SystemExit as ended:
        assert ended.code == 1
"""


def test_commands_with_a_secret_in_every_variable_print_none(tmp_path: Path) -> None:
    """Both printed `http://ann:hunter2secret@127.0.0.1:9: no MLflow server answers`."""
    _params(tmp_path, source="sample")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@l"]
    for each in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        subprocess.run([*git, *each], check=True)
    everything = dict.fromkeys(("SEGLINE_SOURCE_TOKEN", "AWS_SECRET_ACCESS_KEY", "CITYSCAPES_PASSWORD"), PLAIN) | {
        "SEGLINE_ROOT": str(tmp_path),
        "MLFLOW_TRACKING_URI": f"http://ann:{PLAIN}@127.0.0.1:9",
        "PREFECT_API_URL": f"http://ann:{PLAIN}@127.0.0.1:9/api",
        "no_proxy": "127.0.0.1",
    }
    answer = subprocess.run(
        [sys.executable, "-c", _BOTH],
        env=os.environ | everything,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.count("error: http://127.0.0.1:9: no MLflow server answers") == 2
    assert PLAIN not in answer.stdout + answer.stderr
