"""Functions for the benchmark's processes: in a module of their own, because workers do not import the main module.

Great Expectations is imported inside the functions that need it: a machine lent for its GPU does not have it.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from segline.data.batches import loader
from segline.data.batches.augment import Augmenter
from segline.data.batches.loader import Crops
from segline.data.images.split import assign
from segline.data.prepare.prepare import prepare
from segline.data.prepare.prepared import Prepared
from segline.datasets.base import Dataset, Pair
from segline.datasets.oxford_pets import DATASET as PETS
from segline.progress import silent
from segline.project import Files

BATCH = 8
_LOCAL = threading.local()
CROP = (128, 128)


def decode(pair: Pair, *, raw: Path) -> None:
    """Decode a pair, as any program must."""
    for name, flag in ((pair.image, cv2.IMREAD_COLOR), (pair.mask, cv2.IMREAD_UNCHANGED)):
        assert name is not None
        data = (raw / name).read_bytes()
        assert cv2.imdecode(np.frombuffer(data, np.uint8), flag) is not None


def crops(folder: Path, *, batch: int = BATCH) -> Crops:
    augmenter = Augmenter(crop=CROP, strength=0.7, mirrored=True)
    return Crops(Prepared(folder).split("train"), augmenter=augmenter, batch=batch, seed=1, rare=1 / 3)


@lru_cache(maxsize=2)
def _held(folder: Path, process: int) -> Crops:  # noqa: ARG001 (a forked process makes its own)
    return crops(folder)


def batch(folder: Path, step: int) -> tuple[np.ndarray, np.ndarray]:
    return _held(folder, os.getpid()).batch(step)


def bare_loop(folder: Path, first: int, last: int) -> None:
    """Augment the same crops, but do not make or hand over batches."""
    held = _held(folder, os.getpid())
    for place in range(first, last):
        held._crop(place)


def warm(folder: Path) -> None:
    batch(folder, 0)
    time.sleep(0.3)  # so that each process gets one


# A dataset of any number of samples, to measure memory.


def draw(raw: Path, count: int) -> None:
    """Draw `count` samples: an image each, and a few masks under many names."""
    generator = np.random.default_rng(1)
    for name in ("images", "masks", "patterns"):
        (raw / name).mkdir(parents=True)
    for number in range(16):
        ids = cv2.resize(generator.integers(1, 4, (4, 6), dtype=np.uint8), (64, 48), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(raw / f"patterns/{number}.png"), ids)
    for number in range(count):
        image = cv2.resize(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48))
        cv2.imwrite(str(raw / f"images/{number:06d}.jpg"), image)
        os.link(raw / f"patterns/{number % 16}.png", raw / f"masks/{number:06d}.png")


def _pairs(raw: Path) -> list[Pair]:
    names = sorted(path.stem for path in (raw / "images").iterdir())
    return [
        Pair(
            id=name,
            image=f"images/{name}.jpg",
            mask=f"masks/{name}.png",
            split="train" if number % 10 < 8 else "validation" if number % 10 == 8 else "test",
        )
        for number, name in enumerate(names)
    ]


MANY = Dataset(
    name="oxford_pets",
    title="Drawn",
    terms="none",
    archives=(),
    label_map=PETS.label_map,
    protocol="drawn/1",
    pairs=_pairs,
)


def validate_many(place: Path, workers: int) -> None:
    from segline.data.validate import expectations

    expectations.validate(
        MANY,
        raw=place / "raw",
        folder=place / "manifest",
        docs=place / "docs",
        validation_share=0.2,
        quarantine_share=0.0,
        workers=workers,
    )


def manifest_many(place: Path) -> None:
    """Build only the manifest, in one process, for the later stages."""
    from segline.data.images import manifest
    from segline.data.validate.build_manifest import build_manifest

    found = _pairs(place / "raw")
    splits = assign(found, validation_share=0.2)
    (place / "manifest").mkdir()
    table = build_manifest(MANY, found, raw=place / "raw", splits=splits, workers=1)
    manifest.write(table, place / "manifest" / Files.MANIFEST)


def prepare_many(place: Path, workers: int) -> None:
    prepare(
        MANY,
        raw=place / "raw",
        manifest_folder=place / "manifest",
        folder=place / "prepared",
        short_side=32,
        workers=workers,
        report=silent,
    )


def load_many(place: Path, workers: int) -> None:
    augmenter = Augmenter(crop=(32, 32), strength=0.7, mirrored=True)
    split = Prepared(place / "prepared").split("train")
    with loader.on_processes(workers) as put:
        batches = put(Crops(split, augmenter=augmenter, batch=BATCH, seed=1, rare=1 / 3))
        for step in range(400):
            batches.batch(step)


STAGES = {"validate": validate_many, "prepare": prepare_many, "loader": load_many}


def prepared_real(dataset: Dataset, raw: Path, place: Path, *, short_side: int = CROP[0]) -> tuple[list[Pair], Path]:
    """Prepare `dataset`; return its complete pairs and the prepared folder."""
    from segline.data.images import manifest
    from segline.data.validate.build_manifest import build_manifest

    found = [pair for pair in dataset.pairs(raw) if pair.image and pair.mask]
    splits = assign(found, validation_share=0.2)
    table = build_manifest(dataset, found, raw=raw, splits=splits, workers=1)
    usable = table.filter([not problems for problems in table["problems"].to_pylist()])
    place.mkdir(parents=True)
    manifest.write(usable, place / Files.MANIFEST)
    prepare(
        dataset,
        raw=raw,
        manifest_folder=place,
        folder=place / "prepared",
        short_side=short_side,
        workers=1,
        report=silent,
    )
    names = set(usable["id"].to_pylist())
    return [pair for pair in found if pair.id in names], place / "prepared"


def through_keras(folder: Path, *, workers: int, processes: bool) -> Iterator[object]:
    """Yield the same batches from a Keras ``PyDataset``, without end, as ``fit`` reads them."""
    import keras
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 1 << 20

        def __getitem__(self, index: int) -> object:
            return own_batch(folder, index)

    adapter = PyDatasetAdapter(
        Batches(workers=workers, use_multiprocessing=processes, max_queue_size=2 * workers + 1), shuffle=False
    )
    adapter.on_epoch_begin()
    try:
        yield from adapter.get_tf_dataset()
    finally:
        adapter.on_epoch_end()


def through_tf_data(folder: Path, *, workers: int) -> Iterator[object]:
    """Yield the same batches from ``tf.data`` with ``numpy_function``, without end."""
    import tensorflow as tf

    def make(step: object) -> object:
        return tf.numpy_function(
            lambda number: own_batch(folder, int(number)), [step], (tf.uint8, tf.uint8), stateful=False
        )

    batches = tf.data.Dataset.range(1 << 20).map(make, num_parallel_calls=workers).prefetch(2 * workers + 1)
    yield from batches


def own_batch(folder: Path, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Make a batch with the thread's own augmenter: threads must not share a random generator."""
    held = _LOCAL.__dict__.get((folder, os.getpid()))
    if held is None:
        held = _LOCAL.__dict__[folder, os.getpid()] = crops(folder)
    return held.batch(step)


def main() -> None:
    """Run one stage over drawn samples, for `memory.peak`. Arguments: stage, folder, workers."""
    stage, place, workers = sys.argv[1:]
    STAGES[stage](Path(place), int(workers))
