"""A project, and a folder for the user's own data."""

import pytest
from own_project import make_project


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    return make_project(tmp_path / "project", monkeypatch, capsys)


@pytest.fixture
def mine(tmp_path):
    return tmp_path / "mine"
