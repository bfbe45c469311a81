"""Measure the speed of scoring, as ratios of timings in one run.

    .venv/bin/python benchmarks/scoring.py                  # both parts
    .venv/bin/python benchmarks/scoring.py --part matrix

`matrix`: Mpixel/s of the confusion matrix on one core, compared with scikit-learn, `np.bincount` and
``cityscapesscripts``. Processor time is measured, without waiting for the core. First it is checked that all give
the same counts. `score`: the command `segline score` on Cityscapes-sized pairs, compared with decoding them, and
its memory. Timings alternate, A B A B; the figures are medians.
"""

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import cv2
import machine
import numpy as np
from memory import peak
from PIL import Image
from sklearn.metrics import confusion_matrix
from timing import interleaved, print_figure, ratio

from segline import datasets
from segline.core.labels import VOID, LabelMap, Mask
from segline.core.metrics.confusion import confusion
from segline.data.extract.archives import extract
from segline.datasets import sample

PACKAGES = ("numpy", "opencv-python-headless", "scikit-learn", "cityscapesscripts")
NAMES = ("kitti", "oxford_pets")
PARTS = ("matrix", "score")
IMAGES = {"kitti": 8, "oxford_pets": 20}  # in a repetition: a few million pixels, because scikit-learn takes seconds
LEAST, LEAST_OVER_SKLEARN, MOST_OVER_DECODING, MOST_MEMORY = 500, 20, 1.3, 1.1
SIZE, COUNTS = (2048, 1024), (200, 500)  # for `segline score`; 128 pairs and fewer are scored in one process
SCORE = "import os, sys; sys.stdout = open(os.devnull, 'w'); from segline.cli import main; main()"


@dataclass(frozen=True)
class Pairs:
    """Truths and predictions in train ids."""

    title: str
    label_map: LabelMap
    pairs: list[tuple[Mask, Mask]]

    @property
    def pixels(self) -> int:
        return sum(truth.size for truth, _ in self.pairs)


def main() -> None:
    options = _options()
    cv2.setNumThreads(1)
    print(f"{machine.line(*PACKAGES)}; medians of {options.repetitions}", flush=True)
    with tempfile.TemporaryDirectory(prefix="segline-benchmark-") as folder:
        place = Path(folder)
        real = _read_real(options.source, place)
        if "matrix" in options.part:
            _measure_matrix(real, repetitions=options.repetitions)
        if "score" in options.part:
            _measure_score(real["kitti"], place / "score", repetitions=options.repetitions)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--source", type=Path, default=machine.MIRROR, help="a mirror of the real archives (%(default)s)"
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="what to measure; may be given again (all)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each timing (%(default)s)")
    options = parser.parse_args()
    options.part = options.part or list(PARTS)
    return options


# --- label maps ---


def _read_real(source: Path, place: Path) -> dict[str, Pairs]:
    """Read the publishers' label maps, and make a plausible prediction for each."""
    if not all((source / name).is_dir() for name in NAMES):
        print(f"no mirror of the real archives at {source}: on DRAWN samples instead; say --source FOLDER")
        source = place / "mirror"
        for name in NAMES:
            sample.draw(name, source / name)
    found = {}
    for name in NAMES:
        dataset = datasets.load(name)
        raw = place / "raw" / name
        extract(dataset, archives=source / name, folder=raw)
        paths = [raw / pair.mask for pair in dataset.pairs(raw) if pair.mask is not None][: IMAGES[name]]
        truths = [dataset.label_map.encode(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) for path in paths]
        pairs = [(truth, _predict(truth, classes=len(dataset.label_map))) for truth in truths]
        found[name] = Pairs(dataset.title, dataset.label_map, pairs)
    return found


def _predict(truth: Mask, *, classes: int, stride: int = 8) -> Mask:
    """Make the best prediction of a network with this output stride, shifted by up to two pixels.

    Its runs of equal pixels are as long as a network's, which matters for the speed.
    """
    height, width = truth.shape
    best, prediction = np.full(truth.shape, -1, np.float32), np.zeros_like(truth)
    for train_id in range(classes):
        share = cv2.resize(
            (truth == train_id).astype(np.float32), (width // stride, height // stride), interpolation=cv2.INTER_AREA
        )
        share = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
        prediction[share > best] = train_id
        best = np.maximum(best, share)
    return np.roll(prediction, (1, 2), axis=(0, 1))


def _pair_with_next(real: Pairs) -> Pairs:
    """Use the next image's truth as prediction: a network that is often wrong."""
    pairs = [(one, np.where(other == VOID, 0, other)) for (one, _), (other, _) in pairwise(real.pairs)]
    return Pairs(f"{real.title}, the next image's labels as prediction", real.label_map, [
        (one, other) for one, other in pairs if one.shape == other.shape
    ])  # fmt: skip


def _draw_random(real: Pairs) -> Pairs:
    """Draw every pixel at random, in the same sizes: no runs of equal pixels."""
    rng = np.random.default_rng(1)
    classes = len(real.label_map)
    pairs = [rng.integers(0, classes, (2, *truth.shape), dtype=np.uint8) for truth, _ in real.pairs]
    return Pairs(f"random ids of {classes} classes", real.label_map, [(one, other) for one, other in pairs])


# --- part 1: the confusion matrix on one core ---


def _measure_matrix(real: dict[str, Pairs], *, repetitions: int) -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        for drawn in (*real.values(), _pair_with_next(real["kitti"])):
            _compare_speeds(drawn, repetitions=repetitions, goal=True)
        _compare_speeds(_draw_random(real["kitti"]), repetitions=repetitions, goal=False)
        for drawn in (real["kitti"], _draw_random(real["kitti"])):
            _count_past_int32(drawn)
    finally:
        os.sched_setaffinity(0, cores)


def _compare_speeds(drawn: Pairs, *, repetitions: int, goal: bool) -> None:
    classes = len(drawn.label_map)
    ways: dict[str, Callable[[Mask, Mask], np.ndarray]] = {
        "segline": partial(confusion, classes=classes),
        "np.bincount, as in FCN's fast_hist": partial(_fast_hist, classes=classes),
        "scikit-learn": partial(_scikit_learn, classes=classes),
        "cityscapesscripts": _official(drawn.label_map),
    }
    for truth, prediction in drawn.pairs:
        expected = confusion(truth, prediction, classes=classes)[:, :classes]
        for name, way in ways.items():
            np.testing.assert_array_equal(way(truth, prediction)[:classes, :classes], expected, err_msg=name)

    def all_of(way: Callable[[Mask, Mask], np.ndarray]) -> float:
        start = time.process_time()
        for truth, prediction in drawn.pairs:
            way(truth, prediction)
        return time.process_time() - start

    seconds = interleaved({name: partial(all_of, way) for name, way in ways.items()}, repetitions=repetitions)
    wrong = statistics.mean(float(np.mean(truth != prediction)) for truth, prediction in drawn.pairs)
    speed = {name: drawn.pixels / statistics.median(taken) / 1e6 for name, taken in seconds.items()}
    print(f"\n{drawn.title}: {len(drawn.pairs)} pairs, {drawn.pixels / 1e6:.1f} Mpixel, {wrong:.0%} of them unlike")
    print_figure("segline, Mpixel/s", speed["segline"], least=LEAST if goal else None, digits=0)
    for name in list(ways)[1:]:
        times = ratio(seconds[name], seconds["segline"])
        least = LEAST_OVER_SKLEARN if goal and name == "scikit-learn" else None
        print_figure(f"segline / {name} ({speed[name]:.1f} Mpixel/s)", times, least=least, digits=1)


def _count_past_int32(drawn: Pairs) -> None:
    """Check that a map of more than 2^31 pixels has the counts of its parts; takes about 8 GiB."""
    truth, prediction = drawn.pairs[0]
    classes, times = len(drawn.label_map), 2**31 // truth.size + 1
    whole = confusion(*(np.tile(mask.ravel(), times) for mask in (truth, prediction)), classes=classes)
    np.testing.assert_array_equal(whole, times * confusion(truth, prediction, classes=classes))
    print(f"{drawn.title}: one map of {truth.size * times:,} pixels counts exactly, past 2^31")


def _fast_hist(truth: Mask, prediction: Mask, *, classes: int) -> np.ndarray:
    """Count as most training code does (fast_hist of shelhamer/fcn.berkeleyvision.org)."""
    inside = (truth < classes) & (prediction < classes)
    pairs = classes * truth[inside].astype(int) + prediction[inside]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _scikit_learn(truth: Mask, prediction: Mask, *, classes: int) -> np.ndarray:
    labelled = truth != VOID
    return confusion_matrix(truth[labelled], prediction[labelled], labels=np.arange(classes + 1))


def _official(label_map: LabelMap) -> Callable[[Mask, Mask], np.ndarray]:
    """Return the official evaluator's count of one pair, which is given as images in memory and not as files.

    The wheel lacks its Cython part; it is used if it has been built.
    """
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        os.environ["CITYSCAPES_DATASET"] = folder  # read at import, and not used
        module = importlib.import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    module.Image = SimpleNamespace(open=lambda picture: picture)
    module.args.evalInstLevelScore = False
    ids = [item.raw for item in label_map.classes]
    to_raw = np.zeros(256, np.uint8)
    to_raw[: len(ids)] = ids  # void becomes 0, which is void there

    def count(truth: Mask, prediction: Mask) -> np.ndarray:
        matrix = module.generateMatrix(module.args)
        pictures = [Image.fromarray(to_raw[mask]) for mask in (prediction, truth)]
        module.evaluatePair(*pictures, matrix, {}, {}, module.args)
        return matrix[np.ix_(ids, ids)].astype(np.int64)

    return count


# --- part 2: `segline score` on Cityscapes-sized pairs ---


def _measure_score(real: Pairs, place: Path, *, repetitions: int) -> None:
    """Compare the command with plain decoding on as many processes, and its memory for few pairs and for many."""
    workers = os.cpu_count() or 1
    folders = {count: _write(real, place / f"{count}", count) for count in COUNTS}
    few, many = (folders[count] for count in COUNTS)

    def command(folder: Path) -> None:
        subprocess.run([sys.executable, "-c", SCORE, *_arguments(folder)], check=True)

    seconds = interleaved(
        {"decode": partial(_decode, many, workers=workers), "score": partial(command, many)}, repetitions=repetitions
    )
    decoding = statistics.median(seconds["decode"])
    print(f"\nsegline score, {COUNTS[1]} pairs of {SIZE[0]} x {SIZE[1]}: plain decoding takes {decoding:.1f} s")
    print_figure(f"segline score / decoding on {workers} processes", ratio(seconds["score"], seconds["decode"]),
          most=MOST_OVER_DECODING)  # fmt: skip
    peaks = [peak(SCORE, *_arguments(folder)) for folder in (few, many)]
    what = f"peak memory, {COUNTS[1]} pairs / {COUNTS[0]} ({peaks[0] / 2**20:.0f} MiB)"
    print_figure(what, peaks[1] / peaks[0], most=MOST_MEMORY)


def _arguments(folder: Path) -> list[str]:
    named = {"--truth": folder / "truth", "--prediction": folder / "prediction", "--json": folder / "scores.json"}
    return ["score", "--dataset", "cityscapes", *(str(part) for pair in named.items() for part in pair)]


def _write(real: Pairs, folder: Path, count: int) -> Path:
    """Write `count` pairs in raw ids: a few pairs, each under many names."""
    pattern = folder / "patterns"
    ends = {"truth": "_gtFine_labelIds.png", "prediction": ".png"}
    for path in (pattern, *(folder / kind for kind in ends)):
        path.mkdir(parents=True)
    to_raw = np.zeros(256, np.uint8)
    to_raw[: len(real.label_map)] = [item.raw for item in real.label_map.classes]
    for number, pair in enumerate(real.pairs):
        for kind, mask in zip(ends, pair, strict=True):
            enlarged = cv2.resize(to_raw[mask], SIZE, interpolation=cv2.INTER_NEAREST)
            cv2.imwrite(str(pattern / f"{number}_{kind}.png"), enlarged)
    for number in range(count):
        for kind, end in ends.items():
            source = pattern / f"{number % len(real.pairs)}_{kind}.png"
            os.link(source, folder / kind / f"frankfurt_{number:06d}_000019{end}")
    return folder


def _decode(folder: Path, *, workers: int) -> None:
    paths = sorted(str(path) for kind in ("truth", "prediction") for path in (folder / kind).iterdir())
    with ProcessPoolExecutor(workers) as pool:
        assert sum(pool.map(_decoded, paths, chunksize=20)) == len(paths) * SIZE[0] * SIZE[1]


def _decoded(path: str) -> int:
    return int(cv2.imread(path, cv2.IMREAD_UNCHANGED).size)


if __name__ == "__main__":
    sys.exit(main())
