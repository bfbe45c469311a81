"""Images of 10 or 12 bits in files of 16 ask for their range. The docstring of a test says what happened before."""

import cv2
import keras
import numpy as np
import pytest
from drawing import NAMES, draw_ids, samples

from segline.core.labels import label_map
from segline.data.images.decode import read_image
from segline.errors import DataError
from segline.inference import bundle as bundles
from segline.inference.folder import predict_files
from segline.progress import silent

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

COUNT = 12
STAGES = ("download", "extract", "validate", "prepare")
TABLE = "classes:\n" + "".join(f"  - {{id: {place}, name: {name}}}\n" for place, name in enumerate(NAMES))


def grey(picture, bits):
    """16-bit values of `bits`: the grey levels of a picture, and the lower bits that 8 do not have."""
    level = picture.mean(axis=-1)
    return np.clip(level * (2**bits - 1) / 255, 0, 2**bits - 1).astype(np.uint16)


def draw_deep(root, *, bits=12, suffix="png", coloured=False):
    draw_ids(root, image="images/{}.png", count=COUNT)
    for name, picture, _ in samples(COUNT):
        (root / f"images/{name}.png").unlink()
        values = grey(picture, bits)
        values[0, 0] = 2**bits - 1
        cv2.imwrite(str(root / f"images/{name}.{suffix}"), cv2.merge([values] * 3) if coloured else values)
    return root


@pytest.mark.parametrize(
    ("form", "bits"),
    [
        pytest.param({"bits": 12}, "4095 (12 bits): in 8 bits, only 1", id="12 bits"),
        *(
            pytest.param(form, bits, id=name, marks=pytest.mark.slow)
            for name, form, bits in (
                ("10 bits", {"bits": 10}, "1023 (10 bits): in 8 bits, only 4 of 256 grey levels"),
                ("8 bits in 16", {"bits": 8}, "255 (8 bits): in 8 bits, only 1 of 256 grey levels"),
                ("14 bits, TIFF", {"bits": 14, "suffix": "tif"}, "16383 (14 bits)"),
                ("colour", {"bits": 12, "coloured": True}, "4095 (12 bits)"),
            )
        ),
    ],
)
def test_init_asks_for_the_range_of_16_bit_images(project, mine, form, bits):
    """Before: 600 levels became 3, with a note that did not say so; of coloured images, without one."""
    draw_deep(mine, **form)
    said = project.run("init", str(mine), fails=True)
    assert "16-bit values that reach only" in said
    assert bits in said
    assert f"`levels: [0, {2 ** form['bits'] - 1}]` if the camera has {form['bits']} bits" in said


@pytest.mark.slow
def test_a_stated_range_is_used_by_every_stage(project, mine):
    draw_deep(mine)
    project.answer(levels=[0, 4095])
    project.run("init", str(mine))
    assert project.entry()["levels"] == [0, 4095]
    said = project.stages(*STAGES)
    assert "16 bits reduced to 8: 0..4095 became 0..255" in said
    prepared = project.prepared()
    assert prepared.meta["levels"] == [0, 4095]
    split = prepared.split("test")
    assert len(np.unique(split.image(0))) > 64
    scaled = split.rescaled(raw=project.raw, manifest_folder=project.root / "data/manifest/mine", short_side=None)
    assert np.array_equal(scaled.image(0), split.image(0))


@pytest.mark.slow
def test_validate_asks_where_init_was_not_run(project, mine):
    """Before: prepared with success."""
    draw_deep(mine)
    (mine / "classes.yaml").write_text(TABLE)
    project.options(path=str(mine), images="images", masks="masks")
    said = project.stages("download", "extract", "validate", fails=True)
    assert "images hold 16-bit values that reach only" in said
    assert "set `levels` in own/mine.yaml" in said
    assert "image_range_unknown explains its findings" in said


@pytest.mark.parametrize(
    "levels", [[0, 0], *(pytest.param(each, marks=pytest.mark.slow) for each in ([4095, 0], [0], [0, 70000], "12"))]
)
def test_a_range_that_is_none_is_refused(project, mine, levels):
    project.options(path=str(mine), images="images", masks="masks", levels=levels)
    assert "levels" in project.run("data", "download", project.name, fails=True)


def test_values_beyond_the_range_are_named(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[0, 5000]], np.uint16))
    with pytest.raises(DataError) as error:
        read_image(tmp_path / "a.png", levels=(0, 4095))
    assert "16-bit values 0..5000, expected values within the stated levels [0, 4095]" in str(error.value)
    assert "[0, 5000]" in error.value.remedy


@pytest.mark.parametrize(("levels", "expected"), [((0, 65535), 19), ((0, 4095), 255), (None, None)])
def test_the_range_maps_to_the_whole_of_8_bits(tmp_path, levels, expected):
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[0, 4095 if expected != 19 else 5000]], np.uint16))
    if levels is None:
        cv2.imwrite(str(tmp_path / "a.png"), np.array([[0, 65535]], np.uint16))
    assert read_image(tmp_path / "a.png", levels=levels).max() == (expected or 255)


def test_predict_asks_for_the_range_or_takes_that_of_the_training(tmp_path):
    """Before: cut to the upper 8 bits without a word."""
    shape = keras.Input((None, None, 3))
    network = keras.Model(shape, keras.layers.Conv2D(2, 1)(shape))
    labels = label_map([(0, "dark", (0, 0, 0)), (1, "light", (255, 255, 255))])
    kept = bundles.Bundle(
        network=network, dataset="mine", family="unet", labels=labels, short_side=None, stride=1, levels=(0, 4095)
    )
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/a.png"), np.tile(np.arange(0, 4096, 64, dtype=np.uint16), (8, 1)))
    said = []
    with pytest.raises(DataError):
        list(
            predict_files(
                bundles.replace(kept, levels=None), tmp_path / "in", output=tmp_path / "out", report=said.append
            )
        )
    assert "in 8 bits, only 16 of 256 grey levels" in said[0]
    assert "`segline predict` has an option --levels" in said[0]
    assert list(predict_files(kept, tmp_path / "in", output=tmp_path / "out", report=silent))
    bundles.save(kept, tmp_path / "bundle")
    assert bundles.load(tmp_path / "bundle").levels == (0, 4095)
