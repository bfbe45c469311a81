"""Estimate how long a planned training takes on this machine, from a short one that is measured once and stored."""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from segline import config, models
from segline.progress import Report
from segline.project import Project
from segline.storage import read_json, write_json

if TYPE_CHECKING:
    from segline.training.plan import Plan
    from segline.training.plan.facts import Facts

_DAMAGED = (OSError, ValueError, TypeError, KeyError)  # of a stored measurement, which is then made again


@dataclass(frozen=True, kw_only=True)
class TrainingTime:
    """Estimated times of a training.

    Args:
        network: what was measured.
        search: seconds of the search.
        fit: seconds of the final fit.
        measured: day of the measurement.
        disturbed: whether other programs needed the same cores meanwhile, so that the times are too long.
    """

    network: str
    search: float
    fit: float
    measured: str
    disturbed: bool


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """A measurement, as it is stored."""

    step: float
    validation: float
    day: str
    disturbed: bool


def estimate(
    project: Project, made: "Plan", facts: "Facts", params: config.Params, *, measure: bool, report: Report
) -> TrainingTime | None:
    """Estimate the time of the training that `made` plans, for the dearest network that its search may choose.

    Nothing of a training depends on these times. They are stored in the project's ``.segline``, for each network,
    crop, batch, precision, backend and machine. One that other programs disturbed is measured again at the next call.

    Args:
        project: keeps the measurements.
        made: a plan.
        facts: of its dataset.
        params: that the plan completes.
        measure: measure if nothing is stored, which takes about a minute.
        report: receives a line before it measures.

    Returns:
        None if nothing is stored, and `measure` is false.
    """
    planned = made.applied(params)
    training, search = planned.training, planned.search
    network = _choose_dearest(made, search, training, facts.classes)
    size = tuple(-(-side // config.MULTIPLE) * config.MULTIPLE for side in facts.validated)
    images = training.validation_batch or training.batch
    key = _describe(network, training, size=size, images=images)
    name = " ".join(filter(None, (network.network, network.encoder, network.decoder, f"width {network.width}")))
    stored = _read(project, key)
    if measure and (stored is None or stored.disturbed):
        report(f"measuring how long {name} takes on this machine; this is stored (--no-measure leaves it out)")
        stored = _measure(network, training, size=size, images=images)
        _write(project, key, stored)
    if stored is None:
        return None
    epoch = training.steps * stored.step + -(-facts.validated_images // images) * stored.validation
    from segline.training.rungs import count_epochs, list_rungs

    return TrainingTime(
        network=name,
        search=count_epochs(list_rungs(search)) * epoch,
        fit=training.epochs * epoch,
        measured=stored.day,
        disturbed=stored.disturbed,
    )


def _choose_dearest(made: "Plan", search: config.Search, training: config.Training, classes: int) -> config.ModelConfig:
    """Configure the network that takes most memory at its greatest width and depth, of compositions the dearest."""
    network = max(made.memory, key=lambda name: made.memory[name])
    options: dict[str, Any] = {"depth": max(search.depth), **{name: each[0] for name, each in search.offered.items()}}
    dearest = max(made.compositions, key=lambda each: each.multiply_adds, default=None)
    if dearest is not None:
        options |= {"encoder": dearest.encoder, "decoder": dearest.decoder}
    return config.ModelConfig(
        network=network,
        classes=classes,
        width=max(search.width),
        dropout=training.dropout,
        **{name: value for name, value in options.items() if models.has_option(network, name)},
    )


def _measure(
    network: config.ModelConfig, training: config.Training, *, size: tuple[int, ...], images: int
) -> _Measured:
    from segline.evaluation.cost import machine
    from segline.training.fit.job import Job
    from segline.training.fit.speed import measure

    height, width = size
    job = Job(model_config=network, training=training, learning_rate=1e-4, epochs=1, seed=1)
    place, begun = machine.describe(threads=training.threads), machine.read_times()
    speed = measure(job, size=(height, width), images=images)
    load = machine.compute_load(begun, machine.read_times(), machine=place)
    day = datetime.now(UTC).date().isoformat()
    return _Measured(**asdict(speed), day=day, disturbed=load.disturbed)


def _describe(
    network: config.ModelConfig, training: config.Training, *, size: tuple[int, ...], images: int
) -> dict[str, Any]:
    """Describe all that a measured time depends on."""
    from segline.evaluation.cost import machine

    kept = {"crop", "batch", "accumulate", "precision", "optimizer", "loss", "ema", "clip", "threads"}
    return {
        "network": network.model_dump(mode="json"),
        "training": training.model_dump(mode="json", include=kept),
        "validation": [*size, images],
        "machine": asdict(machine.describe(threads=training.threads)),
    }


def _digest(key: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _read(project: Project, key: dict[str, Any]) -> _Measured | None:
    with suppress(*_DAMAGED):
        return _Measured(**read_json(project.speeds)[_digest(key)]["measured"])
    return None


def _write(project: Project, key: dict[str, Any], measured: _Measured) -> None:
    """Add a measurement to the file. If two processes write at once, one of them is lost and measured again."""
    content: dict[str, Any] = {}
    with suppress(*_DAMAGED):
        content = dict(read_json(project.speeds))
    entry = {"measured": asdict(measured), "of": key}
    project.speeds.parent.mkdir(parents=True, exist_ok=True)
    write_json(project.speeds, {**content, _digest(key): entry})
