"""A project that was moved, renamed or copied finds its own artifacts. Before, MLflow looked in the old folder."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from segline.errors import TrackingError
from segline.project import Project, embedded_store
from segline.registry import location, tracking


def project_at(root):
    root.mkdir(exist_ok=True)
    return Project(root=root, tracking_uri=embedded_store(root), workers=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with one run, and an artifact of that run; the tests work on copies."""
    project = project_at(tmp_path_factory.mktemp("place") / "old")
    client = tracking.connect(project)
    run = tracking.open_parent(client, tracking.experiment(client, project, "segline-x"), key="k", name="n")
    path = project.root / "scores.txt"
    path.write_text("0.5")
    tracking.MlflowTracker(client, run).log_artifact(path, "evaluation")
    return project, run.info.run_id


@pytest.fixture
def old(trained, tmp_path):
    """A copy of the trained project whose addresses name the copy."""
    root = tmp_path / "old"
    shutil.copytree(trained[0].root, root)
    location.follow_move(project_at(root))
    return root


def read(project, run_id):
    """Contents of the artifact, and where MLflow says that it is."""
    client = tracking.connect(project)
    found = Path(client.download_artifacts(run_id, "evaluation/scores.txt"))
    return found.read_text(), client.get_run(run_id).info.artifact_uri


@pytest.mark.parametrize("name", ["new", "new one", "new #1", "it's new", "Äcker 畑", 'a"b$c;d&e'])
def test_a_renamed_project_finds_its_artifacts_and_says_so(old, trained, name, capsys):
    """Before: no such artifact, and new runs made the old folder anew."""
    new = old.rename(old.with_name(name))
    own = project_at(new).artifacts
    content, address = read(project_at(new), trained[1])
    assert content == "0.5"
    assert address.startswith(own.as_uri())
    assert f"moved or copied from {old}" in capsys.readouterr().err
    client = tracking.connect(project_at(new))
    assert capsys.readouterr().err == ""  # said once
    experiment = client.get_experiment_by_name("segline-x")
    assert experiment.artifact_location == own.as_uri()
    assert not old.exists()


def test_a_copy_uses_its_own_artifacts_and_leaves_the_original_alone(old, trained, tmp_path):
    """Before: what was logged in the copy landed in the original."""
    shutil.copytree(old, tmp_path / "copy")
    before = (old / "mlflow.db").read_bytes()
    assert read(project_at(tmp_path / "copy"), trained[1])[1].startswith((tmp_path / "copy").as_uri())
    assert (old / "mlflow.db").read_bytes() == before


def test_artifacts_that_are_elsewhere_on_purpose_stay_there(old, trained):
    """An address is kept where its folder exists and the project itself has none of the files."""
    kept = old.rename(old.with_name("kept"))
    old.mkdir()
    (kept / "mlartifacts").rename(old / "mlartifacts")
    assert location.follow_move(project_at(kept)) is None
    assert read(project_at(kept), trained[1])[1].startswith(old.as_uri())


def test_a_project_at_its_place_changes_nothing(old):
    before = (old / "mlflow.db").read_bytes()
    assert location.follow_move(project_at(old)) is None
    assert (old / "mlflow.db").read_bytes() == before


def test_a_project_reached_through_a_link_was_not_moved(old, trained, tmp_path):
    """Before: "this project was moved", and all addresses changed, at each change between the link and the folder."""
    link = tmp_path / "link"
    link.symlink_to(old)
    for root in (link, old):
        assert location.follow_move(project_at(root)) is None
        assert read(project_at(root), trained[1])[0] == "0.5"


def test_a_project_below_a_folder_mlartifacts_can_be_moved(old, trained, tmp_path):
    """Before, `mlartifacts` in the path of the project itself was taken for its store, and no artifact was found."""
    outer = tmp_path / "mlartifacts"
    outer.mkdir()
    inner = old.rename(outer / "project")
    location.follow_move(project_at(inner))
    new = inner.rename(tmp_path / "new")
    outer.rmdir()
    assert read(project_at(new), trained[1])[0] == "0.5"


def test_a_store_of_several_projects_is_not_changed(old):
    new = old.rename(old.with_name("new"))
    shared = Project(root=new, tracking_uri=f"sqlite:///{old.parent / 'shared.db'}", workers=1)
    assert location.follow_move(shared) is None


def test_a_store_that_cannot_be_read_is_named(old):
    (old / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(TrackingError, match=r"mlflow\.db.*\n.*remedy"):
        location.follow_move(project_at(old))


def test_all_addresses_of_the_store_are_corrected(old):
    """A new table of MLflow with addresses would fail here."""
    new = old.rename(old.with_name("new"))
    location.follow_move(project_at(new))
    with sqlite3.connect(new / "mlflow.db") as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        stored = "\n".join(str(row) for table in tables for row in database.execute(f'SELECT * FROM "{table}"'))
    database.close()
    assert f"file://{old}/mlartifacts" not in stored
    assert f"file://{new}/mlartifacts" in stored
