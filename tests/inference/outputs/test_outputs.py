"""What each output writes."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from segline.cli import main
from segline.core.labels import VOID
from segline.core.metrics.temperature import Fitted, softmax
from segline.core.vision.polygons import Shape, draw
from segline.data.images.decode import decode_mask, read_image, write_png
from segline.inference import bundle as bundles
from segline.inference import outputs
from segline.inference.folder import AREAS, Wanted, predict_files
from segline.inference.outputs import Style
from segline.inference.predict import logits_of, predict


@pytest.fixture
def image(stripes, tmp_path):
    path = tmp_path / "a.png"
    write_png(path, stripes(40, 60)[0])
    return path


@pytest.fixture
def fitted(bundle):
    return replace(bundle, temperature=Fitted(temperature=2.0, split="validation", digest="0"))


@pytest.fixture
def written(image, tmp_path):
    """Writes one output; returns its path."""

    def write(bundle, kind, **options):
        wanted = Wanted(kinds=(kind,), **options)
        list(predict_files(bundle, image, output=tmp_path / "out", report=print, wanted=wanted))
        return tmp_path / "out" / f"a{outputs.load(kind).ending}"

    return write


def test_every_output_says_what_it_is_and_has_an_ending_of_its_own():
    loaded = [outputs.load(name) for name in outputs.names()]
    assert len({kind.ending for kind in loaded}) == len(loaded) >= 10
    assert all(len(kind.says) > 10 for kind in loaded)
    assert set(outputs.DEFAULT) <= set(outputs.names())


def test_train_ids_and_the_palette_hold_the_same_ids(written, bundle, image, stripes):
    expected = predict(bundle, read_image(image))
    with Pillow.open(written(bundle, "palette")) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.array(picture), expected)
        np.testing.assert_array_equal(np.array(picture.convert("RGB")), bundle.labels.colours[expected])


def test_train_ids_are_those_of_the_network(written, bundle, image):
    mask = np.array(Pillow.open(written(bundle, "train_ids")))
    np.testing.assert_array_equal(mask, predict(bundle, read_image(image)))


def test_colours_are_those_of_the_class_table(written, bundle, image):
    drawn = read_image(written(bundle, "colours"))
    np.testing.assert_array_equal(drawn, bundle.labels.colours[predict(bundle, read_image(image))])


def test_a_figure_shows_image_map_and_overlay_beside_each_other(written, bundle, image):
    drawn = read_image(written(bundle, "figure", style=Style(opacity=1.0)))
    width = 480  # 320 pixels high, as 60 by 40
    assert drawn.shape[0] == 320
    np.testing.assert_array_equal(drawn[160, 10], read_image(image)[20, 1])
    colour = bundle.labels.colours[predict(bundle, read_image(image))[20, 1]]
    np.testing.assert_array_equal(drawn[160, width + 6 + 10], colour)
    np.testing.assert_array_equal(drawn[160, 2 * (width + 6) + 10], colour)


def test_probabilities_are_by_the_temperature(written, fitted, image):
    with np.load(written(fitted, "probabilities")) as found:
        assert found["classes"].tolist() == list(fitted.labels.names)
        logits = logits_of(fitted, read_image(image))
        np.testing.assert_allclose(found["probabilities"], softmax(logits, temperature=2.0), atol=1e-3)


def test_confidence_is_the_probability_of_the_predicted_class(written, fitted, image):
    found = np.array(Pillow.open(written(fitted, "confidence")))
    expected = softmax(logits_of(fitted, read_image(image)), temperature=2.0).max(axis=-1)
    assert np.abs(found / 255 - expected).max() <= 0.5 / 255 + 1e-6


def test_pixels_of_low_confidence_stay_void(written, fitted, image):
    probable = softmax(logits_of(fitted, read_image(image)), temperature=2.0).max(axis=-1)
    limit = float(np.median(probable)) + 1e-4
    found = np.array(Pillow.open(written(fitted, "train_ids", abstain=limit)))
    np.testing.assert_array_equal(found == VOID, probable < limit)
    assert 0 < (found == VOID).mean() < 1


def test_void_has_the_datasets_own_id_in_label_maps(written, fitted):
    path = written(fitted, "ids", abstain=0.999)
    assert 0 in np.unique(decode_mask(path.read_bytes(), place=path))  # LABELS: void 0


def test_geojson_outlines_cover_the_mask(written, bundle, image):
    content = json.loads(written(bundle, "geojson").read_text())
    again = np.zeros((40, 60), dtype=np.uint8)
    for feature in content["features"]:
        rings = [np.array(ring[:-1], dtype=float) for ring in feature["geometry"]["coordinates"]]
        assert feature["geometry"]["coordinates"][0][0] == feature["geometry"]["coordinates"][0][-1]
        again += draw(
            [Shape(raw=feature["properties"]["id"], outlines=tuple(rings))], height=40, width=60, background=0
        )
    np.testing.assert_array_equal(again, bundle.labels.decode(predict(bundle, read_image(image))))


def test_coco_areas_and_run_lengths_are_exact(bundle, tmp_path):
    ring = np.full((40, 60, 3), 30, dtype=np.uint8)
    ring[5:35, 5:55] = 130
    ring[15:25, 20:40] = 30  # a hole
    write_png(tmp_path / "a.png", ring)
    wanted = Wanted(kinds=("coco",))
    list(predict_files(bundle, tmp_path / "a.png", output=tmp_path / "out", report=print, wanted=wanted))
    content = json.loads((tmp_path / "out" / "a_coco.json").read_text())
    mask = bundle.labels.decode(predict(bundle, ring))
    assert content["images"] == [{"id": 1, "file_name": "a.png", "height": 40, "width": 60}]
    holes = 0
    for found in content["annotations"]:
        segmentation = found["segmentation"]
        if isinstance(segmentation, dict):
            holes += 1
            shape = Shape(raw=1, runs=tuple(segmentation["counts"]))
        else:
            shape = Shape(raw=1, outlines=tuple(np.array(one, dtype=float).reshape(-1, 2) for one in segmentation))
        area = draw([shape], height=40, width=60, background=0)
        assert int(area.sum()) == found["area"]
        assert set(mask[area == 1]) == {found["category_id"]}
        rows, columns = np.nonzero(area)
        assert found["bbox"] == [
            columns.min(), rows.min(), columns.max() - columns.min() + 1, rows.max() - rows.min() + 1,
        ]  # fmt: skip
    assert holes == 2  # the frame has one, the ring has one


def test_the_table_of_areas_counts_every_pixel(bundle, image, tmp_path):
    wanted = Wanted(areas=True)
    list(predict_files(bundle, image, output=tmp_path / "out", report=print, wanted=wanted))
    (row,) = csv.DictReader((tmp_path / "out" / AREAS).read_text().splitlines())
    counts = np.bincount(predict(bundle, read_image(image)).ravel(), minlength=3)
    assert [int(row[name]) for name in bundle.labels.names] == counts.tolist()
    assert (row["image"], row["height"], row["width"], row["void"]) == ("a.png", "40", "60", "0")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--write", "overlays"], "overlay"),
        (["--threshold", "0.4"], "a model of 3 classes"),
        (["--abstain", "0.7"], "no temperature"),
        (["--abstain", "1.7"], "between 0 and 1"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_work(bundle, image, tmp_path, capsys, options, said):
    bundles.save(bundle, tmp_path / "model")
    asked = ["predict", str(image), "--model", str(tmp_path / "model"), "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stopped:
        main([*asked, *options])
    assert stopped.value.code == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
