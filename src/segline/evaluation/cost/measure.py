"""What a network costs: parameters, multiply-adds, bytes, time and memory, on the machine that is named.

Multiply-adds are counted layer by layer from the shapes, for one image: convolutions (ordinary, grouped,
depthwise, separable, transposed) and dense layers. Biases, normalisation, activations, pooling, resizing
and sums are left out, as in the papers whose figures one compares with (MobileNetV2's 300 M at 224 pixels:
Sandler et al. 2018, arXiv:1801.04381, table 4).
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from keras import layers

from segline.core.labels import Image
from segline.data.images.scale import pad_image
from segline.evaluation.cost import call_memory, machine
from segline.evaluation.cost.call_memory import Memory
from segline.evaluation.cost.machine import Load, Machine
from segline.inference.bundle import Bundle
from segline.inference.predict import predict

REAL_TIME = 25.0
"""Frames per second that a film needs."""

BATCH = 8
"""Images at a time, where the throughput of many is measured."""

SECONDS = 2.0
"""That each of the times may be measured for, once it has its fewest calls."""

_WARM_UP = 3  # calls that are not counted: the first traces the network
_FEWEST, _MOST = 5, 200  # calls that are
_FOR_P95 = 20  # calls, below which one alone is more than 5 %
_COUNTED = (layers.Conv2D, layers.Conv2DTranspose, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Dense)


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long a call takes, over `calls` calls after the warm-up.

    Args:
        median: milliseconds.
        p95: milliseconds that 95 % of the calls stay within; None of fewer than 20.
    """

    median: float
    p95: float | None
    calls: int

    @property
    def per_second(self) -> float:
        """Calls a second, by the median."""
        return 1000.0 / self.median


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What answering images takes.

    Args:
        parameters: weights, those that are not trained included.
        multiply_adds: for one image, all its mirror views included.
        views: how often the network sees one image.
        file_bytes: of the network's file; None where there is none.
        input_size: height and width that the network is given.
        image_size: height and width of the image, before it is scaled down.
        single: the network on one image with its views.
        batch: images of the batched figure.
        batched: the network on that many images, without mirror views.
        whole: from a decoded image to its mask at the image's own size, scaling and views included.
        whole_memory: around the calls of `whole`.
        batched_memory: around those of `batched`.
        load: while the times were measured.
    """

    parameters: int
    multiply_adds: int
    views: int
    file_bytes: int | None
    input_size: tuple[int, int]
    image_size: tuple[int, int]
    single: Latency
    batch: int
    batched: Latency
    whole: Latency
    whole_memory: Memory
    batched_memory: Memory
    machine: Machine
    load: Load

    @property
    def frames_per_second(self) -> float:
        """Images a second, one after the other, by the median of `whole`."""
        return self.whole.per_second

    @property
    def real_time(self) -> bool:
        """Whether that is enough for a film."""
        return self.frames_per_second >= REAL_TIME


def measure(
    bundle: Bundle,
    image: Image,
    *,
    size: tuple[int, int],
    file: Path | None = None,
    batch: int = BATCH,
    threads: int | None = None,
    seconds: float = SECONDS,
) -> Cost:
    """Count and time `bundle` here and now; it takes about ``3 * seconds``.

    Args:
        image: an already scaled one, uint8 (h, w, 3); what it shows changes nothing.
        size: height and width that such an image has before it is scaled.
        file: the network's, for its size.
        threads: that the arithmetic is limited to, for the record.
        seconds: that each of the three times may take, once it has its fewest calls.
    """
    padded = pad_image(image, multiple=bundle.stride)
    height, width = padded.shape[:2]
    views = 2 ** len(bundle.mirrors)
    one, many = np.stack([padded] * views), np.stack([padded] * batch)
    native = np.ascontiguousarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR))
    place = machine.here(threads=threads)

    def batched() -> object:
        return bundle.network.predict_on_batch(many)

    def whole() -> object:
        return predict(bundle, native)

    begun = machine.read()
    times = [timed(call, seconds=seconds) for call in (lambda: bundle.network.predict_on_batch(one), batched, whole)]
    ended = machine.read()
    return Cost(
        parameters=bundle.network.count_params(),
        multiply_adds=views * multiply_adds(bundle.network, height=height, width=width),
        views=views,
        file_bytes=file.stat().st_size if file else None,
        input_size=(height, width),
        image_size=(size[0], size[1]),
        single=times[0],
        batch=batch,
        batched=times[1],
        whole=times[2],
        whole_memory=call_memory.taken(whole),
        batched_memory=call_memory.taken(batched),
        machine=place,
        load=machine.load(begun, ended, machine=place),
    )


def multiply_adds(network: keras.Model, *, height: int, width: int) -> int:
    """Multiply-adds of `network` for one image (height, width, 3); see above for what counts."""
    total = 0

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal total
        given = layer(*arguments, **options)
        if isinstance(layer, keras.Model):
            total += counted(layer, keras.tree.map_structure(_input_like, arguments[0]))
        else:
            total += _of_layer(layer, arguments, given)
        return given

    def counted(model: keras.Model, inputs: Any) -> int:
        nonlocal total
        before, total = total, 0
        # A copy, because calling the layers themselves would add to the network's own graph.
        keras.models.clone_model(model, input_tensors=inputs, call_function=call)
        found, total = total, before
        return found

    return counted(network, keras.Input(batch_shape=(1, height, width, 3)))


def _input_like(tensor: Any) -> Any:
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)


def _of_layer(layer: Any, arguments: tuple[Any, ...], given: Any) -> int:
    if not isinstance(layer, _COUNTED):
        return 0
    taken, made = (tuple(map(int, tensor.shape[1:])) for tensor in (arguments[0], given))
    if isinstance(layer, layers.Dense):
        return math.prod(taken) * int(layer.units)
    kernel = math.prod(map(int, layer.kernel_size))
    if isinstance(layer, layers.Conv2DTranspose):
        return math.prod(taken) * kernel * int(layer.filters)
    if isinstance(layer, layers.DepthwiseConv2D):
        return math.prod(made) * kernel
    if isinstance(layer, layers.SeparableConv2D):
        between = math.prod(made[:2]) * taken[-1] * int(layer.depth_multiplier)
        return between * (kernel + int(layer.filters))
    return math.prod(made) * kernel * (taken[-1] // int(layer.groups))


def summary(cost: Cost) -> dict[str, Any]:
    """Plain values for JSON."""
    content = asdict(cost) | {"frames_per_second": cost.frames_per_second, "real_time": cost.real_time}
    content["load"]["disturbed"] = cost.load.disturbed
    for key, found in (("whole_memory", cost.whole_memory), ("batched_memory", cost.batched_memory)):
        content[key]["added_bytes"] = found.added_bytes
    return content


def timed(call: Callable[[], object], *, seconds: float, clock: Callable[[], float] = time.perf_counter) -> Latency:
    """Time `call` for `seconds`, but 5 to 200 times; three calls before those are not counted."""
    for _ in range(_WARM_UP):
        call()
    times: list[float] = []
    begun = clock()
    while len(times) < _FEWEST or (len(times) < _MOST and clock() - begun < seconds):
        start = clock()
        call()
        times.append(1000 * (clock() - start))
    p95 = float(np.percentile(times, 95)) if len(times) >= _FOR_P95 else None
    return Latency(median=float(np.median(times)), p95=p95, calls=len(times))
