"""SIGKILL, then the same command again: the same weights and the same choice, bit for bit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import HELPERS, ROOT

SPEED = "images_per_second"


def start(*parts: str) -> int:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(HELPERS)])}
    command = [sys.executable, str(HELPERS / "killable.py"), *parts]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, -signal.SIGKILL):
        pytest.fail(done.stderr)
    assert not done.stdout
    return done.returncode


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What was killed and what was not. Three processes, because TensorFlow's import costs most.

    The fit dies after its third epoch, the search in its second trial. The undisturbed ones run last,
    after another search: what a process did before must not matter either.
    """
    killed, undisturbed = tmp_path_factory.mktemp("killed"), tmp_path_factory.mktemp("undisturbed")
    assert start(f"fit!={killed}") == -signal.SIGKILL
    assert start(f"fit={killed}", f"search!={killed}") == -signal.SIGKILL
    assert start(f"search={killed}", f"fit={undisturbed}", f"search={undisturbed}") == 0
    return undisturbed, killed


@pytest.fixture(scope="module")
def undisturbed(folders: tuple[Path, Path]) -> Path:
    return folders[0]


@pytest.fixture(scope="module")
def killed(folders: tuple[Path, Path]) -> Path:
    return folders[1]


def content(folder: Path, part: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / f"{part}.json").read_text())
    return loaded


def without_speed(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name != SPEED}


def test_a_killed_fit_ends_with_the_weights_of_an_undisturbed_one(undisturbed: Path, killed: Path) -> None:
    with np.load(undisturbed / "fit-weights.npz") as expected, np.load(killed / "fit-weights.npz") as found:
        assert expected.files == found.files
        for name in expected.files:
            np.testing.assert_array_equal(found[name], expected[name], strict=True)


def test_a_killed_fit_has_the_history_of_an_undisturbed_one(undisturbed: Path, killed: Path) -> None:
    expected, found = content(undisturbed, "fit"), content(killed, "fit")
    assert list(map(without_speed, found["history"])) == list(map(without_speed, expected["history"]))
    assert found["best_epoch"] == expected["best_epoch"]
    assert expected["reported"] == [1, 2, 3, 4]
    assert found["reported"] == [3, 4]


def test_a_killed_search_makes_the_choice_of_an_undisturbed_one(undisturbed: Path, killed: Path) -> None:
    assert content(killed, "search")["choice"] == content(undisturbed, "search")["choice"]


def test_a_killed_search_repeats_only_the_trial_it_died_in(undisturbed: Path, killed: Path) -> None:
    expected, found = content(undisturbed, "search"), content(killed, "search")
    assert list(found["children"]) == ["trial-1"]
    assert len(found["lines"]) == 1
    for key, child in found["children"].items():
        other = expected["children"][key]
        assert child["status"] == other["status"] == "FINISHED"
        assert child["params"] == other["params"]
        assert [without_speed(child["metrics"][step]) for step in "12"] == [
            without_speed(other["metrics"][step]) for step in "12"
        ]


def test_the_choice_is_the_best_trial(undisturbed: Path) -> None:
    found = content(undisturbed, "search")
    scores = {key: child["metrics"]["2"]["score"] for key, child in found["children"].items()}
    best = found["children"][max(scores, key=lambda key: scores[key])]
    choice = found["choice"]
    assert choice["score"] == max(scores.values())
    assert choice["model_config"]["network"] == best["params"]["network"]
    assert choice["learning_rate"] == best["params"]["learning_rate"]
    assert choice["strength"] == best["params"]["strength"]
    assert choice["model_config"]["dropout"] == 0.3
    assert len({child["params"]["learning_rate"] for child in found["children"].values()}) == 2
