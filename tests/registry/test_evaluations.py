"""Counts are found again in a real store: SQLite, and artifacts in a folder."""

from pathlib import Path

import mlflow
import numpy as np
import pytest

from segline.errors import TrackingError
from segline.evaluation import results
from segline.evaluation.results import Evaluation
from segline.project import Project
from segline.registry import evaluations, tracking, versions


def counted(right):
    """An evaluation that no other value of `right` gives."""
    return Evaluation(
        dataset="drawn",
        split="test",
        protocol="drawn/1",
        split_digest="0123456789abcdef",
        label_map="fedcba9876543210",
        names=("road", "car", "sky"),
        ids=("one", "two"),
        groups=None,
        void_pixels=4,
        per_image=np.full((2, 3, 4), right, dtype=np.int64),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three runs with counts, two of one name, a run without, and a model of two versions and one without a run."""
    root = tmp_path_factory.mktemp("store")
    settings = Project(root=root, tracking_uri=f"sqlite:///{root / 'mlflow.db'}", workers=1)
    client = tracking.connect(settings)
    experiment = tracking.experiment(client, settings, "drawn")
    runs = []
    for right, name in ((1, "kitti of monday"), (2, "kitti of monday"), (3, "it's tuesday"), (None, "broken off")):
        run = tracking.open_parent(client, experiment, key=str(right), name=name)
        client.update_run(run.info.run_id, status="RUNNING")
        with tracking.closing(client, run) as tracker:
            if right is not None:
                path = root / "evaluation.npz"
                results.save(counted(right), path)
                tracker.log_artifact(path, "evaluation")
        runs.append(run.info.run_id)
    client.create_registered_model("segline-drawn")
    for run_id in (runs[0], runs[1], runs[3]):
        client.create_model_version("segline-drawn", source=f"runs:/{run_id}/model", run_id=run_id)
    client.create_model_version("segline-drawn", source=(root / "model").as_uri())
    client.set_registered_model_alias("segline-drawn", versions.CHAMPION, "2")
    client.set_registered_model_alias("segline-drawn", "first", "1")
    yield client, runs
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


@pytest.mark.parametrize(
    ("wanted", "shown", "right"),
    [
        ("0", "kitti of monday ({id})", 1),
        ("2", "it's tuesday ({id})", 3),
        ("kitti of monday", "kitti of monday", 2),  # the newest of that name
        ("it's tuesday", "it's tuesday", 3),
        ("segline-drawn", "segline-drawn/2", 2),
        ("segline-drawn@champion", "segline-drawn/2", 2),
        ("segline-drawn@first", "segline-drawn/1", 1),
        ("segline-drawn/1", "segline-drawn/1", 1),
    ],
)
def test_counts_of_a_run_and_of_a_model_are_brought_whole(store, tmp_path, wanted, shown, right):
    client, runs = store
    asked = runs[int(wanted)] if wanted.isdecimal() else wanted
    name, path = evaluations.fetch(client, asked, tmp_path / "new")
    assert name == shown.format(id=asked[:8])
    assert path.is_relative_to(tmp_path / "new")
    found, expected = results.load(path), counted(right)
    np.testing.assert_array_equal(found.per_image, expected.per_image)
    assert (found.digest, found.ids, found.split_digest) == (expected.digest, expected.ids, expected.split_digest)


@pytest.mark.parametrize(
    "wanted", ["nobody", "segline-drawn@nobody", "segline-drawn/9", "segline-drawn/x", "0" * 32, 'a "name"', ""]
)
def test_what_is_neither_run_nor_model_is_answered_with_what_there_is(store, tmp_path, wanted):
    client, _ = store
    with pytest.raises(TrackingError) as error:
        evaluations.fetch(client, wanted, tmp_path)
    assert error.value.found == "no file, run or model of that name"
    assert "segline-drawn@champion" in error.value.expected
    assert "segline-drawn@first" in error.value.expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wanted", ["3", "broken off", "segline-drawn/3"])
def test_a_run_that_was_broken_off_has_no_counts(store, tmp_path, wanted):
    client, runs = store
    with pytest.raises(TrackingError, match=rf"run {runs[3]} has no evaluation/evaluation\.npz.*\n.*let the run"):
        evaluations.fetch(client, runs[3] if wanted == "3" else wanted, tmp_path)


def test_a_model_that_no_run_made_has_no_counts(store, tmp_path):
    client, _ = store
    with pytest.raises(TrackingError, match=r"registered without a run.*\n.*segline evaluate"):
        evaluations.fetch(client, "segline-drawn/4", tmp_path)


def test_a_store_that_breaks_is_named(tmp_path):
    settings = Project(root=tmp_path, tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}", workers=1)
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    try:
        client = tracking.connect(settings)
        (tmp_path / "mlflow.db").write_bytes(b"not a database" * 1000)
        for wanted in ("a name", "0" * 32):
            with pytest.raises(TrackingError, match="expected a working MLflow store"):
                evaluations.fetch(client, wanted, tmp_path / "new")
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


def test_an_evaluation_of_a_version_is_kept_with_its_run(store, tmp_path):
    client, runs = store
    files = [tmp_path / "evaluation.html", tmp_path / "evaluation.json"]
    for path in files:
        path.write_text("first")
    version = client.get_model_version("segline-drawn", "1")
    assert evaluations.log(client, version, files, name="drawn-validation") == runs[0]
    files[0].write_text("second")
    evaluations.log(client, version, files[:1], name="drawn-validation")
    held = {item.path for item in client.list_artifacts(runs[0], "evaluations/drawn-validation")}
    assert held == {f"evaluations/drawn-validation/{path.name}" for path in files}
    again = mlflow.artifacts.download_artifacts(
        run_id=runs[0], artifact_path="evaluations/drawn-validation/evaluation.html", dst_path=str(tmp_path / "again")
    )
    assert Path(again).read_text() == "second"
    alone = next(each for each in client.search_model_versions("name = 'segline-drawn'") if not each.run_id)
    assert evaluations.log(client, alone, files, name="drawn-test") is None
