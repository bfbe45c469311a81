"""What every network family starts and ends with, and the layers they share.

Tensors are channels-last, (N, H, W, C). Initialisation is He's normal one throughout
(He et al. 2015, arXiv:1502.01852), for rectified units.
"""

from typing import Any

import keras
from keras import layers, ops

from segline.config import ModelConfig

INITIALIZER = "he_normal"


@keras.saving.register_keras_serializable(package="segline")
class Enlarge(layers.Layer):
    """Bilinear up-sampling by a whole factor, pixel centres kept in place: half-pixel, as OpenCV does it.

    Keras's own layer (3.15) compares the size it computes with 0, which a traced network cannot do
    while that size is unknown.
    """

    def __init__(self, factor: int, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        """(N, H, W, C) -> (N, factor * H, factor * W, C)."""
        return self._along(self._along(inputs, 1), 2)

    def _along(self, tensor: Any, axis: int) -> Any:
        """Each pixel becomes `factor` blends of itself and its nearer neighbour; the edge repeats."""
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
        """Sides times the factor."""
        count, height, width, channels = input_shape
        grown = (None if side is None else side * self.factor for side in (height, width))
        return (count, *grown, channels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "factor": self.factor}


class _Dilated:
    """Mixin for a convolution of stride 1 with same sides, whose kernel's points lie `dilation` pixels apart.

    The image is taken apart into its ``dilation ** 2`` coarser ones, which are convolved as they are, and
    put together again: what TensorFlow (2.21) does, too. But where one side is constant and the other
    varies, its graph optimiser folds its arithmetic of the paddings to wrong constants; images of
    equal height and other widths then ended in an error.
    """

    def __init__(self, *arguments: Any, dilation: int = 1, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.dilation = dilation

    def call(self, inputs: Any) -> Any:
        """(N, H, W, C) -> (N, H, W, filters)."""
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
        """The constructor's arguments."""
        return {**super().get_config(), "dilation": self.dilation}  # type: ignore[misc]


@keras.saving.register_keras_serializable(package="segline")
class DepthwiseConv2D(_Dilated, layers.DepthwiseConv2D):
    """Keras's layer with a `dilation` that any sizes can take."""


@keras.saving.register_keras_serializable(package="segline")
class SeparableConv2D(_Dilated, layers.SeparableConv2D):
    """Keras's layer with a `dilation` that any sizes can take."""


def image_input() -> tuple[Any, Any]:
    """The network's input, (N, H, W, 3) 0..255 of any number type, and the same within -1..1."""
    image = keras.Input((None, None, 3), name="image")
    # In float32 even under mixed precision: the subtraction would cancel most bits of a half.
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
    """Convolution, batch normalisation if asked for, activation; same sides.

    A bias that batch normalisation would subtract again is left out.
    """
    shared = {"padding": "same", "use_bias": not batch_norm, "name": name, **options}
    if separable:
        drawn = {"depthwise_initializer": INITIALIZER, "pointwise_initializer": INITIALIZER}
        tensor = layers.SeparableConv2D(filters, kernel, **drawn, **shared)(tensor)
    else:
        tensor = layers.Conv2D(filters, kernel, kernel_initializer=INITIALIZER, **shared)(tensor)
    return _finish(tensor, name=name, batch_norm=batch_norm, activation=activation)


def separable(tensor: Any, filters: int, *, name: str, dilation: int = 1) -> Any:
    """Xception's separable 3x3 convolution: one layer without bias, normalised by whoever adds it."""
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
    """DeepLab's separable 3x3 convolution: each of its halves is normalised, and activated if asked for."""
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
    tensor: Any, filters: int, *, name: str, kernel: int = 3, strides: int = 1, batch_norm: bool = False
) -> Any:
    """Transposed convolution, batch normalisation if asked for, ReLU; sides grow by `strides`."""
    tensor = layers.Conv2DTranspose(
        filters,
        kernel,
        strides=strides,
        padding="same",
        use_bias=not batch_norm,
        kernel_initializer=INITIALIZER,
        name=name,
    )(tensor)
    return _finish(tensor, name=name, batch_norm=batch_norm, activation="relu")


def pair(tensor: Any, filters: int, config: ModelConfig, *, name: str) -> Any:
    """Two 3x3 convolutions, as `config` wants them: U-Net's level.

    A residual level adds its input, brought to `filters` by a 1x1 convolution, before the last ReLU.
    """
    own: dict[str, Any] = {"batch_norm": config.batch_norm, "separable": config.separable}
    first = convolution(tensor, filters, name=f"{name}_first", **own)
    if not config.residual:
        return convolution(first, filters, name=f"{name}_second", **own)
    second = convolution(first, filters, name=f"{name}_second", activation=None, **own)
    shortcut = convolution(
        tensor, filters, kernel=1, name=f"{name}_shortcut", batch_norm=config.batch_norm, activation=None
    )
    total = layers.Add(name=f"{name}_add")([second, shortcut])
    return layers.Activation("relu", name=f"{name}_relu")(total)


def normalise(tensor: Any, *, name: str) -> Any:
    """Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167).

    Keras's momentum of 0.99 needs some 400 steps until the running statistics are those of the
    data; a short trial would be judged by statistics that are still the initial ones.
    """
    return layers.BatchNormalization(momentum=0.9, name=name)(tensor)


def dropout(tensor: Any, rate: float, *, name: str) -> Any:
    """Dropout where `rate` is above 0, else nothing at all."""
    return layers.Dropout(rate, name=name)(tensor) if rate else tensor


def head(tensor: Any, config: ModelConfig, *, kernel: int = 1, name: str = "logits") -> Any:
    """Logits (N, H, W, classes), float32, after the penultimate 3x3 convolution where there is one."""
    if config.penultimate is not None:
        tensor = convolution(tensor, config.penultimate, name=name.replace("logits", "penultimate"))
    return layers.Conv2D(config.classes, kernel, padding="same", dtype="float32", name=name)(tensor)


def _finish(tensor: Any, *, name: str, batch_norm: bool, activation: str | None) -> Any:
    if batch_norm:
        tensor = normalise(tensor, name=f"{name}_norm")
    return tensor if activation is None else layers.Activation(activation, name=f"{name}_{activation}")(tensor)
