"""`segline doctor` and the data: only what is trained on must be reachable."""

import pytest
import yaml
from own_project import Project
from places import PARAMS


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    """A project without git, where doctor stops after it has looked at the data."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "params.yaml").write_text(yaml.safe_dump(yaml.safe_load(PARAMS.read_text()) | {"source": "official"}))
    monkeypatch.setenv("SEGLINE_ROOT", str(root))
    for name in ("CITYSCAPES_USERNAME", "CITYSCAPES_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return Project(root, capsys)


def test_a_login_is_not_asked_for_where_another_dataset_is_trained_on(project):
    """Before, `source: official` with `dataset: kitti` stopped for want of Cityscapes' login."""
    said = project.run("doctor", "--dataset", "kitti", fails=True)
    assert "kitti         ok: official" in said
    assert "cityscapes    note:" in said
    assert "needed only for dvc repro prepare@cityscapes" in said
    assert "git init" in said  # it went on until there


def test_the_login_of_the_dataset_that_is_trained_on_is_asked_for(project):
    said = project.run("doctor", "--dataset", "cityscapes", fails=True)
    assert "lacks CITYSCAPES_USERNAME" in said
    assert "ok: official" not in said
