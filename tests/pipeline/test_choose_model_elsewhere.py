"""A registered model is found without a project folder, where an MLflow address is given."""

import mlflow
import pytest
from brightness import brightness_bundle, thirds

from segline.cli import main
from segline.data.images.decode import write_png
from segline.errors import ConfigError, TrackingError
from segline.inference import bundle as bundles
from segline.pipeline.choose_model import chosen_model
from segline.project import Files, Project
from segline.registry import tracking

NAME = "segline-drawn"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The address of a store with a registered model, as `segline.registry.versions.register` lays it out."""
    root = tmp_path_factory.mktemp("store")
    settings = Project(root=root, tracking_uri=f"sqlite:///{root / 'mlflow.db'}", workers=1)
    bundles.save(brightness_bundle(), root / "model" / "artifacts" / Files.BUNDLE)
    client = tracking.connect(settings)
    client.create_registered_model(NAME)
    client.create_model_version(NAME, (root / "model").as_uri())
    yield settings.tracking_uri
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it when it is told an address
    return tmp_path


@pytest.mark.parametrize("model", [f"models:/{NAME}/1", f"{NAME}/1"])
def test_predict_needs_no_project(store, elsewhere, monkeypatch, model):
    """Before: "no params.yaml here or in any folder above"."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    write_png(elsewhere / "a.png", thirds(20, 30)[0])
    with pytest.raises(SystemExit) as stopped:
        main(["predict", "a.png", "--model", model, "--output", "out"])
    assert stopped.value.code == 0
    assert sorted(path.name for path in elsewhere.iterdir()) == ["a.png", "out"]  # and it makes none of its files


def test_models_list_needs_no_project(store, elsewhere, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    with pytest.raises(SystemExit) as stopped:
        main(["models", "list"])
    assert stopped.value.code == 0
    assert NAME in capsys.readouterr().out


def test_without_project_and_address_both_are_named(elsewhere):
    with (
        pytest.raises(ConfigError, match=r"params\.yaml.*MLFLOW_TRACKING_URI(?s:.*)SEGLINE_ROOT"),
        chosen_model(f"models:/{NAME}/1"),
    ):
        pass


def test_a_database_that_is_not_there_is_not_made(elsewhere, monkeypatch):
    """A mistyped path would give an empty store: "no such model"."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere / 'mlfow.db'}")
    with pytest.raises(TrackingError, match=r"no database .*mlfow\.db"), chosen_model(NAME):
        pass
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "mlruns", "nonsense://x"])
def test_an_address_without_a_store_is_named(elsewhere, monkeypatch, address):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(TrackingError, match=address), chosen_model(NAME):
        pass
