"""Measure the speed and memory of data validation and loading, as ratios of timings in one run.

    .venv/bin/python benchmarks/data.py
    .venv/bin/python benchmarks/data.py --part memory --repetitions 3

Each ratio is the median over repetitions of runs that alternate, A B A B, so that other load on the
machine affects both. `benchmarks/README.md` explains each line and records the last results.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, wait
from functools import partial
from itertools import islice
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import machine
import work
from memory import peak
from timing import interleaved, print_figure, ratio

from segline import datasets
from segline.data.batches import loader
from segline.data.extract.archives import extract
from segline.data.images.split import assign
from segline.data.validate import expectations, sample_statistics
from segline.data.validate.build_manifest import build_manifest
from segline.datasets import sample
from segline.datasets.base import Dataset, Pair
from segline.parallel import pool as parallel

PACKAGES = ("opencv-python-headless", "albumentations", "numpy", "tensorflow", "keras", "great-expectations")
NAMES = {"kitti": 1.5, "oxford_pets": 2.0}  # dataset -> goal: the most that its validation may cost
PARTS = ("validation", "loader", "memory")
SIZES = (1_000, 20_000)
CROPS = 640  # in each repetition of the loader


def main() -> None:
    options = _options()
    workers = options.workers
    cv2.setNumThreads(1)  # as in the workers, so that both use the same number of threads
    print(f"{machine.line(*PACKAGES)}; {workers} processes, medians of {options.repetitions}")
    with tempfile.TemporaryDirectory(prefix="segline-benchmark-") as folder:
        place = Path(folder)
        if {"validation", "loader"} & set(options.part):
            _extract(options.source, place)
            for name in NAMES:
                _measure_dataset(name, place, parts=options.part, workers=workers, repetitions=options.repetitions)
        if "memory" in options.part:
            _measure_memory(place, workers=workers)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--source", type=Path, default=machine.MIRROR, help="a mirror of the real archives (%(default)s)"
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="what to measure; may be given again (all)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each timing (%(default)s)")
    parser.add_argument(
        "--workers", type=int, default=max(2, os.cpu_count() or 2), help="processes, or threads (%(default)s)"
    )
    options = parser.parse_args()
    options.part = options.part or list(PARTS)
    return options


def _extract(source: Path, place: Path) -> None:
    if not all((source / name).is_dir() for name in NAMES):
        print(f"no mirror of the real archives at {source}: on DRAWN samples instead; say --source FOLDER")
        source = place / "mirror"
        for name in NAMES:
            sample.draw(name, source / name)
    for name in NAMES:
        extract(datasets.load(name), archives=source / name, folder=place / "raw" / name)


def _measure_dataset(name: str, place: Path, *, parts: Iterable[str], workers: int, repetitions: int) -> None:
    raw = place / "raw" / name
    dataset = datasets.load(name, raw=raw)
    pairs, prepared = work.prepared_real(dataset, raw, place / name)
    print(f"\n{dataset.title}: {len(pairs)} samples")
    with parallel.processes(workers) as pool:
        wait([pool.submit(work.warm, prepared) for _ in range(workers)])
        if "validation" in parts:
            with parallel.using(pool):
                _measure_validation(dataset, pairs, raw, workers=workers, repetitions=repetitions, limit=NAMES[name])
        if "loader" in parts:
            _measure_loader(prepared, pool, workers=workers, repetitions=repetitions)


def _measure_validation(
    dataset: Dataset, pairs: list[Pair], raw: Path, *, workers: int, repetitions: int, limit: float
) -> None:
    splits = assign(pairs, validation_share=0.2)

    def decode() -> None:
        list(parallel.stream_samples(partial(work.decode, raw=raw), pairs, workers=workers, description="decode"))

    def validation(*, measured: bool) -> None:
        with sample_statistics.open_store() as taken:
            store = taken if measured else None
            build_manifest(dataset, pairs, raw=raw, splits=splits, workers=workers, measured=store)

    apart: dict[str, Callable[[], object]] = {  # printed separately from the validation pass
        "Great Expectations, Data Docs, gallery and fingerprint": lambda: _judge(table, store, dataset, raw),
    }
    actions = {
        "decode": decode,
        "pass": partial(validation, measured=False),
        "whole": partial(validation, measured=True),
        **apart,
    }
    with sample_statistics.open_store() as store:
        table = build_manifest(dataset, pairs, raw=raw, splits=splits, workers=workers, measured=store)
        seconds = interleaved(actions, repetitions=repetitions)
    each = 1e3 * statistics.median(seconds["decode"]) / len(pairs)
    print(f"  plain decoding: {each:.2f} ms a sample")
    print_figure("validation pass / plain decoding", ratio(seconds["pass"], seconds["decode"]), most=limit)
    both, alone = ratio(seconds["whole"], seconds["decode"]), ratio(seconds["pass"], seconds["decode"])
    extra = 1e-3 * each * (both - alone) * len(pairs)
    print(
        f"  apart: components, layout and colours of the fingerprint: {extra:.2f} s in all, "
        f"{both - alone:.2f} of plain decoding"
    )
    for what in apart:
        print(
            f"  apart: {what}: {statistics.median(seconds[what]):.2f} s in all, "
            f"{ratio(seconds[what], seconds['decode']):.2f} of plain decoding"
        )


def _judge(table: object, store: sample_statistics.Store, dataset: Dataset, raw: Path) -> None:
    with tempfile.TemporaryDirectory() as docs:
        expectations.judge(table, store, dataset=dataset, raw=raw, docs=Path(docs) / "docs", quarantine_share=1.0)


def _measure_loader(prepared: Path, pool: Executor, *, workers: int, repetitions: int) -> None:
    share = CROPS // workers

    def bare() -> None:
        loops = [pool.submit(work.bare_loop, prepared, k * share, (k + 1) * share) for k in range(workers)]
        for loop in loops:
            loop.result()

    def through(batches: Callable[[], Iterator[object]]) -> float:
        stream = batches()
        for _ in islice(stream, 2 * workers + 2):  # until all workers are busy
            pass
        start = time.perf_counter()
        for _ in islice(stream, CROPS // work.BATCH):
            pass
        seconds = time.perf_counter() - start
        getattr(stream, "close", lambda: None)()
        return seconds

    def ours() -> Iterator[object]:
        ahead = loader.Ahead(work.crops(prepared), pool, workers=workers, folder=prepared.parent)
        return (ahead.batch(step) for step in range(1 << 20))

    actions: dict[str, Callable[[], object]] = {
        "bare": bare,
        "ours": partial(through, ours),
        "tf.data with numpy_function": partial(through, partial(work.through_tf_data, prepared, workers=workers)),
        "PyDataset, threads": partial(through, partial(work.through_keras, prepared, workers=workers, processes=False)),
        "PyDataset, processes": partial(
            through, partial(work.through_keras, prepared, workers=workers, processes=True)
        ),
    }
    seconds = interleaved(actions, repetitions=repetitions)
    print(f"  loader: {CROPS / statistics.median(seconds['ours']):.0f} crops/s")
    print_figure("loader / the augmentation in a bare loop", ratio(seconds["bare"], seconds["ours"]), least=0.9)
    for name in list(actions)[2:]:
        print_figure(f"loader / {name}", ratio(seconds[name], seconds["ours"]), least=1.0)


def _measure_memory(place: Path, *, workers: int) -> None:
    print(f"\npeak anonymous memory, all processes, drawn samples, {workers} workers")
    peaks: dict[str, list[int]] = {stage: [] for stage in work.STAGES}
    for count in SIZES:
        folder = place / f"{count}"
        work.draw(folder / "raw", count)
        for stage in work.STAGES:
            peaks[stage].append(peak("import work; work.main()", stage, str(folder), str(workers)))
        shutil.rmtree(folder)
    for stage, (few, many) in peaks.items():
        print_figure(f"{stage}: {SIZES[1]} samples / {SIZES[0]} ({few / 2**20:.0f} MiB)", many / few, most=1.1)


if __name__ == "__main__":
    sys.exit(main())
