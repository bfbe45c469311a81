"""An encoder trained on the pets' breeds, then segmentation that begins with it; and what was killed goes on."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml


@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_search_begins_with_an_encoder_that_knows_the_breeds(project_copy, killed):
    project_copy.environment |= {"SEGLINE_WORKERS": "1"}  # to start processes takes longer than these batches
    params = yaml.safe_load((project_copy.root / "params.yaml").read_text())
    training = params["training"] | {"epochs": 1, "steps": 2}
    search = params["search"] | {"trials": 1, "networks": ["deeplab_v3_plus"], "width": [2]}
    project_copy.set(
        training=training,
        search=search | {"encoders": ["mini_xception"], "weights": "classification"},
        classification={"epochs": 2, "learning_rate": 0.003},
        promotion={"floor": {"oxford_pets": 0.01}},
    )
    if killed:
        project_copy.kill_when("breed, mini_xception: epoch 1/2", sys.executable, "-u", "-m", "flows.training")
    said = project_copy.train().stderr
    assert ("breed, mini_xception: resuming after epoch 1 of 2" in said) == killed
    assert "breed, mini_xception: accuracy" in said
    assert said.index("macro-F1") < said.index("trial 1/1")

    (parent,) = project_copy.parents()
    children = {run.data.tags["segline.child"]: run for run in project_copy.children(parent)}
    assert set(children) == {"classification-mini_xception", "trial-0"}
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}
    assert children["trial-0"].data.params["encoder"] == "mini_xception"
    classification = children["classification-mini_xception"]
    client = project_copy.client()
    path = client.download_artifacts(classification.info.run_id, "mini_xception.json")
    scores = json.loads(Path(path).read_text())
    assert len(scores["per_class"]) > 10
    assert {"Abyssinian", "beagle"} < set(scores["per_class"])
    assert scores["images"] == sum(row["images"] for row in scores["per_class"].values()) > 10
    assert classification.data.metrics["accuracy"] == scores["accuracy"]
    assert classification.data.metrics["macro_f1"] == scores["macro_f1"]
    assert classification.data.metrics["top_5_accuracy"] == scores["top_k_accuracy"] >= scores["accuracy"]
    assert len(client.get_metric_history(classification.info.run_id, "val_loss")) == 2
    with np.load(client.download_artifacts(classification.info.run_id, "mini_xception.npz")) as weights:
        assert "stem/0" in weights.files
