"""Measure the cost of a network on this machine: parameters, multiply-adds, file size, time and memory.

Multiply-adds are counted layer by layer from the shapes, for one image: convolutions (ordinary, grouped, depthwise,
separable, transposed) and dense layers. Biases, normalisation, activations, pooling, resizing and sums are left out,
as in papers on networks (MobileNetV2's 300 M at 224 pixels: Sandler et al. 2018, arXiv:1801.04381,
table 4).
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
"""Images per second from which a network counts as real-time."""

BATCH = 8
"""Number of images in a batch, to measure throughput."""

SECONDS = 2.0
"""Limit of each of the three timings, once it has the minimum of calls."""

_WARM_UP_CALLS = 3  # not counted: the first call traces the network
_MIN_CALLS, _MAX_CALLS = 5, 200
_MIN_CALLS_FOR_P95 = 20  # with fewer, a single call is more than 5 %
_COUNTED_LAYERS = (layers.Conv2D, layers.Conv2DTranspose, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Dense)


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Duration of a call, over `calls` calls after the warm-up.

    Args:
        median: milliseconds.
        p95: 95th percentile, milliseconds; None for fewer than 20 calls.
    """

    median: float
    p95: float | None
    calls: int

    @property
    def per_second(self) -> float:
        """Calls a second, from the median."""
        return 1000.0 / self.median


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of predicting images.

    Args:
        parameters: number of weights, untrained ones included.
        multiply_adds: for one image, all its mirror views included.
        views: how often the network sees one image.
        file_bytes: size of the network's file; None where there is none.
        input_size: height and width of the network's input.
        image_size: height and width of the image, before it is scaled down.
        single: time of the network on one image with its views.
        batch: number of images in `batched`.
        batched: time of the network on that many images, without mirror views.
        whole: time from a decoded image to its mask at the image's own size, scaling and views included.
        whole_memory: memory during the calls of `whole`.
        batched_memory: memory during the calls of `batched`.
        load: load of the machine during the timings.
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
        """Images a second, one after the other, from the median of `whole`."""
        return self.whole.per_second

    @property
    def real_time(self) -> bool:
        """Whether `frames_per_second` is at least `REAL_TIME`."""
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
    """Count and time `bundle` on this machine; it takes about ``3 * seconds``.

    Args:
        image: an already scaled image, uint8 (h, w, 3); its content does not matter.
        size: height and width of such an image before it is scaled.
        file: the network's file, for its size.
        threads: number of threads that the arithmetic is limited to, for the record.
        seconds: limit of each of the three timings, once it has the minimum of calls.
    """
    padded = pad_image(image, multiple=bundle.stride)
    height, width = padded.shape[:2]
    views = 2 ** len(bundle.mirrors)
    one, many = np.stack([padded] * views), np.stack([padded] * batch)
    native = np.ascontiguousarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR))
    place = machine.describe(threads=threads)

    def single() -> object:
        return bundle.network.predict_on_batch(one)

    def batched() -> object:
        return bundle.network.predict_on_batch(many)

    def whole() -> object:
        return predict(bundle, native)

    begun = machine.read_times()
    times = [time_calls(call, seconds=seconds) for call in (single, batched, whole)]
    ended = machine.read_times()
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
        whole_memory=call_memory.measure(whole),
        batched_memory=call_memory.measure(batched),
        machine=place,
        load=machine.compute_load(begun, ended, machine=place),
    )


def multiply_adds(network: keras.Model, *, height: int, width: int) -> int:
    """Count the multiply-adds of `network` for one image (height, width, 3), as the module's docstring defines."""
    total = 0

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal total
        given = layer(*arguments, **options)
        if isinstance(layer, keras.Model):
            total += count_model(layer, keras.tree.map_structure(_make_input_like, arguments[0]))
        else:
            total += _count_layer(layer, arguments, given)
        return given

    def count_model(model: keras.Model, inputs: Any) -> int:
        nonlocal total
        before, total = total, 0
        # A copy, because calling the layers themselves would extend the network's own graph.
        keras.models.clone_model(model, input_tensors=inputs, call_function=call)
        found, total = total, before
        return found

    return count_model(network, keras.Input(batch_shape=(1, height, width, 3)))


def _make_input_like(tensor: Any) -> Any:
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)


def _count_layer(layer: Any, arguments: tuple[Any, ...], given: Any) -> int:
    if not isinstance(layer, _COUNTED_LAYERS):
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


def summarise_cost(cost: Cost) -> dict[str, Any]:
    """Convert `cost` to plain values for JSON."""
    content = asdict(cost) | {"frames_per_second": cost.frames_per_second, "real_time": cost.real_time}
    content["load"]["disturbed"] = cost.load.disturbed
    for key, found in (("whole_memory", cost.whole_memory), ("batched_memory", cost.batched_memory)):
        content[key]["added_bytes"] = found.added_bytes
    return content


def time_calls(
    call: Callable[[], object], *, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> Latency:
    """Time `call` for `seconds`, but 5 to 200 times, after three calls that are not counted."""
    for _ in range(_WARM_UP_CALLS):
        call()
    times: list[float] = []
    begun = clock()
    while len(times) < _MIN_CALLS or (len(times) < _MAX_CALLS and clock() - begun < seconds):
        start = clock()
        call()
        times.append(1000 * (clock() - start))
    p95 = float(np.percentile(times, 95)) if len(times) >= _MIN_CALLS_FOR_P95 else None
    return Latency(median=float(np.median(times)), p95=p95, calls=len(times))
