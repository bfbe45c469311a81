"""Own data that were prepared with another definition are refused, until `dvc repro` has run."""

import hashlib

import pytest
import yaml
from listed_datasets import listed
from places import PARAMS

from segline import config
from segline.data.recorded import lock
from segline.errors import DataError
from segline.project import Project

FIRST = b"path: mine\n"


@pytest.fixture
def project(tmp_path):
    """A project with the own data `fields` and `leaves`, whose stages ran with the present definitions."""
    names = ("fields", "leaves")
    content = yaml.safe_load(PARAMS.read_text()) | {
        "datasets": listed(*names),
        "own": [*names],
        "dataset": "fields",
        "options": {name: {} for name in names},
        "promotion": {"floor": dict.fromkeys(names, 0.1)},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "own").mkdir()
    digest = hashlib.md5(FIRST, usedforsecurity=False).hexdigest()
    stages = {}
    for name in names:
        (tmp_path / config.own_file(name)).write_bytes(FIRST)
        for stage in lock.STAGES:
            stages[f"{stage}@{name}"] = {
                "deps": [{"path": config.own_file(name), "hash": "md5", "md5": digest}],
                "params": {"params.yaml": {f"options.{name}": {}}},
            }
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    return Project(root=tmp_path, tracking_uri="sqlite://", workers=1)


def test_a_changed_definition_is_refused_for_its_own_data_alone(project):
    """Before, the entry in params.yaml was compared with the one in dvc.lock; all own data shared it."""
    (project.root / "own/leaves.yaml").write_bytes(FIRST + b"encoding: rgb\n")
    assert set(lock.read_current(project, config.load(project.params))) == set(lock.STAGES)
    with pytest.raises(DataError, match=r"stage download@leaves ran with another own/leaves\.yaml") as caught:
        lock.read_current(project, config.load(project.params, dataset="leaves"))
    assert caught.value.remedy == "run dvc repro prepare@leaves"


def test_a_record_without_the_definition_is_damaged(project):
    text = project.dvc_lock.read_text()
    project.dvc_lock.write_text(text.replace("deps:", "dips:"))
    with pytest.raises(DataError, match="no valid stages of fields"):
        lock.read_current(project, config.load(project.params))
