"""After runs with a password in every address and variable that may hold one, it is found nowhere."""

import os
import sys
from urllib.parse import quote

import psutil
import pytest
import yaml

pytestmark = pytest.mark.slow

SECRET = "hunter2/s3cr@t"
SPELLINGS = [each.encode() for each in (SECRET, quote(SECRET, safe=""), "hunter2")]
VARIABLES = ("SEGLINE_SOURCE_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "CITYSCAPES_PASSWORD")


@pytest.fixture
def prefect_home(tmp_path_factory, prefect_api):
    return max(tmp_path_factory.getbasetemp().glob("prefect*"), key=os.path.getmtime)


def holders(*folders):
    """Files with the secret in them; git's and the project's own params.yaml, where the test puts it, are left out."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    skipped = {"params.yaml"}
    kept = [path for path in files if path.name not in skipped and not {".git", "mirror"} & {*path.parts}]
    return [path for path in kept if any(each in path.read_bytes() for each in SPELLINGS)]


def argued():
    """Processes that have the secret among their arguments."""
    return [
        line
        for line in (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
        if SECRET in str(line)
    ]


def test_no_secret_is_left_anywhere(project_copy, prefect_home):
    """The password of the tracking server was printed twice, and stood 22 times in Prefect's database; doctor printed
    the source's token."""
    password = quote(SECRET, safe="")
    project_copy.environment |= dict.fromkeys(VARIABLES, SECRET)
    project_copy.environment["MLFLOW_TRACKING_URI"] = f"http://ann:{password}@127.0.0.1:9"
    said = ""
    commands = [
        ["segline", "doctor"],
        ["segline", "--debug", "models", "list"],
        [sys.executable, "-m", "flows.training"],
    ]
    for command in commands:
        answer = project_copy.run(*command, check=False)
        assert answer.returncode == 1
        assert "http://127.0.0.1:9: no MLflow server answers" in answer.stderr
        said += answer.stdout + answer.stderr
    project_copy.set(source=f"http://127.0.0.1:9/x?token={SECRET}")
    for command in (
        ["segline", "doctor"],
        ["segline", "data", "download", "oxford_pets"],
        [sys.executable, "-m", "dvc", "repro"],
        [sys.executable, "-m", "flows.data"],
    ):
        answer = project_copy.run(*command, check=False)
        assert answer.returncode != 0
        assert "SEGLINE_SOURCE_TOKEN" in answer.stdout + answer.stderr
        said += answer.stdout + answer.stderr
    assert yaml.safe_load((project_copy.root / "params.yaml").read_text())["source"].endswith(SECRET)
    assert "hunter2" not in said
    assert holders(project_copy.root, prefect_home) == []
    assert argued() == []
    database = b"".join(path.read_bytes() for path in (prefect_home / ".prefect").glob("prefect.db*"))
    assert b"no MLflow server answers" in database  # what is searched is what Prefect wrote
