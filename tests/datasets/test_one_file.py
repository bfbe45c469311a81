"""A dataset is added by one file: everything that must know of it finds it there."""

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from places import PARAMS, ROOT

from segline import config, datasets

pytestmark = pytest.mark.lengthy

# The example of docs/architecture.md, with the two fields that it leaves out.
MORE = """

import re
from dataclasses import replace

import numpy as np

from segline.datasets.base import FileNames


def _draw(seed):
    from segline.datasets.drawing.packing import png, zip_archive

    rng = np.random.default_rng(seed)
    members = []
    for name in ("FudanPed00001", "FudanPed00002", "FudanPed00073", "PennPed00001"):
        mask = rng.integers(0, 3, (20, 30), np.uint8)
        members += [
            (f"PennFudanPed/PNGImages/{name}.png", png(rng.integers(0, 255, (20, 30, 3), np.uint8))),
            (f"PennFudanPed/PedMasks/{name}_mask.png", png(mask)),
        ]
    yield "PennFudanPed.zip", zip_archive(members)


DATASET = replace(
    DATASET, draw=_draw, names=FileNames(image=re.compile(r"(FudanPed|PennPed)[0-9]{5}"), endings=("silhouette",))
)
"""
EXAMPLE = re.compile("segline-[a-z_]+@champion")
"""The name of a registered model, which help and errors give as an example."""
SCRIPT = "from segline.cli import main; main()"


class Added:
    """A copy of the package with one more file, and a project that uses the new dataset."""

    def __init__(self, folder):
        self.root = folder
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/architecture.md").read_text(), flags=re.DOTALL)
        (folder / "src/segline/datasets/penn_fudan.py").write_text(example + MORE)
        params = yaml.safe_load(PARAMS.read_text())
        params |= {
            "datasets": {"penn_fudan": "src/segline/datasets/penn_fudan.py"},
            "dataset": "penn_fudan",
            "source": str(folder / "mirror"),
        }
        params["options"]["penn_fudan"] = {}
        params["promotion"]["floor"]["penn_fudan"] = 0.1
        (folder / "params.yaml").write_text(yaml.safe_dump(params))

    def run(self, *command, fails=False):
        """What a command says, on both streams."""
        answer = subprocess.run(
            [sys.executable, "-c", SCRIPT, *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": str(self.root / "src"), "COLUMNS": "200"},
        )
        said = answer.stdout + answer.stderr
        assert answer.returncode == (1 if fails else 0), said
        return " ".join(said.split())


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    return Added(tmp_path_factory.mktemp("added"))


def test_a_new_file_is_a_dataset_in_params_commands_sample_stages_and_scoring(added):
    added.run("sample", added.root / "mirror")
    assert (added.root / "mirror/penn_fudan/PennFudanPed.zip").is_file()
    for stage in ("download", "extract"):
        added.run("data", stage, "penn_fudan")
    for kind in ("truth", "prediction"):
        (added.root / kind).mkdir()
    for path in (added.root / "data/raw/penn_fudan/PennFudanPed/PedMasks").iterdir():
        shutil.copy(path, added.root / "truth" / path.name)
        shutil.copy(path, added.root / "prediction" / path.name.replace("_mask", "_silhouette"))
    folders = ("--truth", "truth", "--prediction", "prediction")
    added.run("score", "--dataset", "penn_fudan", *folders, "--json", "score.json")
    assert json.loads((added.root / "score.json").read_text())["miou"] == 1.0
    assert "penn_fudan" in added.run("score", "--dataset", "kitti", *folders, fails=True)  # whose images these are
    assert "'penn_fudan'?" in added.run("score", "--dataset", "pen_fudan", *folders, fails=True)
    assert "'penn_fudan'?" in added.run("data", "download", "pen_fudan", fails=True)


def test_a_file_is_a_dataset_if_it_defines_one_and_only_then():
    names = {path.stem for path in (ROOT / "src/segline/datasets").glob("*.py")} - {"__init__"}
    modules = {name: vars(importlib.import_module(f"segline.datasets.{name}")) for name in names}
    defining = {name for name, module in modules.items() if "DATASET" in module or "define" in module}
    assert set(config.dataset_names()) == defining
    assert defining < names  # what datasets share is not taken for one


def test_no_import_contract_lists_datasets():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert not [contract["name"] for contract in contracts if "segline.datasets" in contract.get("containers", ())]


def test_no_other_room_knows_a_public_dataset_by_name():
    name = re.compile(rf"(?<![a-z])(?:{'|'.join(dataset.name for dataset in datasets.public())})(?![a-z])")
    sources = [*(ROOT / "src/segline").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]
    elsewhere = [path for path in sources if "segline/datasets/" not in path.as_posix()]
    naming = {
        f"{path.name}: {words}"
        for path in elsewhere
        for words in [path.stem, *list_words(path)]
        if name.search(EXAMPLE.sub("", words))
    }
    assert naming == set()


def list_words(path):
    """List what a file's code says: the modules that it imports, and its strings but for docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value
