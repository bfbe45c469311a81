"""On a real store: who is champion, and which changes by hand are noticed.

Before, a deleted champion and a missing alias were "first version", and an alias moved by hand was believed.
"""

from itertools import count

import pytest

from segline.errors import TrackingError
from segline.project import Tags
from segline.registry import tracking, versions
from segline.registry.gate.rules import Decision


class Model:
    """A registered model whose versions are judged as the pipeline does it."""

    def __init__(self, client, settings, name):
        self.client, self.name = client, name
        self._experiment = tracking.experiment(client, settings, name)
        client.create_registered_model(name)

    def train(self, *, promote, stop="", label_map="one", compared=True):
        """Register and judge a version; `stop` is where the training is killed."""
        run = tracking.open_parent(self.client, self._experiment, key="k", name="n")
        version = self.client.create_model_version(self.name, "file:///nowhere", run.info.run_id)
        version = versions.resolve(self.client, f"{self.name}/{version.version}")
        if stop == "registered":
            return version
        present = versions.champion(self.client, self.name, challenger=version)
        decision = Decision(
            promote=promote,
            reason="r",
            challenger=0.5,
            bar=0.1,
            compared=compared and present is not None,
            version=version.version,
            label_map=label_map,
            champion=present.version if present else None,
        )
        versions.tag(self.client, version, {Tags.DECISION: decision.as_tag(), Tags.LABEL_MAP: label_map})
        if stop == "judged":
            return version
        if promote:
            versions.promote(self.client, version)
        if stop == "promoted":
            return version
        self.client.set_tag(run.info.run_id, Tags.LABEL_MAP, label_map)
        self.client.set_tag(run.info.run_id, Tags.DECISION, decision.as_tag())
        self.client.set_terminated(run.info.run_id)
        return version

    def delete(self, number):
        self.client.delete_model_version(self.name, str(number))

    def move(self, number):
        self.client.set_registered_model_alias(self.name, "champion", str(number))

    def champion(self):
        found = versions.champion(self.client, self.name)
        return found and found.version

    def refusal(self):
        """The error at the gate, and for `predict`."""
        with pytest.raises(TrackingError) as caught:
            versions.champion(self.client, self.name)
        for asked in (self.name, f"{self.name}@champion", f"models:/{self.name}@champion"):
            with pytest.raises(TrackingError) as again:
                versions.resolve(self.client, asked)
            assert str(again.value) == str(caught.value)
        return str(caught.value)


NUMBERS = count()


@pytest.fixture
def model(client, settings):
    return Model(client, settings, f"segline-m{next(NUMBERS)}")


def test_no_version_and_versions_below_the_floor_have_no_champion(model):
    assert model.champion() is None
    model.train(promote=False)
    assert model.champion() is None
    model.train(promote=True)
    model.train(promote=False)
    assert model.champion() == "2"


def test_a_deleted_champion_is_named_with_the_versions_that_remain(model):
    for promote in (True, True, False):
        model.train(promote=promote)
    model.delete(2)
    said = model.refusal()
    assert "its champion, version 2, was deleted; versions 1, 3 remain" in said
    assert "give the alias champion to version 1" in said
    with pytest.raises(TrackingError, match="was deleted"):  # and the gate does not take the next for the first
        model.train(promote=True)
    model.move(1)  # the remedy works
    assert model.champion() == "1"


def test_a_deleted_champion_without_a_promoted_successor_can_only_be_followed_by_a_first_version(model):
    model.train(promote=True)
    model.train(promote=False)
    model.delete(1)
    said = model.refusal()
    assert "its champion, version 1, was deleted; version 2 remains" in said
    assert "delete version 2" in said
    model.delete(2)  # the remedy works
    assert model.champion() is None
    model.train(promote=True)
    assert model.champion() == "3"


def test_a_removed_alias_is_told_from_a_deleted_champion(model):
    model.train(promote=True)
    model.train(promote=True)
    model.client.delete_registered_model_alias(model.name, "champion")
    said = model.refusal()
    assert "the alias was removed by hand; the gate promoted version 2" in said
    assert "give the alias champion to version 2" in said


def test_an_alias_moved_to_a_version_that_was_not_promoted(model):
    model.train(promote=True)
    model.train(promote=False)
    model.move(2)
    said = model.refusal()
    assert "the alias is at version 2, but the gate did not put it there" in said
    assert "give the alias champion to version 1" in said
    assert versions.resolve(model.client, f"{model.name}/2").version == "2"  # as the remedy says


def test_an_alias_moved_to_a_version_below_the_floor(model):
    model.train(promote=False)
    model.move(1)
    assert "remove the alias champion" in model.refusal()


def test_an_alias_moved_back(model):
    for _ in range(3):
        model.train(promote=True)
    model.move(1)
    said = model.refusal()
    assert "the alias was moved back to version 1, which the gate had replaced" in said
    assert "give the alias champion to version 3" in said


def test_an_alias_of_a_version_that_does_not_exist(model, settings):
    """MLflow itself leaves none; a restored or edited database does."""
    import sqlite3

    model.train(promote=True)
    model.train(promote=True)
    with sqlite3.connect(settings.root / "mlflow.db") as database:
        database.execute("UPDATE registered_model_aliases SET version = 9 WHERE name = ?", (model.name,))
    database.close()
    said = model.refusal()
    assert "the alias names version 9, which does not exist" in said
    assert "give the alias champion to version 2" in said


@pytest.mark.parametrize("stop", ["registered", "judged"])
def test_a_training_killed_before_its_promotion_leaves_no_trace_of_a_champion(model, stop):
    model.train(promote=True, stop=stop)
    assert model.champion() is None
    model.train(promote=True)
    assert model.champion() == "2"
    model.train(promote=True, stop=stop)
    assert model.champion() == "2"


def test_a_training_killed_after_its_promotion_has_its_champion(model):
    model.train(promote=True, stop="promoted")
    assert model.champion() == "1"
    model.train(promote=True)
    assert model.champion() == "2"


def test_deleted_runs_leave_the_decisions_of_their_versions(model):
    for _ in range(2):
        model.client.delete_run(model.train(promote=True).run_id)
    assert model.champion() == "2"
    model.move(1)
    assert "moved back to version 1" in model.refusal()


def test_a_version_with_other_classes_replaces_none(model):
    model.train(promote=True)
    model.train(promote=True, label_map="two", compared=False)
    model.move(1)  # going back to the classes of an earlier champion is another command's decision
    assert model.champion() == "1"


def test_a_version_whose_classes_were_renamed_replaces_the_champion(model):
    """Before, the alias could be moved back by hand: other names have another digest."""
    model.train(promote=True)
    model.train(promote=True, label_map="renamed")
    model.train(promote=True, label_map="renamed again")
    assert model.champion() == "3"
    for earlier in (1, 2):
        model.move(earlier)
        assert f"moved back to version {earlier}" in model.refusal()


def test_a_version_that_was_never_judged_may_have_the_alias_where_none_was(model):
    model.client.create_model_version(model.name, "file:///nowhere")
    model.move(1)
    assert model.champion() == "1"
    model.train(promote=True)
    model.move(1)
    assert "moved back to version 1" in model.refusal()


@pytest.mark.parametrize("prefix", ["", "models:/"])
@pytest.mark.parametrize("asked", ["{}", "{}@champion", "{}/1"])
def test_addresses_of_mlflow_are_understood(model, prefix, asked):
    """Before, `models:/name/1` was taken for a model named `models:/name`."""
    model.train(promote=True)
    assert versions.resolve(model.client, prefix + asked.format(model.name)).version == "1"


@pytest.mark.parametrize(
    "asked", ["models:/nobody@champion", "models:/{}/9", "models:/{}/latest", "runs:/x/model", "{}@"]
)
def test_an_address_of_nothing_is_answered_with_the_known_models(model, asked):
    model.train(promote=False)
    with pytest.raises(TrackingError, match="no such model in the registry") as caught:
        versions.resolve(model.client, asked.format(model.name))
    assert f"{model.name}/1" in caught.value.expected
