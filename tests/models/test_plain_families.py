"""What is particular to SegNet and FCN-8s: positions of maxima, and up-sampling that begins bilinear."""

import keras
import numpy as np
import pytest

from segline import models
from segline.config import ModelConfig
from segline.models import blocks, fcn8s, segnet

# Keras 3.15 writes variables in a way that NumPy 2.4 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_maxima_return_to_where_they_were() -> None:
    """Equal values count once: as in the paper, each 2x2 pixels have one position."""
    pixels = np.random.default_rng(0).integers(0, 5, (2, 4, 6, 3)).astype(np.float32) + 1
    pooled, positions = segnet.PoolWithPositions()(pixels)
    np.testing.assert_array_equal(pooled, keras.layers.MaxPooling2D(2)(pixels))
    back = keras.ops.convert_to_numpy(segnet.Unpool()([pooled, positions]))
    np.testing.assert_array_equal(keras.layers.MaxPooling2D(2)(back), pooled)
    assert (back > 0).sum() == keras.ops.size(pooled)
    assert ((back == pixels) | (back == 0)).all()


def test_a_segnet_sees_positions_that_pooling_alone_would_lose() -> None:
    """A pixel moved inside its 2x2 pixels changes where the features are put back."""
    pixels = np.zeros((1, 2, 2, 1), np.float32)
    answers = []
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        moved = pixels.copy()
        moved[0, row, column, 0] = 1
        answers.append(keras.ops.convert_to_numpy(segnet.Unpool()(list(segnet.PoolWithPositions()(moved)))))
        np.testing.assert_array_equal(answers[-1], moved)


def test_fcn8s_begins_with_bilinear_up_sampling() -> None:
    layer = keras.layers.Conv2DTranspose(
        3, 4, strides=2, padding="same", use_bias=False, kernel_initializer=fcn8s.Bilinear()
    )
    scores = np.random.default_rng(0).normal(size=(1, 5, 7, 3)).astype(np.float32)
    inner = (slice(None), slice(1, -1), slice(1, -1))  # at the edge it sees zeros
    np.testing.assert_allclose(layer(scores)[inner], blocks.Enlarge(2)(scores)[inner], atol=1e-6)


def test_fcn8s_adds_the_scores_of_three_strides() -> None:
    model = models.build(ModelConfig(network="fcn8s", classes=5, width=2, dropout=0.0))
    names = [layer.name for layer in model.layers]
    assert {"score", "score_4", "score_3"} <= set(names)
    assert models.stride(ModelConfig(network="fcn8s", classes=5)) == 32
