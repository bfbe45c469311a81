"""Against a real store: SQLite, and a real server that is not there."""

import threading
import time

import pytest
from filelock import FileLock
from mlflow import MlflowClient

from segline.errors import LONGEST_NAME, TrackingError
from segline.project import Project, Tags
from segline.registry import tracking, versions


@pytest.fixture
def experiment(client, settings, request):
    return tracking.experiment(client, settings, request.node.name)


def history(client, run_id, name):
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]


def test_a_step_is_logged_once_however_often_a_run_is_resumed(client, experiment):
    run = tracking.open_parent(client, experiment, key="k", name="n")
    with tracking.closing(client, run) as tracker:
        tracker.log_metrics({"loss": 3.0}, step=1)
        tracker.log_metrics({"loss": 2.0}, step=2)
    again = client.get_run(run.info.run_id)
    with tracking.closing(client, again) as tracker:
        tracker.log_metrics({"loss": 2.0}, step=2)
        tracker.log_metrics({"loss": 1.0}, step=3)
    assert history(client, run.info.run_id, "loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_a_child_is_found_again_by_its_key(client, experiment):
    parent = tracking.open_parent(client, experiment, key="k", name="n")
    with tracking.closing(client, parent) as tracker:
        with tracker.child("trial-0", "trial 1") as first:
            first.log_params({"width": 4})
        with tracker.child("trial-0", "trial 1") as second:
            second.log_params({"width": 4})
        with tracker.child("trial-1", "trial 2") as other:
            pass
    assert first.run_id == second.run_id != other.run_id
    assert {run.info.status for run in client.search_runs([experiment])} == {"FINISHED"}


def test_no_secret_becomes_a_tag_or_a_parameter(client, experiment, monkeypatch):
    monkeypatch.setenv("SEGLINE_SOURCE_TOKEN", "t0k3nt0k3n")
    run = tracking.open_parent(client, experiment, key="k", name="n")
    with tracking.closing(client, run) as tracker:
        tracker.set_tags({"from": "http://ann:secret@h/x?sig=secret", "count": 3})
        tracker.log_params({"asked": "with t0k3nt0k3n", "width": 4})
    stored = client.get_run(run.info.run_id).data
    assert stored.tags["from"] == "http://***@h/x?sig=***"
    assert stored.tags["count"] == "3"
    assert stored.params == {"asked": "with ***", "width": "4"}


def test_a_name_that_mlflow_refuses_is_logged_under_one_that_it_takes(client, experiment, monkeypatch):
    """Before, a class `R&D` ended a training that was finished when its scores were logged, and a user had any name."""
    monkeypatch.setenv("USER", "a\x1b[31m\u202e" + "x" * 10_000)
    run = tracking.open_parent(client, experiment, key="k", name="n")
    names = ["R&D", "R+D", "R_D", "0<a href=x>", "\U0001f600", "a, b", "$x$", ".", "..", "a//b", "/a", "a/", "x" * 120]
    legal = ["car", "a/b:c", "Stra\u00dfe", "\u9053\u8def"]
    tracking.MlflowTracker(client, run).log_metrics(
        {f"test_iou/{name}": place for place, name in enumerate((*names, *legal))}, step=0
    )
    data = client.get_run(run.info.run_id).data
    assert sorted(data.metrics.values()) == list(range(len(names) + len(legal)))
    assert {f"test_iou/{name}" for name in legal} <= data.metrics.keys()
    user = data.tags["mlflow.user"]
    assert user.startswith("a\\x1b[31m\\u202ex")
    assert len(user) == LONGEST_NAME


def test_a_failure_marks_the_run_and_passes_on(client, experiment):
    parent = tracking.open_parent(client, experiment, key="k", name="n")
    with pytest.raises(RuntimeError), tracking.closing(client, parent) as tracker, tracker.child("a", "a"):
        raise RuntimeError
    assert {run.info.status for run in client.search_runs([experiment])} == {"FAILED"}


def test_only_a_decision_makes_a_run_finished(client, experiment):
    run = tracking.open_parent(client, experiment, key="k", name="n")
    with tracking.closing(client, run):
        pass
    assert tracking.unfinished(client, experiment, "k").info.run_id == run.info.run_id
    client.set_tag(run.info.run_id, Tags.DECISION, "{}")
    assert tracking.unfinished(client, experiment, "k") is None
    assert tracking.is_finished(client.get_run(run.info.run_id))
    assert tracking.runs_with_key(client, experiment, "other") == []


def test_a_server_that_is_not_there_is_named_within_seconds(settings):
    gone = Project(root=settings.root, tracking_uri="http://127.0.0.1:9", workers=1)
    with pytest.raises(TrackingError, match="no MLflow server answers") as caught:
        tracking.connect(gone)
    assert "http://127.0.0.1:9" in str(caught.value)
    assert "MLFLOW_TRACKING_URI" in str(caught.value)


def test_a_store_that_is_no_database_is_named(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(TrackingError, match=r"mlflow\.db"):
        tracking.connect(Project(root=tmp_path, tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}", workers=1))


def test_an_unknown_model_is_answered_with_the_known_ones(client):
    client.create_registered_model("segline-known")
    version = client.create_model_version("segline-known", source="file:///nowhere")
    assert versions.champion(client, "segline-known") is None
    versions.promote(client, version)
    assert versions.champion(client, "segline-known").version == str(version.version)
    assert versions.resolve(client, "segline-known").version == str(version.version)
    assert versions.resolve(client, "segline-known/1").version == str(version.version)
    for unknown in ("segline-unknown@champion", "segline-known@nobody", "segline-known/9", "segline-unknown"):
        with pytest.raises(TrackingError, match="segline-known@champion"):
            versions.resolve(client, unknown)


def test_the_store_can_be_opened_by_name(client, settings):
    assert isinstance(client, MlflowClient)
    assert tracking.experiment(client, settings, "twice") == tracking.experiment(client, settings, "twice")


def test_an_outage_is_a_tracking_error_wherever_it_strikes(client, experiment):
    """The search must end with it, and not take it for a failed trial."""
    run = tracking.open_parent(client, experiment, key="k", name="n")
    tracker = tracking.MlflowTracker(client, run)
    client.set_terminated(run.info.run_id)
    client.delete_run(run.info.run_id)  # a store that refuses to write
    for action in (
        lambda: tracker.log_params({"a": 1}),
        lambda: tracker.log_metrics({"a": 1.0}, step=1),
        lambda: tracker.set_tags({"a": "b"}),
    ):
        with pytest.raises(TrackingError):
            action()


def test_runs_left_running_under_another_key_are_ended_unless_somebody_holds_them(client, experiment, settings):
    left = tracking.open_parent(client, experiment, key="left", name="n")
    held = tracking.open_parent(client, experiment, key="held", name="n")
    elsewhere = tracking.open_parent(client, experiment, key="elsewhere", name="n")
    child = client.create_run(experiment, tags={"mlflow.parentRunId": left.info.run_id})
    for run in (left, held):
        (settings.runs / run.info.run_id).mkdir(parents=True)
    with FileLock(settings.runs / "held.lock"):
        tracking.end_abandoned(client, experiment, settings)
    status = lambda run: client.get_run(run.info.run_id).info.status  # noqa: E731
    assert [status(run) for run in (left, child, held, elsewhere)] == ["KILLED", "KILLED", "RUNNING", "RUNNING"]
    assert tracking.unfinished(client, experiment, "left").info.run_id == left.info.run_id


def watchers():
    return [thread for thread in threading.enumerate() if thread.name == "SystemMetricsMonitor"]


def watch(client, run, points):
    """Watch until so many points are there, then fail as a training does."""
    with tracking.closing(client, client.get_run(run.info.run_id)) as tracker, tracking.watching_machine(tracker):
        assert len(watchers()) == 1
        deadline = time.monotonic() + 30
        while len(history(client, run.info.run_id, CPU)) < points and time.monotonic() < deadline:
            time.sleep(0.05)
        raise RuntimeError


CPU = "system/cpu_utilization_percentage"


def test_the_machine_is_watched_and_nobody_goes_on_watching_after_a_failure(client, experiment, monkeypatch):
    """Twice, as after a resume: the curve goes on, one point a step."""
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    run = tracking.open_parent(client, experiment, key="k", name="n")
    lengths = []
    for _ in range(2):
        with pytest.raises(RuntimeError):
            watch(client, run, lengths[-1] + 2 if lengths else 2)
        assert not watchers()
        lengths.append(len(history(client, run.info.run_id, CPU)))
    steps = [step for step, _ in history(client, run.info.run_id, CPU)]
    assert steps == list(range(lengths[1]))
    assert lengths[1] > lengths[0] >= 2
    assert {"system/system_memory_usage_megabytes", "system/disk_usage_percentage"} <= set(
        client.get_run(run.info.run_id).data.metrics
    )
    assert client.get_run(run.info.run_id).info.status == "FAILED"
