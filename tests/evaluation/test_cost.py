"""Multiply-adds by hand and by the papers, and times that name their machine."""

import keras
import numpy as np
import pytest
from drawn_split import bundle
from keras import layers

from segline import models
from segline.config import ModelConfig
from segline.evaluation import cost
from segline.models import blocks


def counted(*chain, channels=3):
    """Of layers one after the other on 20 x 30 pixels."""
    image = keras.Input((None, None, channels))
    tensor = image
    for layer in chain:
        tensor = layer(tensor)
    return cost.multiply_adds(keras.Model(image, tensor), height=20, width=30)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(8, 3, padding="same"), 20 * 30 * 8 * 9 * 3),
        (layers.Conv2D(8, (3, 5), padding="valid"), 18 * 26 * 8 * 15 * 3),
        (layers.Conv2D(8, 3, strides=2, padding="same"), 10 * 15 * 8 * 9 * 3),
        (layers.Conv2D(6, 3, groups=3, padding="same"), 20 * 30 * 6 * 9),
        (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), 20 * 30 * 6 * 9),
        (layers.SeparableConv2D(8, 3, padding="same"), 20 * 30 * (3 * 9 + 3 * 8)),
        (layers.Conv2DTranspose(8, 3, strides=2, padding="same"), 20 * 30 * 3 * 9 * 8),
        (layers.Dense(5), 20 * 30 * 3 * 5),
        (blocks.DepthwiseConv2D(3, padding="same", dilation=4), 20 * 30 * 3 * 9),
        (layers.BatchNormalization(), 0),
        (blocks.Enlarge(2), 0),
    ],
)
def test_layers_cost_what_a_hand_counts(layer, expected):
    assert counted(layer) == expected


def test_mobilenet_v2_costs_what_its_paper_says():
    network = keras.applications.MobileNetV2(weights=None)
    assert cost.multiply_adds(network, height=224, width=224) == pytest.approx(300e6, rel=0.005)


def test_a_network_inside_a_network_counts_and_the_counted_one_stays_as_it_was():
    config = ModelConfig(network="deeplab_v3_plus", classes=3, width=1, encoder="mobilenet_v2", output_stride=16)
    network = models.build(config)
    nested = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    assert nested
    whole = cost.multiply_adds(network, height=64, width=96)
    encoder = cost.multiply_adds(nested[0], height=64, width=96)
    assert 0 < encoder < whole
    assert cost.multiply_adds(network, height=128, width=96) > 1.9 * whole
    network.layers[1].output  # noqa: B018 (raises where a layer was called a second time)


def test_measured_are_calls_after_the_warm_up_on_a_named_machine(tmp_path):
    from dataclasses import replace

    (tmp_path / "network.keras").write_bytes(b"12345")
    image, network = np.zeros((30, 45, 3), np.uint8), replace(bundle(), mirrors=("left_right",))
    found = cost.measure(
        network, image, size=(60, 90), file=tmp_path / "network.keras", batch=4, threads=2, seconds=0.05
    )
    assert (found.input_size, found.image_size, found.views, found.file_bytes) == ((32, 48), (60, 90), 2, 5)
    assert found.parameters == 3 + 4 + 4
    assert found.multiply_adds == 2 * 32 * 48 * (3 + 4)
    for latency in (found.single, found.batched, found.whole):
        assert 0 < latency.median <= latency.p95
        assert latency.calls >= 5
    assert found.frames_per_second == pytest.approx(1000 / found.whole.median)
    assert found.real_time == (found.whole.median <= 40)
    assert found.peak_bytes > 50 * 2**20  # Keras alone takes more
    machine = found.machine
    assert machine.processor
    assert machine.cores >= 1
    assert machine.threads == 2
    assert machine.versions["keras"] == keras.__version__
    assert machine.devices
