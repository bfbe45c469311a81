from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import PARAMS

from segline import config
from segline.data.images.size_file import read_size, write_size
from segline.data.size.short_side import (
    BASE_GIBIBYTES,
    CLASS_BYTES,
    PIXEL_BYTES,
    SEEN,
    STEP,
    choose_short_side,
    read_fingerprint,
)
from segline.errors import ConfigError, DataError


def fingerprint(*, side: int = 375, thin: float = 20.0, extent: float = 0.5, samples: int = 60) -> dict[str, Any]:
    """A data set of images side x 2 side: a thick and a thin class, and a rare one that is thinner still."""

    def each(thickness: float, presence: float) -> dict[str, Any]:
        return {
            "presence": presence,
            "components": {
                "count": 5,
                "thickness": {"median": thickness},
                "height_share": {"q75": extent},
                "width_share": {"q75": extent},
            },
        }

    classes = {"thick": each(100.0, 1.0), "thin": each(thin, 0.5), "rare": each(1.0, 0.01)}
    sizes = {"height": {"median": side}, "width": {"median": 2 * side}, "aspect": {"median": 2.0}}
    train = {"samples": samples, "sizes": sizes, "classes": classes}
    return {"dataset": "drawn", "classes": list(classes), "splits": {"train": train}}


def test_the_thinnest_class_that_is_not_rare_keeps_its_pixels() -> None:
    chosen = choose_short_side(fingerprint(), memory=8.0)
    assert chosen.pixels == 128  # the first multiple of 32 at which 20 of 375 pixels become 6
    assert 20 * chosen.pixels / 375 >= SEEN > 20 * (chosen.pixels - STEP) / 375
    assert "thin, the thinnest class, is 6.8 pixels thick" in chosen.why
    assert "160 would show thin 8.5 pixels thick" in chosen.larger


def test_memory_limits_it_and_says_what_was_wanted() -> None:
    wanted = choose_short_side(fingerprint(side=1024, thin=8.0), memory=64.0)
    chosen = choose_short_side(fingerprint(side=1024, thin=8.0), memory=2.0)
    assert chosen.pixels < wanted.pixels == 768
    assert "it would need 768" in chosen.why
    assert "2 GiB (training.memory)" in chosen.why


def test_images_are_never_scaled_up() -> None:
    chosen = choose_short_side(fingerprint(side=100, thin=2.0), memory=64.0)
    assert chosen.pixels == 96
    assert "no more pixels (100)" in chosen.why
    assert chosen.larger == ""


@pytest.mark.parametrize("memory", [0.1, 1.0, 2.0, 4.0, 8.0, 32.0])
def test_more_memory_never_gives_a_smaller_size(memory: float) -> None:
    at = [choose_short_side(fingerprint(side=2048, thin=3.0), memory=more) for more in (memory, 2 * memory)]
    assert at[0].pixels <= at[1].pixels
    assert all(one.pixels % STEP == 0 for one in at)


def test_small_objects_need_less_memory_than_large_ones() -> None:
    small, large = (
        choose_short_side(fingerprint(side=2048, thin=3.0, extent=extent), memory=2.0) for extent in (0.1, 0.5)
    )
    assert small.pixels > large.pixels


def test_nothing_labelled_keeps_the_smallest_size() -> None:
    content = fingerprint()
    for each in content["splits"]["train"]["classes"].values():
        each["components"] = {"count": 0, "thickness": None}
    assert choose_short_side(content, memory=4.0).pixels == STEP


def test_an_empty_training_split_is_told() -> None:
    with pytest.raises(DataError, match="empty training split"):
        choose_short_side(fingerprint(samples=0), memory=4.0)


def test_a_missing_fingerprint_names_the_stage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dvc repro validate@drawn"):
        read_fingerprint(tmp_path, "drawn")


def test_equal_sizes_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_size(tmp_path / name, 128)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes() == b'{"short_side": 128}\n'
    assert read_size(tmp_path / "first") == 128


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"short_side": "128"}', '{"short_side": 0}', None])
def test_a_damaged_or_missing_size_is_told(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "drawn.json").write_text(text)
    with pytest.raises(DataError, match="size@drawn"):
        read_size(tmp_path / "drawn.json")


def test_a_given_crop_that_the_derived_size_cannot_hold_stops(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.read_text().replace("short_side: 128", "short_side: auto"))
    params = config.load(path)
    assert params.scaled(160).prepare.pixels == 160
    with pytest.raises(ConfigError, match=r"`prepare.short_side: auto` gives 96"):
        params.scaled(96)
    with pytest.raises(ValueError, match="not derived yet"):
        _ = params.prepare.pixels


@pytest.mark.parametrize("classes", [3, 19])
def test_the_memory_of_a_crop_is_that_of_the_default_network(classes: int) -> None:
    """`data` cannot ask `training`, which stands above it, so that the figures are written down there."""
    from segline.training.fit.memory_estimate import footprint

    params = config.load(PARAMS)
    network = config.ModelConfig(network="unet", classes=classes, width=12, depth=4)
    estimate = footprint(network, params.training)
    for crop in ((128, 256), (256, 512), (512, 1024)):
        known = BASE_GIBIBYTES * 2**30 + 2 * np.prod(crop) * (PIXEL_BYTES + CLASS_BYTES * classes)
        assert known == pytest.approx(estimate.of_training(crop=crop, batch=2), rel=0.25)
