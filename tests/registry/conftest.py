import mlflow
import pytest

from segline.project import Project
from segline.registry import tracking


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("tracking")
    return Project(root=root, tracking_uri=f"sqlite:///{root / 'mlflow.db'}", workers=1)


@pytest.fixture(scope="module")
def client(settings):
    """A real store: SQLite, made once for the tests of a file."""
    yield tracking.connect(settings)
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)
