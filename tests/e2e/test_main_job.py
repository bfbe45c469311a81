"""From download to a promoted model, once, and everything that is then true."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from listed_datasets import listed

from segline.core.metrics.confusion import mean_iou


@pytest.fixture(scope="module")
def trained(prepared_project):
    first = prepared_project.train()
    return prepared_project, first.stdout


def test_a_repeated_repro_finds_everything_up_to_date(prepared_project):
    answer = prepared_project.run("dvc", "repro")
    assert "Running stage" not in answer.stdout
    assert len(re.findall("didn't change, skipping", answer.stdout)) == 6


def test_the_run_ends_with_a_champion_and_its_table(trained):
    project, said = trained
    for expected in (
        "test mIoU",
        "always the most frequent class",
        "segline-oxford_pets, version 1",
        "95 %, bootstrap",
    ):
        assert expected in said
    client = project.client()
    champion = client.get_model_version_by_alias("segline-oxford_pets", "champion")
    (parent,) = project.parents()
    assert champion.run_id == parent.info.run_id
    assert parent.info.status == "FINISHED"
    decision = json.loads(parent.data.tags["segline.decision"])
    assert decision["promote"]
    assert decision["challenger"] == parent.data.metrics["test_miou"]


def test_the_parent_run_holds_what_a_reader_looks_for(trained):
    project, _ = trained
    (parent,) = project.parents()
    client = project.client()
    metrics = parent.data.metrics
    assert 0 <= metrics["test_miou_low"] <= metrics["test_miou"] <= metrics["test_miou_high"] <= 1
    assert {"test_iou/foreground", "test_iou/background", "test_iou/border"} <= set(metrics)
    for name in ("loss", "miou", "val_loss", "val_miou", "learning_rate", "images_per_second"):
        assert [point.step for point in client.get_metric_history(parent.info.run_id, name)] == [1, 2, 3, 4], name
    assert parent.data.params["search.trials"] == "2"
    for folder, expected in {
        "evaluation": {
            *("confusion.png", "cost.json", "calibration.json"),
            *("evaluation.html", "evaluation.json", "evaluation.npz"),
        },
        "lineage": {"augmentation.json"},
    }.items():
        names = {item.path.split("/")[-1] for item in client.list_artifacts(parent.info.run_id, folder)}
        assert expected <= names
    assert len(client.list_artifacts(parent.info.run_id, "examples")) == 3
    assert [item.path for item in client.list_artifacts(parent.info.run_id, "batches")] == [
        "batches/batch_1.png",
        "batches/batch_2.png",
    ]
    shown = [Path(item.path).name.split("_")[0] for item in client.list_artifacts(parent.info.run_id, "validation")]
    assert sorted(shown) == ["best"] * 4 + ["validation.npz"] + ["worst"] * 4


def test_the_validation_images_are_scored_by_the_registered_network(trained):
    """At the prepared scale, whole and in integers: the sum over the images is the best epoch's own score."""
    project, _ = trained
    (parent,) = project.parents()
    client = project.client()
    with np.load(client.download_artifacts(parent.info.run_id, "validation/validation.npz")) as content:
        counts = content["per_image"]
    curve = [point.value for point in client.get_metric_history(parent.info.run_id, "val_miou")]
    # Both pad whole images with their edges: training to multiples that suit any network, `predict` to this one's.
    assert mean_iou(counts.sum(axis=0)) == pytest.approx(max(curve), abs=0.03)


def test_confidences_are_judged_on_the_pixels_that_are_scored(trained):
    project, _ = trained
    client, (parent,) = project.client(), project.parents()
    scores, judged = (
        json.loads(Path(client.download_artifacts(parent.info.run_id, f"evaluation/{name}.json")).read_text())
        for name in ("evaluation", "calibration")
    )
    assert judged["fitted_on"] == "validation"
    assert judged["labelled_pixels"] == scores["labelled_pixels"] > 0
    assert judged["abstention"]["miou_lost_as_0"][0] == pytest.approx(scores["miou"])


def test_evaluating_a_version_again_counts_the_same_and_keeps_the_page_with_its_run(trained):
    project, _ = trained
    client, run_id = project.client(), project.parents()[-1].info.run_id
    model = ("--model", "segline-oxford_pets/1", "--dataset", "oxford_pets", "--no-confidence")
    said = project.run("segline", "evaluate", *model).stdout
    assert f"MLflow: run {run_id}, evaluations/oxford_pets-test" in said
    held = {item.path.rpartition("/")[2] for item in client.list_artifacts(run_id, "evaluations/oxford_pets-test")}
    assert held == {"evaluation.html", "evaluation.json", "evaluation.npz", "cost.json"}
    first, again = (
        json.loads(Path(client.download_artifacts(run_id, f"{folder}/evaluation.json")).read_text())
        for folder in ("evaluation", "evaluations/oxford_pets-test")
    )
    assert first == again


def test_every_trial_is_a_child_run_of_its_own(trained):
    project, _ = trained
    (parent,) = project.parents()
    children = project.children(parent)
    assert len(children) == 2
    assert all(child.info.status == "FINISHED" for child in children)
    assert all(child.data.params["network"] in {"unet", "xception_unet"} for child in children)
    assert all("score" in child.data.metrics for child in children)


def test_a_version_carries_its_lineage(trained):
    project, _ = trained
    version = project.client().get_model_version("segline-oxford_pets", "1")
    lock = (project.root / "dvc.lock").read_text()
    assert version.tags["segline.prepared_md5"] in lock
    assert version.tags["segline.raw_md5"] in lock
    head = project.run("git", "rev-parse", "HEAD").stdout.strip()
    assert version.tags["segline.git_commit"] == head
    assert version.tags["segline.git_dirty"] == "false"  # dvc.lock is there, and does not count
    assert json.loads(version.tags["segline.params"])["seed"] == 1
    assert json.loads(version.tags["segline.augmentation"])
    for name in ("label_map", "test_split", "validation", "flow_run", "machine", "packages", "dvc_lock"):
        assert version.tags[f"segline.{name}"]


def test_a_second_run_reuses_the_finished_one_and_says_so(trained):
    project, _ = trained
    answer = project.train()
    assert "reused" in answer.stdout
    assert "segline-oxford_pets, version 1" in answer.stdout
    assert len(project.parents()) == 1


@pytest.mark.slow
def test_a_committed_readme_and_a_new_dataset_train_nothing_again(trained):
    """Before, both trained everything again."""
    project, _ = trained
    (project.root / "README.md").write_text("changed")
    content = yaml.safe_load((project.root / "params.yaml").read_text())
    content["promotion"]["floor"]["kitti"] = 0.9
    project.set(datasets=listed("oxford_pets", "kitti"), promotion=content["promotion"])
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    project.run(*git, "commit", "-q", "-a", "-m", "README and kitti")
    before = len(project.parents())
    assert "reused" in project.run("segline", "train").stdout
    assert len(project.parents()) == before


@pytest.mark.slow
def test_zeroed_labels_are_refused_until_dvc_restores_them(trained):
    """Before, `evaluate` gave other scores, and `train` another model, without a word."""
    project, _ = trained
    labels = project.root / "data/prepared/oxford_pets/test.labels"
    labels.chmod(0o644)
    with labels.open("r+b") as handle:
        handle.write(bytes(50_000))
    evaluate = ("segline", "evaluate", "--model", "segline-oxford_pets@champion", "--dataset", "oxford_pets")
    for command in (evaluate, ("segline", "train"), (sys.executable, "-m", "flows.training", "--retrain")):
        answer = project.run(*command, check=False)
        assert answer.returncode == 1
        assert "test.labels: not the file that dvc.lock records" in answer.stderr
    remedy = answer.stderr.partition("remedy: ")[2].splitlines()[0]
    project.run("bash", "-c", remedy)
    assert "reused" in project.run("segline", "train").stdout


def test_retraining_killed_twice_repeats_every_bit_and_compares_with_the_champion(trained):
    """Killed in the search and in the training, it ends as the undisturbed first run did; with the flow or without."""
    project, _ = trained
    plain = [sys.executable, "-u", "-c", "from segline.cli import main; main()", "train"]
    project.kill_when("trial 2/2", *plain, "--retrain")
    project.kill_when("epoch 2/4", sys.executable, "-u", "-m", "flows.training", "--retrain")
    answer = project.run(*plain)  # an unfinished run goes on, also without --retrain
    assert "trial 1/2" not in answer.stdout
    assert "epoch 1/4" not in answer.stdout
    first, second = project.parents()
    assert first.data.tags["segline.run_key"] == second.data.tags["segline.run_key"]
    assert first.data.tags["segline.flow_run"] != "none"
    assert second.data.tags["segline.flow_run"] == "none"
    client = project.client()
    counts, scores, pictures = [], [], []
    for run in (first, second):
        path = client.download_artifacts(run.info.run_id, "evaluation/evaluation.npz")
        with np.load(path) as content:
            counts.append(content["per_image"])
        pictures.append(
            [
                Path(client.download_artifacts(run.info.run_id, item.path)).read_bytes()
                for folder in ("batches", "validation")
                for item in client.list_artifacts(run.info.run_id, folder)
                if item.path.endswith(".png")
            ]
        )
        children = project.children(run)
        assert {child.info.status for child in [run, *children]} == {"FINISHED"}
        scores.append(sorted(child.data.metrics["score"] for child in children))
    np.testing.assert_array_equal(counts[0], counts[1])
    assert scores[0] == scores[1]
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) == 10
    curves = [
        [point.value for point in client.get_metric_history(run.info.run_id, "val_loss")] for run in (first, second)
    ]
    assert curves[0] == curves[1]
    decision = json.loads(second.data.tags["segline.decision"])
    assert not decision["promote"]
    assert decision["bar"] == decision["challenger"]
    assert "does not beat the champion's" in answer.stdout
    assert client.get_model_version_by_alias("segline-oxford_pets", "champion").run_id == first.info.run_id


def test_predict_writes_label_maps_and_overlays_at_the_images_own_size(trained, tmp_path):
    project, _ = trained
    images = sorted((project.root / "data/raw/oxford_pets/images").glob("*.jpg"))[:3]
    (tmp_path / "in").mkdir()
    for path in images:
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    project.run(
        "segline", "predict", str(tmp_path / "in"), "--model", "segline-oxford_pets@champion",
        "--output", str(tmp_path / "out"),
    )  # fmt: skip
    for path in images:
        labels = cv2.imread(str(tmp_path / "out" / f"{path.stem}_labels.png"), cv2.IMREAD_UNCHANGED)
        overlay = cv2.imread(str(tmp_path / "out" / f"{path.stem}_overlay.png"))
        assert labels.shape == cv2.imread(str(path)).shape[:2]
        assert set(np.unique(labels)) <= {1, 2, 3}
        assert overlay.shape[1] > labels.shape[1]  # the legend stands beside it


def test_the_logged_model_serves_like_predict(trained, tmp_path):
    """Through MLflow's own loader, in a process that has only what the model brings along."""
    project, _ = trained
    script = (
        "import mlflow, numpy as np, sys\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "model = mlflow.pyfunc.load_model('models:/segline-oxford_pets@champion')\n"
        "images = np.random.default_rng(0).integers(0, 255, (2, 70, 90, 3)).astype('uint8')\n"
        "masks = model.predict(images)\n"
        "print(masks.shape, masks.dtype, set(np.unique(masks)) <= {1, 2, 3})\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, f"sqlite:///{project.root / 'mlflow.db'}"],
        cwd=tmp_path, env=project.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert answer.stdout.splitlines()[-1] == "(2, 70, 90) uint8 True"
