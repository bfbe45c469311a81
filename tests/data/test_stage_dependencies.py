"""A stage of dvc.yaml names the code it runs: what it leaves out, a change of would not be noticed.

The code is found from the stage's function in `segline.pipeline.data`, through every import, those inside functions
too. A dataset is loaded by its name, so that only its own file counts as imported.
"""

import ast
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from listed_datasets import listed
from module_imports import ROOT, SOURCE, file_of, imports_of, tree_of

from segline import config

STAGES = {
    name: stage.get("do", stage) for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
OWN = "fields"
DATASETS = [*config.dataset_names(), OWN]

NAMED_BY_NO_STAGE = {
    "config": "which values a stage reads stands under its params",
    "console": "speaks to the person; nothing of it is in an output",
    "errors": "what is said when a stage fails, and then it leaves nothing",
    "formats": "opens what strangers made, and refuses it or gives what is there",
    "masking": "takes secrets out of what is shown",
    "parallel": "who does the work, and when; results are equal on any number of processes",
    "pipeline": "hands a stage its places and options; what is computed lies below",
    "progress": "what it shows is in no output",
    "project": "where things lie, which changes no byte of them",
    "reading": "how much is read of what strangers made: it is refused, or all there",
    "startup": "prepares the interpreter",
    "storage": "writes files whole or not at all",
}


def _first(stage: str) -> set[str]:
    """Modules that the stage's function uses, imported in it or above it."""
    file = file_of("segline.pipeline.data")
    assert file is not None
    (function,) = (node for node in tree_of(file).body if isinstance(node, ast.FunctionDef) and node.name == stage)
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    above = {
        module for node in tree_of(file).body if not isinstance(node, ast.FunctionDef) for module in imports_of(node)
    }
    return {module for name, module in above if name in used} | {module for _, module in imports_of(function)}


def _next(module: str, dataset: str) -> set[str]:
    file = file_of(module)
    assert file is not None
    found = {name for _, name in imports_of(tree_of(file))}
    if module == "segline.datasets":
        found |= {f"segline.datasets.{dataset}"} - {f"segline.datasets.{OWN}"}  # `load`, by name
    if module == f"segline.datasets.{dataset}":
        found -= _drawing(dataset)  # `draw`, which only the module `sample` calls
    if module == "segline.datasets.sample":
        found |= _drawing(dataset)
    parts = module.split(".")
    return found | {".".join(parts[:end]) for end in range(1, len(parts))}


def _drawing(dataset: str) -> set[str]:
    """Modules of `datasets.drawing` that a dataset's file imports to draw itself."""
    file = file_of(f"segline.datasets.{dataset}")
    if file is None:
        return set()  # own data
    return {name for _, name in imports_of(tree_of(file)) if name.startswith("segline.datasets.drawing.")}


def _is_followed(module: str, dataset: str) -> bool:
    if not module.startswith("segline.") or file_of(module) is None or module.split(".")[1] in NAMED_BY_NO_STAGE:
        return False
    return dataset == OWN or not (module.startswith("segline.data.") and module.endswith(".own"))  # another branch


@cache
def _reached(stage: str, dataset: str) -> frozenset[str]:
    reached, waiting = set[str](), _first(stage)
    while waiting:
        module = waiting.pop()
        if module.startswith("segline.pipeline."):
            waiting |= {name for name in _next(module, dataset) if not name.startswith("segline.pipeline")}
        elif module not in reached and _is_followed(module, dataset):
            reached.add(module)
            waiting |= _next(module, dataset) - reached
    return frozenset(reached)


def _templates(modules: frozenset[str]) -> set[Path]:
    """Templates that `modules`, or other templates, name."""
    files = [file_of(module) for module in modules]
    texts = [file.read_text("utf-8") for file in files if file is not None]
    folders = {SOURCE / module.replace(".", "/") / "templates" for module in _template_packages()}
    waiting = {file for folder in folders if folder.is_dir() for file in folder.iterdir() if file.is_file()}
    found: set[Path] = set()
    while named := {file for file in waiting if any(f'"{file.name}"' in text for text in texts)}:
        texts, waiting, found = [file.read_text("utf-8") for file in named], waiting - named, found | named
    return found


@cache
def _template_packages() -> set[str]:
    """Packages from which `segline.pages` is told to take templates: they are strings, and no imports."""
    files = SOURCE.glob("segline/data/**/*.py")
    strings = (node.value for file in files for node in ast.walk(tree_of(file)) if isinstance(node, ast.Constant))
    return {text for text in strings if isinstance(text, str) and text.startswith("segline.") and file_of(text)}


@cache
def _needed(stage: str, dataset: str) -> set[str]:
    modules = _reached(stage, dataset)
    files = {file for module in modules for file in [file_of(module)] if file is not None and not _is_empty(file)}
    return {file.relative_to(ROOT).as_posix() for file in files | _templates(modules)}


def _is_empty(file: Path) -> bool:
    """Whether a package's file says no more than what the package is."""
    return file.name == "__init__.py" and all(isinstance(node, ast.Expr) for node in tree_of(file).body)


def _sources(stage: str, dataset: str) -> list[str]:
    deps = [dep.replace("${item}", config.defining_file(dataset)) for dep in STAGES[stage].get("deps", ())]
    return [dep for dep in deps if dep.startswith("src/")]


def _outs(stage: str, dataset: str) -> list[str]:
    outs = [out if isinstance(out, str) else next(iter(out)) for out in STAGES[stage]["outs"]]
    return [out.replace("${key}", dataset) for out in outs]


def _covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


COMPARED = [name for name, stage in STAGES.items() if not stage.get("always_changed") and "segline" in stage["cmd"]]
"""Stages of ours that run only where something changed."""


def test_every_stage_but_look_is_compared() -> None:
    stages = ["look", "pick", "download", "extract", "validate", "size", "prepare"]
    assert [*STAGES] == ["look", "pick", *COMPARED] == stages


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("stage", COMPARED)
def test_a_stage_names_the_code_it_runs(stage: str, dataset: str) -> None:
    deps = _sources(stage, dataset)
    assert [file for file in sorted(_needed(stage, dataset)) if not any(_covers(dep, file) for dep in deps)] == []


@pytest.mark.parametrize("stage", COMPARED)
def test_no_stage_names_code_that_no_dataset_runs(stage: str) -> None:
    named = [dep for dep in STAGES[stage].get("deps", ()) if dep.startswith("src/")]
    needed = {file for dataset in DATASETS for file in _needed(stage, dataset)}
    assert [dep for dep in named if not any(_covers(dep, file) for file in needed)] == []


@pytest.mark.parametrize("stage", [stage for stage in COMPARED if stage != "size"])
def test_a_stage_names_the_file_that_defines_its_dataset_and_no_other(stage: str) -> None:
    """Before, the options of own data were an entry of params.yaml, and all own data were called `folder`."""
    assert "${item}" in STAGES[stage]["deps"]
    assert not [dep for dep in STAGES[stage]["deps"] if dep.startswith("own")]


@pytest.mark.parametrize("stage", COMPARED)
def test_named_code_is_there(stage: str) -> None:
    for dataset in DATASETS:
        assert [name for name in _sources(stage, dataset) if not (ROOT / name).exists()] == []


def test_lazy_imports_and_templates_are_seen() -> None:
    assert "src/segline/datasets/drawing/pets.py" in _needed("download", "oxford_pets")
    assert "src/segline/data/validate/templates/gallery.html" in _needed("validate", "kitti")
    assert "src/segline/pages/templates/pages.css" in _needed("validate", "kitti")
    assert "src/segline/datasets/own/coco.py" in _needed("extract", OWN)


def test_modules_are_imported_by_name_in_one_place() -> None:
    files = {file for stage in COMPARED for dataset in DATASETS for file in _needed(stage, dataset)}
    dynamic = {file for file in files if "import_module" in (ROOT / file).read_text("utf-8")}
    assert dynamic == {"src/segline/datasets/__init__.py"}


NEW = (
    "datasets/mine.py",
    "core/mine.py",
    "core/metrics/mine.py",
    "core/statistics/mine.py",
    "core/vision/mine.py",
    "pages/mine.py",
    "pages/templates/mine.html",
)


@pytest.mark.parametrize("stage", COMPARED)
def test_a_new_dataset_metric_or_page_runs_nothing_again(stage: str) -> None:
    deps = _sources(stage, "kitti")
    assert [name for name in NEW if any(_covers(dep, f"src/segline/{name}") for dep in deps)] == []


def test_a_new_fingerprint_prepares_nothing_again() -> None:
    deps = STAGES["prepare"]["deps"]
    assert "data/manifest/${key}/manifest.parquet" in deps
    assert "data/manifest/${key}" not in deps
    assert "data/size/${key}.json" in deps  # what the fingerprint says about it, and nothing else of it


@pytest.mark.slow
def test_dvc_sees_nothing_new_in_a_new_dataset_or_metric(tmp_path: Path) -> None:
    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    shutil.copytree(SOURCE, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, tmp_path / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"datasets": listed("kitti"), "own": []}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    dvc("init", "--no-scm")
    for name in ("own/README.md", *_outs("pick", "kitti"), *_outs("size", "kitti")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(name)
    for place in (out for stage in COMPARED if stage != "size" for out in _outs(stage, "kitti")):
        (tmp_path / place).mkdir(parents=True)
        for name in ("SHA256SUMS", "manifest.parquet", "fingerprint.json"):
            (tmp_path / place / name).write_text(place)
    dvc("commit", "--force")  # as if every stage had run
    assert "up to date" in dvc("status")
    for name in NEW:
        (tmp_path / "src/segline" / name).write_text("")
    assert "up to date" in dvc("status")
    with (tmp_path / "src/segline/core/labels.py").open("a") as file:
        file.write("# changed\n")
    said = dvc("status")
    assert [name for name in COMPARED if f"{name}@kitti:" not in said] == ["size"]  # which decodes no mask
