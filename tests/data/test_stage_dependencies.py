"""A stage of dvc.yaml names the code it runs: what it leaves out, a change of would not be noticed."""

import ast
from pathlib import Path

import pytest
import yaml

from segline import config

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
SAID_BY_NOBODY = {"segline.progress"}  # what it prints is in no output


def _imports(module: str) -> set[str]:
    path = SOURCE / (module.replace(".", "/") + ".py")
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if (SOURCE / (name.replace(".", "/") + ".py")).is_file()}


def _reached(module: str) -> set[str]:
    reached, waiting = set(), {module}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= {found for found in _imports(name) if found.startswith(("segline.core.", "segline.data."))} - reached
    return reached - SAID_BY_NOBODY


def test_validate_names_the_code_it_runs() -> None:
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["validate"]["deps"]
    needed = {f"src/{name.replace('.', '/')}.py" for name in _reached("segline.data.validate.expectations")}
    assert needed <= set(deps)
    assert {"src/segline/data/templates", "src/segline/datasets"} <= set(deps)


@pytest.mark.parametrize("stage", ["download", "extract", "validate", "prepare"])
def test_named_code_is_there(stage: str) -> None:
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["deps"]
    for dataset in config.dataset_names():
        names = [name.replace("${item.dataset}", dataset) for name in deps if name.startswith("src/")]
        assert [name for name in names if not (ROOT / name).exists()] == []


def test_a_new_fingerprint_prepares_nothing_again() -> None:
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["prepare"]["deps"]
    assert "data/manifest/${item.dataset}/manifest.parquet" in deps
    assert "data/manifest/${item.dataset}" not in deps
