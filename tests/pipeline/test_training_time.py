"""The time of a planned training: measured once for each network, crop, batch, precision, backend and machine."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from places import PARAMS
from plan_facts import FACTS

from segline import config
from segline.config import ModelConfig, Search, Training
from segline.evaluation.cost import machine
from segline.pipeline import training_time
from segline.project import Project
from segline.training import plan
from segline.training.fit import speed
from segline.training.fit.job import Job
from segline.training.fit.speed import Speed


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(root=tmp_path, tracking_uri="sqlite://", workers=1)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record the calls of `measure`, which takes long and has its own test."""
    calls: list[dict[str, Any]] = []

    def measure(job: Job, **options: Any) -> Speed:
        calls.append({"job": job, **options})
        return Speed(step=0.25, validation=2.0)

    monkeypatch.setattr(speed, "measure", measure)
    set_load(monkeypatch, others=0.0)
    return calls


def estimate(
    project: Project, *, measure: bool = True, images: int = 20, lines: list[str] | None = None, **search: Any
) -> training_time.TrainingTime | None:
    facts = replace(FACTS, validated_images=images)
    training = Training(plan="auto", memory=2.0, crop=(32, 64), batch=4, steps=10, epochs=30, threads=1)
    space = Search.model_validate(
        {"networks": ["unet"], "width": [2, 4], "depth": [2], "trials": 4, "epochs": 4, **search}
    )
    made = plan.make(facts, short_side=128, training=training, search=space)
    params = config.load(PARAMS).model_copy(update={"training": training, "search": space})
    report = (lines if lines is not None else []).append
    return training_time.estimate(project, made, facts, params, measure=measure, report=report)


def test_it_is_measured_once_and_stored(project: Project, measured: list[dict[str, Any]]) -> None:
    lines: list[str] = []
    found = estimate(project, lines=lines)
    assert found is not None
    epoch = 10 * 0.25 + 5 * 2.0  # steps; 20 images, 4 at a time
    assert (found.fit, found.search) == (30 * epoch, 16 * epoch)
    assert found.network == "unet width 4"  # the dearest
    assert "--no-measure" in lines[0]
    assert estimate(project) == found
    assert len(measured) == 1
    assert (measured[0]["size"], measured[0]["images"]) == ((512, 928), 4)  # as validation images are padded
    halved = estimate(project, halving=2)
    assert halved is not None
    assert halved.search == 8 * epoch
    assert len(measured) == 1  # halving changes no step


def test_another_network_or_machine_is_measured_again(
    project: Project, measured: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate(project)
    estimate(project, width=[2])
    assert [call["job"].model_config.width for call in measured] == [4, 2]
    here = machine.describe(threads=1)
    monkeypatch.setattr(machine, "describe", lambda threads: type(here)(**{**asdict(here), "processor": "another"}))
    estimate(project)
    assert len(measured) == 3


def test_a_time_that_other_programs_disturbed_is_told_and_measured_again(
    project: Project, measured: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_load(monkeypatch, others=9.0)
    disturbed = estimate(project)
    assert disturbed is not None
    assert disturbed.disturbed
    assert estimate(project, measure=False) == disturbed
    assert len(measured) == 1
    set_load(monkeypatch, others=0.0)
    again = estimate(project)
    assert again is not None
    assert not again.disturbed
    assert len(measured) == 2


def set_load(monkeypatch: pytest.MonkeyPatch, *, others: float) -> None:
    """Set the number of cores that other processes keep busy."""
    load = machine.Load(average=1.0, cores=2, used=2, others=others)
    monkeypatch.setattr(machine, "compute_load", lambda *_, **__: load)


def test_without_measuring_only_a_stored_time_is_told(project: Project, measured: list[dict[str, Any]]) -> None:
    assert estimate(project, measure=False) is None
    assert not measured
    assert not project.speeds.exists()
    found = estimate(project)
    assert estimate(project, measure=False) == found


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1', "null"])
def test_a_damaged_file_is_measured_again(project: Project, measured: list[dict[str, Any]], content: str) -> None:
    expected = estimate(project)
    project.speeds.write_text(content)
    assert estimate(project) == expected
    assert len(measured) == 2
    assert len(json.loads(project.speeds.read_text())) == 1


@pytest.mark.slow
def test_a_speed_is_that_of_a_real_fit() -> None:
    network = ModelConfig(network="unet", classes=3, width=4, depth=2, dropout=0.0)
    training = Training(crop=(64, 96), batch=4, threads=1)
    job = Job(model_config=network, training=training, learning_rate=1e-4, epochs=1, seed=1)
    small = speed.measure(job, size=(64, 96), images=2)
    large = speed.measure(job, size=(512, 512), images=2)
    assert 0 < small.step < 5
    assert small.validation < large.validation
