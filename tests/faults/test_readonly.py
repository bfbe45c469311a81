"""Planted faults of places: a project that cannot be written is told in one sentence, or read as it is.

Before, `segline doctor` found such a project good, and `segline models list`, `compare` and `predict` of a registered
model ended in an OSError's traceback at the lock of the tracking store. A deleted current folder and a TMPDIR that is
not there were tracebacks, too.
"""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from segline.cli import main
from segline.console import run_reporting
from segline.errors import StorageError
from segline.project import Project
from segline.registry import tracking

CAPABILITY_VERSION_3 = 0x20080522
OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
CHECKOUT = Path(__file__).parents[2]
ReadOnly = Callable[[], AbstractContextManager[None]]


class _Capabilities(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def _bound_by_modes() -> Iterator[None]:
    """Take root's right to write anywhere from this thread; others have none to lose."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (_Capabilities * 2)()
    if libc.capget(header, held):
        pytest.skip("root, whom no mode holds back, on a system without capabilities")
    effective = held[0].effective
    held[0].effective = effective & ~OVERRIDES
    assert libc.capset(header, held) == 0
    try:
        yield
    finally:
        held[0].effective = effective
        assert libc.capset(header, held) == 0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(CHECKOUT / "params.yaml", folder)
    monkeypatch.setenv("SEGLINE_ROOT", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.fixture
def read_only(project: Path) -> ReadOnly:
    """Makes the project one that this process cannot write to."""

    @contextmanager
    def closed() -> Iterator[None]:
        everything = [project, *project.rglob("*")]
        for path in everything:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            with _bound_by_modes():
                assert not os.access(project, os.W_OK, effective_ids=True)
                yield
        finally:
            for path in everything:
                path.chmod(0o755)

    return closed


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs something that must end in one reported problem, and returns what was said."""

    def run(action: Callable[[], object]) -> str:
        with pytest.raises(SystemExit) as exit_:
            action()
        assert exit_.value.code == 1
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert said.count("error:") == said.count("remedy:") == 1
        return said

    return run


@pytest.mark.parametrize(
    "command", [["doctor"], ["preset", "tutorial_kitti"], ["data", "download", "kitti"], ["models", "list"]], ids=str
)
def test_a_read_only_project_is_told(project, read_only, complaint, command):
    with read_only():
        said = complaint(lambda: main(command))
    assert str(project) in said
    assert "cannot be written: Permission denied" in said
    assert [path.name for path in project.iterdir()] == ["params.yaml"]


def test_doctor_goes_on_where_it_can_write_and_leaves_nothing(project, complaint, capsys):
    said = complaint(lambda: main(["doctor"]))  # no git checkout
    assert "git" in said
    assert [path.name for path in project.iterdir()] == ["params.yaml"]


def test_models_of_a_read_only_project_are_listed(project, read_only, capsys):
    tracking.connect(Project.load()).create_registered_model("segline-kitti")
    for hidden in (True, False):
        if not hidden:  # as in a copy without what is hidden, where the lock cannot be made
            shutil.rmtree(project / ".segline")
        with read_only():
            client = tracking.connect(Project.load())
            assert [model.name for model in client.search_registered_models()] == ["segline-kitti"]
            with pytest.raises(SystemExit) as exit_:
                main(["models", "list"])
        assert exit_.value.code == 0
    assert capsys.readouterr().out.count("test mIoU") == 2


def _denied() -> None:
    raise PermissionError(13, "Permission denied", "/some/file")


def test_a_missing_right_is_told_wherever_it_is_noticed(complaint):
    assert "/some/file: cannot be used: Permission denied" in complaint(lambda: run_reporting(_denied, debug=False))


def test_a_deleted_current_folder_is_told(tmp_path, monkeypatch, complaint):
    monkeypatch.delenv("SEGLINE_ROOT", raising=False)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "the current folder: it was deleted" in complaint(lambda: main(["doctor"]))


def test_no_folder_for_temporary_files_is_told(monkeypatch, complaint):
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert "set TMPDIR" in complaint(lambda: run_reporting(tempfile.TemporaryFile, debug=False))


def test_another_fault_of_the_system_stays_one(monkeypatch):
    with pytest.raises(FileNotFoundError):
        run_reporting(lambda: Path("/nowhere/file").read_text(), debug=False)


def test_writable_is_what_can_be_written(project, read_only):
    from segline import storage

    storage.check_writable(project)
    with read_only(), pytest.raises(StorageError, match="cannot be written"):
        storage.check_writable(project)
