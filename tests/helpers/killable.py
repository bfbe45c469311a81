"""Fit and search in a process of their own, to be killed: ``killable.py PART=FOLDER...``.

Parts: ``fit`` and ``search`` run undisturbed or go on; ``fit!`` and ``search!`` end in SIGKILL at
the worst moment, after an epoch was reported but before it was kept. What was done is written to
``FOLDER/<part>.json`` and ``FOLDER/fit-weights.npz``.
"""

import json
import os
import signal
import sys
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

warnings.simplefilter("error")
warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
warnings.filterwarnings("ignore", "(currentThread|getName)", DeprecationWarning)

from recording_tracker import RecordingTracker  # noqa: E402
from synthetic import CLASSES, Train, Validation  # noqa: E402

from segline.config import ModelConfig, Search, Training  # noqa: E402
from segline.training import backend  # noqa: E402
from segline.training.fit.checkpoint import values  # noqa: E402
from segline.training.fit.fit import fit  # noqa: E402
from segline.training.fit.job import Job  # noqa: E402
from segline.training.search.search import search  # noqa: E402

CONFIG = ModelConfig(network="unet", classes=CLASSES, width=4, depth=2, dropout=0.4, heads=2)
TRAINING = Training(
    crop=(32, 64),
    batch=2,
    steps=3,
    epochs=4,
    weight_decay=0.01,
    warm_up=0.1,
    dropout=0.3,
    schedule="cosine",
    clip=1.0,
    ema=0.8,
    threads=1,
)
SPACE = Search(
    trials=2,
    epochs=2,
    networks=("unet", "encoder_decoder"),
    width=(4, 6),
    depth=(2,),
    learning_rate=(0.003, 0.03),
    augmentation=(0.0, 0.7),
)


class Lethal(RecordingTracker):
    """Kills its process instead of reporting `step` of the child `key` (of the run itself where "")."""

    def __init__(self, key: str, step: int) -> None:
        super().__init__()
        self._key, self._step = key, step

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        super().log_metrics(metrics, step)
        if step == self._step and not self._key:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def child(self, key: str, name: str):  # type: ignore[no-untyped-def]
        if key == self._key:
            yield Lethal("", self._step)
        else:
            with super().child(key, name) as child:
                yield child


def run_fit(folder: Path, tracker: RecordingTracker) -> None:
    result = fit(
        Job(model_config=CONFIG, training=TRAINING, learning_rate=0.02, epochs=TRAINING.epochs, seed=3),
        train=Train(),
        validation=Validation(),
        tracker=tracker,
        checkpoint=folder / "fit.npz",
    )
    np.savez(folder / "fit-weights.npz", *values(result.model.weights))
    content = {"history": result.history, "best_epoch": result.best_epoch, "reported": sorted(tracker.metrics)}
    (folder / "fit.json").write_text(json.dumps(content))


def run_search(folder: Path, tracker: RecordingTracker) -> None:
    lines: list[str] = []
    choice = search(
        SPACE,
        TRAINING,
        classes=CLASSES,
        make_batches=lambda strength: (Train(strength=strength), Validation()),
        seed=0,
        tracker=tracker,
        folder=folder / "search",
        report=lines.append,
    )
    content = {
        "choice": {**vars(choice), "model_config": choice.model_config.model_dump()},
        "children": {
            key: {"name": child.name, "status": child.status, "params": child.params, "metrics": child.metrics}
            for key, child in tracker.children.items()
        },
        "lines": lines,
    }
    (folder / "search.json").write_text(json.dumps(content))


def main(parts: list[str]) -> None:
    backend.make_deterministic(seed=1, threads=TRAINING.threads)
    for part, folder in (text.split("=", 1) for text in parts):
        if part.startswith("fit"):
            run_fit(Path(folder), Lethal("", 3) if part.endswith("!") else RecordingTracker())
        else:
            run_search(Path(folder), Lethal("trial-1", 1) if part.endswith("!") else RecordingTracker())


if __name__ == "__main__":
    main(sys.argv[1:])
