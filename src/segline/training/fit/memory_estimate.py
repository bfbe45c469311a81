"""Estimate the memory of a fit before it runs. It is counted layer by layer, and was checked against real fits.

Bytes are those of the training process: anonymous resident memory, on TensorFlow and a CPU. The memory of a step
is highest when the backward pass begins. It then holds every tensor that a gradient needs, and the work space of
its largest layers:

- a convolution needs its input; a separable convolution also needs the tensor between its depthwise and pointwise
  parts; a dilated convolution also needs its input padded to a multiple of the dilation;
- batch normalisation, which Keras composes of simple operations, needs its input, in float32;
- ReLU needs its output, pooling needs its input and output, dropout needs one byte for each element;
- products need their inputs, pooling with positions needs these;
- sums, concatenations, means of regions and up-sampling need nothing.

The estimate also includes the weights with their gradients, the optimizer's moments, averages and copies; the
arrays of loss and metric for every pixel and class; and the runtime, which grows with every layer that it
has traced. Processes that make batches are not counted. The constants are fitted to the runs of
``benchmarks/memory_estimate.py``, which shows estimate and measurement side by side.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from segline import models
from segline.config import ModelConfig, Training
from segline.training.fit.job import Job
from segline.training.objective.losses import TERMS
from segline.training.objective.optimizers import OPTIMIZERS

_MEBIBYTE = 2**20
GIBIBYTE = 2**30

_PROBE_SIDE = 512  # side in pixels of the image for which tensors are counted; a multiple of every network's stride
_FLOAT_BYTES = 4

_RUNTIME_BYTES = 420 * _MEBIBYTE  # the libraries of a training process, mostly TensorFlow's
_LAYER_BYTES = 2.1 * _MEBIBYTE  # a layer's part of the graphs that train and validate
_TEMPORARY_TENSORS = 2.0  # number of short-lived tensors, each as large as the largest tensor
_LOSS_FLOATS = 8.5  # for each pixel and class: logits, their logarithms, truth, products, gradients
_UNRETURNED_WEIGHTS = 1.0  # copies of the weights that are freed (kernels, gradients) but that the allocator keeps
_VALIDATION_FLOATS = 7.0  # for each pixel and class

_KEEP_INPUT = {
    *("Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D", "Dense"),
    *("BatchNormalization", "MaxPooling2D", "Multiply"),
}
_KEEP_OUTPUT = {"Activation", "ReLU", "MaxPooling2D", "PoolWithPositions"}
_KEEP_NEITHER = {
    *("Add", "Average", "Concatenate", "Dropout", "Enlarge", "EnlargeLike", "GlobalAveragePooling2D", "InputLayer"),
    *("RegionMeans", "Rescaling", "Unpool", "UpSampling2D"),
}


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """The memory that fitting one network takes.

    Args:
        runtime: bytes of the libraries and the graphs.
        weights: bytes of weights, gradients, moments and copies, during a step.
        copied: bytes of weights, moments and copies after an epoch, when the checkpoint is written.
        trained: bytes for each pixel of a training batch.
        seen: bytes for each pixel of a validation batch.
        dilated: the layers whose input is padded.
    """

    runtime: int
    weights: int
    copied: int
    trained: float
    seen: float
    dilated: tuple["Dilated", ...] = ()

    def of_training(self, *, crop: tuple[int, int], batch: int) -> int:
        """Estimate the peak memory of training in bytes, on `batch` crops of height and width `crop`."""
        image = self.trained * math.prod(crop) + sum(layer.padded(crop) for layer in self.dilated)
        return self.runtime + max(self.weights + round(batch * image), self.copied)

    def of_validation(self, *, size: tuple[int, int], batch: int) -> int:
        """Estimate the peak memory of validation in bytes, on `batch` images of height and width `size`."""
        return self.runtime + self.weights + round(self.seen * batch * math.prod(size))


@dataclass(frozen=True, kw_only=True)
class Dilated:
    """A convolution with dilation.

    Args:
        stride: sides of the image, divided by those of the layer's input.
        dilation: pixels between neighbouring points of the kernel.
        channel_bytes: bytes of all channels of the input at one position.
    """

    stride: int
    dilation: int
    channel_bytes: int

    def padded(self, size: tuple[int, int]) -> int:
        """Count the bytes of its padded input for one image of height and width `size`."""
        sides = (-(-side // self.stride) for side in size)
        return self.channel_bytes * math.prod(-(-side // self.dilation) * self.dilation for side in sides)


def footprint(model_config: ModelConfig, training: Training) -> Footprint:
    """Estimate the memory of the network of `model_config` with optimizer, loss, precision and averages of `training`.

    The network is built, which takes up to a few seconds at the first call of the process; nothing is computed with it.
    """
    alike = model_config.model_copy(update={"encoder_rate": 1.0})  # it changes no size
    counted = _count_network(alike, half=training.precision != "float32")
    averaged = counted.trainable * (training.ema is not None)
    summed = counted.trainable * (training.accumulate > 1)
    state = counted.trainable * OPTIMIZERS[training.optimizer].moments + averaged + summed
    # The weights exist twice: the current ones and the best ones so far.
    held = 2 * counted.weights + state + round(_UNRETURNED_WEIGHTS * counted.weights)
    floats = _LOSS_FLOATS + sum(term.floats for name, term in TERMS.items() if getattr(training.loss, name))
    loss_bytes = _FLOAT_BYTES * floats * model_config.classes * counted.heads
    return Footprint(
        runtime=round(_RUNTIME_BYTES + _LAYER_BYTES * counted.layers),
        weights=held + counted.trainable + averaged,  # the gradients; the weights that averages replace
        copied=held + counted.weights + state,
        trained=counted.kept + _TEMPORARY_TENSORS * counted.largest + loss_bytes,
        # Features are no longer held when scores are computed.
        seen=max(counted.alive, _FLOAT_BYTES * _VALIDATION_FLOATS * model_config.classes),
        dilated=counted.dilated,
    )


def by_batch(job: Job) -> Callable[[int], float]:
    """Return a function that estimates the bytes of training from a batch, for the crops of `job`.

    The network is built now, because after memory has run out it could not be built.
    """
    counted, training = footprint(job.model_config, job.training), job.training
    return lambda batch: counted.of_training(crop=training.crop, batch=math.ceil(batch / training.accumulate))


def budget(training: Training) -> float | None:
    """Return the bytes that a fit may take; None if ``training.memory`` is not set."""
    return None if training.memory is None else training.memory * GIBIBYTE


@dataclass(frozen=True, kw_only=True)
class _Count:
    """A network in numbers.

    Args:
        layers: number of layers.
        weights: bytes.
        trainable: bytes of the weights that are trained.
        heads: pixels of all outputs, divided by those of the input.
        kept: bytes that gradients need, for each pixel of the input.
        largest: bytes of the largest input or output of a layer, for each pixel of the input.
        alive: largest number of bytes that exist at one time without gradients, for each pixel of the input.
        dilated: layers that pad their input.
    """

    layers: int
    weights: int
    trainable: int
    heads: float
    kept: float
    largest: float
    alive: float
    dilated: tuple[Dilated, ...]


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One layer.

    Args:
        kind: name of its class.
        inputs: id of a tensor -> its number of elements.
        outputs: as `inputs`.
        between: elements of the tensor between the depthwise and the pointwise part.
        dilated: set for a convolution with dilation.
    """

    kind: str
    inputs: dict[int, int]
    outputs: dict[int, int]
    between: int
    dilated: Dilated | None


@functools.cache
def _count_network(model_config: ModelConfig, *, half: bool) -> _Count:
    model = models.build(model_config)
    parts = [list(_list_steps(part)) for part in _list_parts(model)]
    steps = [step for part in parts for step in part]
    element, pixels = _FLOAT_BYTES / 2 if half else _FLOAT_BYTES, _PROBE_SIDE**2
    kept = element * sum(_find_kept(steps).values())
    kept += sum(element * step.between + sum(step.outputs.values()) * (step.kind == "Dropout") for step in steps)
    if half:  # batch normalisation makes a copy of its input in float32
        kept += _FLOAT_BYTES * sum(sum(step.inputs.values()) for step in steps if step.kind == "BatchNormalization")
    largest = max(max((*step.inputs.values(), *step.outputs.values())) for step in steps)
    shapes = keras.Model(model.inputs, model.outputs).compute_output_shape((1, _PROBE_SIDE, _PROBE_SIDE, 3))
    return _Count(
        layers=len(steps),
        weights=_count_bytes(model.variables),
        trainable=_count_bytes(model.trainable_variables),
        heads=sum(int(head[1] * head[2]) for head in shapes) / pixels,
        kept=kept / pixels,
        largest=_FLOAT_BYTES * largest / pixels,
        alive=element * max(_count_alive(part) for part in parts) / pixels,
        dilated=tuple(step.dilated for step in steps if step.dilated),
    )


def _count_bytes(variables: Iterable[Any]) -> int:
    return _FLOAT_BYTES * sum(math.prod(tuple(map(int, variable.shape))) for variable in variables)


def _find_kept(steps: Iterable[_Step]) -> dict[int, int]:
    """Find the tensors that gradients need: id -> elements. An unknown kind of layer needs inputs and outputs."""
    kept: dict[int, int] = {}
    for step in steps:
        unknown = step.kind not in _KEEP_INPUT | _KEEP_OUTPUT | _KEEP_NEITHER
        if step.kind in _KEEP_INPUT or unknown:
            kept |= step.inputs
        if step.kind in _KEEP_OUTPUT or unknown:
            kept |= step.outputs
    return kept


def _count_alive(steps: list[_Step]) -> int:
    """Count the largest number of elements that exist at one time, if each tensor is freed after its last use."""
    last = {name: place for place, step in enumerate(steps) for name in step.inputs}
    alive: dict[int, int] = {}
    most = 0
    for place, step in enumerate(steps):
        alive |= step.outputs
        most = max(most, sum(alive.values()) + step.between + max(step.outputs.values()))
        alive = {name: size for name, size in alive.items() if last.get(name, len(steps)) > place}
    return most


def _list_parts(model: keras.Model) -> Iterator[keras.Model]:
    """Yield the network and the models inside it. Tensors between models are counted twice; the error is small."""
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _list_parts(layer)


def _list_steps(model: keras.Model) -> Iterator[_Step]:
    own = [layer for layer in model.layers if not isinstance(layer, keras.Model)]
    ends = {layer: (_as_list(layer.input), _as_list(layer.output)) for layer in own}
    tensors = {id(tensor): tensor for sides in ends.values() for side in sides for tensor in side}
    probe = keras.Model(model.inputs, list(tensors.values()))
    shapes = dict(zip(tensors, probe.compute_output_shape((1, _PROBE_SIDE, _PROBE_SIDE, 3)), strict=True))
    for layer, (inputs, outputs) in ends.items():
        taken, given = ({id(tensor): math.prod(shapes[id(tensor)]) for tensor in side} for side in (inputs, outputs))
        kind, between, dilated = type(layer).__name__, 0, None
        if kind == "SeparableConv2D":
            between = math.prod(shapes[id(outputs[0])][:3]) * shapes[id(inputs[0])][3]
        if getattr(layer, "dilation", 1) > 1:
            before = shapes[id(inputs[0])]
            channels = _FLOAT_BYTES * before[3]
            dilated = Dilated(stride=_PROBE_SIDE // before[1], dilation=layer.dilation, channel_bytes=channels)
        yield _Step(kind=kind, inputs=taken, outputs=given, between=between, dilated=dilated)


def _as_list(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]
