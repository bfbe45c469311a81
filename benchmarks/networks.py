"""Networks for the benchmarks of training; run as a script, measure the cost of one of them."""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from segline.config.known_names import decoder_names, encoder_names

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
_COMPOSED = {"network": "composed", "width": 8, "separable": True, "output_stride": 32, "dropout": 0.2}
ENCODER, DECODER = "efficientnet_lite0", "unet"
ENCODERS = {f"{name} + {DECODER}": {**_COMPOSED, "encoder": name, "decoder": DECODER} for name in encoder_names()}
DECODERS = {f"{ENCODER} + {name}": {**_COMPOSED, "encoder": ENCODER, "decoder": name} for name in decoder_names()}
"""Every encoder under one decoder, and every decoder on one encoder: name -> description."""
CLASSES, BATCH, SIDE, WIDE = 3, 8, 128, 416
STREET = (256, 512)  # height and width of the image of `processor_cost`
RATE, SEED = 1e-3, 1
_WARM_UP_STEPS, _STEPS = 3, 15  # a step of the largest network takes seconds
_PROCESSOR_STEPS = 5  # of `processor_cost`


class SilentTracker:
    """A tracker that does nothing."""

    def log_metrics(self, metrics: Any, step: int) -> None:
        pass


def model_config(name: str) -> Any:
    from segline.config import ModelConfig

    return ModelConfig.model_validate({"classes": CLASSES, **{**CONFIGS, **ENCODERS, **DECODERS}[name]})


def bare(name: str, *, xla: bool = False) -> Any:
    """Build and compile a network with plain Keras: no schedule, no averaged weights."""
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
    """Measure images/s of a training step, peak resident memory of this process, and latency of one image."""
    import resource

    import numpy as np

    model = bare(name, xla=xla)
    generator = np.random.default_rng(SEED)
    step = _time(_make_step(model, generator))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    small, wide = (generator.integers(0, 256, (1, SIDE, width, 3), dtype=np.uint8) for width in (SIDE, WIDE))
    return {
        "parameters": model.count_params(),
        "speed": BATCH / step,
        "memory": memory,
        "small": _time(lambda: model.predict_on_batch(small)),
        "wide": _time(lambda: model.predict_on_batch(wide)),
    }


def processor_cost(name: str) -> dict[str, float]:
    """Measure a training step and the prediction of one image in processor time, each the least of a few.

    Other load on the machine does not count, but it makes processor time longer, because caches and cores are shared.

    Returns:
        Parameters, images per core-second in training, peak resident bytes, and the core-seconds of one image of
        the size `STREET`.
    """
    import resource

    import numpy as np

    model = bare(name)
    generator = np.random.default_rng(SEED)
    step = min(_list_times(_make_step(model, generator), steps=_PROCESSOR_STEPS, clock=time.process_time))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    street = generator.integers(0, 256, (1, *STREET, 3), dtype=np.uint8)
    return {
        "parameters": model.count_params(),
        "speed": BATCH / step,
        "memory": memory,
        "latency": min(
            _list_times(lambda: model.predict_on_batch(street), steps=_PROCESSOR_STEPS, clock=time.process_time)
        ),
    }


def _make_step(model: Any, generator: Any) -> Callable[[], Any]:
    """Return a function that trains one step on random crops."""
    images = generator.integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype="uint8")
    masks = generator.integers(0, CLASSES, (BATCH, SIDE, SIDE), dtype="uint8")
    return lambda: model.train_on_batch(images, masks)


def _time(action: Callable[[], Any]) -> float:
    """Return the median of a few calls."""
    return statistics.median(_list_times(action, steps=_STEPS, clock=time.perf_counter))


def _list_times(action: Callable[[], Any], *, steps: int, clock: Callable[[], float]) -> list[float]:
    """Time some calls by `clock`; the first ones, which trace the network, do not count."""
    taken = []
    for _ in range(_WARM_UP_STEPS + steps):
        started = clock()
        action()
        taken.append(clock() - started)
        if sum(taken) > 120 and len(taken) > _WARM_UP_STEPS:
            break
    return taken[_WARM_UP_STEPS:]


def main() -> None:
    """Measure a network and print one line of JSON.

    Arguments: ``plain``, ``xla`` or ``processor`` (`processor_cost`), a network, threads.
    """
    from segline.training.backend import make_deterministic

    how, name, threads = sys.argv[1:]
    make_deterministic(seed=SEED, threads=int(threads))
    print(json.dumps(processor_cost(name) if how == "processor" else cost(name, xla=how == "xla")))


if __name__ == "__main__":
    main()
