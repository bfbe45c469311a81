"""Turn the search space into Keras Tuner's hyperparameters, and drawn values into a network's configuration."""

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras_tuner

from segline import models
from segline.config import ModelConfig, Search, Training, network_names
from segline.errors import ConfigError
from segline.training.fit.job import check_depth

_DEFAULTS = Search().offered
_PARTS = ("encoder", "decoder")  # of a composition
_ALL: Mapping[str, Any] = MappingProxyType({})


def check_space(space: Search, training: Training, *, classes: int) -> None:
    """Check, before the first trial, that every candidate can be built and that the crops suit it.

    Raises:
        ConfigError: a candidate cannot be built, the crops do not suit it or are too small for its encoder, or no
            network of `space` has one of the options.
    """
    offered = {"network": space.networks, "width": space.width[:1], **_options(space)}
    for drawn in itertools.product(*offered.values()):
        config = configure_network(space, training, classes=classes, values=dict(zip(offered, drawn, strict=True)))
        stride = models.stride(config)
        if any(side % stride for side in training.crop):
            raise ConfigError(
                "training.crop",
                found=str(list(training.crop)),
                expected=f"multiples of {stride}, because search.networks has {config.network}",
                remedy="change the crop, or remove that network",
            )
        if config.encoder is not None:
            check_depth(training.crop, encoders=[config.encoder], output_stride=config.output_stride)


def configure_network(space: Search, training: Training, *, classes: int, values: Mapping[str, Any]) -> ModelConfig:
    """Configure the network that the drawn `values` describe. Options that it does not have are ignored."""
    options = {
        name: next(value for value in offered if value == values[name])  # Keras Tuner turns False into 0
        for name, offered in _options(space).items()
        if models.has_option(values["network"], name)
    }
    return ModelConfig(
        network=values["network"],
        classes=classes,
        width=values["width"],
        dropout=training.dropout,
        **options,
    )


def make_hyperparameters(space: Search, only: Mapping[str, Any] = _ALL) -> keras_tuner.HyperParameters:
    """Make the hyperparameters that trials draw. Another order of them would draw other values.

    Args:
        only: hyperparameter -> the one value that it has, of those of `space`.
    """
    parameters, options = keras_tuner.HyperParameters(), _options(space)
    options |= {name: (value,) for name, value in only.items() if name in options}

    def offer(name: str) -> None:
        if takers := _networks_with(space.networks, name):
            with parameters.conditional_scope("network", takers):
                parameters.Choice(name, list(options[name]))

    parameters.Choice("network", [only["network"]] if "network" in only else list(space.networks))
    parameters.Choice("width", list(space.width))
    offer("depth")  # not with the other options: at another place other values would be drawn
    parameters.Float("learning_rate", *space.learning_rate, sampling="log")
    parameters.Float("strength", *space.augmentation)
    for name in options:
        if name != "depth":
            offer(name)
    return parameters


def list_compositions(space: Search) -> list[dict[str, str]]:
    """List the networks of `space`, each with each encoder and decoder that it can have: hyperparameter -> value."""
    found = []
    for network in space.networks:
        options = {name: values for name, values in _options(space).items() if name in _PARTS}
        parts = {"network": (network,)} | {
            name: values for name, values in options.items() if models.has_option(network, name)
        }
        found += [dict(zip(parts, drawn, strict=True)) for drawn in itertools.product(*parts.values())]
    return found


def _options(space: Search) -> dict[str, tuple[Any, ...]]:
    """List the options that only some networks have, without those whose only choice is the default.

    Raises:
        ConfigError: no network of `space` has one of them.
    """
    offered = space.offered
    asked = {name: values for name, values in offered.items() if name != "encoder" and values != _DEFAULTS[name]}
    for name in (*asked, *(["weights"] if space.weights is not None else [])):
        if not _networks_with(space.networks, name):
            raise ConfigError(
                f"params.yaml search.{name}",
                found=f"set, but no network of search.networks ({', '.join(space.networks)}) has this option",
                expected=f"a network that has it: {', '.join(_networks_with(network_names(), name))}",
                remedy="add one of these to search.networks, or delete the line",
            )
    return {"depth": space.depth, "encoder": space.encoders, "decoder": space.decoders, **asked}


def list_encoders(space: Search) -> tuple[str, ...]:
    """List the encoders of the trials; empty if no network of `space` has an encoder."""
    return space.encoders if _networks_with(space.networks, "encoder") else ()


def _networks_with(networks: Sequence[str], option: str) -> list[str]:
    return [network for network in networks if models.has_option(network, option)]
