"""The registered model outside any checkout: with only its listed packages, and behind `mlflow models serve`."""

import base64
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import cv2
import httpx
import mlflow
import numpy as np
import pytest
from brightness import brightness_bundle, thirds
from logged_model import register
from packaging.requirements import Requirement
from places import REAL
from serving import end, free_port, wait_for

from segline.cli import main
from segline.data.images.decode import decode_mask, read_image

pytestmark = pytest.mark.slow

NAME = "segline-drawn"
CLIENTS, REQUESTS = 20, 10
HEADERS = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def logged(client, settings, tmp_path_factory):
    """The files of a registered model, in a folder of their own."""
    register(client, settings, brightness_bundle(), name=NAME)
    folder = tmp_path_factory.mktemp("logged")
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{NAME}/1", dst_path=str(folder)))


@pytest.fixture(scope="module", params=["drawn", "real"])
def photo(request, tmp_path_factory):
    """A JPEG whose sides are no multiples: one with noise and smooth colours, and one of Oxford-IIIT Pet."""
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    if request.param == "drawn":
        noise = np.random.default_rng(4).normal(0, 25, (97, 146, 3))
        pixels = np.clip(thirds(97, 146)[0] + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])
        return path
    archive = REAL / "oxford_pets" / "images.tar.gz"
    if not archive.is_file():
        pytest.skip("the real photos of ../shared/data are not here")
    with tarfile.open(archive) as opened:
        member = next(each for each in opened if each.name.endswith(".jpg"))
        path.write_bytes(opened.extractfile(member).read())
    return path


@pytest.fixture(scope="module")
def predicted(logged, photo, tmp_path_factory):
    """What `segline predict` writes for the photo."""
    output = tmp_path_factory.mktemp("predicted")
    with pytest.raises(SystemExit) as stopped:
        main(["predict", str(photo), "--model", str(logged / "artifacts" / "bundle"), "--output", str(output)])
    assert stopped.value.code == 0
    labels = decode_mask((output / "photo_labels.png").read_bytes(), place=output)
    assert set(np.unique(labels)) <= {7, 9, 12}
    return labels


def test_it_loads_with_only_the_packages_that_it_lists(logged, photo, predicted, tmp_path):
    """Segline is not among them: the model brings its modules. Before, PyYAML and pydantic came only by chance."""
    packages = link_packages((logged / "requirements.txt").read_text().splitlines(), tmp_path / "packages")
    script = (
        "import json, sys, mlflow, numpy as np\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "ids = model.predict(open(sys.argv[2], 'rb').read())\n"
        "import segline\n"
        "print(json.dumps([segline.__file__, ids.tolist()]))\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(packages), "TF_CPP_MIN_LOG_LEVEL": "3"}
    answer = subprocess.run(
        [sys.executable, "-S", "-c", script, str(logged), str(photo)],
        cwd=tmp_path,
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    place, ids = json.loads(answer.stdout.splitlines()[-1])
    assert Path(place).is_relative_to(logged)
    np.testing.assert_array_equal(ids, predicted)


SHARED_FOLDERS = {"google", "opentelemetry", "mlflow"}
"""Folders that several distributions share: what is in them is linked, not they."""


def link_packages(requirements, folder):
    """Link the required distributions, and those that they require, into `folder`."""
    todo, seen = [Requirement(line) for line in requirements], set()
    while todo:
        wanted = todo.pop()
        if (str(wanted.name).lower(), *wanted.extras) in seen:
            continue
        seen.add((str(wanted.name).lower(), *wanted.extras))
        try:
            found = distribution(wanted.name)
        except PackageNotFoundError:
            continue  # an optional one that is not for this machine
        for file in found.files or ():
            depth = 2 if file.parts[0] in SHARED_FOLDERS else 1
            link(Path(found.locate_file(Path(*file.parts[:depth]))), folder / Path(*file.parts[:depth]))
        others = [Requirement(line) for line in found.requires or ()]
        names = ("", *wanted.extras)
        todo += [each for each in others if not each.marker or any(each.marker.evaluate({"extra": n}) for n in names)]
    return folder


def link(source, target):
    if ".." not in target.parts and not target.exists() and source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)


@pytest.fixture(scope="module")
def address(logged, tmp_path_factory):
    """`mlflow models serve`, in a folder without a checkout, and without Segline on the path."""
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
    kept["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), kept["PATH"]])
    command = ["mlflow", "models", "serve", "--model-uri", str(logged), "--env-manager", "local", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1"],
            cwd=folder, env=kept, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            wait_for(f"http://127.0.0.1:{port}/ping", said=folder / "log", seconds=300)
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            end(process)


def ask(address, content, **options):
    return httpx.post(address, content=json.dumps(content), headers=HEADERS, timeout=120, **options)


def bodies(photo):
    """One photo in each form of MLflow's protocol."""
    pixels, encoded = read_image(photo).tolist(), base64.b64encode(photo.read_bytes()).decode()
    return {
        "array": ({"inputs": pixels}, True),
        "batch": ({"inputs": [pixels]}, False),
        "list": ({"instances": [pixels]}, False),
        "named": ({"inputs": {"images": [pixels]}}, False),
        "base64": ({"inputs": encoded}, True),
        "list of base64": ({"inputs": [encoded]}, False),
        "instances of base64": ({"instances": [{"b64": encoded}]}, False),
        "records": ({"dataframe_records": [{"image": encoded}]}, False),
        "split": ({"dataframe_split": {"columns": ["image"], "data": [[encoded]]}}, False),
    }


def test_every_form_is_answered_as_predict_does(address, photo, predicted):
    """Before: train ids 0..2, and only batches of arrays."""
    for name, (body, single) in bodies(photo).items():
        answer = ask(address, body)
        assert answer.status_code == 200, (name, answer.text[:500])
        masks = answer.json()["predictions"]
        np.testing.assert_array_equal(masks if single else masks[0], predicted, err_msg=name)


def test_a_png_is_the_answer_on_request(address, photo, predicted):
    body = {"inputs": base64.b64encode(photo.read_bytes()).decode(), "params": {"format": "png"}}
    data = base64.b64decode(ask(address, body).json()["predictions"])
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), predicted)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda pixels: (pixels / 255).tolist(), "multiply them by 255"),
        (lambda pixels: pixels.transpose(2, 0, 1).tolist(), "move the channels to the last axis"),
        (lambda pixels: [], "no pixels"),
        (lambda pixels: (pixels.astype(int) * 300).tolist(), "expected whole numbers within 0..255"),
        (lambda pixels: "A" * 5000, "no image"),
        (lambda pixels: {"a": pixels.tolist(), "b": 1}, "2 columns (a, b)"),
    ],
    ids=["floats: became black", "channels first", "empty", "range", "text", "dict"],
)
def test_a_refusal_is_one_line(address, photo, change, said):
    """Before, floats 0..1 became black in silence, and the message of an error held the whole input."""
    answer = ask(address, {"inputs": change(read_image(photo))})
    assert answer.status_code == 400
    told = answer.json()["message"]
    assert said in told
    assert "\n" not in told
    assert len(told) < 400


def test_twenty_clients_at_once_have_no_wrong_answer(address, photo, predicted):
    """Each client sends images of its own, so that a mix of answers would be noticed."""
    image = read_image(photo)
    shifted = [np.roll(image, 7 * number, axis=1) for number in range(CLIENTS)]
    files = [base64.b64encode(cv2.imencode(".png", each[..., ::-1])[1].tobytes()).decode() for each in shifted]
    expected = [ask(address, {"inputs": file}).json()["predictions"] for file in files]
    np.testing.assert_array_equal(expected[0], predicted)
    assert any(expected[0] != other for other in expected[1:])

    def request(number):
        with httpx.Client() as connection:
            answers = [
                connection.post(address, content=json.dumps({"inputs": files[number]}), headers=HEADERS, timeout=300)
                for _ in range(REQUESTS)
            ]
        return [answer.json()["predictions"] == expected[number] for answer in answers]

    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        right = [each for found in clients.map(request, range(CLIENTS)) for each in found]
    seconds = time.perf_counter() - begun
    assert right == [True] * (CLIENTS * REQUESTS)
    assert seconds < 300, "the answers of a small network are not waited for minutes"
