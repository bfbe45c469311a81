"""Two projects whose own data have the same name, on one MLflow store.

Before, the second one trained to the end and registered its model into the first one's.
"""

from itertools import count

import pytest

from segline.datasets.base import Own
from segline.errors import TrackingError
from segline.project import Project, Tags
from segline.registry import owner, tracking

_NUMBERS = count()
MINE, OTHER, UNMARKED = (
    Own(path="/data/x", table="", definition="own/x.yaml", id=value) for value in ("1" * 16, "2" * 16, None)
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    return Project(root=root, tracking_uri=f"sqlite:///{root / 'mlflow.db'}", workers=1)


@pytest.fixture
def claim(store):
    """Claims one new experiment for the given data."""
    client, name = tracking.connect(store), f"segline-{next(_NUMBERS)}"

    def run(own, *, created=False):
        tags = {Tags.DATA_ID: own.id} if created else {}
        experiment = tracking.experiment(client, store, name, tags=tags)
        owner.claim(client, experiment, own)
        return client.get_experiment(experiment).tags

    return run


@pytest.mark.parametrize("created", [True, False], ids=["with its id", "before ids were stored"])
def test_an_experiment_belongs_to_the_data_that_it_was_first_used_for(claim, created):
    claim(MINE, created=created)
    claim(MINE)  # also from another checkout of the same project
    for other, stated in ((OTHER, f"id {OTHER.id}"), (UNMARKED, "no id")):
        with pytest.raises(TrackingError, match=f"with the id {MINE.id}.* has {stated}") as refused:
            claim(other)
        assert "segline init /data/x --name NAME" in refused.value.remedy


def test_data_without_an_id_share_an_experiment_that_nobody_claimed(claim):
    claim(UNMARKED)
    assert Tags.DATA_ID not in claim(UNMARKED)
