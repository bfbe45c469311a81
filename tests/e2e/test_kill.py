"""Killed anywhere and started again, a run ends in the state of an undisturbed one."""

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

MOMENTS = [
    "Beginning flow run",
    "trial 1/2",
    "trial 2/2",
    "epoch 1/4",
    "epoch 4/4",
    "evaluate: 120",
    "registered segline",
    "gate: ",
]


def state(project, parent):
    """What an undisturbed run leaves behind, ids and times aside."""
    import keras

    client = project.client()
    version = client.get_model_version_by_alias("segline-oxford_pets", "champion")
    assert version.run_id == parent.info.run_id
    evaluation = Path(client.download_artifacts(parent.info.run_id, "evaluation/evaluation.npz"))
    with np.load(evaluation) as content:
        counts = content["per_image"]
    model = Path(urlsplit(client.get_logged_model(version.source.rpartition("/")[2]).artifact_location).path)
    network = keras.saving.load_model(model / "artifacts" / "bundle" / "network.keras", compile=False)
    return {
        "counts": counts.tobytes(),
        "weights": b"".join(weight.tobytes() for weight in network.get_weights()),
        "decision": parent.data.tags["segline.decision"],
        "version": int(version.version),
        "trials": sorted(
            (run.data.tags["segline.child"], json.dumps(run.data.params, sort_keys=True), run.data.metrics["score"])
            for run in project.children(parent)
        ),
        "curve": [(point.step, point.value) for point in client.get_metric_history(parent.info.run_id, "val_miou")],
    }


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_killed_at_every_step_ends_like_an_undisturbed_one(prepared_project, project_copy):
    """Two kills are in test_main_job; here are all of them, in one run."""
    if not prepared_project.parents():
        prepared_project.train()
    undisturbed = state(prepared_project, prepared_project.parents()[0])
    for moment in MOMENTS:
        project_copy.kill_when(moment, sys.executable, "-u", "-m", "flows.training")
    said = project_copy.train().stderr
    assert "train: already done" in said  # which shows that a flow's lines are there
    for repeated in ("trial 1/2", "trial 2/2", "epoch 1/4"):
        assert repeated not in said
    (parent,) = project_copy.parents()
    disturbed = state(project_copy, parent)
    for name, value in undisturbed.items():
        assert disturbed[name] == value, name
    client = project_copy.client()
    assert len(client.search_model_versions("name = 'segline-oxford_pets'")) == 1
    assert len(client.search_logged_models([parent.info.experiment_id])) == 1
    assert {run.info.status for run in client.search_runs([parent.info.experiment_id])} == {"FINISHED"}
    assert not [path for path in (project_copy.root / ".segline" / "runs").iterdir() if path.is_dir()]
