"""Batches made by worker processes: the same at any number, and nothing is left of them."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from segline.data.batches.augment import Augmenter
from segline.data.batches.loader import Ahead, Crops, on_processes
from segline.data.images import manifest, split
from segline.data.prepare.prepare import prepare
from segline.data.prepare.prepared import Prepared
from segline.data.validate.build_manifest import build_manifest
from segline.errors import SeglineError
from segline.parallel import pool as parallel
from segline.progress import silent
from segline.project import Files


@pytest.fixture
def prepared(tiny, raw, tmp_path):
    found = tiny.pairs(raw)
    splits = split.assign(found, validation_share=0.2)
    (tmp_path / "manifest").mkdir()
    table = build_manifest(tiny, found, raw=raw, splits=splits, workers=1)
    manifest.write(table, tmp_path / "manifest" / Files.MANIFEST)
    folder = tmp_path / "prepared"
    prepare(
        tiny, raw=raw, manifest_folder=tmp_path / "manifest", folder=folder, short_side=None, workers=1, report=silent
    )
    return Prepared(folder)


@pytest.fixture
def crops(prepared):
    augmenter = Augmenter(crop=(32, 64), strength=0.6, mirrored=True)
    return Crops(prepared.split("train"), augmenter=augmenter, batch=4, seed=5, rare=0.5)


def assert_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_any_number_of_processes_makes_the_same_batches(crops, workers):
    with on_processes(workers) as put:
        batches = put(crops)
        for step in [*range(5), 40, 41, 2]:  # and on from any step
            assert_equal(batches.batch(step), crops.batch(step))
            assert batches.ids(step) == crops.ids(step)


def test_processes_are_gone_after_the_block_even_where_it_failed(crops, tmp_path):
    with pytest.raises(ZeroDivisionError), parallel.processes(2) as pool:
        workers = {pool.submit(os.getpid).result() for _ in range(20)}
        Ahead(crops, pool, workers=2, folder=tmp_path).batch(0)
        raise ZeroDivisionError
    assert workers
    assert not any(psutil.pid_exists(worker) for worker in workers)


def test_a_killed_process_is_told(crops, tmp_path):
    with parallel.processes(2) as pool:
        batches = Ahead(crops, pool, workers=2, folder=tmp_path)
        batches.batch(0)
        os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
        with pytest.raises(SeglineError, match="training batches: a worker process ended abruptly"):
            for step in range(1, 100):
                batches.batch(step)


TRAINING = """
import sys, threading
import tensorflow  # its threads and locks are what plain fork would break
from prefect import flow, task

from segline.data.batches.augment import Augmenter
from segline.data.batches.loader import Crops, on_processes
from segline.data.prepare.prepared import Prepared

@task
def train(folder, workers, steps):
    split = Prepared(folder).split("train")
    tensorflow.reduce_sum(tensorflow.ones((64, 64)))
    crops = Crops(split, augmenter=Augmenter(crop=(32, 64), strength=0.6, mirrored=True), batch=4, seed=5)
    assert threading.current_thread() is not threading.main_thread()
    with on_processes(workers) as put:
        batches = put(crops)
        total = 0
        for step in range(steps):
            total += int(batches.batch(step)[0].sum())
    return total

@flow
def training(folder, workers, steps):
    return train.submit(folder, workers, steps).result()

if __name__ == "__main__":
    from pathlib import Path
    print("total", training(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])), flush=True)
else:
    raise SystemExit("a worker imported the main module")
"""


ENDLESS = """
import signal, sys
from itertools import count
from pathlib import Path

from segline.data.batches.augment import Augmenter
from segline.data.batches.loader import Crops, on_processes
from segline.data.prepare.prepared import Prepared

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born ignoring it

crops = Crops(
    Prepared(Path(sys.argv[1])).split("train"),
    augmenter=Augmenter(crop=(32, 64), strength=0.6, mirrored=True), batch=4, seed=5,
)
with on_processes(int(sys.argv[2])) as put:
    batches = put(crops)
    for step in count():
        batches.batch(step)
        if step == 3:
            print("under way", flush=True)
"""


@pytest.fixture
def start(tmp_path, prepared):
    environment = os.environ | {"PREFECT_HOME": str(tmp_path / "prefect"), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def run(code, *arguments):
        script = tmp_path / "main.py"
        script.write_text(code)
        return subprocess.Popen(
            [sys.executable, str(script), str(prepared.folder), *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )

    return run


def line_of(process, start):
    for line in process.stdout:
        if line.startswith(start):
            return line.strip()
    raise AssertionError(f"no line {start!r}")


def left_of(session):
    """Processes of a session that are still there, after a moment to end."""
    for _ in range(200):
        left = [pid for pid in psutil.pids() if _session(pid) == session and _alive(pid)]
        if not left:
            return []
        time.sleep(0.05)
    return left


def _session(pid):
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_it_works_in_a_prefect_task_with_tensorflow_in_the_parent(start, prepared):
    with start(TRAINING, 2, 6) as process:
        total = line_of(process, "total")
        assert process.wait(timeout=60) == 0
    crops = Crops(
        prepared.split("train"), augmenter=Augmenter(crop=(32, 64), strength=0.6, mirrored=True), batch=4, seed=5
    )
    assert total == f"total {sum(int(crops.batch(step)[0].sum()) for step in range(6))}"
    assert left_of(process.pid) == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after_an_interruption(start, ending):
    with start(ENDLESS, 2) as process:
        line_of(process, "under way")
        os.killpg(process.pid, ending) if ending == signal.SIGINT else process.kill()
        process.communicate(timeout=200)
    assert left_of(process.pid) == []
