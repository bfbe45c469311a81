"""Input, heads and layers that the network families share.

Tensors are channels-last, (N, H, W, C). All weights are drawn by He's normal initialiser (He et al. 2015,
arXiv:1502.01852), which is made for ReLU.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import keras
from keras import layers, ops

from segline.config import ModelConfig

INITIALIZER = "he_normal"

VGG_CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Convolutions of each level of VGG-16."""


@keras.saving.register_keras_serializable(package="segline")
class Enlarge(layers.Layer):
    """Bilinear up-sampling by an integer factor, with half-pixel centres as in OpenCV.

    Keras's own layer (3.15) compares the computed size with 0, which fails in a traced network whose size is
    unknown.
    """

    def __init__(self, factor: int, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        """Up-sample (N, H, W, C) to (N, factor * H, factor * W, C)."""
        return self._upsample_axis(self._upsample_axis(inputs, 1), 2)

    def _upsample_axis(self, tensor: Any, axis: int) -> Any:
        """Replace each pixel by `factor` blends of it and its nearest neighbour; edge pixels are repeated."""
        inner = (slice(None),) * axis
        before = ops.concatenate([tensor[(*inner, slice(0, 1))], tensor[(*inner, slice(0, -1))]], axis=axis)
        after = ops.concatenate([tensor[(*inner, slice(1, None))], tensor[(*inner, slice(-1, None))]], axis=axis)
        offsets = [(place + 0.5) / self.factor - 0.5 for place in range(self.factor)]
        blends = [(1 - abs(offset)) * tensor + abs(offset) * (before if offset < 0 else after) for offset in offsets]
        stacked = ops.stack(blends, axis=axis + 1)
        shape = list(ops.shape(tensor))
        shape[axis] = shape[axis] * self.factor
        return ops.reshape(stacked, shape)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Multiply the sides by the factor; an unknown side stays None."""
        count, height, width, channels = input_shape
        grown = (None if side is None else side * self.factor for side in (height, width))
        return (count, *grown, channels)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "factor": self.factor}


class _Dilated:
    """Mixin for a dilated convolution of stride 1 that keeps the sides.

    The image is split into ``dilation ** 2`` coarser images. These are convolved without dilation and put
    together again. TensorFlow (2.21) does the same, but its graph optimiser computes wrong constants for the
    paddings if one side is constant and the other varies. Then a batch of images of the same height and
    another width raises an error.

    Args:
        dilation: pixels between neighbouring points of the kernel.
    """

    def __init__(self, *arguments: Any, dilation: int = 1, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.dilation = dilation

    def call(self, inputs: Any) -> Any:
        """Convolve (N, H, W, C) to (N, H, W, filters)."""
        if self.dilation == 1:
            return super().call(inputs)  # type: ignore[misc]
        count, height, width, channels = ops.shape(inputs)
        rate = self.dilation
        rows, columns = (height + rate - 1) // rate, (width + rate - 1) // rate
        padded = ops.pad(inputs, [[0, 0], [0, rate - 1], [0, rate - 1], [0, 0]])[:, : rows * rate, : columns * rate]
        apart = ops.transpose(ops.reshape(padded, (count, rows, rate, columns, rate, channels)), (2, 4, 0, 1, 3, 5))
        answer = super().call(ops.reshape(apart, (rate * rate * count, rows, columns, channels)))  # type: ignore[misc]
        split = ops.reshape(answer, (rate, rate, count, rows, columns, answer.shape[-1]))
        together = ops.reshape(
            ops.transpose(split, (2, 3, 0, 4, 1, 5)), (count, rows * rate, columns * rate, answer.shape[-1])
        )
        return together[:, :height, :width]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "dilation": self.dilation}  # type: ignore[misc]


@keras.saving.register_keras_serializable(package="segline")
class Conv2D(_Dilated, layers.Conv2D):
    """Keras's layer with a `dilation` that works on images of any sizes."""


@keras.saving.register_keras_serializable(package="segline")
class DepthwiseConv2D(_Dilated, layers.DepthwiseConv2D):
    """Keras's layer with a `dilation` that works on images of any sizes."""


@keras.saving.register_keras_serializable(package="segline")
class SeparableConv2D(_Dilated, layers.SeparableConv2D):
    """Keras's layer with a `dilation` that works on images of any sizes."""


@keras.saving.register_keras_serializable(package="segline")
class LayerScale(layers.Layer):
    """Multiply each channel by a trained factor, at first `value` (Touvron et al. 2021, arXiv:2103.17239)."""

    def __init__(self, value: float, **options: Any) -> None:
        super().__init__(**options)
        self.value = value
        self.gamma_initializer = keras.initializers.Constant(value)  # named as `training.fit.seeding` finds it

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create one factor for each channel."""
        self.gamma = self.add_weight(shape=(input_shape[-1],), initializer=self.gamma_initializer, name="gamma")

    def call(self, inputs: Any) -> Any:
        """Scale (N, H, W, C)."""
        return inputs * self.gamma

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "value": self.value}


IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's colours within 0..1, by which many classifiers' images are scaled."""


def rescale(scaled: Any, *, scale: float | Sequence[float], offset: float | Sequence[float]) -> Any:
    """Change the range of an image within -1..1 to that of a classifier: ``scale * image + offset``, in float32."""
    arguments = [list(value) if isinstance(value, Sequence) else value for value in (scale, offset)]
    return layers.Rescaling(*arguments, dtype="float32", name="input_scaling")(scaled)


def standardise(scaled: Any) -> Any:
    """Scale an image within -1..1 to mean 0 and deviation 1 of ImageNet's colours."""
    return rescale(
        scaled,
        scale=[0.5 / deviation for deviation in IMAGENET_DEVIATION],
        offset=[(0.5 - mean) / deviation for mean, deviation in zip(IMAGENET_MEAN, IMAGENET_DEVIATION, strict=True)],
    )


def dilate(strides: Iterable[int], *, reached: int, output_stride: int) -> Iterator[tuple[int, int]]:
    """Replace strides by dilation, once features have the wanted size (Chen et al. 2017, arXiv:1706.05587).

    Args:
        strides: those of the classifier's blocks, 1 or 2.
        reached: sides of the image, divided by those of the first block's input.
        output_stride: sides of the image, divided by those of the last block's output.

    Yields:
        Stride and dilation of each block. A block whose stride is replaced still has the dilation before it.
    """
    dilation = 1
    for stride in strides:
        if stride > 1 and reached >= output_stride:
            yield 1, dilation
            dilation *= stride
        else:
            yield stride, dilation
            reached *= stride


def filters_of(level: int, config: ModelConfig) -> int:
    """Return the filters of a `level`, counted from 0: ``config.width``, doubled at each level."""
    return int(config.width * 2**level)


def image_input() -> tuple[Any, Any]:
    """Make the network's input, (N, H, W, 3) 0..255 of any number type.

    Returns:
        The input, and the same image scaled to -1..1.
    """
    image = keras.Input((None, None, 3), name="image")
    # In float32 even under mixed precision: in float16 the subtraction would cancel most bits.
    return image, layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="rescale")(image)


def convolution(
    tensor: Any,
    filters: int,
    *,
    name: str,
    kernel: int = 3,
    batch_norm: bool = False,
    activation: str | None = "relu",
    separable: bool = False,
    **options: Any,
) -> Any:
    """Convolve, normalise if `batch_norm`, activate; the sides stay the same.

    With batch normalisation there is no bias, because normalisation would subtract it again.

    Args:
        options: further arguments of Keras's layer; ``use_bias`` overrides the rule above.
    """
    shared = {"padding": "same", "use_bias": not batch_norm, "name": name, **options}
    if separable:
        drawn = {"depthwise_initializer": INITIALIZER, "pointwise_initializer": INITIALIZER}
        tensor = layers.SeparableConv2D(filters, kernel, **drawn, **shared)(tensor)
    else:
        tensor = layers.Conv2D(filters, kernel, kernel_initializer=INITIALIZER, **shared)(tensor)
    return _finish(tensor, name=name, batch_norm=batch_norm, activation=activation)


def dilated(tensor: Any, filters: int, *, name: str, dilation: int) -> Any:
    """Apply a dilated 3x3 convolution, normalise, activate by ReLU."""
    options = {"padding": "same", "use_bias": False, "kernel_initializer": INITIALIZER, "name": name}
    tensor = Conv2D(filters, 3, dilation=dilation, **options)(tensor)
    return _finish(tensor, name=name, batch_norm=True, activation="relu")


def separable(tensor: Any, filters: int, *, name: str, dilation: int = 1) -> Any:
    """Apply Xception's separable 3x3 convolution: one layer without bias. The caller normalises its output."""
    return SeparableConv2D(
        filters,
        3,
        padding="same",
        dilation=dilation,
        use_bias=False,
        depthwise_initializer=INITIALIZER,
        pointwise_initializer=INITIALIZER,
        name=name,
    )(tensor)


def split_separable(
    tensor: Any,
    filters: int,
    *,
    name: str,
    strides: int = 1,
    dilation: int = 1,
    activation: str | None = None,
) -> Any:
    """Apply DeepLab's separable 3x3 convolution.

    The outputs of the depthwise and of the pointwise part are each normalised, then activated by `activation`.
    """
    tensor = DepthwiseConv2D(
        3,
        strides=strides,
        dilation=dilation,
        padding="same",
        use_bias=False,
        depthwise_initializer=INITIALIZER,
        name=f"{name}_depthwise",
    )(tensor)
    tensor = _finish(tensor, name=f"{name}_depthwise", batch_norm=True, activation=activation)
    return convolution(tensor, filters, kernel=1, batch_norm=True, activation=activation, name=name)


def transposed(
    tensor: Any,
    filters: int,
    *,
    name: str,
    kernel: int = 3,
    batch_norm: bool = False,
    activation: str | None = "relu",
    **options: Any,
) -> Any:
    """Apply a transposed convolution, then the same steps as `convolution`; sides are multiplied by ``strides``."""
    shared = {"padding": "same", "use_bias": not batch_norm, "name": name, **options}
    tensor = layers.Conv2DTranspose(filters, kernel, kernel_initializer=INITIALIZER, **shared)(tensor)
    return _finish(tensor, name=name, batch_norm=batch_norm, activation=activation)


def pair(tensor: Any, filters: int, config: ModelConfig, *, name: str) -> Any:
    """Apply the two 3x3 convolutions of a U-Net level, in the form that `config` describes.

    A residual level adds its input, projected to `filters` by a 1x1 convolution, before the last ReLU.
    """
    convolve = partial(convolution, filters=filters, batch_norm=config.batch_norm)
    first = convolve(tensor, name=f"{name}_first", separable=config.separable)
    activation = None if config.residual else "relu"
    second = convolve(first, name=f"{name}_second", separable=config.separable, activation=activation)
    if not config.residual:
        return second
    shortcut = convolve(tensor, kernel=1, name=f"{name}_shortcut", activation=None)
    total = layers.Add(name=f"{name}_add")([second, shortcut])
    return layers.Activation("relu", name=f"{name}_relu")(total)


def vgg_filters(level: int, config: ModelConfig) -> int:
    """Return VGG's filters of a `level`, counted from 0: doubled at each level, but at most ``8 * width``."""
    return int(config.width * min(8, 2**level))


def vgg_level(tensor: Any, level: int, config: ModelConfig, *, name: str) -> Any:
    """Apply the convolutions of a `level` of VGG-16, counted from 0 (Simonyan & Zisserman 2015, arXiv:1409.1556)."""
    filters = [vgg_filters(level, config)] * VGG_CONVOLUTIONS[level]
    return convolutions(tensor, filters, config, name=name)


def convolutions(tensor: Any, filters: Sequence[int], config: ModelConfig, *, name: str) -> Any:
    """Apply 3x3 convolutions one after the other, with these `filters`, in the form that `config` describes."""
    for order, count in enumerate(filters, start=1):
        tensor = convolution(
            tensor, count, batch_norm=config.batch_norm, separable=config.separable, name=f"{name}_{order}"
        )
    return tensor


def normalise(tensor: Any, *, name: str) -> Any:
    """Apply batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167).

    The momentum is 0.9. With Keras's default of 0.99, the running statistics would need about 400 steps to
    become those of the data, so a short trial would be validated with mostly the initial statistics.
    """
    return layers.BatchNormalization(momentum=0.9, name=name)(tensor)


def dropout(tensor: Any, rate: float, *, name: str) -> Any:
    """Apply dropout; add no layer if `rate` is 0."""
    return layers.Dropout(rate, name=name)(tensor) if rate else tensor


def head(tensor: Any, config: ModelConfig, *, kernel: int = 1, name: str = "logits") -> Any:
    """Compute logits (N, H, W, classes), float32, after the penultimate 3x3 convolution if `config` has one."""
    if config.penultimate is not None:
        tensor = convolution(tensor, config.penultimate, name=name.replace("logits", "penultimate"))
    return layers.Conv2D(config.classes, kernel, padding="same", dtype="float32", name=name)(tensor)


def enlarged_head(tensor: Any, config: ModelConfig, *, factor: int, name: str = "logits") -> Any:
    """Compute logits of `tensor`, float32, and up-sample them bilinearly by `factor`."""
    if factor == 1:
        return head(tensor, config, name=name)
    return Enlarge(factor, dtype="float32", name=name)(head(tensor, config, name=f"coarse_{name}"))


def _finish(tensor: Any, *, name: str, batch_norm: bool, activation: str | None) -> Any:
    if batch_norm:
        tensor = normalise(tensor, name=f"{name}_norm")
    return tensor if activation is None else layers.Activation(activation, name=f"{name}_{activation}")(tensor)
