"""Train each network for a given time on the real data, and score it on the test split.

    .venv/bin/python benchmarks/families.py --dataset oxford_pets --minutes 4 --output /tmp/learning
    .venv/bin/python benchmarks/families.py --dataset kitti --output /tmp/learning --against evaluation.npz

All networks have the same recipe, without pre-trained weights. The number of steps is computed from a measured
speed, so that the schedule ends with the time. Each result is written at once: a second call with the same
`--output` goes on with the missing networks. `--against` compares a run of `plan: auto` (its `evaluation.npz`, an
artifact of its MLflow run) with each network on the same images.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import machine
import networks
import real_data

from segline import config, models
from segline.core.metrics.confusion import iou
from segline.data.batches import loader
from segline.data.batches.augment import Augmenter
from segline.data.prepare.prepared import Prepared
from segline.datasets.base import Dataset
from segline.errors import ComparisonError
from segline.evaluation import compare, figures
from segline.evaluation.bundles import evaluate as scoring
from segline.inference.bundle import Bundle
from segline.training.backend import make_deterministic
from segline.training.fit.fit import fit
from segline.training.fit.job import Job

NETWORKS = [name for name in networks.CONFIGS if not name.endswith("/xception_65")]  # which needs a GPU
SHORT_SIDES = {"oxford_pets": 128, "kitti": 192}  # pixels; crops have the same side
RECIPE: dict[str, Any] = {
    "batch": 8,
    "weight_decay": 0.01,
    "warm_up": 0.05,
    "dropout": 0.2,
    "schedule": "cosine",
    "ema": 0.99,
    "threads": 2,
}
RATE, STRENGTH, EPOCHS, SEED = 3e-3, 0.5, 12, 1
RESAMPLES, CONFIDENCE = 2000, 0.95


def main() -> None:
    options = _options()
    make_deterministic(seed=SEED, threads=RECIPE["threads"])
    dataset = real_data.load(options.dataset, options.task, folder=options.output)
    side = SHORT_SIDES[dataset.name]
    prepared = real_data.prepare(dataset, options.task, source=options.source, folder=options.output, short_side=side)
    print(machine.line("tensorflow", "keras", "numpy"))
    for name in options.network or NETWORKS:
        folder = options.output / _file(options, name)
        if not folder.with_suffix(".npz").exists():
            _learn(name, dataset, prepared, folder, minutes=options.minutes)
            keras.backend.clear_session()
    _table(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=sorted(SHORT_SIDES), required=True)
    parser.add_argument("--task", help="another task of the dataset than its first, such as road")
    parser.add_argument("--minutes", type=float, default=4.0, help="of training, validation included (%(default)s)")
    parser.add_argument("--network", action="append", choices=NETWORKS, help="may be given again (all)")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--against", type=Path, help="an evaluation.npz to compare with each network")
    parser.add_argument("--source", type=Path, default=machine.MIRROR, help="a mirror of the archives (%(default)s)")
    return parser.parse_args()


def _file(options: argparse.Namespace, name: str) -> str:
    return "-".join(filter(None, (options.dataset, options.task, name.replace("/", "-"))))


def _learn(name: str, dataset: Dataset, prepared: Prepared, path: Path, *, minutes: float) -> None:
    model_config = config.ModelConfig.model_validate({"classes": len(dataset.label_map), **networks.CONFIGS[name]})
    with _batches(dataset, prepared) as batches:
        # The first fit traces the network, and measures the time of a step and of a validation.
        probe = _fit(model_config, batches, crop=_crop(dataset), steps=24, epochs=2)
        speed = probe.history[-1]["images_per_second"]
        steps = _steps(minutes, speed=speed, validation=_validation_seconds(probe.model, batches[1]))
        started = time.monotonic()
        result = _fit(model_config, batches, crop=_crop(dataset), steps=steps, epochs=EPOCHS)
        seconds = time.monotonic() - started
    bundle = Bundle(
        network=result.model,
        dataset=dataset.name,
        family=model_config.network,
        labels=dataset.label_map,
        short_side=SHORT_SIDES[dataset.name],
        stride=models.stride(model_config),
    )
    evaluation = scoring.evaluate(bundle, prepared.split("test"), progress=lambda *_: None)
    scoring.save(evaluation, path.with_suffix(".npz"))
    told = {
        "network": name,
        "parameters": result.model.count_params(),
        "images": EPOCHS * steps * RECIPE["batch"],
        "minutes": round(seconds / 60, 2),
        "validation": result.best_miou,
    }
    path.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
    print(f"{name}: test mIoU {evaluation.miou:.4f}, {seconds / 60:.1f} min, {told['images']} images")


def _crop(dataset: Dataset) -> tuple[int, int]:
    return SHORT_SIDES[dataset.name], SHORT_SIDES[dataset.name]


@contextmanager
def _batches(dataset: Dataset, prepared: Prepared) -> Iterator[tuple[Any, Any]]:
    augmenter = Augmenter(crop=_crop(dataset), strength=STRENGTH, mirrored=dataset.mirrored)
    crops = loader.Crops(prepared.split("train"), augmenter=augmenter, batch=RECIPE["batch"], seed=SEED)
    with loader.on_processes(1) as put:
        yield put(crops), loader.Whole(prepared.split("validation"), batch=RECIPE["batch"], multiple=config.MULTIPLE)


def _fit(
    model_config: config.ModelConfig, batches: tuple[Any, Any], *, crop: tuple[int, int], steps: int, epochs: int
) -> Any:
    training = config.Training(crop=crop, steps=steps, epochs=epochs, **RECIPE)
    job = Job(model_config=model_config, training=training, learning_rate=RATE, epochs=epochs, seed=SEED)
    return fit(job, train=batches[0], validation=batches[1], tracker=networks.SilentTracker())


def _validation_seconds(model: keras.Model, batches: Any) -> float:
    started = time.monotonic()
    for index in range(len(batches)):
        model.predict_on_batch(batches.batch(index)[0])
    return time.monotonic() - started


def _steps(minutes: float, *, speed: float, validation: float) -> int:
    """Compute the steps of an epoch."""
    return max(1, round((60 * minutes / EPOCHS - validation) * speed / RECIPE["batch"]))


def _table(options: argparse.Namespace) -> None:
    print("\n| network | parameters | images | minutes | validation mIoU | test mIoU | interval | others |")
    print("|---|---|---|---|---|---|---|---|")
    against = scoring.load(options.against) if options.against else None
    for name in NETWORKS:
        path = options.output / _file(options, name)
        if not path.with_suffix(".npz").exists():
            continue
        evaluation, told = scoring.load(path.with_suffix(".npz")), json.loads(path.with_suffix(".json").read_text())
        print(
            f"| {name} | {told['parameters'] / 1e6:.2f} M | {told['images']} | {told['minutes']} "
            f"| {told['validation']:.3f} | {_score(evaluation)} {_compared(against, evaluation)}|"
        )
    if against:
        print(f"| plan: auto | | | | | {_score(against)} |")


def _score(evaluation: scoring.Evaluation) -> str:
    interval = evaluation.interval(resamples=RESAMPLES, confidence=CONFIDENCE)
    found = figures.values(evaluation)
    others = {row.name: found[row.key] for row in figures.metrics(evaluation) if row.group}
    if len(evaluation.names) == 2:
        others |= dict(zip(evaluation.names, iou(evaluation.counts), strict=True))
    extra = ", ".join(f"{name} {value:.3f}" for name, value in others.items())
    return f"{evaluation.miou:.3f} | {interval.low:.3f} .. {interval.high:.3f} | {extra}"


def _compared(planned: scoring.Evaluation | None, evaluation: scoring.Evaluation) -> str:
    if planned is None:
        return ""
    both = [("this", evaluation), ("plan: auto", planned)]
    try:
        found = compare.compare(both, resamples=RESAMPLES, confidence=CONFIDENCE)[1].against
    except ComparisonError as error:
        return f"(not compared: {error.found}) "
    assert found is not None
    return (
        f"; plan: auto is {found.difference:+.3f} [{found.interval.low:+.3f}, {found.interval.high:+.3f}], "
        f"p {found.p:.4f} "
    )


if __name__ == "__main__":
    main()
