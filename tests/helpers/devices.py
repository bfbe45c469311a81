"""What one device does, and what two do that share each batch: ``devices.py FOLDER``.

Both end in ``FOLDER/<name>.json``. The two are CPUs that a process must be promised before it computes.
"""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.simplefilter("error")
warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
warnings.filterwarnings("ignore", "(currentThread|getName)", DeprecationWarning)

import keras  # noqa: E402
import numpy as np  # noqa: E402
from recording_tracker import RecordingTracker  # noqa: E402
from synthetic import CLASSES, Validation, draw  # noqa: E402

from segline.config import Loss, ModelConfig, Training  # noqa: E402
from segline.core.labels import VOID, Image, Mask  # noqa: E402
from segline.training import backend  # noqa: E402
from segline.training.fit.checkpoint import values  # noqa: E402
from segline.training.fit.fit import fit  # noqa: E402
from segline.training.fit.job import Job  # noqa: E402
from segline.training.objective import optimizers  # noqa: E402
from segline.training.objective.schedule import WarmUpDecay  # noqa: E402

TWO = ["cpu:0", "cpu:1"]
TRAINING = Training(
    crop=(32, 64),
    batch=4,
    steps=2,
    epochs=2,
    weight_decay=0.01,
    warm_up=0.1,
    dropout=0.0,
    threads=1,
    optimizer="sgd",  # Adam's first steps magnify the last digits of small gradients
    ema=0.8,
    loss=Loss(cross_entropy=1.0, dice=1.0, focal=0.5, lovasz=0.5, hard=0.5),
)
JOB = Job(
    model_config=ModelConfig(network="unet", classes=CLASSES, width=4, depth=2, dropout=0.0),
    training=TRAINING,
    learning_rate=0.002,  # rounding grows with it: the terms that sort are not smooth
    epochs=2,
    seed=3,
)


class Uneven:
    """Batches of four: the second two images have little that is labelled, the first two lack a class."""

    def batch(self, step: int) -> tuple[Image, Mask]:
        images, masks = draw([1, step], batch=4)
        masks[2:, 12:] = VOID
        masks[:2][masks[:2] == 2] = VOID
        return images, masks

    def ids(self, step: int) -> list[str]:
        return list("abcd")


class Odd(Validation):
    """Two batches of one size, of two images and of one."""

    def __len__(self) -> int:
        return 2

    def batch(self, index: int) -> tuple[Image, Mask]:
        images, masks = super().batch(index)
        return images[index:], masks[index:]


class Interrupted(RecordingTracker):
    def log_metrics(self, metrics: Any, step: int) -> None:
        if step == 2:
            raise KeyboardInterrupt


def fitted(devices: list[str], *, checkpoint: Path | None = None) -> dict[str, Any]:
    """A fit; with a `checkpoint` it is interrupted in its second epoch, and goes on."""
    arguments: dict[str, Any] = {"train": Uneven(), "validation": Odd(), "devices": devices, "checkpoint": checkpoint}
    try:
        result = fit(JOB, tracker=Interrupted() if checkpoint else RecordingTracker(), **arguments)
    except KeyboardInterrupt:
        result = fit(JOB, tracker=RecordingTracker(), **arguments)
    image, _ = draw([7])
    return {
        "history": result.history,
        "logits": keras.ops.convert_to_numpy(result.model(image, training=False)).tolist(),
        "weights": [value.tolist() for value in values(result.model.trainable_variables)],
    }


def stepped(precision: str, each: Callable[[Callable[[float], None]], None]) -> dict[str, Any]:
    """Two optimizer steps on gradients of which `each` device adds its part, the second one being no number."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    training = TRAINING.model_copy(update={"clip": 0.5, "precision": precision, "weight_decay": 0.0})
    optimizer = optimizers.build(training, WarmUpDecay(0.1, steps=9), model)
    scale = float(optimizer.scale_loss(1.0))

    def apply(part: float) -> None:
        optimizer.apply([part * scale * keras.ops.ones_like(variable) for variable in model.trainable_variables])

    each(apply)
    after = [value.tolist() for value in values(model.trainable_variables)]
    each(lambda part: apply(part if part == 1 else np.inf))
    return {"weights": after, "bad": optimizers.find_bad_step(optimizer), "scale": float(optimizer.scale_loss(1.0))}


def on_two_logical_cpus() -> Any:
    import tensorflow

    cpu = tensorflow.config.list_physical_devices("CPU")[0]
    both = [tensorflow.config.LogicalDeviceConfiguration() for _ in TWO]
    tensorflow.config.set_logical_device_configuration(cpu, both)
    return tensorflow


def steps_on_both(tensorflow: Any, precision: str) -> dict[str, Any]:
    with backend.spread(TWO):
        return stepped(
            precision,
            lambda apply: tensorflow.distribute.get_strategy().run(
                lambda: apply(1.0 + int(tensorflow.distribute.get_replica_context().replica_id_in_sync_group))
            ),
        )


def main(folder: Path) -> None:
    one: dict[str, Any] = {}
    two: dict[str, Any] = {}
    if keras.backend.backend() == "tensorflow":
        tensorflow = on_two_logical_cpus()
        backend.make_deterministic(seed=1, threads=1)
        for precision in ("float32", "mixed_float16"):
            keras.utils.set_random_seed(1)
            one[precision] = stepped(precision, lambda apply: apply(3.0))
            keras.utils.set_random_seed(1)
            two[precision] = steps_on_both(tensorflow, precision)
    one["fit"], two["fit"] = fitted([]), fitted(TWO, checkpoint=folder / "fit.npz")
    for name, found in {"one": one, "two": two}.items():
        (folder / f"{name}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
