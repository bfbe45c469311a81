"""A project of one's own data, and a Ghostscript that tells that it was started."""

import os
import shutil

import pytest
from opened_project import Project, draw_data
from places import PARAMS


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(PARAMS, root)
    monkeypatch.setenv("SEGLINE_ROOT", str(root))
    monkeypatch.setenv("SEGLINE_WORKERS", "1")
    return Project(root, draw_data(tmp_path / "mine"), capsys)


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """A program of Ghostscript's name, first on PATH; the file that it would write."""
    folder, mark = tmp_path / "bin", tmp_path / "started"
    folder.mkdir()
    for name in ("gs", "gswin64c"):
        (folder / name).write_text(f"#!/bin/sh\necho started >> {mark}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return mark
