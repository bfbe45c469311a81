"""What goes wrong around a run is told once, with place, found, expected and remedy, and without a traceback."""

import subprocess
import sys

import pytest
import yaml


def complaint(answer):
    """The reported problem of a process that ended with 1."""
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr
    assert "remedy:" in answer.stderr
    return answer.stderr[answer.stderr.index("error:") :]


def limited(project, kibibytes, *command):
    """Run `command` where no file may grow beyond a size: every writer meets it as a full disk."""
    return project.run("bash", "-c", f'ulimit -f {kibibytes}; exec "$@"', "-", *command, check=False)


def test_training_without_prepared_data(project_copy):
    project_copy.run("rm", "-rf", "data/prepared", "dvc.lock")
    said = complaint(project_copy.train(check=False))
    assert "data/prepared/oxford_pets" in said
    assert "dvc repro" in said


def test_training_against_a_server_that_is_not_there(project_copy):
    project_copy.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    said = complaint(project_copy.train(check=False))
    assert "http://127.0.0.1:9: no MLflow server answers" in said


def test_training_on_other_data_than_params_say(project_copy):
    project_copy.set(prepare={"short_side": 64, "validation_share": 0.2})
    said = complaint(project_copy.train(check=False))
    assert "48" in said
    assert "64" in said
    assert "dvc repro" in said


@pytest.mark.parametrize("stage", ["download", "extract", "validate", "prepare"])
def test_a_full_disk_in_a_data_stage(project_copy, stage):
    folder = {"download": "archives", "extract": "raw", "validate": "manifest", "prepare": "prepared"}[stage]
    place = project_copy.root / "data" / folder / "oxford_pets"
    project_copy.run("rm", "-rf", str(place))
    said = complaint(limited(project_copy, 4, "segline", "data", stage, "oxford_pets"))
    assert "the disk is full" in said
    left = [path for path in place.rglob("*") if path.is_file()] if place.exists() else []
    assert all(path.stat().st_size == 0 for path in left), left
    assert not list(place.parent.glob(".*partial"))


def test_a_full_disk_while_training(project_copy):
    """The database cannot grow; with room again the same command goes on."""
    answer = limited(project_copy, 512, sys.executable, "-m", "flows.training")
    said = complaint(answer)
    assert "disk" in said
    assert "mlflow.db" in said


def test_a_mirror_that_is_missing_or_wrong(project_copy, tmp_path):
    project_copy.set(source=str(tmp_path / "nowhere"))
    assert str(tmp_path / "nowhere") in complaint(project_copy.run("segline", "doctor", check=False))
    answer = project_copy.run("dvc", "repro", check=False)
    assert answer.returncode != 0
    assert "no folder" in answer.stderr
    assert "Traceback" not in answer.stderr

    project_copy.run("segline", "sample", str(tmp_path / "mirror"))
    project_copy.set(source=str(tmp_path / "mirror"))
    project_copy.run("rm", "-rf", "data/archives")
    archive = tmp_path / "mirror" / "oxford_pets" / "annotations.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-1] + b"!")
    said = complaint(project_copy.run("segline", "data", "download", "oxford_pets", check=False))
    assert "annotations.tar.gz" in said
    assert said.count("sha256") >= 2


def test_a_failing_stage_fails_its_task_and_those_after_it(project_copy, tmp_path):
    project_copy.set(source=str(tmp_path / "nowhere"))
    answer = project_copy.run(sys.executable, "-m", "flows.data", check=False)
    said = complaint(answer)
    assert "stage download@oxford_pets" in said
    assert "no folder" in said
    assert "Traceback" not in answer.stdout


def test_the_data_flow_shows_cached_stages_as_cached(project_copy):
    answer = project_copy.run(sys.executable, "-m", "flows.data")
    outcome = answer.stdout + answer.stderr
    for stage in ("download", "extract", "validate", "prepare"):
        assert f"{stage}@oxford_pets: cached" in outcome
    assert "Cached(" in outcome


def test_make_explains_a_python_that_is_too_old(project_copy):
    """A real interpreter that believes itself to be 3.8."""
    (project_copy.root / "old").write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'import sys; sys.version_info = (3, 8, 1); exec(sys.argv[2])' \"$@\"\n"
    )
    (project_copy.root / "old").chmod(0o755)
    answer = subprocess.run(
        ["make", "install", "PYTHON=./old"], cwd=project_copy.root, capture_output=True, text=True, check=False
    )
    assert answer.returncode != 0
    assert "./old is Python 3.8.1, expected 3.11.4 to 3.13" in answer.stderr
    assert not (project_copy.root / ".venv").exists()


def test_a_typo_in_params_stops_before_anything_is_done(project_copy):
    path = project_copy.root / "params.yaml"
    content = yaml.safe_load(path.read_text())
    content["training"]["bacth"] = content["training"].pop("batch")
    path.write_text(yaml.safe_dump(content))
    for command in (
        ["segline", "doctor"],
        [sys.executable, "-m", "flows.training"],
        [sys.executable, "-m", "flows.data"],
    ):
        said = complaint(project_copy.run(*command, check=False))
        assert "training.bacth: unknown key" in said
        assert "'batch'?" in said


def test_a_prefect_server_that_is_not_there_is_named_at_once(project_copy):
    project_copy.environment["PREFECT_API_URL"] = "http://127.0.0.1:9/api"
    said = complaint(project_copy.train(check=False))
    assert "PREFECT_API_URL: no Prefect server answers" in said
    assert "unset PREFECT_API_URL" in said
