"""Every family keeps the contract of `segline.models`, and has the published parameter counts."""

import importlib
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from segline import config, models
from segline.config import ModelConfig
from segline.errors import ConfigError
from segline.models import blocks, encoders

# Keras 3.15 writes variables in a way that NumPy 2.4 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NETWORKS = config.network_names()


def tiny(network: str, **options: object) -> ModelConfig:
    depth = {"depth": 2} if models.has_option(network, "depth") else {}
    return ModelConfig.model_validate({"network": network, "classes": 5, "width": 4, **depth, **options})


def image(*, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, 32, 64, 3), dtype=np.uint8)


def every_option(network: str) -> dict[str, object]:
    """Each option the family has, set to another value than its own."""
    wanted = {"batch_norm": False, "penultimate": 2, "residual": True, "separable": True}
    wanted |= {"skips": True, "output_stride": 8, "depth": 3}
    known = importlib.import_module(f"segline.models.{network}").OPTIONS
    return {"dropout": 0.0, **{name: value for name, value in wanted.items() if name in known}}


def test_classic_unet_has_the_published_parameter_count() -> None:
    classic = ModelConfig(network="unet", classes=1, width=64, depth=4, batch_norm=False, penultimate=2)
    assert models.build(classic).count_params() == 34_514_437


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"network": "xception_unet", "classes": 3, "width": 32}, 2_058_979),
        ({"network": "unet_plus_plus", "classes": 1, "width": 32, "batch_norm": False}, 9_042_177),
        ({"network": "unet_plus_plus", "classes": 1, "width": 32, "batch_norm": False, "heads": 4}, 9_042_177 + 99),
        ({"network": "encoder_decoder", "classes": 3, "width": 64, "depth": 3, "batch_norm": False}, 2_880_643),
        pytest.param(
            {"network": "deeplab_v3_plus", "classes": 21, "encoder": "xception_65"}, 41_258_213, id="xception_65"
        ),
        # 29.46 M: Paszke et al. 2016 (arXiv:1606.02147), table 3
        pytest.param({"network": "segnet", "classes": 12, "width": 64, "depth": 5}, 29_457_868, id="segnet"),
        # 134 M: Long et al. 2015 (arXiv:1411.4038), table 1
        pytest.param({"network": "fcn8s", "classes": 21, "width": 64, "batch_norm": False}, 134_376_863, id="fcn8s"),
    ],
)
def test_networks_have_the_published_parameter_counts(options: dict[str, object], count: int) -> None:
    assert models.build(ModelConfig.model_validate(options)).count_params() == count


def test_the_mini_xception_classifier_has_the_published_parameter_count() -> None:
    config = ModelConfig(network="classifier", classes=1, encoder="mini_xception")
    assert models.build(config).count_params() == 721_857


def test_a_classifier_gives_one_pixel_of_logits_whatever_the_images_size() -> None:
    model = models.build(ModelConfig(network="classifier", classes=5, encoder="mini_xception"))
    assert keras.ops.shape(model(image())) == (2, 1, 1, 5)
    assert keras.ops.shape(model(image()[:, :, :32])) == (2, 1, 1, 5)
    assert models.stride(ModelConfig(network="classifier", classes=5)) == 32
    shifted = keras.ops.convert_to_numpy(model(np.roll(image(), 1, axis=0)))
    np.testing.assert_allclose(shifted, np.roll(model(image()), 1, axis=0), atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("full", [False, True])
def test_images_of_any_number_type_give_float32_logits_of_their_size(network: str, full: bool) -> None:
    model = models.build(tiny(network, **(every_option(network) if full else {})))
    logits = keras.ops.convert_to_numpy(model(image()))
    assert logits.shape == (2, 32, 64, 5)
    assert logits.dtype == np.float32
    assert np.ptp(logits) > 0
    np.testing.assert_array_equal(logits, model(image().astype(np.float32)))
    np.testing.assert_array_equal(keras.ops.shape(model(image()[:1, :, :32])), (1, 32, 32, 5))


def test_images_of_one_height_and_many_widths_are_predicted_one_after_the_other() -> None:
    """Which is what TensorFlow fails at with dilated convolutions, left to itself."""
    model = models.build(tiny("deeplab_v3_plus", encoder="mini_xception"))
    for width in (64, 48, 80, 112):
        picture = np.zeros((1, 48, width, 3), np.uint8)
        np.testing.assert_allclose(model.predict_on_batch(picture), model(picture), atol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_all_levels_are_joined(network: str) -> None:
    """Logits depend on pixels farther away than the convolutions of the first level reach."""
    model = models.build(tiny(network, **({"depth": 3} if models.has_option(network, "depth") else {})))
    changed = image()
    changed[:, :12, :12] = 255 - changed[:, :12, :12]  # one pixel is at times less than float32 can tell
    difference = np.abs(keras.ops.convert_to_numpy(model(image()) - model(changed))).max(axis=(0, 3))
    assert difference[20, 20] > 0
    if network.startswith("unet"):  # a skip at full resolution says most about the pixel itself
        assert difference[:12, :12].mean() > difference[20:, 20:].mean() > 1e-6


def test_skips_lead_past_the_bottom() -> None:
    """With the bottom silenced, what is seen at a finer level still comes through."""
    for skips in (False, True):
        model = models.build(tiny("xception_unet", depth=3, skips=skips))
        silenced = model.get_layer("up_3_upsample").output
        past = keras.Model(model.input, [silenced, model.output])
        bottom = model.get_layer("up_3_residual")
        for layer in (bottom, model.get_layer("up_3_second_norm")):
            layer.set_weights([np.zeros_like(value) for value in layer.get_weights()])
        below, logits = past(image())
        assert np.abs(below).max() == 0
        assert (np.ptp(keras.ops.convert_to_numpy(logits)[0, :, :, 0]) > 1e-3) == skips


@pytest.mark.parametrize("network", NETWORKS)
def test_training_drops_and_inference_does_not(network: str) -> None:
    model = models.build(tiny(network))
    np.testing.assert_array_equal(model(image(), training=False), model(image(), training=False))
    assert np.abs(keras.ops.convert_to_numpy(model(image(), training=True) - model(image(), training=True))).max() > 0


def test_unet_drops_at_its_two_deepest_levels() -> None:
    names = [layer.name for layer in models.build(tiny("unet", depth=3)).layers if isinstance(layer, layers.Dropout)]
    assert names == ["down_3_dropout", "bottom_dropout"]


@pytest.mark.parametrize("network", NETWORKS)
def test_a_saved_network_gives_equal_logits(network: str, tmp_path: Path) -> None:
    model = models.build(tiny(network, **every_option(network)))
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
    inner = [layer for part in (model, *_models_inside(model)) for layer in part.layers]
    assert {layer.compute_dtype for layer in inner if isinstance(layer, layers.BatchNormalization)} == {"bfloat16"}


def _models_inside(model: keras.Model) -> list[keras.Model]:
    return [layer for layer in model.layers if isinstance(layer, keras.Model)]


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_enlarging_is_what_opencv_does_and_keras_where_it_can(factor: int) -> None:
    picture = np.random.default_rng(2).normal(size=(2, 5, 7, 3)).astype(np.float32)
    size = (7 * factor, 5 * factor)
    expected = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in picture])
    layer = blocks.Enlarge(factor)
    np.testing.assert_allclose(layer(picture), expected, atol=1e-5)
    np.testing.assert_allclose(layers.UpSampling2D(factor, interpolation="bilinear")(picture), expected, atol=1e-5)
    assert layer.compute_output_shape((None, None, 7, 3)) == (None, None, 7 * factor, 3)
    unsized = keras.Input((None, None, 3))
    traced = keras.Model(unsized, layer(unsized))
    np.testing.assert_allclose(traced.predict(picture, verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["DepthwiseConv2D", "SeparableConv2D"])
def test_a_dilated_convolution_is_what_keras_does_at_any_size(kind: str) -> None:
    """The second size has the first one's height, which TensorFlow's own dilation does not survive here."""
    ours, theirs = (getattr(room, kind) for room in (blocks, layers))
    arguments = [3] if kind == "DepthwiseConv2D" else [5, 3]
    options = {"padding": "same", "activation": "tanh", "bias_initializer": "ones"}
    mine, its = ours(*arguments, dilation=3, **options), theirs(*arguments, dilation_rate=3, **options)
    pixels = keras.Input((None, None, 4))
    network = keras.Model(pixels, layers.Concatenate()([pixels, mine(pixels)]))
    for number, size in enumerate([(7, 10), (7, 16), (2, 1), (12, 16)]):
        picture = np.random.default_rng(number).normal(size=(2, *size, 4)).astype(np.float32)
        its(picture)
        its.set_weights(mine.get_weights())
        expected = keras.ops.convert_to_numpy(its(picture))
        np.testing.assert_allclose(network.predict_on_batch(picture)[..., 4:], expected, rtol=1e-4, atol=1e-5)


def test_stride_is_what_the_network_halves_its_input_by() -> None:
    assert models.stride(tiny("unet", depth=4)) == 16
    assert models.stride(tiny("deeplab_v3_plus", output_stride=32)) == 32


@pytest.mark.parametrize(("network", "sides"), [("unet", [32, 16]), ("unet_plus_plus", [32, 32, 32])])
def test_further_heads_are_for_training_alone(network: str, sides: list[int]) -> None:
    model = models.build(tiny(network, heads=2))
    outputs = [keras.ops.convert_to_numpy(output) for output in model(image())]
    assert [output.shape[1] for output in outputs] == sides
    assert {output.shape[-1] for output in outputs} == {5}
    alone = keras.ops.convert_to_numpy(models.deployed(model)(image()))
    np.testing.assert_array_equal(alone, outputs[0])


def test_unet_plus_plus_answers_with_the_mean_of_its_heads_or_one_of_them() -> None:
    model = models.build(tiny("unet_plus_plus", depth=3, heads=3))
    mean, deepest, *_ = (keras.ops.convert_to_numpy(output) for output in model(image()))
    heads = [models.prune(model, head=number) for number in (1, 2, 3)]
    answers = [keras.ops.convert_to_numpy(head(image())) for head in heads]
    np.testing.assert_allclose(mean, np.mean(answers, axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(deepest, answers[2])
    counts = [head.count_params() for head in heads]
    assert counts == sorted(set(counts))
    with pytest.raises(ConfigError, match="one of 1, 2, 3"):
        models.prune(model, head=4)


@pytest.mark.parametrize(
    ("encoder", "count"),
    [
        ("efficientnet_lite0", 4_652_008),
        ("efficientnet_lite1", 5_416_680),
        ("efficientnet_lite2", 6_092_072),
    ],
)
def test_efficientnet_lite_has_the_published_parameter_counts(encoder: str, count: int) -> None:
    """4.7, 5.4 and 6.1 M in EfficientNet-Lite's README; the last digits are those of the packages' files."""
    model = encoders.build(encoder, output_stride=32)
    classification = (1280 + 1) * 1000
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) + classification == count


@pytest.mark.parametrize("encoder", config.encoder_names())
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_an_encoder_keeps_the_stride_it_is_asked_for_and_the_same_weights(encoder: str, output_stride: int) -> None:
    if encoder in {"xception_65", "convnext_tiny"} and output_stride == 8:
        pytest.skip("the largest: two strides say it")
    strides = encoders.list_strides(encoder, output_stride)
    assert set(strides) >= {4, 8, output_stride}
    model = encoders.build_pyramid(encoder, output_stride=output_stride)
    for stride, shape in zip(strides, model.compute_output_shape((1, 64, 96, 3)), strict=True):
        assert tuple(shape[1:3]) == (64 // stride, 96 // stride)


@pytest.mark.parametrize(
    "encoder", ["efficientnet_lite0", "efficientnetv2_b0", pytest.param("convnext_tiny", marks=pytest.mark.slow)]
)
def test_a_saved_network_keeps_its_encoders_input_scaling_and_layers(encoder: str, tmp_path: Path) -> None:
    model = models.build(tiny("deeplab_v3_plus", encoder=encoder, width=1, output_stride=8))
    model.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(model(image()), loaded(image()))


def test_encoder_weights_are_reused_at_another_stride_and_those_of_another_network_refused(tmp_path: Path) -> None:
    first = encoders.build("mini_xception", output_stride=32)
    encoders.save_weights(first, tmp_path / "encoder.npz")
    wanted = tiny("deeplab_v3_plus", encoder="mini_xception", weights=str(tmp_path / "encoder.npz"))
    model = models.build(wanted)
    models.load_encoder(model, wanted)
    for one, other in zip(first.weights, model.get_layer(encoders.NAME).weights, strict=True):
        np.testing.assert_array_equal(one, other)
    other = wanted.model_copy(update={"encoder": "mobilenet_v2"})
    with pytest.raises(ConfigError, match="not the weights of mobilenet_v2"):
        models.load_encoder(models.build(other), other)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ConfigError, match="not a weights file"):
        models.load_encoder(model, wanted.model_copy(update={"weights": str(tmp_path / "text.npz")}))
    with pytest.raises(ConfigError, match="no such file"):
        models.load_encoder(model, wanted.model_copy(update={"weights": "nowhere.npz"}))


def test_a_frozen_encoder_keeps_its_statistics_too() -> None:
    model = models.build(tiny("deeplab_v3_plus", encoder="mini_xception", freeze=True))
    before = [weight.numpy() for weight in model.get_layer(encoders.NAME).weights]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(image(), np.zeros((2, 32, 64), np.uint8), verbose=0)
    for one, other in zip(before, model.get_layer(encoders.NAME).weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert model.trainable_weights


def test_an_option_that_a_family_has_not_got_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"deeplab_v3_plus\.residual: True, expected only options that deeplab_v3_plus has"
    ):
        models.build(tiny("deeplab_v3_plus", residual=True))
    with pytest.raises(ConfigError, match=r"deeplab_v3_plus\.depth: 3"):
        models.build(tiny("deeplab_v3_plus", depth=3))
    with pytest.raises(ConfigError, match=r"xception_unet\.encoder"):
        models.stride(tiny("xception_unet", encoder="xception"))


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
