"""Optimizers by name, with what all of them share."""

from typing import Any

import keras
from keras import ops

from segline.config import Training
from segline.training.backend import summed
from segline.training.objective.schedule import WarmUpDecay

_MOMENTUM = 0.9
_KINDS = {
    "adamw": keras.optimizers.AdamW,
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def build(training: Training, schedule: WarmUpDecay, model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer that `training` names, built for `model`, so that a checkpoint finds its variables.

    Weight decay is decoupled from the gradient, whatever the optimizer (Loshchilov & Hutter 2019,
    arXiv:1711.05101), and spares biases and normalisation. Under float16 the loss is scaled, since
    small gradients would be 0 there.
    """
    options: dict[str, Any] = {"weight_decay": training.weight_decay or None, "global_clipnorm": training.clip}
    if training.ema is not None:
        options |= {"use_ema": True, "ema_momentum": training.ema}
    if training.optimizer == "adamw":
        options["weight_decay"] = training.weight_decay  # it takes no None
    if training.optimizer == "sgd":
        options |= {"momentum": _MOMENTUM, "nesterov": True}
    kind = _KINDS[training.optimizer]
    optimizer = type(kind.__name__, (_Watching, kind), {})(schedule, **options)
    if training.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if training.precision == "mixed_float16":
        optimizer.outermost = False
        optimizer = _LossScale(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def averages(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Moving averages of the trainable variables, in their order; empty where none are kept."""
    inner = _inner(optimizer)
    return list(inner._model_variables_moving_average) if inner.use_ema else []


def first_bad_step(optimizer: keras.optimizers.Optimizer) -> int | None:
    """The first step, from 0 over the whole fit, with a gradient that is no number; None without one.

    Under float16 there is none: steps with such gradients find the loss's scale and change no weight.
    """
    step = int(ops.convert_to_numpy(_inner(optimizer).bad_step))
    return step - 1 if step else None


def _inner(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    return getattr(optimizer, "inner_optimizer", optimizer)


class _Watching(keras.optimizers.Optimizer):
    """Adds to one of Keras's optimizers a note of the first gradient that is no number.

    The note stays on the device until somebody reads it: to ask at every step would stall a GPU.
    """

    outermost = True

    def build(self, variables: Any) -> None:
        super().build(variables)
        self.bad_step = self.add_variable((), dtype="int32", aggregation="only_first_replica", name="bad_step")

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        if self.outermost:
            grads = summed(list(grads))
        self._note(grads)
        super().apply(grads, trainable_variables)

    def _note(self, grads: Any) -> None:
        sums = [ops.sum(ops.cast(grad, "float32")) for grad in grads if grad is not None]
        bad = ops.logical_not(ops.all(ops.isfinite(ops.stack(sums))))
        noted = ops.convert_to_tensor(self.bad_step)
        step = ops.cast(self.iterations + 1, "int32")
        self.bad_step.assign(ops.where(ops.logical_and(bad, ops.equal(noted, 0)), step, noted))

    def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
        """Keras's, with a momentum that rises from 0 to `ema_momentum`, much as TensorFlow's `num_updates` has it.

        At a flat 0.99 the weights of the first step, which know nothing, are a third of the average after 100.
        """
        if not self.use_ema:
            return
        step = ops.cast(self.iterations, "float32")
        momentum = ops.minimum(self.ema_momentum, step / (9 + step))
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            average.assign(momentum * average + (1 - momentum) * variable)

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        """Nothing: `apply` has done it. Keras 3.15 would do it after clipping each device's own share."""
        return grads_and_vars


class _LossScale(keras.optimizers.LossScaleOptimizer):
    """Keras's, judging the gradients of all devices that share a batch; 3.15 looks at the first one's."""

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        super().apply(summed(list(grads)), trainable_variables)
