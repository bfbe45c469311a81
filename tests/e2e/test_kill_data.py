"""Data stages killed at random moments and run again leave what an undisturbed run leaves, byte for byte."""

import hashlib
import random
import shutil
import time

import pytest

from segline.datasets.sample import draw

STAGES = ("download", "extract", "validate", "prepare")
FOLDERS = {"download": "archives", "extract": "raw", "validate": "manifest", "prepare": "prepared"}
DATASET = "oxford_pets"


def contents(project):
    """Digest of every file that the stages left, by path; what a kill leaves beside them would show."""
    root = project.root / "data"
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def remove_from(project, stage):
    for name in STAGES[STAGES.index(stage) :]:
        shutil.rmtree(project.root / "data" / FOLDERS[name] / DATASET, ignore_errors=True)


def run_from(project, stage):
    """Run the stages from `stage` on; returns the seconds each took."""
    seconds = {}
    for name in STAGES[STAGES.index(stage) :]:
        start = time.monotonic()
        project.run("segline", "data", name, DATASET)
        seconds[name] = time.monotonic() - start
    return seconds


@pytest.fixture
def served_project(project_copy, tmp_path, serve):
    """A project without data, whose source is a mirror served over HTTP."""
    draw(DATASET, tmp_path / "mirror" / DATASET)
    shutil.rmtree(project_copy.root / "data")
    project_copy.set(source=serve(tmp_path / "mirror"))
    return project_copy


def killed_and_rerun(project, *, moments, seed):
    took = run_from(project, "download")
    expected = contents(project)
    generator = random.Random(seed)
    for number in range(moments):
        stage = STAGES[number % len(STAGES)]
        remove_from(project, stage)
        moment = took[stage] * generator.uniform(0.2, 1.0)
        project.kill_after(moment, "segline", "data", stage, DATASET)
        run_from(project, stage)
        assert contents(project) == expected, f"{stage} killed after {moment:.2f} s (moment {number} of seed {seed})"


def test_stages_killed_once_each_are_done_again(served_project):
    killed_and_rerun(served_project, moments=4, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_stages_killed_at_20_random_moments_are_done_again(served_project):
    killed_and_rerun(served_project, moments=20, seed=2)


def test_dvc_repro_killed_midway_goes_on(project_copy, prepared_project):
    expected = (prepared_project.root / "dvc.lock").read_text()
    for name in ("data", ".dvc/cache"):
        shutil.rmtree(project_copy.root / name)
    (project_copy.root / "dvc.lock").unlink()
    for seconds in (3.0, 8.0):
        project_copy.kill_after(seconds, "dvc", "repro")
    project_copy.run("dvc", "repro")
    assert (project_copy.root / "dvc.lock").read_text() == expected
