import shutil
from pathlib import Path

import pytest
import yaml
from places import PARAMS
from recording_tracker import RecordingTracker
from typer.testing import CliRunner

from segline import cli, config
from segline.config import presets
from segline.errors import ConfigError


@pytest.fixture
def params(tmp_path):
    return Path(shutil.copy(PARAMS, tmp_path / "params.yaml"))


def comments(path):
    return [line.split("#", 1)[1].strip() for line in path.read_text(encoding="utf-8").splitlines() if "#" in line]


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_writes_its_keys_and_nothing_else_of_the_file_is_lost(params, name):
    before = config.load(params)
    changes = presets.apply(name, params)
    after = config.load(params)
    wanted = yaml.safe_load((Path(presets.__file__).parent / f"{name}.yaml").read_text(encoding="utf-8"))
    assert after.dataset == wanted["dataset"] in after.datasets
    for section in ("training", "search"):
        model = type(getattr(after, section))
        stated = wanted[section] | ({"threads": before.training.threads} if section == "training" else {})
        assert getattr(after, section) == model.model_validate(stated)  # the rest are defaults
    assert after.training.threads == before.training.threads
    assert after.promotion.floor.keys() == before.promotion.floor.keys()
    assert (after.source, after.datasets, after.seed) == (before.source, before.datasets, before.seed)
    assert comments(params) == comments(PARAMS)
    assert "null" in params.read_text(encoding="utf-8")
    assert changes


@pytest.mark.parametrize("name", presets.names())
def test_a_second_time_changes_nothing(params, name):
    presets.apply(name, params)
    text = params.read_text(encoding="utf-8")
    assert presets.apply(name, params) == []
    assert params.read_text(encoding="utf-8") == text


def test_what_earlier_experiments_left_does_not_stay(params):
    text = params.read_text(encoding="utf-8").replace("clip: null", "clip: 1.0").replace("ema: null", "ema: 0.99")
    params.write_text(text.replace("dice: 1.0}", "dice: 1.0, focal: 2.0}"), encoding="utf-8")
    changes = presets.apply("tutorial_pets", params)
    training = config.load(params).training
    assert (training.clip, training.ema, training.loss.focal) == (None, None, 0.0)
    assert "training.clip: null (was 1.0)" in changes


def test_a_dataset_that_is_not_listed_is_listed(params):
    text = params.read_text(encoding="utf-8").replace("  kitti: src/segline/datasets/kitti.py\n", "")
    params.write_text(text, encoding="utf-8")
    assert "datasets: kitti added" in presets.apply("tutorial_kitti", params)
    assert list(config.load(params).datasets) == ["oxford_pets", "cityscapes", "kitti"]


def test_the_tutorials_figures_are_there(params):
    presets.apply("tutorial_kitti", params)
    kitti = config.load(params)
    assert (kitti.options["kitti"].task, kitti.options["kitti"].split) == ("road", "last_30")
    assert (kitti.training.optimizer, kitti.training.batch, kitti.training.epochs) == ("adam", 16, 100)
    assert kitti.search.learning_rate == (1e-4, 1e-4)
    assert [round(height * 375 / 224) for height in kitti.training.augmentation.heights] == [300, 370]
    presets.apply("tutorial_pets", params)
    pets = config.load(params)
    assert pets.options["oxford_pets"].split == "shuffled_1337"
    assert (pets.training.optimizer, pets.training.batch, pets.training.epochs) == ("rmsprop", 64, 50)
    assert pets.training.crop == (200, 200)
    assert pets.training.over(5913).steps == 93  # the last batch is filled from the next pass, not with zeros


def test_an_unknown_preset_is_answered_with_the_nearest(params):
    text = params.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="'tutorial_pets'"):
        presets.apply("tutorial_pet", params)
    assert params.read_text(encoding="utf-8") == text


def test_a_file_that_is_wrong_already_stays_as_it_is(params):
    params.write_text(params.read_text(encoding="utf-8").replace("batch: 8", "bacth: 8"), encoding="utf-8")
    text = params.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="'batch'"):
        presets.apply("tutorial_pets", params)
    assert params.read_text(encoding="utf-8") == text


def test_the_command_lists_applies_and_says_what_it_did(params, monkeypatch):
    monkeypatch.setenv("SEGLINE_ROOT", str(params.parent))
    runner = CliRunner()
    listed = runner.invoke(cli.app, ["preset"]).output.splitlines()
    assert [line.split()[0] for line in listed] == presets.names()
    assert all(len(line.split()) > 5 for line in listed)
    said = runner.invoke(cli.app, ["preset", "tutorial_pets"]).output
    assert "params.yaml: training.batch: 64 (was 8)" in said
    assert "no change, it is already tutorial_pets" in runner.invoke(cli.app, ["preset", "tutorial_pets"]).output


@pytest.mark.lengthy
# Keras Tuner 1.4.8 asks for the current thread and its name in ways that Python deprecated.
@pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "classes", "count"), [("tutorial_kitti", 2, 34_514_440), ("tutorial_pets", 3, 2_880_643)]
)
def test_the_network_is_the_tutorials(params, monkeypatch, tmp_path, name, classes, count):
    """Through the search, which has nothing left to choose; only the fitting is left out."""
    from segline import models
    from segline.training.fit.fit import FitResult
    from segline.training.search import search as searching

    presets.apply(name, params)
    wanted = config.load(params)
    built = []

    def fit(job, **_):
        built.append((job.model_config, job.learning_rate))
        return FitResult(model=None, best_epoch=1, best_miou=0.5, history=())

    monkeypatch.setattr(searching, "fit", fit)
    choice = searching.search(
        wanted.search, wanted.training, classes=classes, make_batches=lambda strength: (None, None), seed=1,
        tracker=RecordingTracker(), folder=tmp_path / "search",
    )  # fmt: skip
    assert [(choice.model_config, choice.learning_rate)] == built
    assert models.build(choice.model_config).count_params() == count
