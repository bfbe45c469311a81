"""The presets run by name, from download to a decision, on the drawn samples and cut down in size."""

from pathlib import Path

import pytest
import yaml
from listed_datasets import listed


@pytest.mark.parametrize(
    ("name", "dataset"),
    [("tutorial_kitti", "kitti"), pytest.param("tutorial_pets", "oxford_pets", marks=pytest.mark.slow)],
)
def test_a_preset_runs_from_download_to_a_decision(bare_project, prefect_api, name, dataset):
    bare_project.environment |= {**prefect_api, "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "1"}
    assert "keys changed" in bare_project.run("segline", "preset", name).stdout
    path = bare_project.root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["training"] |= {"batch": 2, "steps": 1, "epochs": 1}
    params["search"] |= {"width": [2]}
    path.write_text(yaml.safe_dump(params | {"datasets": listed(dataset)}))
    bare_project.run("dvc", "repro")
    assert "first version: mIoU" in bare_project.train().stdout
    client = bare_project.client()
    experiment = client.get_experiment_by_name("segline-kitti-road" if dataset == "kitti" else "segline-oxford_pets")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FINISHED"
    assert parent.data.params["training.augmentation.kind"] == ("sized" if dataset == "kitti" else "none")
    (specification,) = client.list_artifacts(parent.info.run_id, "lineage")
    content = Path(client.download_artifacts(parent.info.run_id, specification.path)).read_text()
    assert ("RandomSizedCrop" in content) == (dataset == "kitti")
    assert "system/cpu_utilization_percentage" in parent.data.metrics
