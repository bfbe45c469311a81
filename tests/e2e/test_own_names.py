"""Several own data sets: in one project, in two projects on one MLflow server, and a third of the first one's name.

Before, a project had one, and all were `segline-folder`: the second was registered into the first one's model, and its
gate failed.
"""

import json

import numpy as np
import pytest
import yaml
from drawing import draw_ids
from listed_datasets import listed
from mlflow import MlflowClient
from serving import free_port, server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    ports = {"MLFLOW_PORT": free_port(), "PREFECT_PORT": free_port()}
    address = f"http://127.0.0.1:{ports['MLFLOW_PORT']}"
    with server("mlflow", tmp_path_factory.mktemp("server"), ports, health=f"{address}/health"):
        yield address


@pytest.fixture(scope="module")
def prepare(make_project, address):
    """Makes a project on the server, with own data in a folder of the given name."""

    def run(folder, *options, change=lambda mask: mask):
        project = make_project(MLFLOW_TRACKING_URI=address)
        project.run("segline", "init", str(draw_ids(project.root.parent / folder, change=change)), *options)
        params = yaml.safe_load((project.root / "params.yaml").read_text())
        project.set(
            datasets=listed(params["dataset"]),
            training=params["training"] | {"steps": 1, "epochs": 1},
            search=params["search"] | {"trials": 1, "networks": ["xception_unet"], "width": [4]},
            promotion={"floor": {params["dataset"]: 0.01}},
        )
        project.run("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qam", "own data")
        project.run("dvc", "repro")
        return project

    return run


def train(project, *arguments, **options):
    return project.run("segline", "train", *arguments, **options)


def test_two_projects_train_in_turn_and_each_has_its_own_model(prepare, make_project, address):
    """Six trainings; the models hold three versions each, of their own data alone."""
    projects = {
        "fields": prepare("fields"),
        "woods": prepare("My Woods", "--name", "woods", change=lambda m: np.minimum(m, 1)),
    }
    for _ in range(3):
        for project in projects.values():
            assert "test mIoU" in train(project, "--retrain").stdout
    client = MlflowClient(address, address)
    assert sorted(model.name for model in client.search_registered_models()) == ["segline-fields", "segline-woods"]
    for name in projects:
        found = client.search_model_versions(f"name = 'segline-{name}'")
        assert sorted(int(version.version) for version in found) == [1, 2, 3]
        experiment = client.get_experiment_by_name(f"segline-{name}")
        runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
        assert {version.run_id for version in found} <= runs.keys()
        assert len({version.tags["segline.raw_md5"] for version in found}) == 1
        assert client.get_model_version_by_alias(f"segline-{name}", "champion").run_id in runs

    third = prepare("elsewhere", "--name", "fields")
    said = train(third, check=False)
    assert said.returncode == 1
    assert "it belongs to data with the id" in said.stderr
    assert "--name NAME" in said.stderr
    assert len(client.search_model_versions("name = 'segline-fields'")) == 3
    assert not any((third.root / ".segline" / "runs").glob("*/tuner"))  # found before the search

    clone = make_project(projects["fields"], MLFLOW_TRACKING_URI=address)  # a colleague's checkout of the same project
    assert "reused" in train(clone).stdout


def test_two_own_data_sets_of_one_project_are_trained_into_two_models(bare_project, tmp_path):
    """Before, all own data were the dataset `folder`: a second folder needed a project of its own."""
    project = bare_project
    changes = {"fields": lambda mask: mask, "leaves": lambda mask: np.minimum(mask, 1)}
    for name, change in changes.items():
        project.run("segline", "init", str(draw_ids(tmp_path / f"{name} 2024", change=change)), "--name", name)
    params = yaml.safe_load((project.root / "params.yaml").read_text())
    project.set(
        datasets=listed(*changes),
        training=params["training"] | {"steps": 1, "epochs": 1},
        search=params["search"] | {"trials": 1, "networks": ["xception_unet"], "width": [4]},
        promotion={"floor": dict.fromkeys(changes, 0.01)},
    )
    project.run("dvc", "repro")
    for name in changes:
        assert "first version: mIoU" in train(project, "--dataset", name).stdout
        assert "reused" in train(project, "--dataset", name).stdout
    client = project.client()
    assert sorted(model.name for model in client.search_registered_models()) == ["segline-fields", "segline-leaves"]
    for name, classes in {"fields": 3, "leaves": 2}.items():
        (version,) = client.search_model_versions(f"name = 'segline-{name}'")
        assert version.tags["segline.dataset"] == name
        assert version.tags["segline.protocol"] == "own/1"
        options = json.loads(version.tags["segline.params"])["options"]
        assert list(options) == [name]
        assert options[name]["path"] == str(tmp_path / f"{name} 2024")
        table = yaml.safe_load((project.root / f"data/raw/{name}/_segline/classes.yaml").read_text())
        assert len(table["classes"]) == classes
    said = project.run("segline", "evaluate", "--model", "segline-leaves@champion", "--dataset", "leaves").stdout
    assert "mIoU" in said
