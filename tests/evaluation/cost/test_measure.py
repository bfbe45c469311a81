"""Multiply-adds by hand and by the papers, and times and memory of calls whose times and memory are known."""

import json
import time
from dataclasses import replace
from itertools import groupby

import keras
import numpy as np
import pytest
from drawn_split import bundle
from keras import layers

from segline import models
from segline.config import ModelConfig
from segline.evaluation.cost import measure
from segline.models import blocks


def counted(*chain, channels=3):
    """Of layers one after the other on 20 x 30 pixels."""
    image = keras.Input((None, None, channels))
    tensor = image
    for layer in chain:
        tensor = layer(tensor)
    return measure.multiply_adds(keras.Model(image, tensor), height=20, width=30)


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
    assert measure.multiply_adds(network, height=224, width=224) == pytest.approx(300e6, rel=0.005)


def test_a_network_inside_a_network_counts_and_the_counted_one_stays_as_it_was():
    config = ModelConfig(network="deeplab_v3_plus", classes=3, width=1, encoder="mobilenet_v2", output_stride=16)
    network = models.build(config)
    nested = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    assert nested
    whole = measure.multiply_adds(network, height=64, width=96)
    encoder = measure.multiply_adds(nested[0], height=64, width=96)
    assert 0 < encoder < whole
    assert measure.multiply_adds(network, height=128, width=96) > 1.9 * whole
    network.layers[1].output  # noqa: B018 (raises where a layer was called a second time)


class Clock:
    """Calls that last what they are told to, one after the other and then as the last one, by a clock of their own."""

    def __init__(self, *seconds):
        self.seconds, self.now, self.calls = list(seconds), 0.0, 0

    def __call__(self):
        self.now += self.seconds[min(self.calls, len(self.seconds) - 1)]
        self.calls += 1

    def timed(self, seconds):
        return measure.time_calls(self, seconds=seconds, clock=lambda: self.now)


def test_slow_first_calls_are_called_but_not_counted():
    clock = Clock(50.0, 7.0, 7.0, 0.25)
    found = clock.timed(6.0)
    assert (found.calls, found.median, found.p95, clock.calls) == (24, 250.0, 250.0, 24 + 3)


def test_the_95th_percentile_is_near_the_slowest_call_and_the_median_in_the_middle():
    lasting = [0.001 * number for number in (*range(2, 42, 2), 1000)]  # 2, 4 .. 40 and 1000 ms, 1.42 s in all
    found = Clock(9.0, 9.0, 9.0, *lasting).timed(1.41)
    assert found.calls == 21
    assert found.median == pytest.approx(22.0)
    assert found.p95 == pytest.approx(40.0)
    assert found.per_second == pytest.approx(1000 / 22)


@pytest.mark.parametrize(("calls", "known"), [(19, False), (20, True)])
def test_fewer_than_20_calls_have_no_95th_percentile(calls, known):
    found = Clock(0.5).timed(calls * 0.5)
    assert found.calls == calls
    assert (found.p95 is not None) == known


@pytest.mark.parametrize(("lasting", "calls"), [(10.0, 5), (0.001, 200)])
def test_slow_calls_are_timed_five_times_and_fast_ones_no_more_than_200_times(lasting, calls):
    assert Clock(lasting).timed(2.0).calls == calls


SINGLE, BATCHED, WHOLE = (2, 32, 48, 3), (5, 32, 48, 3), (2, 40, 64, 3)
SLEPT = {SINGLE: 0.02, BATCHED: 0.06, WHOLE: 0.04}  # seconds that a call sleeps besides


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What is measured of a network that sleeps, and whose batches take 200 MB; and the shapes that it was given.

    The image to answer whole is scaled to another size than the one that the network alone is given, so that
    a shape tells which of the three calls it is from.
    """
    file = tmp_path_factory.mktemp("cost") / "network.keras"
    file.write_bytes(b"12345")
    network, seen = replace(bundle(), mirrors=("left_right",), short_side=40), []
    predict = network.network.predict_on_batch

    def slow(images):
        seen.append(images.shape)
        hold = np.ones(200_000_000 if images.shape == BATCHED else 1, np.uint8)
        time.sleep(SLEPT[images.shape])
        assert hold[-1] == 1
        return predict(images)

    network.network.predict_on_batch = slow
    image = np.zeros((30, 45, 3), np.uint8)
    return measure.measure(network, image, size=(60, 90), file=file, batch=5, threads=2, seconds=0.05), seen


def test_what_is_measured_is_told_with_its_sizes_on_a_named_machine(measured):
    found, _ = measured
    assert (found.input_size, found.image_size, found.views, found.file_bytes) == ((32, 48), (60, 90), 2, 5)
    assert found.parameters == 3 + 4 + 4
    assert found.multiply_adds == 2 * 32 * 48 * (3 + 4)
    assert found.frames_per_second == pytest.approx(1000 / found.whole.median)
    assert found.real_time == (found.whole.median <= 40)
    assert found.machine.threads == 2
    assert found.load.used <= 2


def test_each_time_is_of_its_own_calls_after_three_that_are_not_counted(measured):
    found, seen = measured
    runs = [(shape, len(list(calls))) for shape, calls in groupby(seen)]
    assert [shape for shape, _ in runs] == [SINGLE, BATCHED, WHOLE, BATCHED]
    assert [count for _, count in runs[:2]] == [found.single.calls + 3, found.batched.calls + 3]
    assert runs[2][1] > found.whole.calls + 3  # its memory is watched besides
    for latency, shape in ((found.single, SINGLE), (found.batched, BATCHED), (found.whole, WHOLE)):
        assert latency.calls >= 5
        assert latency.median >= 1000 * SLEPT[shape]
        assert latency.p95 is None  # nobody sleeps 20 times in 0.05 s


def test_the_memory_of_a_batch_is_what_it_takes_and_not_the_single_images(measured):
    found, _ = measured
    assert 195e6 < found.batched_memory.added_bytes < 300e6
    assert found.whole_memory.added_bytes < 100e6


def test_its_json_has_what_follows_from_the_figures_too(measured):
    found, _ = measured
    content = json.loads(json.dumps(measure.summarise_cost(found), allow_nan=False))
    assert content["frames_per_second"] == found.frames_per_second
    assert content["load"]["disturbed"] == found.load.disturbed
    assert content["load"]["cores"] == found.load.cores
    for key in ("whole_memory", "batched_memory"):
        memory = content[key]
        assert memory["added_bytes"] == memory["resident_peak_bytes"] - memory["resident_before_bytes"] >= 0
    assert content["whole"] == {"median": found.whole.median, "p95": None, "calls": found.whole.calls}
