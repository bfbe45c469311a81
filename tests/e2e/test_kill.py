"""Killed anywhere and started again, a run ends in the state of an undisturbed one."""

import contextlib
import logging
import random
import sqlite3
import sys
import time

import pytest
import yaml
from end_state import state

LOG = logging.getLogger(__name__)
WHOLE = ("bash", "-c", f"dvc repro && exec {sys.executable} -u -m flows.training")
MOMENTS = [
    "Beginning flow run",
    "trial 1/2",
    "trial 2/2",
    "epoch 1/4",
    "epoch 4/4",
    "evaluate: 120",
    "registered segline",
    "gate: ",
]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_killed_at_every_step_ends_like_an_undisturbed_one(prepared_project, project_copy):
    """Two kills are in test_main_job; here are all of them, in one run."""
    if not prepared_project.parents():
        prepared_project.train()
    undisturbed = state(prepared_project, prepared_project.parents()[0])
    for moment in MOMENTS:
        project_copy.kill_when(moment, sys.executable, "-u", "-m", "flows.training")
    said = project_copy.train().stderr
    assert "train: already done" in said  # which shows that a flow's lines are there
    for repeated in ("trial 1/2", "trial 2/2", "epoch 1/4"):
        assert repeated not in said
    (parent,) = project_copy.parents()
    disturbed = state(project_copy, parent)
    for name, value in undisturbed.items():
        assert disturbed[name] == value, name
    client = project_copy.client()
    assert len(client.search_model_versions("name = 'segline-oxford_pets'")) == 1
    assert len(client.search_logged_models([parent.info.experiment_id])) == 1
    assert {run.info.status for run in client.search_runs([parent.info.experiment_id])} == {"FINISHED"}
    assert not [path for path in (project_copy.root / ".segline" / "runs").iterdir() if path.is_dir()]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_search_by_halving_killed_on_each_rung_ends_like_an_undisturbed_one(
    prepared_project, make_project, project_copy
):
    whole = make_project(prepared_project)
    for project in (whole, project_copy):
        search = yaml.safe_load((project.root / "params.yaml").read_text())["search"]
        project.set(search=search | {"trials": 4, "epochs": 4, "halving": 2})
    whole.run("segline", "train", timeout=600)
    for moment in ("trial 2/7", "trial 5/7", "trial 7/7"):
        project_copy.kill_when(moment, "segline", "train")
    project_copy.run("segline", "train", timeout=600)
    expected = state(whole, whole.parents()[0])
    (parent,) = project_copy.parents()
    found = state(project_copy, parent)
    for name, value in expected.items():
        assert found[name] == value, name
    assert len(found["trials"]) == 7


@pytest.fixture(scope="module")
def undisturbed(prepared_project, make_project):
    """What `WHOLE` leaves behind, and its seconds; in a project of its own, because none may be trained already."""
    project = make_project(prepared_project)
    forget_data(project)
    start = time.monotonic()
    project.run(*WHOLE, timeout=900)
    took = time.monotonic() - start
    return state(project, project.parents()[0]), read_lock(project), took


def forget_data(project):
    project.run("rm", "-rf", "data", ".dvc/cache", "dvc.lock")


def read_lock(project):
    return (project.root / "dvc.lock").read_text()


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("number", range(20))
def test_a_whole_run_killed_at_a_random_moment_ends_like_an_undisturbed_one(undisturbed, project_copy, number):
    """Before, Prefect showed the killed run as RUNNING for good."""
    expected, lock, took = undisturbed
    forget_data(project_copy)
    project_copy.forget_server()
    moment = took * (number + random.Random(number).random()) / 20
    LOG.info("kill %d after %.1f of %.1f s", number, moment, took)
    project_copy.kill_after(moment, *WHOLE)
    project_copy.run(*WHOLE, timeout=900)
    check_end(project_copy, expected, lock, moment)


def check_end(project, expected, lock, moment):
    """Check that all is as after an undisturbed run, and that nothing runs or holds a slot in MLflow and Prefect."""
    found = state(project, project.parents()[-1])
    for name, value in expected.items():
        assert found[name] == value, (name, moment)
    assert read_lock(project) == lock
    assert len(project.parents()) == 1
    client = project.client()
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    assert {run.info.status for run in client.search_runs(everywhere)} == {"FINISHED"}
    with contextlib.closing(sqlite3.connect(project.root / ".prefect" / "prefect.db")) as database:
        states = [name for (name,) in database.execute("select state_type from flow_run")]
        assert set(states) <= {"COMPLETED", "CRASHED"}
        assert "COMPLETED" in states  # twice, if the first command ended before its kill
        assert not database.execute("select id from task_run where state_type in ('RUNNING', 'PENDING')").fetchall()
        assert not database.execute("select id from concurrency_limit_v2 where active_slots > 0").fetchall()
