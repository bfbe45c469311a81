"""Encoders of Keras Applications have its weights in the right places, and then its features."""

import keras
import numpy as np
import pytest

from segline.errors import SourceError
from segline.models import encoders
from segline.models.weights import applications, catalogue

# Keras 3.15 writes variables in a way that NumPy 2.4 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def drawn(encoder: str) -> keras.Model:
    """Keras's network with weights drawn here: the published ones need a network.

    Fresh normalisations would all be the same, and hide an exchange of two of them.
    """
    model = getattr(keras.applications, catalogue.find(encoder).application)(include_top=False, weights=None)
    generator = np.random.default_rng(5)
    for weight in model.weights:
        if weight.name in {"gamma", "moving_variance"}:
            value = generator.uniform(0.5, 1.5, weight.shape)
        else:
            value = generator.normal(0, 1 / np.sqrt(max(1, np.prod(weight.shape[:-1]))), weight.shape)
        weight.assign(value.astype(np.float32))
    return model


@pytest.mark.parametrize(
    "encoder", ["mobilenet_v2", "efficientnetv2_b0", pytest.param("convnext_tiny", marks=pytest.mark.slow)]
)
def test_features_are_those_of_keras_applications(encoder: str) -> None:
    theirs, ours = drawn(encoder), encoders.build(encoder, output_stride=32)
    applications.copy(theirs, ours)
    assert ours.count_params() == theirs.count_params()
    image = np.random.default_rng(3).integers(0, 256, (1, 64, 96, 3)).astype(np.float32)
    scaled = image / 127.5 - 1
    expected = keras.ops.convert_to_numpy(theirs(scaled if encoder == "mobilenet_v2" else image))
    np.testing.assert_allclose(ours(scaled)[1], expected, atol=1e-5 * np.abs(expected).max())


def test_every_weight_of_xception_has_its_place() -> None:
    """Its features differ, because Keras does not pad its first convolutions. Its shortcuts have no names in Keras."""
    theirs, ours = drawn("xception"), encoders.build("xception", output_stride=32)
    applications.copy(theirs, ours)
    left = {weight.tobytes() for layer in theirs.layers for weight in layer.get_weights()}
    assert left == {weight.tobytes() for layer in ours.layers for weight in layer.get_weights()}
    for name in ("block2_sepconv1", "block14_sepconv2_bn"):
        for one, other in zip(theirs.get_layer(name).weights, ours.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(one, other)


def test_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"counterpart|argument"):
        applications.copy(drawn("mobilenet_v2"), encoders.build("efficientnet_lite0", output_stride=32))


@pytest.mark.slow
def test_dilation_keeps_convnexts_features_at_the_even_positions() -> None:
    whole, dilated = (encoders.build("convnext_tiny", output_stride=stride) for stride in (32, 8))
    dilated.set_weights(whole.get_weights())
    for model in (whole, dilated):  # with the first layer scale, blocks would hardly change their input
        for layer in model.layers:
            if layer.name.endswith("layer_scale"):
                layer.set_weights([np.ones_like(layer.get_weights()[0])])
    image = np.random.default_rng(2).uniform(-1, 1, (1, 64, 96, 3)).astype(np.float32)
    expected, found = (keras.ops.convert_to_numpy(model(image)[1]) for model in (whole, dilated))
    np.testing.assert_allclose(found[:, ::4, ::4], expected, atol=1e-4)


def test_weights_that_cannot_be_fetched_are_named_with_a_way_to_carry_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.applications, "ConvNeXtTiny", refuse)
    with pytest.raises(SourceError, match=r"convnext_tiny.*URL fetch failure[\s\S]*SEGLINE_WEIGHTS"):
        applications.fetch(catalogue.find("convnext_tiny"))
