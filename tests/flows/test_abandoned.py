"""Runs whose process is gone are ended, and slots freed, on a real Prefect server.

Before, a killed run stayed RUNNING for good, and held its deployment's slot for up to five minutes, or for good.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Completed, Paused, Pending, Running

from flows import abandoned
from flows.abandoned import AbandonedRuns
from segline.project import Project


@flow
def training() -> None:
    """A flow that these tests never run: they tell the server its states."""


@flow
def nightly() -> None:
    """A flow that the user wrote: it may call the flows of Segline."""


@task
def step() -> None:
    """A task of it."""


@pytest.fixture
def client(prefect_api):
    profiles = tomllib.loads(Path(prefect_api["PREFECT_PROFILES_PATH"]).read_text())["profiles"]
    login = profiles[prefect_api["PREFECT_PROFILE"]]["PREFECT_API_AUTH_STRING"]
    settings = {PREFECT_API_URL: prefect_api["PREFECT_API_URL"], PREFECT_API_AUTH_STRING: login}
    with temporary_settings(settings), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def project(tmp_path):
    return Project(root=tmp_path, tracking_uri="", workers=1)


def begin(client, project, state, *, locked=True):
    """A run in `state`; its lock file is there, and nobody holds it, as after a kill."""
    run = client.create_flow_run(training, state=Pending())
    if state is not None:
        client.set_flow_run_state(run.id, Running())
        client.set_flow_run_state(run.id, state)
    if locked:
        path = project.flow_lock(str(run.id))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return run.id


def look(runs, client, times=2):
    return [line for _ in range(times) for line in runs.end(client)]


def state_of(client, run_id):
    return client.read_flow_run(run_id).state_type.name


def test_a_run_without_process_is_ended_at_the_second_look(client, project):
    run = begin(client, project, Running())
    child = client.create_task_run(step, run, dynamic_key="0", state=Running())
    runs = AbandonedRuns(project, own=False)
    assert look(runs, client, 1) == []
    assert state_of(client, run) == "RUNNING"
    (line,) = look(runs, client, 1)
    assert line.endswith("is ended as crashed: its process is gone")
    assert state_of(client, run) == "CRASHED"
    assert client.read_task_run(child.id).state_type.name == "CRASHED"
    assert look(runs, client) == []  # told once


@pytest.mark.parametrize(
    ("state", "end"), [(None, "CRASHED"), (Cancelling(), "CANCELLED")], ids=["pending", "cancelling"]
)
def test_other_active_states_are_ended_too(client, project, state, end):
    run = begin(client, project, state)
    look(AbandonedRuns(project, own=False), client)
    assert state_of(client, run) == end


@pytest.mark.parametrize("state", [Completed(), Paused(timeout_seconds=300)], ids=["completed", "paused"])
def test_a_run_that_is_not_active_keeps_its_state(client, project, state):
    """Prefect's own heartbeats end suspended runs, too."""
    run = begin(client, project, state)
    before = state_of(client, run)
    assert look(AbandonedRuns(project, own=False), client) == []
    assert state_of(client, run) == before


def test_a_run_is_kept_while_its_process_lives_and_ended_once_that_is_killed(client, project):
    run = begin(client, project, Running())
    hold = "import filelock, sys\nwith filelock.FileLock(sys.argv[1]): print('held', flush=True); input()"
    lock = str(project.flow_lock(str(run)))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", hold, lock], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        runs = AbandonedRuns(project, own=False)
        assert look(runs, client, 3) == []
        process.kill()
    assert len(look(runs, client)) == 1
    assert state_of(client, run) == "CRASHED"


def test_a_run_of_another_project_or_machine_is_left_alone(client, project):
    run = begin(client, project, Running(), locked=False)
    assert look(AbandonedRuns(project, own=False), client) == []
    assert state_of(client, run) == "RUNNING"
    client.set_flow_run_state(run, Completed())


def test_a_run_that_was_killed_before_it_held_its_lock_is_ended_on_an_own_server(client, project, monkeypatch):
    run = begin(client, project, Running(), locked=False)
    assert look(AbandonedRuns(project, own=True), client) == []  # it may only be starting
    monkeypatch.setattr(abandoned, "_START", abandoned._START * 0)
    look(AbandonedRuns(project, own=True), client)
    assert state_of(client, run) == "CRASHED"


def test_a_run_of_a_flow_that_the_user_wrote_is_left_alone_unless_a_worker_started_it(client, project, monkeypatch):
    """Before, a healthy run of any other flow was ended as crashed after a minute: it holds no lock."""
    monkeypatch.setattr(abandoned, "_START", abandoned._START * 0)
    by_hand, by_worker = (client.create_flow_run(nightly, state=Pending()).id for _ in range(2))
    for run in (by_hand, by_worker):
        client.set_flow_run_state(run, Running())
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    client.update_flow_run(by_worker, infrastructure_pid=str(gone.pid))
    look(AbandonedRuns(project, own=True), client)
    assert [state_of(client, run) for run in (by_hand, by_worker)] == ["RUNNING", "CRASHED"]
    client.set_flow_run_state(by_hand, Completed())


def test_a_slot_that_no_run_holds_is_freed(client, project):
    """A server that was started again knows no lease: the slot of a killed run was taken for good."""
    made = client.create_deployment(client.create_flow(training), "local", concurrency_limit=1)
    name = f"deployment:{made}"
    client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active_slots=1))
    runs = AbandonedRuns(project, own=True)
    assert look(runs, client, 1) == []
    assert "1 were taken by 0 runs" in "".join(look(runs, client, 1))
    assert client.read_global_concurrency_limit_by_name(name).active_slots == 0
    client.delete_deployment(made)
