"""MLflow's server is lost: how long is waited, and what is said."""

import http.server
import logging
import os
import sqlite3
import threading

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from serving import free_port
from sqlalchemy.exc import OperationalError

from segline.errors import TrackingError
from segline.registry import outage
from segline.registry.tracking import reporting_tracking


@pytest.fixture(autouse=True)
def _limits(monkeypatch):
    """Forget the limits after the test; one repetition, so that it is short."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    monkeypatch.setattr(outage._NOTES, "_last", -outage._QUIET_SECONDS)


@pytest.fixture
def refusing():
    """A server that is well, and takes no file (HTTP 413); yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def do_PUT(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(413)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_repeated_request_is_told_and_its_failure_has_a_remedy(capfd):
    """Before: four minutes without a word, then the text of a Python exception."""
    uri = f"http://127.0.0.1:{free_port()}"
    outage.expect(uri)
    with pytest.raises(TrackingError, match="start the server again") as caught, reporting_tracking(uri):
        MlflowClient(tracking_uri=uri).get_run("0")
    assert "no longer answers" in caught.value.found
    assert "HTTPConnectionPool" not in caught.value.found
    said = capfd.readouterr().err
    assert said == f"note: {uri}: the MLflow server does not answer; trying again, for about two minutes in all\n"


def test_threads_that_meet_the_loss_together_are_told_once(capfd):
    """Before, each thread wrote the same note."""
    uri = f"http://127.0.0.1:{free_port()}"
    outage.expect(uri)
    record = logging.LogRecord("urllib3", logging.WARNING, "", 0, "Retrying (Retry(total=1))", None, None)
    assert [outage._NOTES.filter(record) for _ in range(3)] == [False] * 3
    assert capfd.readouterr().err.count("does not answer") == 1


def test_limits_of_the_environment_are_kept(monkeypatch):
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    outage.expect("http://127.0.0.1:9")
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "6"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "5"


def test_only_a_server_can_be_lost(refusing):
    assert outage.is_lost(f"http://127.0.0.1:{free_port()}")
    assert not outage.is_lost(refusing)
    assert not outage.is_lost("sqlite:////nowhere/mlflow.db")


def test_a_file_that_the_server_refuses_is_a_tracking_error(refusing, tmp_path):
    """Before, the error of the HTTP library came with its traceback."""
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(TrackingError, match="413"), reporting_tracking(refusing):
        HttpArtifactRepository(f"{refusing}/api/2.0/mlflow-artifacts/artifacts/0").log_artifact(
            str(tmp_path / "plan.json")
        )


def test_a_server_that_is_lost_while_files_are_fetched_is_told_so(tmp_path):
    """Before, the artifact store was to be restored, or the alias of the version to be removed."""
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    uri = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(TrackingError, match="no longer answers"), reporting_tracking(uri):
        HttpArtifactRepository(f"{uri}/api/2.0/mlflow-artifacts/artifacts/0")._download_file("x", str(tmp_path / "x"))


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")),
        MlflowException(  # as it comes from a flush before a query; before, it was not recognised
            "(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block)\n"
            "(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT INTO metrics]"
        ),
        MlflowException("INTERNAL_ERROR: [Errno 28] No space left on device: '/mlartifacts/0'"),
    ],
)
def test_a_full_disk_is_named(error):
    with pytest.raises(TrackingError, match="the disk is full"), reporting_tracking("MLflow"):
        raise error


def test_a_failing_database_is_logged_without_traceback_and_statement(tmp_path, capfd):
    """Before, MLflow logged two tracebacks and the whole statement for each error that it then raised."""
    database = tmp_path / "mlflow.db"
    uri = f"sqlite:///{database}"
    client = MlflowClient(tracking_uri=uri)
    run = client.create_run("0")
    with sqlite3.connect(database) as connection:
        connection.execute("drop table metrics")
    capfd.readouterr()
    outage.shorten_logs()
    with pytest.raises(MlflowException) as caught:
        client.log_metric(run.info.run_id, "loss", 1.0)
    logging.getLogger("mlflow.system_metrics.system_metrics_monitor").warning(f"Failed to log: {caught.value}")
    said = capfd.readouterr().err.strip()
    assert "no such table" in said
    assert "INSERT" not in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
