"""EfficientNet-Lite with the weights of its packages answers as the packages' own networks do.

References are in ``lite_features.npz``; tests/helpers/lite_reference.py says how they were made.
"""

from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

import cv2
import keras
import lite_reference
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from segline.models import encoders
from segline.models.weights import catalogue, packages, stored

# Keras 3.15 writes variables in a way that NumPy 2.4 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PALACE, MONASTERY, DAISY = 698, 663, 985  # of ImageNet's 1,000 classes


def _is_installed(name: str) -> bool:
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


@cache
def ported(encoder: str) -> tuple[keras.Model, dict[str, np.ndarray]]:
    published = catalogue.find(encoder)
    if not _is_installed(published.package):
        pytest.skip(f"{published.package} is not installed (extra pretrained)")
    weights, model = packages.read(published), encoders.build(encoder, output_stride=32)
    packages.fill(model, weights)
    return model, weights


def scaled(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) / 127.5 - 1


@pytest.mark.parametrize("encoder", lite_reference.ENCODERS)
def test_features_are_those_of_the_package_and_the_digest_is_pinned(encoder: str) -> None:
    model, _ = ported(encoder)
    found = keras.ops.convert_to_numpy(model(scaled(lite_reference.picture()))[1])
    with np.load(lite_reference.FILE) as reference:
        np.testing.assert_allclose(found[..., :: lite_reference.EVERY], reference[encoder], atol=1e-4)
    assert stored.digest_of(encoders.list_weights(model)) == catalogue.find(encoder).digest


@pytest.mark.slow
@pytest.mark.parametrize("encoder", lite_reference.ENCODERS)
def test_features_are_those_that_pytorch_computes(encoder: str) -> None:
    if not (find_spec("torch") and find_spec("efficientnet_lite_pytorch")):
        pytest.skip("torch and efficientnet-lite-pytorch are not installed")
    model, _ = ported(encoder)
    found = keras.ops.convert_to_numpy(model(scaled(lite_reference.picture()))[1])
    np.testing.assert_allclose(found, lite_reference.features(encoder), atol=1e-4)


@pytest.mark.parametrize(("picture", "expected"), [("china.jpg", {PALACE, MONASTERY}), ("flower.jpg", {DAISY})])
def test_natural_pictures_are_recognised(picture: str, expected: set[int]) -> None:
    """Which shows that colours, scaling and weights go together; the references could share a mistake."""
    model, weights = ported("efficientnet_lite0")
    image = load_sample_image(picture)
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    centre = cv2.resize(image[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA)
    deep = keras.ops.convert_to_numpy(model(scaled(centre[None]))[1])
    logits = deep.mean(axis=(1, 2)) @ weights["_fc.weight"].T + weights["_fc.bias"]
    assert expected <= set(np.argsort(-logits[0])[:5].tolist())
