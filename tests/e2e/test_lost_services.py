"""A server that is lost, or a disk that is full, in the middle of a training: what is said, and where a rerun ends."""

import errno
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from end_state import state
from serving import Service, end, free_port, read_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COMMAND = ("segline", "train")
FLOW = (sys.executable, "-u", "-m", "flows.training")
MOMENTS = {"search": "trial 1/2", "fit": "epoch 1/4"}
OUTAGE = 20.0
"""Seconds until a server is back: shorter than the minute for which requests are repeated."""

LONGEST = 180.0
"""Seconds after a loss at which a training must have ended, or said something."""


@pytest.fixture(scope="module")
def undisturbed(prepared_project):
    """What a training leaves behind from which nothing was taken away."""
    if not prepared_project.parents():
        prepared_project.train()
    return state(prepared_project, prepared_project.parents()[0])


@contextmanager
def service_of(project, name):
    """A real server that keeps its files in the project; yields it."""
    ports = {"MLFLOW_PORT": free_port(), "PREFECT_PORT": free_port()}
    health = {"mlflow": f":{ports['MLFLOW_PORT']}/health", "prefect": f":{ports['PREFECT_PORT']}/api/health"}
    service = Service(name, project.root, ports, health=f"http://127.0.0.1{health[name]}")
    service.start()
    if name == "mlflow":
        project.environment["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{ports['MLFLOW_PORT']}"
    else:
        told = ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH")
        project.environment |= {variable: service.environment[variable] for variable in told}
    try:
        yield service
    finally:
        end(service.process)


class Answer:
    """What a disturbed command said, its exit code, and its seconds from the disturbance to the end."""

    def __init__(self, said, code, seconds, longest):
        self.said, self.code, self.seconds, self.longest = said, code, seconds, longest

    def __str__(self):
        return f"exit {self.code} after {self.seconds:.0f} s, at most {self.longest:.0f} s without a word\n{self.said}"


def disturb(project, command, moment, strike):
    """Run `command`, and call `strike` when it says `moment`."""
    with project.start(*command) as process:
        said = read_until(process, moment)
        strike()
        struck = last = time.monotonic()
        longest = 0.0
        said += "--- here ---\n"
        for line in process.stdout:
            said += line
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        process.wait()
        ended = time.monotonic()
    return Answer(said, process.returncode, ended - struck, max(longest, ended - last))


def kill(service, *, back):
    """Kill `service`, and start it again after OUTAGE seconds if it comes `back`."""

    def strike():
        service.kill()
        if back:
            threading.Timer(OUTAGE, service.start).start()

    return strike


def check_end(project, undisturbed):
    """Check that all is as after an undisturbed training, and nothing is left over."""
    (parent,) = project.parents()
    found = state(project, parent)
    for name, value in undisturbed.items():
        assert found[name] == value, name
    client = project.client()
    assert len(client.search_model_versions("name = 'segline-oxford_pets'")) == 1
    assert {run.info.status for run in client.search_runs([parent.info.experiment_id])} == {"FINISHED"}
    assert not [path for path in (project.root / ".segline" / "runs").iterdir() if path.is_dir()]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_training_goes_on_when_mlflows_server_is_back_soon(project_copy, undisturbed, moment):
    with service_of(project_copy, "mlflow") as service:
        answer = disturb(project_copy, COMMAND, MOMENTS[moment], kill(service, back=True))
    assert answer.code == 0, str(answer)
    assert "the MLflow server does not answer" in answer.said
    assert "Traceback" not in answer.said, str(answer)
    check_end(project_copy, undisturbed)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_training_ends_when_mlflows_server_is_lost_and_goes_on_later(project_copy, undisturbed, moment):
    """Before, it was silent for four minutes for each of the requests that followed."""
    with service_of(project_copy, "mlflow") as service:
        answer = disturb(project_copy, COMMAND, MOMENTS[moment], kill(service, back=False))
        assert answer.code == 1, str(answer)
        assert answer.seconds < LONGEST, str(answer)
        assert "Traceback" not in answer.said, str(answer)
        assert answer.said.count("error:") == 1
        assert "start the server again" in answer.said
        service.start()
        project_copy.run(*COMMAND)
    check_end(project_copy, undisturbed)


@contextmanager
def disk(folder):
    """A small disk of its own at `folder`; yields what fills it up."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not permitted: {mounted.stderr.decode().strip()}")
    try:
        yield lambda: fill(folder / "filler")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(path):
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as filler:
        for block in (1 << 20, 1 << 12):
            try:
                while True:
                    filler.write(bytes(block))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017  # any other is a fault of the test


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("place", [".", ".segline", "mlartifacts"])
def test_a_full_disk_is_told_and_a_rerun_ends_as_if_it_never_was(
    prepared_project, make_project, undisturbed, tmp_path, place, moment
):
    root = tmp_path / "project"
    with disk(root / place) as fill_up:
        project = make_project(prepared_project, root)
        answer = disturb(project, COMMAND, MOMENTS[moment], fill_up)
        assert answer.code == 1, str(answer)
        assert answer.seconds < LONGEST, str(answer)
        assert "Traceback" not in answer.said, str(answer)
        assert answer.said.count("error:") == 1
        assert "the disk is full" in answer.said, str(answer)
        (root / place / "filler").unlink()
        project.run(*COMMAND)
        check_end(project, undisturbed)


@pytest.mark.parametrize("back", [True, False])
@pytest.mark.parametrize("moment", MOMENTS)
def test_prefects_server_is_lost(project_copy, undisturbed, moment, back):
    with service_of(project_copy, "prefect") as service:
        answer = disturb(project_copy, FLOW, MOMENTS[moment], kill(service, back=back))
        assert "Traceback" not in answer.said, str(answer)
        assert answer.seconds < 2 * LONGEST, str(answer)  # Prefect sends its events one by one, 7 s each
        assert answer.said.count("the Prefect server does not answer") <= 1
        assert "EventsWorker" not in answer.said
        if not back:
            service.start()
        project_copy.run(*FLOW)
    check_end(project_copy, undisturbed)
