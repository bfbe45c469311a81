"""A whole project in a folder of its own: the real files, small figures, real servers."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from listed_datasets import listed
from serving import end, read_until

ROOT = Path(__file__).parent.parent.parent
SMALL = {
    "datasets": listed("oxford_pets"),
    "prepare": {"short_side": 48, "validation_share": 0.2},
    "training": {
        "crop": [32, 64],
        "batch": 4,
        "steps": 4,
        "epochs": 4,
        "weight_decay": 0.01,
        "warm_up": 0.1,
        "dropout": 0.2,
        "threads": 1,  # two tests run at a time
    },
    "search": {
        "trials": 2,
        "epochs": 1,
        "networks": ["unet", "xception_unet"],
        "width": [4, 6],
        "depth": [2],
        "learning_rate": [0.001, 0.01],
        "augmentation": [0.0, 0.5],
    },
    "evaluation": {"resamples": 100, "confidence": 0.95, "cost_seconds": 0.05},
    "promotion": {"floor": {"oxford_pets": 0.05}},
}


def is_group_listed(group):
    """Return whether a process of the group is there, ended or not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class Project:
    """A checkout with its own git history, environment and data."""

    def __init__(self, root, environment):
        self.root = root
        self.environment = environment

    def forget_server(self):
        """Let what is run from here on know no Prefect server but its own."""
        told = ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH")
        self.environment = {name: value for name, value in self.environment.items() if name not in told}

    def run(self, *command, check=True, timeout=300):
        """Run a command of the project's environment; returns the completed process."""
        answer = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and answer.returncode != 0:
            raise AssertionError(f"{command} ended with {answer.returncode}\n{answer.stdout}\n{answer.stderr}")
        return answer

    @contextmanager
    def start(self, *command):
        """Start a command in a process group of its own, which ends with the context."""
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            end(process)

    def kill_when(self, sight, *command):
        """Start a command, and kill its whole process group once it says `sight`."""
        with self.start(*command) as process:
            read_until(process, sight)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def kill_after(self, seconds, *command):
        """Start a command, and kill its whole process group so many seconds later.

        Killed processes stay in the list of processes until init removes them. DVC takes one for alive so long.
        """
        with self.start(*command) as process:
            time.sleep(seconds)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        deadline = time.monotonic() + 60
        while is_group_listed(process.pid):
            assert time.monotonic() < deadline, f"processes of group {process.pid} were killed and are still listed"
            time.sleep(0.2)

    def train(self, *arguments, check=True):
        """Run the training flow."""
        return self.run(sys.executable, "-m", "flows.training", *arguments, check=check)

    def client(self):
        """An MLflow client on the project's own store."""
        from mlflow import MlflowClient

        uri = f"sqlite:///{self.root / 'mlflow.db'}"
        return MlflowClient(tracking_uri=uri, registry_uri=uri)

    def parents(self):
        """Parent runs, oldest first."""
        client = self.client()
        found = client.get_experiment_by_name("segline-oxford_pets")
        runs = client.search_runs([found.experiment_id], order_by=["attributes.start_time ASC"]) if found else []
        return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]

    def children(self, parent):
        """Trial runs of a parent."""
        return self.client().search_runs(
            [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        )

    def set(self, **changes):
        """Change top-level keys of params.yaml."""
        path = self.root / "params.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def copy_project(root, **changes):
    """Copy what git knows of the working tree to `root`, with small parameters, and commit it there."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/", "dvc.lock")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    content = yaml.safe_load((root / "params.yaml").read_text()) | SMALL | changes
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        subprocess.run(
            ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *command], cwd=root, check=True
        )


def environment_of(root, **extra):
    ours = ("MLFLOW_", "PREFECT_", "TF_CPP_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {
        "SEGLINE_ROOT": str(root),
        "PYTHONPATH": str(root / "src"),
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]),
        "PREFECT_HOME": str(root / ".prefect"),
        "DO_NOT_TRACK": "1",
        **extra,
    }


@pytest.fixture(scope="session")
def prepared_project(tmp_path_factory, worker_id, prefect_api):
    """A project whose data stages have run; tests that change it take `project_copy` instead.

    The first of pytest's workers runs the stages for all.
    """
    ours = tmp_path_factory.getbasetemp()
    made = (ours if worker_id == "master" else ours.parent) / "prepared"
    with FileLock(f"{made}.lock"):
        if not (made / "dvc.lock").is_file():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            copy_project(made)
            Project(made, environment_of(made)).run("dvc", "repro")
    root = ours / "project"
    copy_state(made, root)
    return Project(root, environment_of(root, **prefect_api))


def copy_state(source, root):
    """Copy a project and the state of its data, nothing that was trained."""
    excluded = shutil.ignore_patterns("mlflow.db*", "mlartifacts", ".segline", ".prefect", "tmp")
    shutil.copytree(source, root, ignore=excluded, symlinks=True, dirs_exist_ok=True)


@pytest.fixture
def bare_project(tmp_path):
    """A project of which nothing has run."""
    root = tmp_path / "project"
    root.mkdir()
    copy_project(root)
    return Project(root, environment_of(root))


@pytest.fixture(scope="session")
def make_project(tmp_path_factory):
    """Makes bare projects with further variables in their environment, or copies of a project with its data."""

    def make(source=None, root=None, **environment):
        root = root or tmp_path_factory.mktemp("made") / "project"
        if source:
            copy_state(source.root, root)
        else:
            root.mkdir(exist_ok=True)
            copy_project(root)
        return Project(root, environment_of(root, **environment))

    return make


@pytest.fixture
def project_copy(prepared_project, prefect_api, tmp_path):
    """The same state of data, nothing trained."""
    root = tmp_path / "project"
    copy_state(prepared_project.root, root)
    return Project(root, environment_of(root, **prefect_api))
