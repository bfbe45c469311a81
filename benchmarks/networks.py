"""The networks that the benchmarks of training share, and what one of them costs, in a process of its own."""

import json
import os
import statistics
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CONFIGS: dict[str, dict[str, Any]] = {
    "unet": {"network": "unet", "width": 12, "depth": 4, "dropout": 0.2},
    "unet_plus_plus": {"network": "unet_plus_plus", "width": 8, "depth": 4, "dropout": 0.2},
    "encoder_decoder": {"network": "encoder_decoder", "width": 32, "depth": 3, "dropout": 0.2},
    "xception_unet": {"network": "xception_unet", "width": 16, "depth": 4, "dropout": 0.2},
    "deeplab_v3_plus/mini_xception": {"network": "deeplab_v3_plus", "encoder": "mini_xception", "dropout": 0.2},
    "deeplab_v3_plus/mobilenet_v2": {"network": "deeplab_v3_plus", "encoder": "mobilenet_v2", "dropout": 0.2},
    "deeplab_v3_plus/xception": {"network": "deeplab_v3_plus", "encoder": "xception", "dropout": 0.2},
    "deeplab_v3_plus/xception_65": {"network": "deeplab_v3_plus", "encoder": "xception_65", "dropout": 0.2},
}
CLASSES, BATCH, SIDE, WIDE = 3, 8, 128, 416
RATE, SEED = 1e-3, 1
_TRACED, _STEPS = 3, 15  # the largest takes seconds a step


class Unheard:
    """A tracker that nobody listens to."""

    def log_metrics(self, metrics: Any, step: int) -> None:
        pass


def model_config(name: str) -> Any:
    from segline.config import ModelConfig

    return ModelConfig.model_validate({"classes": CLASSES, **CONFIGS[name]})


def bare(name: str, *, xla: bool = False) -> Any:
    """The network as anybody would compile it with Keras: no schedule, no averages."""
    import keras

    from segline import models
    from segline.training.objective.losses import SegmentationLoss
    from segline.training.objective.validation_metrics import MeanIoU

    model = models.build(model_config(name))
    model.compile(
        keras.optimizers.AdamW(RATE, weight_decay=0.01),
        loss=SegmentationLoss(),
        metrics=[MeanIoU(CLASSES)],
        jit_compile=xla,
    )
    return model


def cost(name: str, *, xla: bool) -> dict[str, float]:
    """Images/s of a training step, peak resident memory of this process, and latency of one image."""
    import resource

    import numpy as np

    model = bare(name, xla=xla)
    generator = np.random.default_rng(SEED)
    images = generator.integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8)
    masks = generator.integers(0, CLASSES, (BATCH, SIDE, SIDE), dtype=np.uint8)
    step = _seconds(lambda: model.train_on_batch(images, masks))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    small, wide = (generator.integers(0, 256, (1, SIDE, width, 3), dtype=np.uint8) for width in (SIDE, WIDE))
    return {
        "parameters": model.count_params(),
        "speed": BATCH / step,
        "memory": memory,
        "small": _seconds(lambda: model.predict_on_batch(small)),
        "wide": _seconds(lambda: model.predict_on_batch(wide)),
    }


def _seconds(action: Any) -> float:
    """Median of a few; the first ones trace."""
    taken = []
    for _ in range(_TRACED + _STEPS):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
        if sum(taken) > 120 and len(taken) > _TRACED:
            break
    return statistics.median(taken[_TRACED:])


def main() -> None:
    """Arguments: ``plain`` or ``xla``, a network, threads. Prints one line of JSON."""
    from segline.training.backend import make_deterministic

    how, name, threads = sys.argv[1:]
    make_deterministic(seed=SEED, threads=int(threads))
    print(json.dumps(cost(name, xla=how == "xla")))


if __name__ == "__main__":
    main()
