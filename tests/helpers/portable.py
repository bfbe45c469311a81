"""What must be the same on every Keras backend, and a fit on this one: ``portable.py FILE``."""

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
    warnings.filterwarnings("ignore", "(currentThread|getName)", DeprecationWarning)
    warnings.filterwarnings("ignore", "The structure of `inputs`", UserWarning)

import numpy as np
from recording_tracker import RecordingTracker
from synthetic import CLASSES, Train, Validation

from segline import models
from segline.config import Loss, ModelConfig, Training
from segline.training import backend
from segline.training.fit.checkpoint import values
from segline.training.fit.fit import FitResult, fit
from segline.training.fit.job import Job
from segline.training.objective import optimizers
from segline.training.objective.deep_supervision import supervise
from segline.training.objective.losses import SegmentationLoss, segmentation_loss
from segline.training.objective.schedule import WarmUpDecay
from segline.training.objective.validation_metrics import MeanIoU

NONE = dict.fromkeys(("cross_entropy", "dice"), 0.0)
LOSSES = {
    "cross_entropy": Loss(**NONE | {"cross_entropy": 1.0, "label_smoothing": 0.1}),
    "dice": Loss(**NONE | {"dice": 1.0}),
    "focal": Loss(**NONE | {"focal": 1.0}),
    "lovasz": Loss(**NONE | {"lovasz": 1.0}),
    "hard": Loss(**NONE | {"hard": 1.0}),
}
CONFIG = ModelConfig(network="unet", classes=CLASSES, width=2, depth=2, dropout=0.3, heads=2)
TRAINING = Training(
    crop=(32, 64), batch=2, steps=3, epochs=2, weight_decay=0.01, warm_up=0.2, dropout=0.3, clip=1.0, ema=0.8, threads=1
)


class OneBatch(Validation):
    def __len__(self) -> int:
        return 1


def losses() -> dict[str, float]:
    """Of every term, on the same logits, with class weights."""
    mask = Train().batch(0)[1]
    logits = np.random.default_rng(3).normal(size=(*mask.shape, CLASSES)).astype(np.float32)
    return {
        name: float(segmentation_loss(mask, logits, settings, class_weights=(0.5, 1.0, 2.0)))
        for name, settings in LOSSES.items()
    }


def counts() -> list[Any]:
    """Of two batches, and the metric they give."""
    metric = MeanIoU(CLASSES)
    for step in range(2):
        mask = Train().batch(step)[1]
        metric.update_state(mask, np.random.default_rng(step).normal(size=(*mask.shape, CLASSES)))
    return [metric.counts().tolist(), float(metric.result())]


def steps() -> list[float]:
    """Losses of three steps from weights that no backend drew, with deep supervision, clipping and a schedule."""
    model = supervise(models.build(CONFIG.model_copy(update={"dropout": 0.0})))
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        if len(variable.shape) == 4:
            variable.assign(rng.normal(0, 0.2, variable.shape).astype(np.float32))
    schedule = WarmUpDecay(0.01, steps=6, warm_up=1)
    sgd = TRAINING.model_copy(update={"optimizer": "sgd"})
    model.compile(optimizers.build(sgd, schedule, model), loss=SegmentationLoss(), jit_compile=backend.jit_compile())
    return [float(model.train_on_batch(*Train().batch(step))) for step in range(3)]


def fitted(checkpoint: Path | None = None) -> FitResult:
    """A fit; with a `checkpoint` it is interrupted in its second epoch, and goes on."""

    class Interrupted(RecordingTracker):
        def log_metrics(self, metrics: Any, step: int) -> None:
            if step == 2 and checkpoint is not None:
                raise KeyboardInterrupt

    job = Job(model_config=CONFIG, training=TRAINING, learning_rate=0.02, epochs=2, seed=3)
    arguments: dict[str, Any] = {"train": Train(), "validation": OneBatch(), "checkpoint": checkpoint}
    try:
        return fit(job, tracker=Interrupted(), **arguments)
    except KeyboardInterrupt:
        return fit(job, tracker=RecordingTracker(), **arguments)


def fits() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        whole, resumed = fitted(), fitted(Path(folder) / "fit.npz")
    before = values(whole.model.variables)
    return {
        "losses": [metrics["loss"] for metrics in whole.history],
        "val_losses": [[metrics["val_loss"] for metrics in result.history] for result in (whole, resumed)],
        "differing": sum(
            not np.array_equal(one, other) for one, other in zip(before, values(resumed.model.variables), strict=True)
        ),
        "diverged": _diverged(),
    }


def _diverged() -> str:
    job = Job(model_config=CONFIG, training=TRAINING, learning_rate=1e30, epochs=1, seed=3)
    try:
        fit(job, train=Train(), validation=OneBatch(), tracker=RecordingTracker())
    except Exception as error:  # what it is, is the answer
        return f"{type(error).__name__}: {error}"
    return ""


def main(path: Path) -> None:
    backend.make_deterministic(seed=1, threads=1)
    found = {"losses": losses(), "counts": counts(), "steps": steps(), "fits": fits()}
    path.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
