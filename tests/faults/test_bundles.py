"""Planted faults of model folders: each is refused by name, before an image is answered and before memory is taken.

Before, all these descriptions but those of other types, and all these networks but the damaged ones, were loaded;
predicting ended in a TypeError, ValueError, IndexError or OpenCV error, or in a mask of nothing (NaN, stride 0: a
ZeroDivisionError). A layer of 1e9 filters asked for 12 GB.
"""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from segline.core.labels import label_map
from segline.errors import DataError
from segline.inference import bundle as bundles
from segline.inference.bundle import Bundle
from segline.inference.predict import predict
from segline.project import Files

LABELS = label_map([(1, "road", (200, 0, 0)), (2, "car", (0, 200, 0)), (3, "sky", (0, 0, 200))])
CLASSES, STRIDE = len(LABELS), 8
ROAD, CAR, SKY = ({"name": item.name, "raw": item.raw, "colour": list(item.colour)} for item in LABELS.classes)


def _image(channels: int | None = 3, sides: tuple[int | None, int | None] = (None, None)) -> keras.KerasTensor:
    return keras.Input((*sides, channels))


def _logits(image: keras.KerasTensor, classes: int = CLASSES, **options) -> keras.KerasTensor:
    return layers.Conv2D(classes, 1, **options)(image)


def _network() -> keras.Model:
    image = _image()
    return keras.Model(image, _logits(layers.Dropout(0.1)(layers.BatchNormalization()(image))))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "model"
    whole = Bundle(network=_network(), dataset="drawn", family="unet", labels=LABELS, short_side=30, stride=STRIDE)
    bundles.save(whole, folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def _refused(folder) -> str:
    with pytest.raises(DataError) as error:
        bundles.load(folder)
    assert error.value.place.startswith(str(folder))
    assert len(str(error.value)) < 1500
    return error.value.found


def _colour(value) -> dict:
    return {"classes": [ROAD, CAR, SKY | {"colour": value}]}


def _name(value) -> dict:
    return {"classes": [ROAD, CAR, SKY | {"name": value}]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"stride": 0}, "stride is 0"),
        ({"stride": -8}, "stride is -8"),
        ({"stride": 10**9}, "stride is 1000000000"),
        ({"stride": 8.0}, "stride is 8.0"),
        ({"stride": True}, "stride is True"),
        ({"short_side": 0}, "short_side is 0"),
        ({"short_side": 10**9}, "short_side is 1000000000"),
        ({"threshold": float("nan")}, "NaN"),
        ({"threshold": 0.5}, "threshold 0.5 of 3 classes"),
        ({"mirrors": ["left_right", "left_right"]}, "hold a flip twice"),
        ({"dataset": "\x1b[2J"}, "dataset is"),
        ({"family": ""}, "family is"),
        (_colour([256, 0, 0]), "classes.2.colour.0 is 256"),
        (_colour([-1, 0, 0]), "classes.2.colour.0 is -1"),
        (_colour([0.5, 0, 0]), "classes.2.colour.0 is 0.5"),
        (_colour([0, 0]), "classes.2.colour.2"),
        (_colour("#804080"), "classes.2.colour is '#804080'"),
        (_name(7), "classes.2.name is 7"),
        (_name(""), "classes.2.name is ''"),
        (_name(" "), "classes.2.name is ' '"),
        (_name("a\nb"), "classes.2.name is"),
        (_name("x" * 10_000), "classes.2.name is"),
        (_name(["sky"]), "classes.2.name is ['sky']"),
        (_name("car"), "two classes 'car'"),
        ({"classes": [ROAD, CAR, SKY | {"raw": 256}]}, "classes.2.raw is 256"),
        ({"classes": [ROAD, CAR, SKY | {"raw": 2}]}, "raw ids must be distinct"),
        ({"classes": []}, "classes is []"),
        ({"classes": [ROAD] * 300}, "classes is"),
        ({"void": [3]}, "raw ids must be distinct"),
        ({"speed": 1}, "an unknown key 'speed'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_description_that_says_something_impossible_is_refused(folder, changed, said):
    file = folder / Files.DESCRIPTION
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    assert said in _refused(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[" * 100_000, "nested too deep"),
        (b'{"format": 3, "format": 3}', "the key 'format' twice"),
        (b'{"format": ' + b"9" * 100_000 + b"}", "4300 digits"),
        (b'{"format": 1e999}', "1e999, which is larger than the largest float64"),
        (b" " * 2_000_000, "2000000 bytes"),
    ],
    ids=["brackets", "a key twice", "a long number", "an infinite number", "megabytes"],
)
def test_a_description_that_is_no_strict_json_is_refused(folder, text, said):
    (folder / Files.DESCRIPTION).write_bytes(text)
    assert said in _refused(folder)


def _two_outputs() -> keras.Model:
    logits = _logits(image := _image())
    return keras.Model(image, [logits, logits + 1.0])


def _named_output() -> keras.Model:
    return keras.Model(image := _image(), {"logits": _logits(image)})


def _two_inputs() -> keras.Model:
    one, other = _image(), _image()
    return keras.Model([one, other], _logits(one + other))


def _vector() -> keras.Model:
    vector = keras.Input((8,))
    return keras.Model(vector, layers.Dense(CLASSES)(vector))


def _one_answer_an_image() -> keras.Model:
    return keras.Model(image := _image(), layers.GlobalAveragePooling2D()(_logits(image)))


def _whole_numbers() -> keras.Model:
    return keras.Model(image := _image(), keras.ops.cast(_logits(image), "int32"))


def _smaller() -> keras.Model:
    return keras.Model(image := _image(), _logits(image, strides=2))


def _stride_16() -> keras.Model:
    image = _image()
    return keras.Model(image, _logits(layers.UpSampling2D(16)(layers.MaxPooling2D(16)(image))))


def _weights(value: float) -> keras.Model:
    network = _network()
    network.set_weights([*network.get_weights()[:-1], np.array([0, value, 0], dtype=np.float32)])
    return network


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (_two_outputs, "2 outputs"),
        (_named_output, "a dict of outputs"),
        (_two_inputs, "2 inputs"),
        (_vector, "inputs of shape (None, 8)"),
        (lambda: keras.Model(image := _image(4), _logits(image)), "inputs of shape (None, None, None, 4)"),
        (lambda: keras.Model(image := _image(1), _logits(image)), "inputs of shape (None, None, None, 1)"),
        (lambda: keras.Model(image := _image(3, (64, 64)), _logits(image)), "inputs of shape (None, 64, 64, 3)"),
        (lambda: keras.Model(image := _image(), _logits(image, 1)), "outputs of shape (None, None, None, 1)"),
        (lambda: keras.Model(image := _image(), _logits(image, 5)), "outputs of shape (None, None, None, 5)"),
        (_one_answer_an_image, "outputs of shape (None, 3)"),
        (_whole_numbers, "outputs of type int32"),
        (_smaller, "outputs of (4, 12) pixels for images of (8, 24)"),
        (_stride_16, "no output for images of (8, 24) pixels"),
        (lambda: _weights(float("nan")), "bias that are NaN or infinite"),
        (lambda: _weights(float("inf")), "bias that are NaN or infinite"),
    ],
    ids=[
        "two outputs",
        "a named output",
        "two inputs",
        "a vector",
        "four channels",
        "one channel",
        "one size alone",
        "too few classes",
        "too many classes",
        "one answer an image",
        "no logits",
        "smaller answers",
        "another stride",
        "NaN",
        "infinite",
    ],
)
def test_a_network_of_another_kind_is_refused(folder, build, said):
    build().save(folder / Files.NETWORK)
    assert said in _refused(folder)


def test_one_channel_for_two_classes_is_refused(folder):
    file = folder / Files.DESCRIPTION
    file.write_text(json.dumps(json.loads(file.read_text()) | {"classes": [ROAD, CAR], "threshold": 0.4}))
    keras.Model(image := _image(), _logits(image, 1, activation="sigmoid")).save(folder / Files.NETWORK)
    assert "outputs of shape (None, None, None, 1)" in _refused(folder)


def _rewritten(folder, *, config=lambda text: text, weights=lambda data: data, packed=zipfile.ZIP_STORED) -> None:
    path = folder / Files.NETWORK
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = config(parts["config.json"])
    parts["model.weights.h5"] = weights(parts["model.weights.h5"])
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (lambda text: text.replace(b'"filters": 3', b'"filters": 1000000000'), "layers of 16000000"),
        (lambda text: text.replace(b'"kernel_size": [1, 1]', b'"kernel_size": [100000, 100000]'), "layers of 36000000"),
        (lambda text: text.replace(b'"class_name": "Conv2D"', b'"class_name": "Conv2X"'), "Conv2X"),
        (lambda text: b"[" * 100_000, "nested too deep"),
        (lambda text: text.replace(b'"groups": 1', b'"groups": ' + b"[" * 900 + b"]" * 900), "no network"),
        (lambda text: b"[]", "not a JSON object"),
        (lambda text: b"{}", "no network"),
        (lambda text: b" " * (1 << 25), "bytes"),
    ],
    ids=["filters", "kernel", "unknown layer", "brackets", "brackets inside", "a list", "nothing", "megabytes"],
)
def test_a_network_that_is_built_otherwise_is_refused(folder, config, said):
    _rewritten(folder, config=config, packed=zipfile.ZIP_DEFLATED)
    assert said in _refused(folder)


@pytest.mark.parametrize(
    "weights", [lambda data: b"", lambda data: b"text", lambda data: b"\0" * (40 << 20)], ids=["none", "text", "a bomb"]
)
def test_weights_that_are_none_are_refused(folder, weights):
    _rewritten(folder, weights=weights, packed=zipfile.ZIP_DEFLATED)
    assert "no network that Keras can load" in _refused(folder)


def test_code_in_a_network_is_not_run(folder):
    keras.Model(image := _image(), _logits(layers.Lambda(lambda tensor: tensor)(image))).save(folder / Files.NETWORK)
    assert "Lambda" in _refused(folder)


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_was_saved_is_loaded_and_answers_after_one_was_refused(folder, tmp_path, packed):
    broken = shutil.copytree(folder, tmp_path / "broken")
    _rewritten(broken, config=lambda text: text.replace(b'"filters": 3', b'"filters": 1000000000'))
    _refused(broken)
    _rewritten(folder, packed=packed)
    loaded = bundles.load(folder)
    with zipfile.ZipFile(folder / Files.NETWORK) as archive:
        assert len(archive.namelist()) == 3
    expected = keras.saving.load_model(folder / Files.NETWORK, compile=False)
    for own, theirs in zip(loaded.network.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(own, theirs)
    assert predict(loaded, np.zeros((37, 53, 3), dtype=np.uint8)).shape == (37, 53)


def test_answers_that_are_no_numbers_make_no_mask(tmp_path):
    """Weights of 3e38 are finite, their sums are not: a mask of nothing was written, with exit 0."""
    network = _network()
    network.set_weights([np.full_like(each, 3e38) for each in network.get_weights()])
    bundle = Bundle(network=network, dataset="drawn", family="unet", labels=LABELS, short_side=None, stride=STRIDE)
    with pytest.raises(DataError, match="logits that are NaN or infinite"):
        predict(bundle, np.full((STRIDE, 2 * STRIDE, 3), 255, np.uint8))
