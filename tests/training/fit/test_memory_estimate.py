"""What a fit takes is counted by hand, grows with what it should, and is near what fits really take."""

import subprocess
import sys

import pytest
from places import ROOT

from segline.config import Loss, ModelConfig, Training
from segline.training.fit import memory_estimate
from segline.training.fit.job import Job
from segline.training.fit.memory_estimate import Dilated, footprint

TRAINING = Training(threads=2)
BENCHMARK = ROOT / "benchmarks" / "memory_estimate.py"


def counted(**options: object) -> memory_estimate._Count:
    return memory_estimate._count_network(
        ModelConfig.model_validate({"classes": 3, "dropout": 0.0, **options}), half=False
    )


def test_a_plain_convolution_pyramid_is_counted_by_hand() -> None:
    """Two halvings, 4 and 8 filters, no norm: each layer's input and each rectifier's output, once."""
    found = counted(network="encoder_decoder", width=4, depth=2, batch_norm=False)
    down = 3 + (4 + 4) / 4 + (8 + 8) / 16
    up = 8 / 16 + 8 / 4 + 4 / 4 + 4
    assert found.kept == pytest.approx(4 * (down + up))
    assert found.largest == 4 * 4
    assert found.heads == 1


def test_normalisation_keeps_what_it_was_given_and_separation_what_is_between() -> None:
    plain, normed = (counted(network="unet", width=4, depth=2, batch_norm=norm) for norm in (False, True))
    assert normed.kept > 1.4 * plain.kept
    separable = counted(network="unet", width=4, depth=2, separable=True)
    assert normed.kept < separable.kept < 2 * normed.kept


def test_dropout_keeps_a_byte_an_element_and_heads_their_share_of_the_pixels() -> None:
    still, dropping = (counted(network="xception_unet", width=4, depth=2, dropout=rate) for rate in (0.0, 0.5))
    assert dropping.kept - still.kept == pytest.approx(8 / 16)
    assert counted(network="unet", width=4, depth=2, heads=2).heads == 1.25


def test_layers_inside_an_encoder_are_counted() -> None:
    found = counted(network="deeplab_v3_plus", width=2, encoder="mobilenet_v2")
    assert found.layers > 180
    assert found.weights > 2_000_000 * 4
    assert {layer.dilation for layer in found.dilated} == {2, 6, 12, 18}


def test_a_plain_dilated_convolution_pads_its_input_too() -> None:
    """Before, only depthwise ones did, because there were no others."""
    options = {"network": "composed", "width": 2, "encoder": "mini_xception", "decoder": "deeplab"}
    assert {layer.dilation for layer in counted(**options).dilated} == {6, 12, 18}
    assert counted(**options, separable=True).dilated == counted(**options).dilated


def test_positions_of_a_segnet_and_factors_of_a_gate_are_kept() -> None:
    """Pooling keeps a number for each pixel and channel that it takes, beside the maxima."""
    found = counted(network="segnet", width=4, depth=2, batch_norm=False)
    down = (3 + 4 + 4) + (4 + 4 / 4) + (8 + 8) / 4 + (8 / 4 + 8 / 16)  # input and rectified; positions and maxima
    up = (8 + 8) / 4 + 4 / 4 + (4 + 4)  # unpooled and rectified, twice
    assert found.kept == pytest.approx(4 * (down + up))


def test_a_dilated_layer_pads_its_input_to_whole_phases() -> None:
    layer = Dilated(stride=16, dilation=18, channel_bytes=4)
    assert layer.padded((128, 320)) == 4 * 18 * 36  # 8 -> 18; 20 -> 36
    assert layer.padded((512, 512)) < 64 * layer.padded((64, 64))


def test_memory_grows_with_crop_batch_width_classes_averages_and_sorting() -> None:
    config = ModelConfig(network="unet", classes=3, width=4, depth=2)
    base = footprint(config, TRAINING)
    start = base.of_training(crop=(64, 96), batch=2)
    assert base.of_training(crop=(64, 128), batch=2) > start
    assert base.of_training(crop=(64, 96), batch=3) > start
    assert base.of_validation(size=(64, 96), batch=2) < start
    for other in (
        footprint(config.model_copy(update={"width": 8}), TRAINING),
        footprint(config.model_copy(update={"classes": 19}), TRAINING),
        footprint(config, TRAINING.model_copy(update={"ema": 0.9})),
        footprint(config, TRAINING.model_copy(update={"loss": Loss(lovasz=1.0)})),
    ):
        assert other.of_training(crop=(64, 96), batch=2) > start
    for less in ({"optimizer": "sgd"}, {"precision": "mixed_bfloat16"}):
        assert footprint(config, TRAINING.model_copy(update=less)).of_training(crop=(64, 96), batch=2) < start


def test_an_estimate_builds_no_network_once_the_fit_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ModelConfig(network="unet", classes=3, width=3, depth=2)
    job = Job(model_config=config, training=TRAINING, learning_rate=0.1, epochs=1, seed=1)
    estimate = memory_estimate.by_batch(job)
    monkeypatch.setattr(memory_estimate, "footprint", None)
    assert estimate(2) > estimate(1) > 0


@pytest.mark.parametrize(
    "name",
    [
        "xception_unet, small",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                "unet, 19 classes",
                "unet_plus_plus",
                "encoder_decoder",
                "mobilenet_v2",
                "deeplab_v3_plus, xception",
                "segnet",
                "fcn8s",
                "composed",
            )
        ),
    ],
)
def test_a_real_fit_takes_what_was_estimated_within_a_quarter(name: str) -> None:
    answer = subprocess.run([sys.executable, str(BENCHMARK), name], capture_output=True, text=True, check=True)
    rows = answer.stdout.splitlines()[1:]
    assert rows
    assert all(0.75 <= float(row.rsplit(maxsplit=1)[1]) <= 1.25 for row in rows), answer.stdout
