"""The Python API: the same answers as `segline predict`."""

import subprocess
import sys

import numpy as np
import pytest
from brightness import brightness_bundle, thirds

import segline
from segline.data.images.decode import read_image, write_png
from segline.errors import DataError, SeglineError
from segline.inference import bundle as bundles
from segline.inference.folder import Wanted, predict_files
from segline.inference.outputs import Style


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    bundles.save(brightness_bundle(), folder)
    return folder


def test_it_answers_as_the_command_does(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no project is near
    model, image = segline.load(str(folder)), thirds(50, 70)[0]
    write_png(tmp_path / "a.png", image)
    wanted = Wanted(style=Style(opacity=0.3))
    list(predict_files(model.bundle, tmp_path / "a.png", output=tmp_path / "out", report=print, wanted=wanted))
    written = np.asarray(read_image(tmp_path / "out" / "a_labels.png"))[..., 0]
    for given in (image, tmp_path / "a.png", str(tmp_path / "a.png"), np.dstack([image, image[..., 0]])):
        np.testing.assert_array_equal(model.predict(given), written)
    np.testing.assert_array_equal(model.predict(image[..., 0]), model.predict(np.repeat(image[..., :1], 3, axis=2)))
    drawn = read_image(tmp_path / "out" / "a_overlay.png")
    np.testing.assert_array_equal(model.overlay(image, opacity=0.3, legend=True), drawn)
    assert model.overlay(image).shape == image.shape
    probabilities = model.probabilities(image)
    assert probabilities.shape == (50, 70, 3)
    np.testing.assert_allclose(probabilities.max(axis=-1), model.confidence(image))


@pytest.mark.parametrize(
    "given",
    [
        np.zeros((0, 5, 3), np.uint8),
        np.full((4, 5, 3), 0.5),
        np.zeros((2, 4, 5, 3), np.uint8),
        np.zeros((3, 4, 5, 3, 1)),
    ],
)
def test_what_is_no_image_is_refused(folder, given):
    with pytest.raises(DataError):
        segline.load(folder).predict(given)


def test_a_model_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("SEGLINE_ROOT", raising=False)
    with pytest.raises(SeglineError, match="remedy"):
        segline.load("segline-kitti@champion")


def test_importing_segline_imports_nothing_heavy():
    asked = "import sys, segline; print(sorted(sys.modules.keys() & {'numpy', 'keras', 'mlflow', 'cv2'}))"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "[]\n"
