"""A network, an encoder, a loss, an optimizer and a schedule are each added by one file or one row.

They are added to a copy of the package. Whatever else knew them by name would not know the new ones.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from places import PARAMS, ROOT

pytestmark = pytest.mark.lengthy

NETWORK = '''"""One convolution."""

import keras

from segline.config import ModelConfig
from segline.models import blocks

OPTIONS = frozenset({"batch_norm"})


def build(config: ModelConfig) -> keras.Model:
    """Build the network of `config`."""
    image, tensor = blocks.image_input()
    tensor = blocks.convolution(tensor, config.width, name="only", batch_norm=config.batch_norm)
    return keras.Model(image, blocks.head(tensor, config), name=config.network)


def stride(config: ModelConfig) -> int:
    """Return 1: any side will do."""
    return 1
'''

ENCODER = '''"""Two convolutions."""

from typing import Any

from segline.models import blocks

SKIPS = {4: "low"}


def features(image: Any, output_stride: int) -> tuple[Any, Any]:
    """Compute low features (N, H/4, W/4, 4) and deep features (N, H/s, W/s, 8)."""
    low = blocks.convolution(image, 4, strides=4, name="low")
    return low, blocks.convolution(low, 8, strides=output_stride // 4, name="deep")
'''

LOSS = '''def absolute_error(pixels: Pixels, settings: Loss) -> Any:
    """Average |truth - probability| ** ``absolute_power`` over the labelled pixels and the classes."""
    distance = ops.abs(pixels.truth - ops.exp(pixels.log_probability)) ** settings.absolute_power
    return _mean(pixels.weights * ops.mean(distance, axis=-1), pixels.weights)


'''

ROWS = {
    "losses.py": (
        "TERMS = {\n",
        '"absolute": Term(function=absolute_error, options={"absolute_power": {"default": 2.0, "gt": 0.0}}, floats=9.0),',  # noqa: E501,
    ),
    "optimizers.py": ("OPTIMIZERS = {\n", '"nadam": Kind(keras_class=keras.optimizers.Nadam, moments=3, rate=0.5),'),
    "schedule.py": (" = {\n", '"halved": lambda remaining, _: 0.5 * ops.ones_like(remaining),'),
}

USE = """
import json, sys
from pathlib import Path
import numpy as np
from synthetic import CLASSES, Train, Validation
from recording_tracker import RecordingTracker
from segline import config, models
from segline.config import Loss, ModelConfig, Search, Training
from segline.errors import ConfigError
from segline.registry import lineage
from segline.training import plan
from segline.training.fit.fit import fit
from segline.training.fit.job import Job
from segline.training.fit.memory_estimate import footprint
from segline.training.objective.losses import SegmentationLoss
from segline.training.plan.facts import Facts

params = config.load(Path(sys.argv[1], "params.yaml"))
found = {"file": config.__file__, "params": lineage.flatten(params.resolved()), "refused": {}}
for wrong in ("network", "encoder", "optimizer", "schedule", "loss", "power", "nothing"):
    try:
        config.load(Path(sys.argv[1], f"{wrong}.yaml"))
    except ConfigError as error:
        found["refused"][wrong] = str(error)

training, network = params.training, params.search.networks[0]
wanted = ModelConfig(network=network, classes=CLASSES, width=4)
found["stride"] = models.stride(wanted)
result = fit(
    Job(model_config=wanted, training=training, learning_rate=0.01, epochs=1, seed=1),
    train=Train(), validation=Validation(), tracker=RecordingTracker(),
)
found["layers"] = [layer.name for layer in result.model.layers]
found["rate"] = float(result.history[0]["learning_rate"])
wanted_encoder = ModelConfig(network="deeplab_v3_plus", classes=CLASSES, width=1, encoder=params.search.encoders[0])
begun = models.build(wanted_encoder)
found["encoder"] = [layer.name for layer in begun.get_layer("encoder").layers]

truth = np.array([[[0, 2, 255, 1]]], np.uint8)
logits = np.random.default_rng(0).normal(size=(1, 1, 4, 3)).astype("float32")
probability = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
by_hand = ((np.eye(3)[[0, 2, 1]] - probability[0, 0, [0, 1, 3]]) ** 3).__abs__().mean()
found["loss"], found["by_hand"] = float(SegmentationLoss(training.loss)(truth, logits)), float(by_hand)

base = Training(threads=1)
found["bytes"] = {
    name: footprint(wanted, base.model_copy(update=change)).of_training(crop=(64, 64), batch=2)
    for name, change in {
        "base": {}, "optimizer": {"optimizer": "nadam"}, "loss": {"loss": Loss(absolute=1.0)},
    }.items()
}
facts = Facts(
    dataset="drawn", digest="0", classes=3, samples=40, size=(128, 160), validated=(128, 160), thing=(30, 40),
    shares={"a": 0.6, "b": 0.4}, flips={"left_right": (True, "so"), "up_down": (False, "so")},
)
made = plan.make(
    facts, short_side=128, search=Search(networks=(network,)),
    training=Training(plan="auto", memory=2.0, threads=1, optimizer="nadam", schedule="halved", loss=training.loss),
)
found["plan"] = {line.key: [line.value, line.why] for line in made.lines}
found["plan_bytes"] = dict(made.memory)
print(json.dumps(found))
"""


TRAINING = {"crop": [32, 64], "batch": 2, "steps": 2, "optimizer": "nadam", "schedule": "halved"}
LOSS_SECTION = {"cross_entropy": 0.0, "dice": 0.0, "absolute": 1.0, "absolute_power": 3.0}
WRONG = {
    "network": {"search": {"networks": ["one_convolutio"]}},
    "encoder": {"search": {"encoders": ["two_convolution"]}},
    "optimizer": {"training": {"optimizer": "nada"}},
    "schedule": {"training": {"schedule": "halve"}},
    "loss": {"training": {"loss": {"absolut": 1.0}}},
    "power": {"training": {"loss": {"absolute": 1.0, "absolute_power": 0.0}}},
    "nothing": {"training": {"loss": {"cross_entropy": 0.0, "dice": 0.0}}},
}


def write_params(folder: Path) -> None:
    """Write params.yaml with all that is new, and files with one mistake each."""
    for name, wrong in {"params": {}, **WRONG}.items():
        content = yaml.safe_load(PARAMS.read_text("utf-8"))
        content["training"] |= TRAINING | {"loss": LOSS_SECTION}
        content["search"] |= {"networks": ["one_convolution"], "encoders": ["two_convolutions"]}
        for section, values in wrong.items():
            content[section] |= values
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), "utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, with one more network, encoder, loss, optimizer and schedule."""
    folder = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "segline", folder / "segline", ignore=ignored)
    for room in ("flows", "infra"):
        shutil.copytree(ROOT / room, folder / room, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "segline" / "models" / "one_convolution.py").write_text(NETWORK)
    (folder / "segline" / "models" / "encoders" / "two_convolutions.py").write_text(ENCODER)
    for name, (start, row) in ROWS.items():
        file = folder / "segline" / "training" / "objective" / name
        text = file.read_text("utf-8")
        assert text.count(start) == 1
        text = text.replace(start, f"{start}    {row}\n")
        if name == "losses.py":
            text = text.replace(
                "@dataclass(frozen=True, kw_only=True)\nclass Term",
                f"{LOSS}@dataclass(frozen=True, kw_only=True)\nclass Term",
            )
        file.write_text(text, "utf-8")
    write_params(folder)
    return folder


def environment(copy: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{ROOT / 'tests' / 'helpers'}"}


@pytest.fixture(scope="module")
def found(copy: Path) -> dict:  # type: ignore[type-arg]
    """What the package with the additions says and does."""
    command = [sys.executable, "-W", "error::UserWarning:segline", "-c", USE, str(copy)]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment(copy), cwd=copy, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


def test_params_yaml_accepts_them_and_a_misspelt_name_is_answered_with_theirs(copy: Path, found: dict) -> None:  # type: ignore[type-arg]
    assert found["file"].startswith(str(copy))
    assert found["params"]["training.optimizer"] == "nadam"
    assert (found["params"]["training.loss.absolute"], found["params"]["training.loss.absolute_power"]) == (1.0, 3.0)
    for wrong, name in {
        "network": "one_convolution",
        "encoder": "two_convolutions",
        "optimizer": "nadam",
        "schedule": "halved",
        "loss": "absolute",
    }.items():
        assert name in found["refused"][wrong]
    assert "greater than 0" in found["refused"]["power"]
    assert "at least one term above 0" in found["refused"]["nothing"]


def test_they_are_built_and_trained(found: dict) -> None:  # type: ignore[type-arg]
    assert "only" in found["layers"]
    assert found["stride"] == 1
    assert {"low", "deep"} <= set(found["encoder"])
    assert found["loss"] == pytest.approx(found["by_hand"], rel=1e-5)
    assert found["rate"] == pytest.approx(0.005)


def test_plan_and_memory_know_them(found: dict) -> None:  # type: ignore[type-arg]
    assert found["bytes"]["optimizer"] > found["bytes"]["base"] < found["bytes"]["loss"]
    assert found["plan"]["search.networks"][0] == ["one_convolution"]
    assert found["plan"]["training.optimizer"][0] == "nadam"
    assert found["plan"]["training.schedule"][0] == "halved"
    assert found["plan"]["search.learning_rate"][1].startswith("for Nadam")
    assert found["plan_bytes"]["one_convolution"] > 0


def test_no_import_contract_lists_them(copy: Path) -> None:
    command = [shutil.which("lint-imports") or "lint-imports", "--no-cache"]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment(copy), cwd=copy, check=False)
    assert answer.returncode == 0, answer.stdout
