"""The run key follows the content of the code that trains and scores.

Before, it followed the commit: a committed README trained everything again.
"""

import shutil
from pathlib import Path

import pytest
from module_imports import SOURCE, file_of, imports_of, tree_of

import segline
from segline import config
from segline.registry import training_code

CHANGES_NO_RESULT = {
    "config": "which values a training reads is in the key",
    "console": "speaks to the person",
    "data.recorded": "refuses data that are not those of dvc.lock",
    "data.size": "the size it derives is in the key",
    "errors": "what is said when a training fails",
    "evaluation.cost": "measures times and memory, and no score",
    "evaluation.counts_file": "stores counts, and refuses damaged ones",
    "evaluation.report": "pages and pictures of scores",
    "formats": "opens what strangers made, and refuses it or gives what is there",
    "inference.answer": "what `predict` writes about an image",
    "inference.done": "what `predict` has already answered",
    "inference.folder": "answers the images of `predict`",
    "inference.outputs": "files that `predict` writes",
    "inference.overlay": "draws pictures",
    "inference.photos": "reads the images that `predict` answers",
    "inference.sources": "finds the images that `predict` answers",
    "masking": "takes secrets out of what is shown",
    "pages": "pages of scores",
    "parallel": "who does the work, and when; results are equal on any number of processes",
    "pipeline.champion": "which champion is compared, and whether it can be",
    "pipeline.choose_model": "which registered model a name means",
    "pipeline.chosen_weights": "the weights it remembers are in the key",
    "pipeline.plan": "the values that a plan derives are in the key",
    "pipeline.short_side": "the size it derives is in the key",
    "pipeline.weights": "the weights it finds are in the key",
    "progress": "what it shows is in no result",
    "project": "where things lie",
    "reading": "how much is read of what strangers made: it is refused, or all there",
    "registry.evaluations": "keeps files in MLflow",
    "registry.label_maps": "reads which classes a champion has",
    "registry.lineage": "makes the key and the tags",
    "registry.owner": "refuses other data of the same name",
    "registry.run_summary": "shows a finished run",
    "registry.tracking": "logs what others computed",
    "registry.training_code": "makes the key",
    "registry.versions": "keeps models in MLflow",
    "startup": "prepares the interpreter",
    "storage": "writes files whole or not at all",
    "training.devices": "says which GPUs are not used",
    "training.plan": "the values that a plan derives are in the key",
}


def params(dataset="kitti", **search):
    found = config.load(SOURCE.parent / "params.yaml", dataset=dataset)
    return found.model_copy(update={"search": found.search.model_copy(update=search)})


def listed(chosen):
    package = Path(segline.__file__).parent
    return {path.relative_to(package).as_posix() for path in training_code.list_files(chosen, package=package)}


def is_exempt(module):
    name = module.removeprefix("segline.")
    return any(name == exempt or name.startswith(f"{exempt}.") for exempt in CHANGES_NO_RESULT)


def reached_from(*modules):
    reached, waiting = set(), set(modules)
    while waiting:
        module = waiting.pop()
        file = file_of(module)
        if module in reached or file is None or not module.startswith("segline.") or is_exempt(module):
            continue
        reached.add(module)
        waiting |= {name for _, name in imports_of(tree_of(file)) if ".drawing" not in name}
        parts = module.split(".")
        waiting |= {".".join(parts[:end]) for end in range(2, len(parts))}
    return reached


@pytest.mark.parametrize("dataset", ["kitti", "oxford_pets", "cityscapes"])
def test_all_code_of_a_training_is_listed(dataset):
    networks = config.network_names()
    chosen = params(dataset, networks=networks, encoders=config.encoder_names())
    starts = ["segline.pipeline.train", f"segline.datasets.{dataset}", "segline.models.classifier"]
    starts += [f"segline.models.{network}" for network in networks]
    starts += [f"segline.models.encoders.{encoder}" for encoder in config.encoder_names()]
    files = {
        file.relative_to(SOURCE / "segline").as_posix() for name in reached_from(*starts) if (file := file_of(name))
    }
    empty = {
        name for name in files if name.endswith("__init__.py") and len(tree_of(SOURCE / "segline" / name).body) < 2
    }
    assert sorted(files - empty - listed(chosen)) == []


def test_everything_listed_is_there():
    assert [name for name in training_code.CODE if not (SOURCE / "segline" / name).exists()] == []


def test_only_the_chosen_dataset_networks_and_encoders_count():
    found = listed(params(networks=("unet",)))
    assert {"datasets/kitti.py", "models/unet.py"} <= found
    assert not found & {"datasets/camvid.py", "models/xception_unet.py", "models/encoders/mobilenet_v2.py"}
    assert "models/encoders/mobilenet_v2.py" in listed(params(networks=("deeplab_v3_plus",)))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's sources, which a test may change."""
    copy = tmp_path / "segline"
    shutil.copytree(SOURCE / "segline", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(segline, "__file__", str(copy / "__init__.py"))
    return copy


@pytest.mark.parametrize(
    "name",
    [
        "training/objective/losses.py",
        "core/metrics/confusion.py",
        "models/unet.py",
        "datasets/kitti.py",
        "training/fit/new.py",
    ],
)
def test_code_that_trains_or_scores_changes_the_digest(package, name):
    before = training_code.digest(params())
    with (package / name).open("a") as file:
        file.write("\n# changed\n")
    assert training_code.digest(params()) != before


@pytest.mark.parametrize(
    "name",
    [
        "cli/training.py",
        "datasets/new.py",
        "datasets/camvid.py",
        "models/new.py",
        "pages/charts.py",
        "data/download/wanted.py",
    ],
)
def test_other_code_does_not(package, name):
    before = training_code.digest(params())
    with (package / name).open("a") as file:
        file.write("\n# changed\n")
    assert training_code.digest(params()) == before
