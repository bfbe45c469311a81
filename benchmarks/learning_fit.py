"""Train one row of `learning.py` for a given processor time, in several parts, and score it on the test split.

A row that was killed goes on after its last complete epoch, with the number of steps that was computed at its start.
"""

import json
import os
import re
import resource
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
from learning_rows import EPOCHS, NETWORK, RECIPE, Row

from segline import config, models
from segline.data.batches.augment import Augmenter
from segline.data.batches.loader import Crops, Whole
from segline.data.prepare.prepared import Prepared
from segline.datasets.base import Dataset
from segline.evaluation.bundles import choose_mirrors, choose_threshold
from segline.evaluation.bundles import evaluate as scoring
from segline.inference.bundle import Bundle
from segline.models.weights import catalogue
from segline.pipeline import weights
from segline.storage import write_json
from segline.training.fit.fit import FitResult, fit
from segline.training.fit.job import Job

SEED, VALIDATION_BATCH = 1, 4
PARTS = 2  # of each row's training; the other rows are trained between them
_PROBE_STEPS, _PROBE_EPOCHS = 6, 2
_FROZEN_COST = 0.5  # of a step whose encoder is frozen, divided by that of another step


@dataclass(frozen=True, kw_only=True)
class Task:
    """The data of the rows, and where their results are kept.

    Args:
        folder: a folder for each row lies in it.
        minutes: processor time of a row, in minutes on one core.
    """

    dataset: Dataset
    folder: Path
    minutes: float


class Paused(Exception):  # noqa: N818 (it is no error)
    """Ends a fit after an epoch, when its checkpoint is written."""


def train(row: Row, task: Task, prepared: Prepared, *, epochs: int) -> FitResult | None:
    """Train `row` until `epochs` are complete; return the result after its last epoch, else None."""
    keras.backend.clear_session()  # ends the network of the row before
    place = place_of(row, task)
    place.mkdir(parents=True, exist_ok=True)
    clock = _Clock(place / "row.json", last=epochs)
    if not clock.state:
        clock.begin(_probe(row, task, prepared))
    if epochs < EPOCHS and str(epochs) in clock.state["seconds"]:
        return None
    try:
        return _fit(row, task, prepared, steps=clock.state["steps"], clock=clock, checkpoint=place / "checkpoint.npz")
    except Paused:
        return None


def place_of(row: Row, task: Task) -> Path:
    """Return the folder of the row's results."""
    return task.folder / re.sub(r"\W+", "_", row.name).strip("_")


def describe_work(row: Row, task: Task) -> dict[str, Any]:
    """Return what `row` took: processor time of its epochs, in minutes on one core, and the number of crops."""
    state = json.loads((place_of(row, task) / "row.json").read_text())
    return {"minutes": sum(state["seconds"].values()) / 60, "crops": EPOCHS * state["steps"] * row.batch}


class _Clock:
    """A tracker that records the processor time of each epoch, and ends the fit after epoch number `last`."""

    def __init__(self, path: Path, *, last: int) -> None:
        self._path, self._last, self._epoch = path, last, 0
        self.state: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self._before = processor_seconds()

    def begin(self, steps: int) -> None:
        """Record the number of steps of an epoch, and start the clock."""
        self.state = {"steps": steps, "seconds": {}}
        write_json(self._path, self.state)
        self._before = processor_seconds()

    def log_metrics(self, metrics: Any, step: int) -> None:  # noqa: ARG002
        now = processor_seconds()
        self.state["seconds"][str(step)] = now - self._before
        self._epoch, self._before = step, now
        write_json(self._path, self.state)

    def report(self, line: str) -> None:
        """Print the line of an epoch; the checkpoint of this epoch is already written."""
        print(f"  {line}", flush=True)
        if self._last <= self._epoch < EPOCHS:
            raise Paused


def processor_seconds() -> float:
    """Return the processor time of this process, over all its threads: other load does not count."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _probe(row: Row, task: Task, prepared: Prepared) -> int:
    """Compute the steps of an epoch from the processor time of a few steps, a validation, and tracing the network."""
    clock = _Probe()
    result = _fit(row, task, prepared, steps=_PROBE_STEPS, clock=clock, epochs=_PROBE_EPOCHS)
    traced, epoch = clock.times[0] - clock.times[1], clock.times[1]
    validation = _measure_validation(result.model, _validation(prepared))
    step = (epoch - validation) / _PROBE_STEPS
    keras.backend.clear_session()
    beside = traced * (PARTS + bool(row.frozen_epochs)) + EPOCHS * validation
    left = 60 * task.minutes * row.times - beside
    steps = round(left / step / (EPOCHS - (1 - _FROZEN_COST) * row.frozen_epochs))
    if steps < 1:
        sys.exit(f"{row.name}: raise --minutes, because tracing and validating alone take {beside / 60:.1f} minutes")
    return steps


class _Probe:
    """A tracker that measures the processor time of each epoch."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._before = processor_seconds()

    def log_metrics(self, metrics: Any, step: int) -> None:  # noqa: ARG002
        now = processor_seconds()
        self.times.append(now - self._before)
        self._before = now

    def report(self, line: str) -> None: ...


def _measure_validation(model: keras.Model, batches: Whole) -> float:
    for index in range(min(2, len(batches))):  # traces the network
        model.predict_on_batch(batches.batch(index)[0])
    before = processor_seconds()
    for index in range(len(batches)):
        model.predict_on_batch(batches.batch(index)[0])
    return processor_seconds() - before


def _validation(prepared: Prepared) -> Whole:
    return Whole(prepared.split("validation"), batch=VALIDATION_BATCH, multiple=config.MULTIPLE)


def describe_network(row: Row, task: Task) -> config.ModelConfig:
    """Describe the network of `row`; weights are taken from their package, and kept beside the results."""
    published = catalogue.find(NETWORK["encoder"])
    assert published is not None
    kept = task.folder.parent / "weights"
    file = str(weights.obtain(published, kept, fetch=False).path) if row.pretrained else None
    fields = {**NETWORK, "classes": len(task.dataset.label_map), "weights": file, "encoder_rate": row.encoder_rate}
    return config.ModelConfig.model_validate(fields)


def _fit(
    row: Row,
    task: Task,
    prepared: Prepared,
    *,
    steps: int,
    clock: Any,
    epochs: int = EPOCHS,
    checkpoint: Path | None = None,
) -> FitResult:
    training = config.Training.model_validate(
        {
            **RECIPE,
            "crop": row.crop,
            "batch": row.batch,
            "loss": row.loss,
            "fine_tuning": {"frozen_epochs": row.frozen_epochs if checkpoint else 0, "norms": row.norms},
            "steps": steps,
            "epochs": epochs,
        }
    )
    augmenter = Augmenter(crop=row.crop, strength=row.strength, mirrored=task.dataset.mirrored)
    crops = Crops(prepared.split("train"), augmenter=augmenter, batch=row.batch, seed=SEED, rare=row.rare)
    network = describe_network(row, task)
    return fit(
        Job(model_config=network, training=training, learning_rate=row.rate, epochs=epochs, seed=SEED),
        train=crops,  # made in this process, so that their processor time counts
        validation=_validation(prepared),
        tracker=clock,
        checkpoint=checkpoint,
        report=clock.report,
    )


def score(row: Row, task: Task, prepared: Prepared, result: FitResult) -> dict[str, Any]:
    """Score `result` on the test split, with what validation chose: weights, mirror images and threshold.

    Writes the counts to ``test.npz`` in the row's folder.
    """
    network = describe_network(row, task)
    bundle = Bundle(
        network=result.model,
        dataset=task.dataset.name,
        family=network.network,
        labels=task.dataset.label_map,
        short_side=row.short_side,
        stride=models.stride(network),
    )
    validation, flips = prepared.split("validation"), ("left_right",) if task.dataset.mirrored else ()
    if flips:
        chosen = choose_mirrors.choose(bundle, validation, flips=flips, progress=lambda _: None)
        bundle = replace(bundle, mirrors=chosen.flips)
    if len(bundle.labels) == 2:
        bundle = replace(bundle, threshold=choose_threshold.choose(bundle, validation, progress=lambda _: None).value)
    evaluation = scoring.evaluate(bundle, prepared.split("test"), progress=lambda _: None)
    scoring.save(evaluation, place_of(row, task) / "test.npz")
    return {
        "row": row.name,
        "parameters": result.model.count_params(),
        "validation": result.best_miou,
        "best_epoch": result.best_epoch,
        "mirrors": list(bundle.mirrors),
        "threshold": bundle.threshold,
        "test": evaluation.miou,
        "load": os.getloadavg()[0],
    }
