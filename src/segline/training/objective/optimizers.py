"""Optimizers by name, with the behaviour that all of them share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from segline.config import Training
from segline.models import encoders
from segline.training.backend import sum_over_devices
from segline.training.objective.schedule import WarmUpDecay


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One optimizer.

    Args:
        keras_class: Keras's class; its name is the title.
        moments: number of values that it keeps for each weight.
        rate: the learning rate that a plan gives it, divided by that of AdamW.
        no_decay: the value of Keras's ``weight_decay`` that means no weight decay.
        options: additional arguments of Keras's class.
    """

    keras_class: type[keras.optimizers.Optimizer]
    moments: int
    rate: float
    no_decay: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the name that messages show."""
        return str(self.keras_class.__name__)


OPTIMIZERS = {
    "adamw": Kind(keras_class=keras.optimizers.AdamW, moments=2, rate=1.0, no_decay=0.0),  # it takes no None
    "adam": Kind(keras_class=keras.optimizers.Adam, moments=2, rate=1.0),
    "rmsprop": Kind(keras_class=keras.optimizers.RMSprop, moments=1, rate=0.3),
    "sgd": Kind(keras_class=keras.optimizers.SGD, moments=1, rate=10.0, options={"momentum": 0.9, "nesterov": True}),
}
"""The names that ``training.optimizer`` of ``params.yaml`` may have; `segline.config` reads them from this file.

Only the rate of AdamW is measured; the others are derived. Adam takes the same steps as AdamW. Adam averages
gradients with a momentum of 0.9, RMSprop does not. So the steps of RMSprop are up to 4 times as long:
sqrt((1 + 0.9) / (1 - 0.9)). nnU-Net uses SGD with a rate of 0.01 and a momentum of 0.99; with the momentum of 0.9
used here, a rate of 0.1 moves the weights equally far.
"""


def build(
    training: Training, schedule: WarmUpDecay, model: keras.Model, *, encoder_rate: float = 1.0
) -> keras.optimizers.Optimizer:
    """Build the optimizer that `training` names, and its variables for `model`, which a checkpoint can then restore.

    Weight decay is decoupled from the gradient for every optimizer (Loshchilov & Hutter 2019,
    arXiv:1711.05101), and does not act on biases and normalisation. In float16 the loss is scaled, because
    small gradients would become 0.

    Args:
        training: names the optimizer.
        schedule: of the learning rate.
        model: its trainable variables are optimized.
        encoder_rate: learning rate of the encoder, divided by that of the rest.
    """
    kind = OPTIMIZERS[training.optimizer]
    averaging = {} if training.ema is None else {"use_ema": True, "ema_momentum": training.ema}
    optimizer = type(kind.title, (_WatchingGradients, kind.keras_class), {})(
        schedule,
        weight_decay=training.weight_decay or kind.no_decay,
        global_clipnorm=training.clip,
        **averaging,
        **kind.options,
        **({"gradient_accumulation_steps": training.accumulate} if training.accumulate > 1 else {}),
    )
    optimizer.first = schedule.first
    if encoder_rate != 1.0:
        optimizer.slow = {id(variable) for variable in model.get_layer(encoders.NAME).trainable_variables}
        optimizer.slow_rate = encoder_rate
    if training.weight_decay:  # vectors are biases, scales and shifts, whatever a layer calls them
        vectors = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
        optimizer.exclude_from_weight_decay(var_list=vectors)
    if training.precision == "mixed_float16":
        optimizer.outermost = False
        optimizer = _LossScale(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def list_averages(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """List the moving averages of the trainable variables, in their order; empty if there are none."""
    inner = _unwrap(optimizer)
    return list(inner._model_variables_moving_average) if inner.use_ema else []


def find_bad_step(optimizer: keras.optimizers.Optimizer) -> int | None:
    """Return the first step with a gradient that is not finite, counted from 0 over the whole fit; None without one.

    In float16 it is always None, because such gradients only change the loss scale, not the weights.
    """
    inner = _unwrap(optimizer)
    step = int(ops.convert_to_numpy(inner.bad_step))
    return inner.first + step - 1 if step else None


def _unwrap(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    return getattr(optimizer, "inner_optimizer", optimizer)


class _WatchingGradients(keras.optimizers.Optimizer):
    """Mixin for Keras's optimizers that remembers the first step with a gradient that is not finite.

    The number stays on the device until it is read: reading it at every step would stall a GPU.
    The mixin also trains some variables at a lower rate, which Keras has no option for.
    """

    outermost = True
    first = 0  # step of the fit at which this optimizer begins
    slow: frozenset[int] | set[int] = frozenset()  # ids of the variables with a lower rate
    slow_rate = 1.0
    weight_decay: float | None

    def build(self, variables: Any) -> None:
        super().build(variables)
        self.bad_step = self.add_variable((), dtype="int32", aggregation="only_first_replica", name="bad_step")

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        if self.outermost:
            grads = sum_over_devices(list(grads))
        self._remember_bad_step(grads)
        super().apply(grads, trainable_variables)

    def _get_current_learning_rate(self) -> Any:
        """Compute the rate from the number of updates. Keras counts the parts of batches here."""
        return self._learning_rate(self.iterations)

    def _remember_bad_step(self, grads: Any) -> None:
        sums = [ops.sum(ops.cast(grad, "float32")) for grad in grads if grad is not None]
        bad = ops.logical_not(ops.all(ops.isfinite(ops.stack(sums))))
        first = ops.convert_to_tensor(self.bad_step)
        step = ops.cast(self.iterations + 1, "int32")
        self.bad_step.assign(ops.where(ops.logical_and(bad, ops.equal(first, 0)), step, first))

    def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
        """Average with a momentum that rises from 0 to `ema_momentum`, similar to TensorFlow's `num_updates`.

        With a constant momentum of 0.99, a third of the average after 100 steps would be the untrained weights.
        """
        if not self.use_ema:
            return
        step = ops.cast(self.iterations, "float32")
        momentum = ops.minimum(self.ema_momentum, step / (9 + step))
        if self.gradient_accumulation_steps:  # Keras calls this after every part of a batch
            is_last = ops.equal((self._iterations + 1) % self.gradient_accumulation_steps, 0)
            momentum = ops.where(is_last, momentum, 1.0)
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            average.assign(momentum * average + (1 - momentum) * variable)

    def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        for rate, places in self._group(trainable_variables):
            variables = [trainable_variables[place] for place in places]
            scaled = learning_rate if rate == 1.0 else learning_rate * rate
            super()._backend_update_step([grads[place] for place in places], variables, scaled)

    def _apply_weight_decay(self, variables: Any) -> None:
        decay = self.weight_decay
        for rate, places in self._group(variables):
            self.weight_decay = decay if decay is None else decay * rate
            super()._apply_weight_decay([variables[place] for place in places])
        self.weight_decay = decay

    def _group(self, variables: Any) -> list[tuple[float, list[int]]]:
        """Divide the places of `variables` by rate: rate -> places. There is one group if all have the same rate."""
        if not self.slow:
            return [(1.0, list(range(len(variables))))]
        groups: dict[float, list[int]] = {1.0: [], self.slow_rate: []}
        for place, variable in enumerate(variables):
            groups[self.slow_rate if id(variable) in self.slow else 1.0].append(place)
        return [(rate, places) for rate, places in groups.items() if places]

    def finalize_variable_values(self, var_list: Any) -> None:
        """Do nothing. Keras would replace the weights by their averages, and a second phase would begin with these."""

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        """Do nothing, because `apply` sums over devices. Keras 3.15 sums here, after it clipped each device's part."""
        return grads_and_vars


class _LossScale(keras.optimizers.LossScaleOptimizer):
    """Choose the loss scale from the gradients of all devices that share a batch; Keras 3.15 uses one device's."""

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        super().apply(sum_over_devices(list(grads)), trainable_variables)
