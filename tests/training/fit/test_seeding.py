"""First weights come from the seed and nothing else."""

import random

import keras
import numpy as np
import pytest

from segline import config, models
from segline.config import ModelConfig
from segline.models import blocks, encoders
from segline.training.fit.seeding import reseed

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def built(network: str, seed: int) -> list[np.ndarray]:
    random.seed()  # whatever Keras draws from must not matter
    small = {"depth": 2} if models.has_option(network, "depth") else {}
    model = models.build(ModelConfig.model_validate({"network": network, "classes": 4, "width": 8, **small}))
    reseed(model, seed)
    return [keras.ops.convert_to_numpy(variable) for variable in model.variables]


BILINEAR = {"fcn8s": 2}
"""Kernels that begin as bilinear interpolation, whatever the seed."""


@pytest.mark.parametrize("network", config.network_names())
def test_equal_seeds_give_equal_variables_and_other_seeds_others(network: str) -> None:
    first, second, other = built(network, 3), built(network, 3), built(network, 4)
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)
    random_ones = [place for place, value in enumerate(first) if value.ndim > 1]
    assert random_ones
    alike = [place for place in random_ones if np.array_equal(first[place], other[place])]
    assert len(alike) == BILINEAR.get(network, 0)


@pytest.mark.lengthy
@pytest.mark.parametrize("encoder", ["efficientnet_lite0", pytest.param("convnext_tiny", marks=pytest.mark.slow)])
def test_every_weight_of_an_encoder_has_an_initialiser(encoder: str) -> None:
    """ConvNeXt's layer scale had none that was found, so a fit of it ended before its first step."""
    model = encoders.build(encoder, output_stride=32)
    reseed(model, 1)
    scales = [layer for layer in model.layers if isinstance(layer, blocks.LayerScale)]
    assert all(np.ptp(layer.get_weights()[0]) == 0 for layer in scales)


def test_weights_keep_the_distribution_of_their_initialiser() -> None:
    keras.utils.set_random_seed(0)
    described = ModelConfig(network="unet", classes=3, width=16, depth=3)
    plain, seeded = models.build(described), models.build(described)
    reseed(seeded, 1)
    for before, after in zip(plain.trainable_weights, seeded.trainable_weights, strict=True):
        one, two = keras.ops.convert_to_numpy(before), keras.ops.convert_to_numpy(after)
        if one.ndim == 1:
            np.testing.assert_array_equal(one, two)
        elif one.size > 2000:
            assert one.std() == pytest.approx(two.std(), rel=0.15)


def test_no_two_layers_of_one_shape_start_alike() -> None:
    kernels = [value for value in built("unet", 0) if value.ndim == 4]
    assert len({kernel.shape for kernel in kernels}) < len(kernels)
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)
