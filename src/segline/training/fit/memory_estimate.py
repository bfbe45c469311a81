"""How much memory a fit takes, told before it is tried: counted layer by layer, checked against real fits.

Bytes are those of the training process: anonymous resident memory, on TensorFlow and a CPU. At its
fullest, when the backward pass begins, a step holds every tensor that a gradient needs, and what its
largest layers are busy with:

- a convolution needs its input, a separable one also what is between its halves, a dilated depthwise
  one its input padded to whole phases of the dilation, which it is taken apart into;
- batch normalisation, which Keras composes of simple operations, needs its input, in float32;
- a rectifier needs its output, pooling both, dropout a byte for each element it looked at;
- sums, concatenations and enlargements need nothing.

Beside it are the weights with their gradients, the optimizer's moments, averages and copies; what
loss and metric hold for every pixel and class; and the runtime, which grows with every layer that it
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

MEBIBYTE = 2**20
GIBIBYTE = 2**30

_PROBE = 512  # pixels a side that layers are counted at: a multiple of every network's stride
_FLOAT = 4  # bytes

_RUNTIME = 420 * MEBIBYTE  # the libraries of a training process, TensorFlow's above all
_LAYER = 2.1 * MEBIBYTE  # of each layer: its part of the graphs that train and validate
_BUSY = 2.0  # tensors as large as the largest that are there for a moment
_LOSS = 8.5  # floats for each pixel and class: logits, their logarithms, truth, products, gradients
_SORTED = 12.0  # more of them where a loss sorts its pixels
_LINGERING = 1.0  # weights once more: what the allocator does not give back of kernels and gradients
_SEEN = 7.0  # floats for each pixel and class where only validation looks

_KEEP_INPUT = {
    *("Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D", "Dense"),
    *("BatchNormalization", "MaxPooling2D"),
}
_KEEP_OUTPUT = {"Activation", "ReLU", "MaxPooling2D"}
_KEEP_NEITHER = {
    *("Add", "Average", "Concatenate", "Dropout", "Enlarge", "GlobalAveragePooling2D", "InputLayer"),
    *("Rescaling", "UpSampling2D"),
}

_DEPTHWISE = {"DepthwiseConv2D", "SeparableConv2D"}

_MOMENTS = {"adamw": 2, "adam": 2, "rmsprop": 1, "sgd": 1}


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What fitting one network takes.

    Args:
        runtime: bytes, whatever is fitted on.
        weights: bytes of weights, gradients, moments and copies, during a step.
        copied: bytes of the same after an epoch, when all of it is written to a file.
        trained: bytes a pixel of a training batch.
        seen: bytes a pixel of a batch that is validated.
        dilated: the layers whose input is padded.
    """

    runtime: int
    weights: int
    copied: int
    trained: float
    seen: float
    dilated: tuple["Dilated", ...] = ()

    def of_training(self, *, crop: tuple[int, int], batch: int) -> int:
        """Bytes at the fullest moment of training on `batch` crops of height and width `crop`."""
        image = self.trained * math.prod(crop) + sum(layer.padded(crop) for layer in self.dilated)
        return self.runtime + max(self.weights + round(batch * image), self.copied)

    def of_validation(self, *, size: tuple[int, int], batch: int) -> int:
        """Bytes at the fullest moment of validating `batch` images of height and width `size`."""
        return self.runtime + self.weights + round(self.seen * batch * math.prod(size))


@dataclass(frozen=True, kw_only=True)
class Dilated:
    """A depthwise convolution with dilation.

    Args:
        stride: sides of the image over those of its input.
        channel_bytes: of all its input's channels at one place.
    """

    stride: int
    dilation: int
    channel_bytes: int

    def padded(self, size: tuple[int, int]) -> int:
        """Bytes of its padded input for one image of height and width `size`."""
        sides = (-(-side // self.stride) for side in size)
        return self.channel_bytes * math.prod(-(-side // self.dilation) * self.dilation for side in sides)


def footprint(model_config: ModelConfig, training: Training) -> Footprint:
    """Count the network of `model_config` under the optimizer, loss, precision and averages of `training`.

    It builds the network, once in a process, which takes up to a few seconds, and computes nothing with it.
    """
    counted = _counted(model_config, half=training.precision != "float32")
    averaged = counted.trainable * (training.ema is not None)
    state = counted.trainable * _MOMENTS[training.optimizer] + averaged
    held = 2 * counted.weights + state + round(_LINGERING * counted.weights)  # twice: the best so far
    per_class = _LOSS + _SORTED * (training.loss.lovasz > 0)
    return Footprint(
        runtime=round(_RUNTIME + _LAYER * counted.layers),
        weights=held + counted.trainable + averaged,  # the gradients; what averages take the place of
        copied=held + counted.weights + state,
        trained=counted.kept + _BUSY * counted.largest + _FLOAT * per_class * model_config.classes * counted.heads,
        seen=max(counted.alive, _FLOAT * _SEEN * model_config.classes),  # features are gone when scores are made
        dilated=counted.dilated,
    )


def by_batch(job: Job) -> Callable[[int], float]:
    """The estimate for a job's crops: batch -> bytes.

    It is counted here and now: once memory has run out there is none to build a network in.
    """
    counted, crop = footprint(job.model_config, job.training), job.training.crop
    return lambda batch: counted.of_training(crop=crop, batch=batch)


def budget(training: Training) -> float | None:
    """What a fit may take, bytes; None where nobody said."""
    return None if training.memory is None else training.memory * GIBIBYTE


@dataclass(frozen=True, kw_only=True)
class _Count:
    """A network in numbers.

    Args:
        layers: how many.
        weights: bytes.
        trainable: bytes of those that are trained.
        heads: pixels of all outputs over those of the input.
        kept: bytes a pixel of the input that gradients need.
        largest: the same of the largest input or output of a layer.
        alive: the same of what is there at a time when nothing is kept for gradients.
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
    """One layer at work: names and numbers of elements of what it takes and gives."""

    kind: str
    inputs: dict[int, int]
    outputs: dict[int, int]
    between: int
    dilated: Dilated | None


@functools.cache
def _counted(model_config: ModelConfig, *, half: bool) -> _Count:
    model = models.build(model_config)
    parts = [list(_steps(part)) for part in _parts(model)]
    steps = [step for part in parts for step in part]
    element = _FLOAT / 2 if half else _FLOAT
    kept = element * sum(_kept(steps).values())
    kept += sum(element * step.between + sum(step.outputs.values()) * (step.kind == "Dropout") for step in steps)
    if half:  # batch normalisation makes itself a copy in float32
        kept += _FLOAT * sum(sum(step.inputs.values()) for step in steps if step.kind == "BatchNormalization")
    return _Count(
        layers=len(steps),
        weights=_size(model.variables),
        trainable=_size(model.trainable_variables),
        heads=sum(_places(model.compute_output_shape((1, _PROBE, _PROBE, 3)))) / _PROBE**2,
        kept=kept / _PROBE**2,
        largest=_FLOAT * max(max((*step.inputs.values(), *step.outputs.values())) for step in steps) / _PROBE**2,
        alive=element * max(_alive(part) for part in parts) / _PROBE**2,
        dilated=tuple(step.dilated for step in steps if step.dilated),
    )


def _size(variables: Iterable[Any]) -> int:
    """Bytes."""
    return _FLOAT * sum(math.prod(tuple(map(int, variable.shape))) for variable in variables)


def _places(shapes: Any) -> list[int]:
    """Height times width of each output."""
    return [int(shape[1] * shape[2]) for shape in (shapes if isinstance(shapes[0], tuple | list) else [shapes])]


def _kept(steps: Iterable[_Step]) -> dict[int, int]:
    """The tensors that gradients need, each once; both sides of a layer that is not known here."""
    kept: dict[int, int] = {}
    for step in steps:
        unknown = step.kind not in _KEEP_INPUT | _KEEP_OUTPUT | _KEEP_NEITHER
        if step.kind in _KEEP_INPUT or unknown:
            kept |= step.inputs
        if step.kind in _KEEP_OUTPUT or unknown:
            kept |= step.outputs
    return kept


def _alive(steps: list[_Step]) -> int:
    """The most elements at a time, if each tensor goes after the last layer that takes it."""
    last = {name: place for place, step in enumerate(steps) for name in step.inputs}
    there: dict[int, int] = {}
    most = 0
    for place, step in enumerate(steps):
        there |= step.outputs
        most = max(most, sum(there.values()) + step.between + max(step.outputs.values()))
        there = {name: size for name, size in there.items() if last.get(name, len(steps)) > place}
    return most


def _parts(model: keras.Model) -> Iterator[keras.Model]:
    """The network and, one by one, those inside it: what joins them is counted twice, which is little."""
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _parts(layer)


def _steps(model: keras.Model) -> Iterator[_Step]:
    own = [layer for layer in model.layers if not isinstance(layer, keras.Model)]
    ends = {layer: (_listed(layer.input), _listed(layer.output)) for layer in own}
    tensors = {id(tensor): tensor for sides in ends.values() for side in sides for tensor in side}
    probe = keras.Model(model.inputs, list(tensors.values()))
    shapes = dict(zip(tensors, probe.compute_output_shape((1, _PROBE, _PROBE, 3)), strict=True))
    for layer, (inputs, outputs) in ends.items():
        taken, given = ({id(tensor): math.prod(shapes[id(tensor)]) for tensor in side} for side in (inputs, outputs))
        kind, between, dilated = type(layer).__name__, 0, None
        if kind in _DEPTHWISE:
            before, after = shapes[id(inputs[0])], shapes[id(outputs[0])]
            between = math.prod(after[:3]) * before[3] if kind == "SeparableConv2D" else 0
            dilated = _dilated(before, dilation=getattr(layer, "dilation", 1))
        yield _Step(kind=kind, inputs=taken, outputs=given, between=between, dilated=dilated)


def _dilated(before: tuple[int, ...], *, dilation: int) -> Dilated | None:
    if dilation == 1:
        return None
    return Dilated(stride=_PROBE // before[1], dilation=dilation, channel_bytes=_FLOAT * before[3])


def _listed(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]
