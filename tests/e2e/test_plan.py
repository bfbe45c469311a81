"""`segline plan` tells what a training with `plan: auto` then does, and the run keeps it."""

import json
from pathlib import Path

import yaml


def test_a_run_is_trained_as_planned_and_keeps_its_plan(project_copy):
    project, path = project_copy, project_copy.root / "params.yaml"
    project.environment |= {"SEGLINE_WORKERS": "1"}  # to start processes for batches takes longer than these batches
    params = yaml.safe_load(path.read_text())
    params["training"] = {"plan": "auto", "memory": 1.0, "images": 96, "epochs": 3, "threads": 1}
    params["search"] = {"trials": 1, "networks": ["encoder_decoder"], "width": [4]}
    project.set(**params)
    told = project.run("segline", "plan", "oxford_pets", "--json", "plan.json")
    notes = ("absl::InitializeLog()", "cudart_stub.cc")  # TensorFlow's own, before it reads its log level
    assert [line for line in told.stderr.splitlines() if not any(note in line for note in notes)] == []
    assert "training.crop" in told.stdout
    assert "3 (from params.yaml)" in told.stdout
    assert "twice the memory:" in told.stdout
    assert "time on this machine: about" in told.stdout
    plan = json.loads((project.root / "plan.json").read_text())
    planned = {line["key"]: line["value"] for line in plan["lines"]}
    (project.root / "plan.json").unlink()

    project.train()
    (parent,) = project.parents()
    client = project.client()
    kept = client.download_artifacts(parent.info.run_id, "plan/plan.json")
    assert json.loads(Path(kept).read_text()) == plan
    logged = parent.data.params
    for key in ("training.crop", "training.batch", "training.steps", "training.flips", "search.depth"):
        assert logged[key] == str(planned[key])
    assert len(client.get_metric_history(parent.info.run_id, "val_miou")) == 3
    assert "reused" in project.train().stdout
