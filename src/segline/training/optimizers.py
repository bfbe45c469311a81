"""Optimizers by name, with what all of them share."""

from typing import Any

import keras

from segline.config import Training
from segline.training.schedule import WarmUpDecay

_MOMENTUM = 0.9


def build(training: Training, schedule: WarmUpDecay, model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer that `training` names, built for `model`, so that a checkpoint finds its variables.

    Weight decay is decoupled from the gradient, whatever the optimizer (Loshchilov & Hutter 2019,
    arXiv:1711.05101), and spares biases and normalisation. Under float16 the loss is scaled, since
    small gradients would be 0 there.
    """
    options: dict[str, Any] = {"weight_decay": training.weight_decay or None, "global_clipnorm": training.clip}
    if training.ema is not None:
        options |= {"use_ema": True, "ema_momentum": training.ema}
    match training.optimizer:
        case "adamw":
            optimizer = keras.optimizers.AdamW(schedule, **options | {"weight_decay": training.weight_decay})
        case "adam":
            optimizer = keras.optimizers.Adam(schedule, **options)
        case "rmsprop":
            optimizer = keras.optimizers.RMSprop(schedule, **options)
        case "sgd":
            optimizer = keras.optimizers.SGD(schedule, momentum=_MOMENTUM, nesterov=True, **options)
    if training.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if training.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def averages(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Moving averages of the trainable variables, in their order; empty where none are kept."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return list(inner._model_variables_moving_average) if inner.use_ema else []
