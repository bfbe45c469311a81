"""Model folders that are not what Segline wrote."""

import json
import shutil
from dataclasses import replace

import keras
import pytest

from segline import models
from segline.config import ModelConfig
from segline.core.labels import label_map
from segline.core.metrics.temperature import Fitted
from segline.errors import DataError
from segline.inference import bundle as bundles
from segline.inference.bundle import Bundle
from segline.project import Files

LABELS = label_map([(1, "road", (200, 0, 0)), (2, "car", (0, 200, 0)), (3, "sky", (0, 0, 200))])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    folder = tmp_path_factory.mktemp("bundle") / "model"
    bundles.save(
        Bundle(network=network, dataset="drawn", family="unet", labels=LABELS, short_side=30, stride=8), folder
    )
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def refused(folder):
    with pytest.raises(DataError) as error:
        bundles.load(folder)
    assert str(folder) in error.value.place
    assert error.value.expected
    assert error.value.remedy
    return error.value.found


def test_what_was_saved_is_read_again(folder):
    found = bundles.load(folder)
    assert (found.dataset, found.labels.digest, found.short_side, found.stride) == ("drawn", LABELS.digest, 30, 8)


def test_a_fitted_temperature_is_kept_with_its_split_and_not_for_another_network(folder, tmp_path):
    """It was fitted anew by every evaluation, and who loaded a bundle had none."""
    plain = bundles.load(folder)
    assert plain.temperature is None
    fitted = Fitted(temperature=1.25, split="validation", digest="d1")
    bundles.save(replace(plain, temperature=fitted), tmp_path / "fitted")
    assert bundles.load(tmp_path / "fitted").temperature == fitted
    config = ModelConfig(network="unet_plus_plus", classes=3, width=2, depth=2, heads=2)
    heads = replace(plain, network=models.deployed(models.build(config)), temperature=fitted)
    assert bundles.pruned(heads, head=1).temperature is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a": 1}', "no 'format'"),
        ('{"format": 3}', "no 'dataset'"),
        ("{", "no description of a network (Expecting property name"),
        ("", "no description of a network (Expecting value"),
        ("[]", "no description of a network"),
        ('"text"', "no description of a network"),
        ('{"format": 99}', "format 99"),
        ('{"format": []}', "no description of a network"),
        ("\udcff", "can't decode byte 0xff"),
    ],
)
def test_a_description_of_something_else_is_refused(folder, content, said):
    (folder / Files.DESCRIPTION).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert said in refused(folder)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"stride": "8"}, "stride is '8'"),
        ({"short_side": 1.5}, "short_side is 1.5"),
        ({"dataset": None}, "dataset is None"),
        ({"threshold": 0.4}, "threshold 0.4 of 3 classes"),
        ({"mirrors": ["sideways"]}, "mirrors.0 is 'sideways', not 'left_right'"),
        ({"classes": [{"name": "road"}]}, "no 'classes.0.raw'"),
        ({"classes": [1]}, "no description of a network"),
        ({"void": None}, "no description of a network"),
        ({"temperature": 1.5}, "temperature is 1.5"),
        ({"temperature": {"value": 0.0, "split": "validation", "digest": "d"}}, "temperature.value is 0.0"),
        ({"temperature": {"value": 1.5}}, "no 'temperature.split'"),
    ],
)
def test_a_description_with_something_wrong_in_it_is_refused(folder, changed, said):
    file = folder / Files.DESCRIPTION
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    assert said in refused(folder)


def test_a_folder_without_its_network_is_refused(folder):
    (folder / Files.NETWORK).unlink()
    assert refused(folder) == "no network.keras"


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"text", lambda data: data[: len(data) // 2]])
def test_a_damaged_network_is_refused(folder, damage):
    file = folder / Files.NETWORK
    file.write_bytes(damage(file.read_bytes()))
    assert "no network that Keras can load" in refused(folder)


def test_what_is_no_model_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    assert refused(tmp_path) == refused(tmp_path / "nowhere") == refused(tmp_path / "file") == "no segline.json"
