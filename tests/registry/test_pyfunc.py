"""The registered model answers as `segline predict`, through MLflow's own loader."""

import base64
import json

import cv2
import mlflow
import numpy as np
import pandas as pd
import pytest
from brightness import brightness_bundle, thirds
from logged_model import register

from segline.inference.predict import predict
from segline.registry import versions

NAME = "segline-drawn"


@pytest.fixture(scope="module")
def bundle():
    return brightness_bundle()


@pytest.fixture(scope="module")
def registered(client, settings, bundle):
    return register(client, settings, bundle, name=NAME)


@pytest.fixture(scope="module")
def model(registered):
    return mlflow.pyfunc.load_model(f"models:/{NAME}/{registered[0].version}")


IMAGE = thirds(31, 47)[0]


@pytest.fixture(scope="module")
def ids(bundle):
    """The data set's own ids: 7, 9 and 12."""
    return bundle.labels.decode(predict(bundle, IMAGE))


def png(image=IMAGE):
    return base64.b64encode(cv2.imencode(".png", image[..., ::-1])[1].tobytes()).decode()


def decoded(text):
    return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_UNCHANGED)


def test_registering_and_loading_ask_for_no_type_hint(client, settings, bundle, recwarn):
    """Before, both printed MLflow's warning "Add type hints to the `predict` method"."""
    version, _ = register(client, settings, bundle, name="segline-unhinted")
    mlflow.pyfunc.load_model(f"models:/segline-unhinted/{version.version}")
    assert [str(said.message) for said in recwarn if "type hint" in str(said.message)] == []


@pytest.mark.parametrize(
    "given",
    [IMAGE, IMAGE.tolist(), IMAGE[..., 0], np.dstack([IMAGE, IMAGE[..., 0]]), png(), {"images": IMAGE}, {"b64": png()}],
    ids=["array", "list", "grey", "RGBA", "base64", "dict", "dict of base64"],
)
def test_one_image_is_answered_with_the_data_sets_own_ids(model, ids, given):
    """Before, the answer was train ids 0..2, a single image was refused, and files could not be sent."""
    found = model.predict(given)
    assert (found.dtype, found.shape) == (np.uint8, (31, 47))
    np.testing.assert_array_equal(found, ids)
    assert set(np.unique(found)) == {7, 9, 12}


@pytest.mark.parametrize(
    "given",
    [
        np.stack([IMAGE, IMAGE[:, ::-1]]),
        [IMAGE, IMAGE[:, ::-1]],
        [png(), png(IMAGE[:, ::-1])],
        pd.DataFrame({"image": [png(), png(IMAGE[:, ::-1])]}),
        pd.Series([png(), png(IMAGE[:, ::-1])]),
    ],
    ids=["array", "list", "base64", "table", "column"],
)
def test_a_batch_is_answered_in_its_order(model, ids, given):
    found = model.predict(given)
    np.testing.assert_array_equal(found, [ids, ids[:, ::-1]])


def test_a_png_is_the_answer_on_request(model, ids):
    np.testing.assert_array_equal(decoded(model.predict(IMAGE, params={"format": "png"})), ids)
    both = model.predict([IMAGE, IMAGE[:20]], params={"format": "png"})
    assert [decoded(each).shape for each in both] == [(31, 47), (20, 47)]


@pytest.mark.parametrize(
    ("given", "params", "said"),
    [
        (IMAGE / 255, None, "multiply them by 255"),
        (np.zeros((0, 4, 4, 3), np.uint8), None, "no pixels"),
        ({"a": IMAGE, "b": IMAGE}, None, "2 columns"),
        ({}, None, "0 columns"),
        (pd.DataFrame({"a": [png()], "b": [png()]}), None, r"2 columns \(a, b\)"),
        (IMAGE, {"format": "jpeg"}, "format 'jpeg', expected one of ids, png"),
    ],
    ids=["range", "empty batch", "dict", "empty dict", "table", "format"],
)
def test_a_refusal_is_one_line_and_not_the_array(model, given, params, said):
    """Before, MLflow's message held the array, and an empty batch ended in an error of NumPy's."""
    with pytest.raises(mlflow.MlflowException, match=said) as caught:
        model.predict(given, params=params)
    assert "\n" not in str(caught.value)
    caught.value.message = (
        f"Failed to predict data '{given}'. \nError: {caught.value.message}"  # as MLflow's server does
    )
    answer = json.loads(caught.value.serialize_as_json())
    assert answer["message"] == str(caught.value)
    assert caught.value.get_http_status_code() == 400


def test_metadata_and_description_tell_classes_channels_and_range(client, model, registered):
    """Before, there was neither."""
    told = model.metadata.metadata["segline"]
    assert told["classes"][1] == {"id": 9, "name": "middle", "colour": [0, 200, 0]}
    assert (told["input"]["channels"], told["input"]["range"]) == ("RGB", [0, 255])
    description = client.get_model_version(NAME, registered[0].version).description
    assert "| 9 | middle | rgb(0, 200, 0) |" in description
    assert "Channel order RGB, range 0..255" in description


def test_a_registration_killed_before_the_description_is_completed(client, settings, registered):
    version, run = registered
    client.update_model_version(NAME, version.version, description="")
    again = versions.register(
        client, run_id=run.info.run_id, name=NAME, bundle=settings.root / NAME / "bundle", tags={}
    )
    assert again.version == version.version
    assert "| 9 | middle |" in client.get_model_version(NAME, version.version).description
