import json
from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest

from segline import models
from segline.cli import main
from segline.config import ModelConfig
from segline.core.labels import VOID, label_map
from segline.core.metrics.temperature import softmax
from segline.data.images.decode import decode_mask, read_image, write_png
from segline.datasets.kitti import ROAD
from segline.errors import ConfigError, DataError
from segline.inference import bundle as bundles
from segline.inference.bundle import Bundle
from segline.inference.folder import Wanted, predict_files
from segline.inference.outputs import Style
from segline.inference.overlay import colourise, overlay, with_legend
from segline.inference.predict import logits_of, mask_of, predict
from segline.inference.sources import find_images
from segline.project import Files


@pytest.mark.parametrize("size", [(40, 60), (33, 51), (97, 200), (300, 40), (5, 7)])
def test_masks_have_the_images_own_size_and_the_right_classes(bundle, stripes, size):
    image, expected = stripes(*size)
    mask = predict(bundle, image)
    assert mask.shape == size
    assert mask.dtype == np.uint8
    # Scaling blurs the two borders between stripes, and nothing else.
    assert (mask == expected).mean() > 1 - 8 / size[1]


def test_logits_are_brought_to_the_label_and_not_the_other_way_round():
    logits = np.zeros((2, 2, 2), dtype=np.float32)
    logits[:, 1, 1] = 3.0
    logits[:, 0, 1] = -1.0
    mask = mask_of(logits, height=2, width=8, threshold=None)
    # The border lies where the interpolated logits cross 0, a quarter of the way between the two columns' centres.
    assert mask.tolist() == [[0, 0, 0, 1, 1, 1, 1, 1]] * 2


def test_a_bundle_reloads_to_equal_outputs(bundle, stripes, tmp_path):
    bundles.save(bundle, tmp_path / "model")
    again = bundles.load(tmp_path / "model")
    image, _ = stripes(70, 110)
    np.testing.assert_array_equal(predict(again, image), predict(bundle, image))
    assert again.labels == bundle.labels
    assert (again.short_side, again.stride, again.dataset) == (40, 16, "drawn")


@pytest.fixture(scope="module")
def binary():
    """Bright is foreground, the more certain the brighter; the two classes are half as likely each at 0.5."""
    image = keras.Input((None, None, 3))
    grey = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / (3 * 255)))
    head = keras.layers.Conv2D(2, 1)
    network = keras.Model(image, head(grey(image)))
    head.set_weights([np.array([[[[0.0, 8.0]]]]), np.array([4.0, 0.0])])
    return Bundle(
        network=network, dataset="kitti", family="unet", labels=ROAD, short_side=None, stride=1, threshold=0.5
    )


def test_the_threshold_decides_between_two_classes(binary):
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(5, axis=0)
    shares = [float(np.mean(predict(replace(binary, threshold=value), ramp))) for value in (0.1, 0.45, 0.5, 0.9)]
    expected = [1 - (np.log(value / (1 - value)) + 4) / 8 for value in (0.1, 0.45, 0.5, 0.9)]
    np.testing.assert_allclose(shares, expected, atol=1 / 255)
    np.testing.assert_array_equal(predict(binary, ramp), predict(replace(binary, threshold=None), ramp))


def test_a_binary_bundle_keeps_its_threshold_and_its_label_maps_digest(binary, tmp_path):
    bundles.save(replace(binary, threshold=0.3), tmp_path / "model")
    again = bundles.load(tmp_path / "model")
    assert again.threshold == 0.3
    assert again.labels == ROAD
    assert again.labels.digest == ROAD.digest  # merged raw ids are part of it


@pytest.mark.parametrize("other", [1, 2, 4])
def test_a_bundle_of_another_format_is_refused(binary, tmp_path, other):
    bundles.save(replace(binary, mirrors=("left_right",)), tmp_path / "model")
    assert bundles.load(tmp_path / "model").mirrors == ("left_right",)
    path = tmp_path / "model" / Files.DESCRIPTION
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": other}))
    with pytest.raises(DataError, match=f"format {other}, expected format 3"):
        bundles.load(tmp_path / "model")


@pytest.fixture(scope="module")
def lopsided():
    """Answers by what lies to the right and below: another network for a mirror image."""
    image = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(2, 3, padding="same")
    network = keras.Model(image, conv(image))
    kernel = np.random.default_rng(5).normal(size=(3, 3, 3, 2)) / 255
    kernel[:, 0] = kernel[0] = 0
    conv.set_weights([kernel, np.zeros(2)])
    return Bundle(network=network, dataset="drawn", family="unet", labels=ROAD, short_side=None, stride=4)


@pytest.mark.parametrize(
    ("mirrors", "axes"),
    [((), [()]), (("left_right",), [(), (1,)]), (("left_right", "up_down"), [(), (0,), (1,), (0, 1)])],
)
def test_mirror_images_are_answered_and_averaged(lopsided, mirrors, axes):
    image = np.random.default_rng(6).integers(0, 256, (13, 22, 3), dtype=np.uint8)
    answers = [np.flip(logits_of(lopsided, np.flip(image, view)), view).astype(np.float64) for view in axes]
    odds = [np.exp(answer) / np.exp(answer).sum(axis=-1, keepdims=True) for answer in answers]
    found = logits_of(replace(lopsided, mirrors=mirrors), image)
    assert (found.dtype, found.shape) == (np.float32, (13, 22, 2))
    probability = np.exp(found) / np.exp(found).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(probability, np.mean(odds, axis=0), atol=1e-5)
    for view in axes[1:]:  # the answer to a mirror image is the answer's mirror image
        np.testing.assert_allclose(
            logits_of(replace(lopsided, mirrors=mirrors), np.flip(image, view)), np.flip(found, view), atol=1e-5
        )


def test_probabilities_are_those_of_the_one_softmax_to_the_last_bit(lopsided):
    """Averaging was done by a softmax of its own, written as here: the masks of stored models do not change."""
    image = np.random.default_rng(7).integers(0, 256, (21, 34, 3), dtype=np.uint8)
    logits = logits_of(lopsided, image)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    np.testing.assert_array_equal(softmax(logits), exponentials / exponentials.sum(axis=-1, keepdims=True))


def test_certain_answers_stay_finite_and_extreme(lopsided):
    white = np.full((8, 8, 3), 255, np.uint8)
    certain = replace(lopsided, network=keras.Sequential([lopsided.network, keras.layers.Rescaling(1e4)]))
    logits = logits_of(replace(certain, mirrors=("left_right",)), white)
    assert np.isfinite(logits).all()
    assert np.abs(logits[2:-2, 2:-2, 0] - logits[2:-2, 2:-2, 1]).min() > 80


def test_a_threshold_of_three_classes_or_outside_0_to_1_is_refused(bundle, binary):
    with pytest.raises(ValueError, match=r"0\.4 of 3 classes"):
        replace(bundle, threshold=0.4)
    with pytest.raises(ValueError, match="threshold 1 of 2"):
        replace(binary, threshold=1)


def test_what_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(DataError, match="segline-oxford_pets@champion"):
        bundles.load(tmp_path)


def test_files_are_written_in_raw_ids_with_a_legend_beside_the_overlay(bundle, stripes, tmp_path):
    image, expected = stripes(80, 120)
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), image)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    done = list(predict_files(bundle, tmp_path / "in", output=tmp_path / "out", report=print))
    assert [path.name for path in done] == ["a.png"]
    labels = cv2.imread(str(tmp_path / "out" / "a_labels.png"), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (80, 120)
    assert (labels == bundle.labels.decode(expected)).mean() > 0.9
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["a_labels.png", "a_overlay.png"]


def test_an_unreadable_image_is_named_and_the_others_are_done(bundle, stripes, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.png").write_bytes(b"no image at all")
    cv2.imwrite(str(tmp_path / "in" / "good.png"), stripes(40, 50)[0])
    said = []
    with pytest.raises(DataError, match="1 of 2 images"):
        list(predict_files(bundle, tmp_path / "in", output=tmp_path / "out", report=said.append))
    assert "bad.png" in said[0]
    assert (tmp_path / "out" / "good_labels.png").is_file()


def test_a_head_of_a_saved_unet_plus_plus_answers_alone(bundle, stripes, tmp_path):
    with pytest.raises(ConfigError, match="several heads"):
        bundles.pruned(bundle, head=1)
    wanted = ModelConfig(network="unet_plus_plus", classes=3, width=2, depth=2, heads=2)
    network = models.deployed(models.build(wanted))
    bundles.save(replace(bundle, network=network, stride=4), tmp_path)
    whole, image = bundles.load(tmp_path), stripes(40, 52)[0]
    heads = [bundles.pruned(whole, head=number) for number in (1, 2)]
    mean = np.mean([logits_of(head, image) for head in heads], axis=0)
    np.testing.assert_allclose(logits_of(whole, image), mean, rtol=1e-4, atol=1e-5)
    assert heads[0].network.count_params() < heads[1].network.count_params()
    assert predict(heads[0], image).shape == (40, 52)


def test_images_that_would_write_the_same_file_are_refused(bundle, stripes, tmp_path):
    for name in ("a.png", "a.jpg"):
        cv2.imwrite(str(tmp_path / name), stripes(40, 50)[0])
    with pytest.raises(DataError, match=r"a\.jpg has the same stem"):
        list(predict_files(bundle, tmp_path, output=tmp_path / "out", report=print))
    assert not (tmp_path / "out").exists()


def test_a_source_without_images_is_named(tmp_path):
    with pytest.raises(DataError, match="no image in this folder"):
        find_images(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        find_images(tmp_path / "nowhere")


def test_an_overlay_tints_the_classes_and_leaves_void_alone(bundle, stripes):
    image, mask = stripes(30, 60)
    mask[:10] = VOID
    tinted = overlay(image, mask, bundle.labels, opacity=0.5)
    np.testing.assert_array_equal(tinted[:10], image[:10])
    expected = (image[10:].astype(float) + bundle.labels.colours[mask[10:]]) / 2
    assert np.abs(tinted[10:] - expected).max() <= 1
    np.testing.assert_array_equal(overlay(image, mask, bundle.labels, opacity=0.0), image)


def test_an_overlay_tints_only_the_classes_shown(bundle, stripes):
    image, mask = stripes(30, 60)
    mask[:10] = VOID
    tinted = overlay(image, mask, bundle.labels, shown=[1])
    np.testing.assert_array_equal(tinted[mask != 1], image[mask != 1])
    np.testing.assert_array_equal(tinted[mask == 1], overlay(image, mask, bundle.labels)[mask == 1])
    np.testing.assert_array_equal(overlay(image, mask, bundle.labels, shown=[]), image)


def test_ids_beyond_the_colour_table_are_refused(bundle, stripes):
    stray = np.array([[0, 7]], dtype=np.uint8)
    with pytest.raises(ValueError, match="train id 7"):
        colourise(stray, bundle.labels)
    with pytest.raises(ValueError, match="train id 7"):
        overlay(np.zeros((1, 2, 3), np.uint8), stray, bundle.labels)
    image, mask = stripes(30, 60)
    with pytest.raises(ValueError, match="train id 3"):
        overlay(image, mask, bundle.labels, shown=[0, 3])
    with pytest.raises(ValueError, match="train id 3"):
        with_legend(image, [3], bundle.labels)


@pytest.mark.parametrize("opacity", [-0.1, 1.5, float("nan")])
def test_an_opacity_is_within_0_and_1(bundle, stripes, opacity):
    image, mask = stripes(30, 60)
    with pytest.raises(ValueError, match="opacity"):
        overlay(image, mask, bundle.labels, opacity=opacity)


def test_files_are_tinted_as_strongly_as_asked(bundle, stripes, tmp_path):
    image, mask = stripes(40, 60)
    write_png(tmp_path / "a.png", image)
    wanted = Wanted(style=Style(opacity=1.0))
    list(predict_files(bundle, tmp_path / "a.png", output=tmp_path / "out", report=print, wanted=wanted))
    drawn = read_image(tmp_path / "out" / "a_overlay.png")[:40, :60]
    np.testing.assert_array_equal(drawn, bundle.labels.colours[mask])


def test_classes_that_are_not_shown_keep_the_image_and_are_in_no_legend(bundle, stripes, tmp_path):
    image, mask = stripes(40, 60)
    write_png(tmp_path / "a.png", image)
    wanted = Wanted(style=Style(opacity=1.0, shown={1}))
    list(predict_files(bundle, tmp_path / "a.png", output=tmp_path / "out", report=print, wanted=wanted))
    drawn = read_image(tmp_path / "out" / "a_overlay.png")
    expected = np.where((mask == 1)[..., None], bundle.labels.colours[mask], image)
    np.testing.assert_array_equal(drawn[:40, :60], expected)
    np.testing.assert_array_equal(drawn, with_legend(expected, [1], bundle.labels))
    assert set(
        np.unique(decode_mask((tmp_path / "out" / "a_labels.png").read_bytes(), place="a", colours=None))
    ) == set(bundle.labels.decode(np.unique(mask)))


def test_a_command_shows_classes_by_name_and_suggests_the_nearest(bundle, stripes, tmp_path, capsys):
    write_png(tmp_path / "a.png", stripes(40, 60)[0])
    bundles.save(bundle, tmp_path / "model")
    asked = ["predict", str(tmp_path / "a.png"), "--model", str(tmp_path / "model"), "--output", str(tmp_path / "out")]
    name = bundle.labels.names[1]
    with pytest.raises(SystemExit) as stopped:
        main([*asked, "--show", name, "--opacity", "1"])
    assert stopped.value.code == 0
    colours = {tuple(pixel) for pixel in read_image(tmp_path / "out" / "a_overlay.png")[:40, :60].reshape(-1, 3)}
    assert tuple(bundle.labels.colours[1]) in colours
    assert tuple(bundle.labels.colours[2]) not in colours
    with pytest.raises(SystemExit) as stopped:
        main([*asked, "--show", f"{name}x"])
    assert stopped.value.code == 1
    assert name in capsys.readouterr().err


def test_the_legend_is_as_wide_as_the_longest_name_needs(stripes):
    image, long = stripes(100, 60)[0], "W" * 60
    ends = []
    for name in (long, f"{long}W", "short"):
        labels = label_map([(1, "a", (200, 0, 0)), (2, name, (0, 200, 0))])
        picture = with_legend(image, [1], labels)
        assert with_legend(image, [0, 1], labels).shape == with_legend(image, [0], labels).shape  # whatever is listed
        inked = np.flatnonzero((picture[:, 60:] < 128).all(axis=-1).any(axis=0))
        ends.append(int(inked.max()))
        assert 2 <= picture.shape[1] - 60 - ends[-1] <= 14, name  # whole, with a little room
    assert ends[1] > ends[0] > ends[2]


def test_the_legend_shows_the_classes_present_and_no_other(bundle, stripes):
    picture = with_legend(stripes(100, 60)[0], [0, 2], bundle.labels)
    legend = picture[:, 60:].reshape(-1, 3)
    shown = {
        name
        for name, item in zip("012", bundle.labels.classes, strict=True)
        if (legend == item.colour).all(axis=1).any()
    }
    assert shown == {"0", "2"}
