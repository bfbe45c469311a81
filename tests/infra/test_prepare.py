"""`make run` prepares the dataset that is trained on; before, `dvc repro` prepared all that params.yaml lists."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path):
    """Run the module with a `dvc` that prints what it is asked for."""
    dvc = tmp_path / "bin" / "dvc"
    dvc.parent.mkdir()
    dvc.write_text('#!/bin/sh\necho "asked for: $*"\n')
    dvc.chmod(dvc.stat().st_mode | stat.S_IXUSR)

    def start(*arguments, root=ROOT):
        environment = os.environ | {
            "PATH": f"{dvc.parent}:{os.environ['PATH']}",
            "SEGLINE_ROOT": str(root),
            "PYTHONPATH": f"{ROOT / 'src'}",
        }
        command = [sys.executable, "-m", "infra.prepare", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    return start


@pytest.mark.parametrize(("arguments", "dataset"), [((), "oxford_pets"), (("--dataset", "kitti"), "kitti")])
def test_only_the_dataset_that_is_trained_on_is_asked_for(run, arguments, dataset):
    answer = run(*arguments)
    assert answer.returncode == 0
    assert answer.stdout.splitlines()[-1] == f"asked for: repro prepare@{dataset}"


def test_a_dataset_that_params_do_not_list_is_refused_before_dvc_runs(run):
    answer = run("--dataset", "camvid")
    assert answer.returncode == 1
    assert "asked for" not in answer.stdout
    assert "camvid in this list" in answer.stderr


def test_a_lock_file_that_a_killed_dvc_left_in_part_is_told_with_its_remedy(run, tmp_path):
    """Before, DVC said that the structure is corrupted, and not what to do."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  prepare@ki")
    answer = run(root=tmp_path)
    assert answer.returncode == 1
    assert "asked for" not in answer.stdout
    assert "git checkout -- dvc.lock" in answer.stderr
