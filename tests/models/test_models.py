"""Every family keeps the contract of `segline.models`, and has the published parameter counts."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from segline import config, models
from segline.config import ModelConfig

# Keras 3.15 writes variables in a way that NumPy 2.4 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NETWORKS = config.network_names()


def tiny(network: str, **options: object) -> ModelConfig:
    return ModelConfig.model_validate({"network": network, "classes": 5, "width": 4, "depth": 2, **options})


def image(*, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)


def test_classic_unet_has_the_published_parameter_count() -> None:
    classic = ModelConfig(network="unet", classes=1, width=64, depth=4, batch_norm=False, penultimate=2)
    assert models.build(classic).count_params() == 34_514_437


def test_xception_unet_has_the_published_parameter_count() -> None:
    published = ModelConfig(network="xception_unet", classes=3, width=32, depth=4)
    assert models.build(published).count_params() == 2_058_979


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("options", [{}, {"batch_norm": False, "penultimate": 2, "depth": 3, "dropout": 0.0}])
def test_images_of_any_number_type_give_float32_logits_of_their_size(network: str, options: dict[str, object]) -> None:
    model = models.build(tiny(network, **options))
    logits = keras.ops.convert_to_numpy(model(image()))
    assert logits.shape == (2, 32, 48, 5)
    assert logits.dtype == np.float32
    assert np.ptp(logits) > 0
    np.testing.assert_array_equal(logits, model(image().astype(np.float32)))
    np.testing.assert_array_equal(keras.ops.shape(model(image()[:1, :16, :24])), (1, 16, 24, 5))


@pytest.mark.parametrize("network", NETWORKS)
def test_all_levels_are_joined(network: str) -> None:
    """Logits depend on pixels farther away than the convolutions of the first level reach."""
    model = models.build(tiny(network, depth=3))
    changed = image()
    changed[:, 0, 0] = 255 - changed[:, 0, 0]
    difference = np.abs(keras.ops.convert_to_numpy(model(image()) - model(changed))).max(axis=(0, 3))
    assert difference[0, 0] > difference[20, 20] > 1e-6


@pytest.mark.parametrize("network", NETWORKS)
def test_training_drops_and_inference_does_not(network: str) -> None:
    model = models.build(tiny(network, batch_norm=False))
    np.testing.assert_array_equal(model(image(), training=False), model(image(), training=False))
    assert np.abs(keras.ops.convert_to_numpy(model(image(), training=True) - model(image(), training=True))).max() > 0


def test_unet_drops_at_its_two_deepest_levels() -> None:
    names = [layer.name for layer in models.build(tiny("unet", depth=3)).layers if isinstance(layer, layers.Dropout)]
    assert names == ["down_3_dropout", "bottom_dropout"]


@pytest.mark.parametrize("network", NETWORKS)
def test_a_saved_network_gives_equal_logits(network: str, tmp_path: Path) -> None:
    model = models.build(tiny(network, penultimate=3))
    model.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(model(image()), loaded(image()))


@pytest.mark.parametrize("network", NETWORKS)
def test_layers_have_names_of_their_own(network: str) -> None:
    """Names that Keras draws end in a running number, which depends on what was built before."""
    first, second = models.build(tiny(network)), models.build(tiny(network))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


@pytest.mark.parametrize("network", NETWORKS)
def test_logits_stay_float32_under_mixed_precision(network: str) -> None:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = models.build(tiny(network))
    finally:
        keras.config.set_dtype_policy(policy)
    assert keras.backend.standardize_dtype(model(image()).dtype) == "float32"
    assert {layer.compute_dtype for layer in model.layers if isinstance(layer, layers.BatchNormalization)} == {
        "bfloat16"
    }


def test_stride_is_two_to_the_depth() -> None:
    assert models.stride(tiny("unet", depth=4)) == 16


def test_xception_unet_equals_the_keras_example() -> None:
    """The example's graph, layer by layer, with our weights put in by name."""
    model = models.build(ModelConfig(network="xception_unet", classes=3, width=4, depth=3, dropout=0.5))
    for variable in model.weights:  # fresh normalisation would hide most mistakes
        variable.assign(np.random.default_rng(abs(hash(variable.shape))).uniform(0.2, 1.0, variable.shape))
    example = keras_example(width=4, depth=3)
    for layer in example.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    assert example.count_params() == model.count_params()
    scaled = image().astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(model(image()), example(scaled), rtol=2e-4)


def keras_example(*, width: int, depth: int) -> keras.Model:
    """https://keras.io/examples/vision/oxford_pets_image_segmentation/, its sizes made arguments."""
    sizes = [width * 2**level for level in range(depth)]
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(sizes[0], 3, strides=2, padding="same", name="stem")(inputs)
    x = layers.Activation("relu")(layers.BatchNormalization(name="stem_norm")(x))
    previous = x
    for level in range(1, depth):
        for order in ("first", "second"):
            x = layers.Activation("relu")(x)
            x = layers.SeparableConv2D(sizes[level], 3, padding="same", name=f"down_{level + 1}_{order}")(x)
            x = layers.BatchNormalization(name=f"down_{level + 1}_{order}_norm")(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        name = f"down_{level + 1}_residual"
        residual = layers.Conv2D(sizes[level], 1, strides=2, padding="same", name=name)(previous)
        previous = x = layers.add([x, residual])
    for level in reversed(range(depth)):
        for order in ("first", "second"):
            x = layers.Activation("relu")(x)
            x = layers.Conv2DTranspose(sizes[level], 3, padding="same", name=f"up_{level + 1}_{order}")(x)
            x = layers.BatchNormalization(name=f"up_{level + 1}_{order}_norm")(x)
        x = layers.UpSampling2D(2)(x)
        residual = layers.UpSampling2D(2)(previous)
        residual = layers.Conv2D(sizes[level], 1, padding="same", name=f"up_{level + 1}_residual")(residual)
        previous = x = layers.add([x, residual])
    return keras.Model(inputs, layers.Conv2D(3, 3, padding="same", name="logits")(x))


def test_importing_the_package_imports_no_keras() -> None:
    code = "import sys, segline.models, segline.training; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
