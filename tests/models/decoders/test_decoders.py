"""Every decoder keeps the contract of `segline.models.decoders`, on the features of any encoder."""

import math
from typing import Any

import cv2
import keras
import numpy as np
import pytest

from segline import config, models
from segline.config import ModelConfig
from segline.errors import ConfigError
from segline.models import decoders, encoders
from segline.models.decoders import psp

# Keras 3.15 writes variables in a way that NumPy 2.4 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CHANNELS = {2: 6, 4: 8, 8: 10, 16: 12, 32: 16}
SIDES = (64, 96)


def tiny(decoder: str, **options: Any) -> ModelConfig:
    return ModelConfig.model_validate(
        {"network": "composed", "classes": 5, "width": 2, "decoder": decoder, "encoder": "mini_xception", **options}
    )


def alone(wanted: ModelConfig, *, first: int = 2) -> keras.Model:
    """The decoder without an encoder, on features of the strides from `first` on."""
    strides = [stride for stride in CHANNELS if first <= stride <= wanted.output_stride]
    features = {stride: keras.Input((None, None, CHANNELS[stride])) for stride in strides}
    logits = decoders.decode(features, wanted)
    return keras.Model(list(features.values()), logits if len(logits) > 1 else logits[0])


def features(wanted: ModelConfig, *, first: int = 2, sides: tuple[int, int] = SIDES) -> list[Any]:
    generator = np.random.default_rng(0)
    return [
        generator.normal(size=(2, sides[0] // stride, sides[1] // stride, count)).astype(np.float32)
        for stride, count in CHANNELS.items()
        if first <= stride <= wanted.output_stride
    ]


@pytest.mark.parametrize("decoder", config.decoder_names())
@pytest.mark.parametrize(
    ("stride", "first", "separable"),
    [(8, 2, True), (16, 4, False), pytest.param(32, 2, False, marks=pytest.mark.slow)],
)
def test_logits_have_the_images_size_at_any_stride(decoder: str, stride: int, first: int, separable: bool) -> None:
    """Also of an encoder without features of stride 2, such as ConvNeXt."""
    wanted = tiny(decoder, output_stride=stride, separable=separable)
    model = alone(wanted, first=first)
    for sides in (SIDES, (32, 32)):
        logits = model(features(wanted, first=first, sides=sides))
        assert tuple(logits.shape) == (2, *sides, 5)
        assert keras.backend.standardize_dtype(logits.dtype) == "float32"
        assert np.ptp(keras.ops.convert_to_numpy(logits)) > 0
    kinds = {type(layer).__name__ for layer in model.layers}
    assert bool(kinds & {"SeparableConv2D", "DepthwiseConv2D"}) == separable


@pytest.mark.parametrize("decoder", config.decoder_names())
def test_two_strides_are_enough(decoder: str) -> None:
    """An encoder whose file names no layers to join gives its low and its deep features alone."""
    inputs = {stride: keras.Input((None, None, CHANNELS[stride])) for stride in (4, 32)}
    model = keras.Model(list(inputs.values()), decoders.decode(inputs, tiny(decoder, output_stride=32))[0])
    given = [np.ones((1, 64 // stride, 96 // stride, CHANNELS[stride]), np.float32) for stride in inputs]
    logits = model(given)
    assert tuple(logits.shape) == (1, 64, 96, 5)


@pytest.mark.parametrize("decoder", sorted({*config.decoder_names()} - {"psp", "deeplab"}))
def test_heads_are_as_many_as_a_decoder_has_levels_and_no_more(decoder: str) -> None:
    strides = (2, 4, 8, 16)
    most = decoders.count_heads(decoder, strides)
    outputs = alone(tiny(decoder, heads=most))(features(tiny(decoder)))
    sides = [output.shape[1] for output in outputs]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] == SIDES[0]
    assert len(sides) == most + (decoder == "unet_plus_plus")  # the mean comes first
    assert all(SIDES[0] % side == 0 for side in sides)


@pytest.mark.parametrize(("decoder", "heads"), [("psp", 2), ("deeplab", 2), ("fpn", 4), ("unet_plus_plus", 4)])
def test_more_heads_than_levels_are_refused_before_anything_is_built(decoder: str, heads: int) -> None:
    wanted = tiny(decoder, heads=heads)
    with pytest.raises(ConfigError, match=rf"search.heads: {heads}, with the decoder {decoder}"):
        models.stride(wanted)
    with pytest.raises(ConfigError, match="at most"):
        models.build(wanted)


@pytest.mark.parametrize("decoder", sorted({*config.decoder_names()} - {"psp"}))
def test_fine_features_reach_the_logits(decoder: str) -> None:
    """All but those that the decoder's paper does not use: of stride 2 for FPN, of all but two for DeepLab."""
    wanted = tiny(decoder, dropout=0.0)
    model, given = alone(wanted), features(wanted)
    used = {"fpn": [4, 8, 16], "deeplab": [4, 16]}.get(decoder, [2, 4, 8, 16])
    before = model(given)
    for place, stride in enumerate((2, 4, 8, 16)):
        changed = [value + (index == place) for index, value in enumerate(given)]
        after = model(changed)
        assert (np.abs(keras.ops.convert_to_numpy(after - before)).max() > 1e-6) == (stride in used)


def test_the_unet_decoder_has_the_filters_of_segmentation_models() -> None:
    """Its decoder blocks on MobileNetV2: channels in, skip, out; two 3x3 convolutions without bias, with norm."""
    wanted = ModelConfig(network="composed", classes=1, width=16, encoder="mobilenet_v2", output_stride=32)
    model = models.build(wanted)
    blocks = ((1280, 96, 256), (256, 32, 128), (128, 24, 64), (64, 16, 32), (32, 0, 16))
    by_hand = sum(9 * (below + skip) * out + 9 * out * out + 4 * out for below, skip, out in blocks)
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    inner = model.get_layer(encoders.NAME)
    assert trained - sum(math.prod(weight.shape) for weight in inner.trainable_weights) == by_hand + 16 + 1


@pytest.mark.parametrize("sides", [(12, 18), (7, 5), (3, 6), (1, 4)])
@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_regions_are_averaged_and_enlarged_as_pytorch_and_opencv_do(sides: tuple[int, int], bins: int) -> None:
    """Each side is divided at floor(i * side / bins) and ceil((i + 1) * side / bins)."""
    picture = np.random.default_rng(1).normal(size=(2, *sides, 3)).astype(np.float32)
    edges = [[(i * side // bins, -(-(i + 1) * side // bins)) for i in range(bins)] for side in sides]
    expected = [
        [picture[:, top:bottom, left:right].mean(axis=(1, 2)) for left, right in edges[1]] for top, bottom in edges[0]
    ]
    pooled = keras.ops.convert_to_numpy(psp.RegionMeans(bins)(picture))
    np.testing.assert_allclose(pooled, np.array(expected).transpose(2, 0, 1, 3), atol=1e-6)
    resized = np.stack([cv2.resize(one, sides[::-1], interpolation=cv2.INTER_LINEAR) for one in pooled])
    if min(sides) >= bins:
        np.testing.assert_allclose(psp.EnlargeLike()([pooled, picture]), resized, atol=1e-5)


def test_a_closed_attention_gate_lets_no_skip_through() -> None:
    """Each gate multiplies by a coefficient from 0 to 1 that its score gives."""
    wanted = tiny("attention_unet", dropout=0.0)
    model, given = alone(wanted), features(wanted)
    changed = [*(value + 1 for value in given[:-1]), given[-1]]
    for bias, passes in ((50.0, True), (-50.0, False)):
        for stride in (2, 4, 8):
            kernel, _ = model.get_layer(f"up_{stride}_gate_score").get_weights()
            model.get_layer(f"up_{stride}_gate_score").set_weights([0 * kernel, np.array([bias], np.float32)])
        one, other = model(given), model(changed)
        assert (np.abs(keras.ops.convert_to_numpy(one - other)).max() > 1e-6) == passes


def test_a_composed_unet_plus_plus_is_pruned_to_one_of_its_heads() -> None:
    wanted = tiny("unet_plus_plus", heads=3, dropout=0.0)
    model = models.build(wanted)
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 64, 3), dtype=np.uint8)
    mean, *heads = (keras.ops.convert_to_numpy(output) for output in model(picture))
    np.testing.assert_allclose(mean, np.mean(heads, axis=0), rtol=1e-4, atol=1e-5)
    pruned = [models.prune(model, head=number)(picture) for number in (3, 2, 1)]
    for head, answer in zip(heads, pruned, strict=True):
        np.testing.assert_allclose(answer, head, rtol=1e-4, atol=1e-5)


def test_deeplab_v3_plus_is_the_composition_of_its_name() -> None:
    composed = models.build(tiny("deeplab", separable=True))
    known = models.build(ModelConfig(network="deeplab_v3_plus", classes=5, width=2, encoder="mini_xception"))
    known.set_weights(composed.get_weights())
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(known(picture), composed(picture))
