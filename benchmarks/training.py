"""Measure the speed of training, as ratios of timings in one run, and the cost of each network.

    .venv/bin/python benchmarks/training.py
    .venv/bin/python benchmarks/training.py --part networks --part xla
    KERAS_BACKEND=jax .venv/bin/python benchmarks/training.py --part gpu      # on a machine with a GPU

`fit`: Segline's fit, whose crops another process augments, over a bare Keras `fit` of the same network, loss and
metric on tensors in memory. `networks`: images/s, peak memory and latency of each. `xla`: images/s with XLA over
without. `gpu`: images/s of the same fit with as many loaders as a training has, in single and in mixed precision;
the GPU's utilisation after the first epoch (short validations included); and an upper limit of the time lost to
input, from the time of a bare fit. `benchmarks/README.md` records the last results.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import machine
import networks
import numpy as np
import work
from timing import interleaved, ratio

from segline import datasets
from segline.config import MULTIPLE, Training
from segline.data.batches import loader
from segline.data.extract.archives import extract
from segline.data.prepare.prepared import Prepared
from segline.datasets import sample
from segline.training import backend
from segline.training.backend import make_deterministic
from segline.training.fit.fit import fit
from segline.training.fit.job import Job

PETS = "oxford_pets"
PARTS = ("fit", "networks", "xla", "gpu")
STEPS, EPOCHS = 80, 4  # the first epoch traces and does not count; five batches are loaded ahead during validation
MAX_LOADERS = 8


def main() -> None:
    options = _options()
    print(machine.line(keras.backend.backend(), "keras", "numpy", "albumentations"))
    with tempfile.TemporaryDirectory(prefix="segline-benchmark-") as folder:
        for part in options.part:
            print(f"\n{part}")
            _MEASURES[part](Path(folder), options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="may be given again (all but gpu)")
    parser.add_argument("--source", type=Path, default=machine.MIRROR, help="a mirror of the archives (%(default)s)")
    parser.add_argument("--prepared", type=Path, help="Pets that are prepared already, instead of a mirror")
    parser.add_argument("--batch", type=int, default=networks.BATCH, help="crops a step of fit and gpu (%(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each timing (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of the arithmetic (%(default)s)")
    parser.add_argument("--network", action="append", choices=sorted(networks.CONFIGS), help="may be given again (all)")
    options = parser.parse_args()
    options.part = options.part or [part for part in PARTS if part != "gpu"]
    return options


def _fit(folder: Path, options: argparse.Namespace) -> None:
    prepared = options.prepared or _prepared(folder, options.source)
    make_deterministic(seed=networks.SEED, threads=options.threads)
    for name in options.network or ("xception_unet", "unet"):
        seconds = interleaved(
            {
                "segline": lambda name=name: _segline_fit(name, prepared, options),
                "bare": lambda name=name: _bare_fit(name, prepared, options),
            },
            repetitions=options.repetitions,
        )
        images = STEPS * options.batch / statistics.median(seconds["segline"])
        relative = ratio(seconds["bare"], seconds["segline"])
        print(f"  {name}: images/s of Segline's fit over a bare Keras fit's {relative:.2f} ({images:.1f} images/s)")


def _prepared(folder: Path, source: Path) -> Path:
    raw = folder / "raw"
    if not (folder / "prepared").exists():
        if not (source / PETS).is_dir():
            print(f"  no mirror of the real archives at {source}: on DRAWN samples instead; say --source FOLDER")
            source = folder / "mirror"
            sample.draw(PETS, source / PETS)
        extract(datasets.load(PETS), archives=source / PETS, folder=raw)
        work.prepared_real(datasets.load(PETS, raw=raw), raw, folder / "prepared")
    return folder / "prepared" / "prepared"


def _segline_fit(
    name: str,
    prepared: Path,
    options: argparse.Namespace,
    *,
    loaders: int = 1,
    precision: str = "float32",
    tracker: Any = None,
) -> float:
    """Return the seconds of an epoch without validation, from the speed that the fit reports."""
    training = Training(
        crop=work.CROP,
        batch=options.batch,
        steps=STEPS,
        epochs=EPOCHS,
        weight_decay=0.01,
        warm_up=0.1,
        dropout=0.2,
        threads=options.threads,
        precision=precision,
    )
    splits = Prepared(prepared)
    with loader.on_processes(loaders) as put:
        result = fit(
            Job(
                model_config=networks.model_config(name),
                training=training,
                learning_rate=networks.RATE,
                epochs=EPOCHS,
                seed=networks.SEED,
            ),
            train=put(work.crops(prepared, batch=options.batch)),
            validation=loader.Whole(splits.split("validation"), batch=options.batch, multiple=MULTIPLE),
            tracker=tracker or networks.SilentTracker(),
        )
    keras.backend.clear_session()
    return STEPS * options.batch / statistics.median(entry["images_per_second"] for entry in result.history[1:])


def _bare_fit(name: str, prepared: Path, options: argparse.Namespace, *, loaders: int = 1) -> float:
    """Return the seconds of an epoch on the same crops, which are made in advance."""
    with loader.on_processes(loaders) as put:
        crops = put(work.crops(prepared, batch=options.batch))
        batches = [crops.batch(step) for step in range(STEPS)]
    images, masks = (np.concatenate([pair[place] for pair in batches]) for place in (0, 1))
    begun: list[float] = []
    ended: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: begun.append(time.perf_counter()),
        on_epoch_end=lambda *_: ended.append(time.perf_counter()),
    )
    networks.bare(name).fit(
        images, masks, batch_size=options.batch, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[clock]
    )
    keras.backend.clear_session()
    return statistics.median(end - begin for begin, end in list(zip(begun, ended, strict=True))[1:])


def _networks(_: Path, options: argparse.Namespace) -> None:
    print("  | network | parameters | images/s | peak memory | latency, one 128x128 image | 128x416 |")
    print("  |---|---|---|---|---|---|")
    for name in options.network or networks.CONFIGS:
        told = _measure_apart("plain", name, options)
        if told is None:
            continue
        print(
            f"  | {name} | {told['parameters'] / 1e6:.2f} M | {told['speed']:.1f} | {told['memory'] / 2**20:.0f} MiB "
            f"| {1000 * told['small']:.0f} ms | {1000 * told['wide']:.0f} ms |"
        )


def _xla(_: Path, options: argparse.Namespace) -> None:
    for name in options.network or ("xception_unet", "unet"):
        speeds: dict[str, list[float]] = {"xla": [], "plain": []}
        for _ in range(max(1, options.repetitions // 2)):
            for which, speed in speeds.items():
                told = _measure_apart(which, name, options)
                if told is not None:
                    speed.append(told["speed"])
        if all(speeds.values()):
            print(f"  {name}: images/s with XLA over without {ratio(speeds['xla'], speeds['plain']):.2f}")


def _measure_apart(what: str, name: str, options: argparse.Namespace) -> dict[str, float] | None:
    """Run one measurement in a process of its own: thread counts, XLA and memory belong to a process."""
    command = [sys.executable, str(Path(__file__).with_name("networks.py")), what, name, str(options.threads)]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        print(f"  {name} ({what}): failed: {(found.stderr.strip().splitlines() or ['no word'])[-1]}")
        return None
    told: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return told


def _gpu(folder: Path, options: argparse.Namespace) -> None:
    if not _has_gpu():
        print(f"  no GPU that Keras on {keras.backend.backend()} can see")
        return
    prepared = options.prepared or _prepared(folder, options.source)
    loaders = min(MAX_LOADERS, max(1, (os.cpu_count() or 1) - options.threads))
    for name in options.network or ("xception_unet", "unet"):
        for precision in ("float32", "mixed_bfloat16"):
            epochs = _Epochs()
            with _utilisation() as busy:
                whole = _segline_fit(name, prepared, options, loaders=loaders, precision=precision, tracker=epochs)
            later = [percent for moment, percent in busy if moment >= epochs.ends[0]]
            print(
                f"  {name}, {precision}, batch {options.batch}, {loaders} loaders, on {keras.backend.backend()}: "
                f"{STEPS * options.batch / whole:.0f} images/s, utilisation "
                f"{statistics.mean(later or [float('nan')]):.0f} %",
                flush=True,  # a lent machine may end before the next figure
            )
            with backend.precision(precision):
                bare = _bare_fit(name, prepared, options, loaders=loaders)
            print(f"    at most {100 * max(0.0, 1 - bare / whole):.1f} % of the time lost to input", flush=True)


def _has_gpu() -> bool:
    if keras.backend.backend() == "torch":  # Keras cannot list its devices
        import torch

        return bool(torch.cuda.is_available())
    return bool(keras.distribution.list_devices("gpu"))


class _Epochs:
    """A tracker that records when epochs ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def log_metrics(self, metrics: Any, step: int) -> None:  # noqa: ARG002
        self.ends.append(time.monotonic())


@contextmanager
def _utilisation() -> Iterator[list[tuple[float, float]]]:
    """Sample the utilisation of the first GPU with ``nvidia-smi`` twice a second; yield (time, percent)."""
    seen: list[tuple[float, float]] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
            told = subprocess.run(command, capture_output=True, text=True)
            if told.returncode == 0:
                seen.append((time.monotonic(), float(told.stdout.strip())))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


_MEASURES: dict[str, Callable[[Path, argparse.Namespace], None]] = {
    "fit": _fit,
    "networks": _networks,
    "xla": _xla,
    "gpu": _gpu,
}

if __name__ == "__main__":
    main()
