"""A changed class table: what a new model is compared with, on a real registry."""

import json
from itertools import count
from types import SimpleNamespace

import pytest

from segline.core.labels import label_map
from segline.errors import ComparisonError, TrackingError
from segline.inference import description
from segline.pipeline import champion, promote
from segline.progress import FlowLines
from segline.project import Files, Project, Tags
from segline.registry import label_maps, tracking, versions
from segline.registry.gate.rules import Decision

_NUMBERS = count()
FIRST = label_map([(0, "ground", (0, 0, 0)), (1, "car", (250, 0, 0))])
RENAMED = label_map([(0, "ground", (0, 0, 0)), (1, "auto", (250, 0, 0))])
EXCHANGED = label_map([(0, "car", (0, 0, 0)), (1, "ground", (250, 0, 0))])
MORE = label_map([(0, "ground", (0, 0, 0)), (1, "car", (250, 0, 0)), (2, "dog", (0, 0, 250))])


class Registry:
    """A registry whose versions hold descriptions, and no networks."""

    def __init__(self, store, name):
        self.project, self.name, self.client = store, name, tracking.connect(store)
        self.client.create_registered_model(name)

    def new(self, labels, *, promoted, tagged=True):
        folder = self.project.root / self.name / f"files {len(versions.list_versions(self.client, self.name))}"
        bundle = folder / "artifacts" / Files.BUNDLE
        bundle.mkdir(parents=True)
        content = {"format": description.FORMAT, "dataset": "x", "family": "unet", "short_side": None, "stride": 1}
        rows = [{"name": item.name, "raw": item.raw, "colour": item.colour} for item in labels.classes]
        content |= {"threshold": None, "mirrors": [], "classes": rows, "void": list(labels.void)}
        (bundle / Files.DESCRIPTION).write_text(json.dumps(content))
        made = self.client.create_model_version(
            self.name, source=folder.as_uri(), tags={Tags.LABEL_MAP: labels.digest} if tagged else {}
        )
        version = versions.resolve(self.client, f"{self.name}/{made.version}")
        decision = Decision(
            promote=promoted,
            reason="",
            challenger=0.5,
            bar=0.1,
            compared=False,
            version=version.version,
            label_map="",
            champion=None,
        )
        versions.tag(self.client, version, {Tags.DECISION: decision.as_tag()})
        if promoted:
            versions.promote(self.client, version)
        return folder

    def find(self, labels, **options):
        return champion.find(self.client, self.name, labels, **options)

    def check(self, labels, *, earlier_classes=False):
        lines = []
        self.project.runs.mkdir(parents=True, exist_ok=True)
        champion.check_before_search(
            self.project, self.client, self.name, labels, earlier_classes=earlier_classes, report=lines.append
        )
        return "\n".join(lines)

    @property
    def champion(self):
        return versions.champion(self.client, self.name).version


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store for all tests, because it takes seconds to make; each test has a model of its own in it."""
    root = tmp_path_factory.mktemp("store")
    return Project(root=root, tracking_uri=f"sqlite:///{root / 'mlflow.db'}", workers=1)


@pytest.fixture
def registry(store, request):
    return Registry(store, f"segline-{next(_NUMBERS)}")


def test_without_a_champion_and_with_equal_classes_nothing_is_said(registry):
    assert registry.find(FIRST) is None
    registry.new(FIRST, promoted=True)
    assert registry.check(FIRST) == ""
    assert registry.find(FIRST).is_comparable


def test_a_renamed_class_compares_with_the_champion(registry):
    """Before, the training ran to its end, and the gate then refused the champion's label map."""
    registry.new(FIRST, promoted=True)
    assert registry.check(RENAMED) == ""
    assert registry.find(RENAMED).is_comparable


@pytest.mark.parametrize("labels", [EXCHANGED, MORE], ids=["exchanged names", "a class more"])
@pytest.mark.parametrize("tagged", [True, False])
def test_other_classes_are_named_before_the_search_and_begin_anew(registry, labels, tagged):
    """Before, every training failed at the gate, and "train again" met the same champion."""
    registry.new(FIRST, promoted=True, tagged=tagged)
    said = registry.check(labels)
    assert f"version 1, has label map {FIRST.digest} (0 ground, 1 car); these data have" in said
    assert labels.digest in said
    assert "only the floor applies" in said
    assert not registry.find(labels).is_comparable


def test_going_back_to_earlier_classes_is_refused_unless_it_is_asked_for(registry):
    registry.new(FIRST, promoted=True)
    registry.new(MORE, promoted=True)
    for labels in (FIRST, RENAMED):  # also under another name
        with pytest.raises(ComparisonError, match="as version 1, an earlier champion") as refused:
            registry.check(labels)
        assert "--earlier-classes" in refused.value.remedy
        assert registry.champion == "2"
    assert registry.check(EXCHANGED)  # which no champion had

    said = registry.check(RENAMED, earlier_classes=True)
    assert said == f"{registry.name} version 1 is the champion again, instead of version 2"
    assert registry.champion == "1"
    assert versions.champion(registry.client, registry.name).tags[Tags.RESTORED] == "instead of version 2"
    assert "nothing to do" in registry.check(FIRST, earlier_classes=True)
    assert f"no champion of {registry.name} had" in registry.check(EXCHANGED, earlier_classes=True)
    with pytest.raises(ComparisonError, match="as version 2, an earlier champion"):
        registry.check(MORE)


def test_the_newest_promoted_version_is_gone_back_to(registry):
    for promoted in (True, True, False):
        registry.new(FIRST, promoted=promoted)
    registry.new(MORE, promoted=True)
    registry.check(FIRST, earlier_classes=True)
    assert registry.champion == "2"


def test_a_version_that_was_never_promoted_or_whose_files_are_lost_is_no_earlier_champion(registry):
    registry.new(FIRST, promoted=False)
    lost = registry.new(FIRST, promoted=True)
    registry.new(MORE, promoted=True)
    lost.rename(lost.with_name("away"))
    assert not registry.find(FIRST).is_comparable
    assert f"no champion of {registry.name} had" in registry.check(FIRST, earlier_classes=True)
    assert registry.champion == "3"


def test_a_champion_whose_files_are_lost_is_told_before_the_search(registry):
    lost = registry.new(FIRST, promoted=True)
    lost.rename(lost.with_name("away"))
    with pytest.raises(TrackingError, match=f"version 1: its {Files.DESCRIPTION} cannot be fetched"):
        registry.check(MORE)


def test_a_label_map_is_read_as_it_was_written(registry):
    registry.new(MORE, promoted=True)
    assert label_maps.read(versions.champion(registry.client, registry.name)) == MORE


@pytest.fixture
def judge(registry, monkeypatch):
    """`judge` on the real registry; only the challenger's score, whose reading has its own tests, is given."""
    monkeypatch.setattr(promote, "_read_challenger", lambda work: SimpleNamespace(miou=0.3))
    monkeypatch.setattr(promote, "_rescore", lambda work, challenger, holder: 0.8)

    def run(labels, floor=0.1):
        made = registry.client.create_model_version(registry.name, source="file:///nowhere")
        work = SimpleNamespace(
            name=registry.name,
            client=registry.client,
            dataset=SimpleNamespace(label_map=labels),
            report=print,
            progress=FlowLines(print),
            params=SimpleNamespace(dataset="x", promotion=SimpleNamespace(floor={"x": floor})),
        )
        return promote.judge(work, versions.resolve(registry.client, f"{registry.name}/{made.version}"))

    return run


def test_the_gate_judges_other_classes_by_the_floor_and_names_their_label_map(registry, judge):
    registry.new(FIRST, promoted=True)
    assert not judge(RENAMED).promote  # compared with the champion
    decision = judge(MORE)
    assert decision.promote
    assert (decision.label_map, decision.bar, decision.champion) == (MORE.digest, 0.1, "1")
    assert f"first version with label map {MORE.digest}: mIoU 0.3000 beats the floor 0.1000" in decision.reason
    assert f"not compared with version 1, which has label map {FIRST.digest}" in decision.reason
    assert not judge(EXCHANGED, floor=0.4).promote


def test_the_gate_refuses_to_go_back_if_somebody_promoted_other_classes_meanwhile(registry, judge):
    registry.new(FIRST, promoted=True)
    registry.new(MORE, promoted=True)
    with pytest.raises(ComparisonError, match="as version 1, an earlier champion"):
        judge(FIRST)
    assert registry.champion == "2"
