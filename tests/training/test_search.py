"""The search without training: what is drawn, what is told, what is done about failing trials."""

import json
from pathlib import Path
from typing import Any

import pytest
from recording_tracker import RecordingTracker
from synthetic import Train, Validation

from segline.config import Search, Training
from segline.errors import ConfigError, StorageError, TrainingError
from segline.training import search as searching
from segline.training.fit import FitResult

# Keras Tuner 1.4.8 asks for the current thread and its name in ways that Python deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning")

TRAINING = Training(crop=(32, 64), batch=2, steps=3, epochs=4, weight_decay=0.01, warm_up=0.1, dropout=0.3, threads=1)


def space(**options: object) -> Search:
    return Search.model_validate(
        {
            "trials": 12,
            "epochs": 2,
            "networks": ("unet", "xception_unet"),
            "width": (4, 6, 8),
            "depth": (2, 3),
            "learning_rate": (0.001, 0.1),
            "augmentation": (0.2, 0.7),
            **options,
        }
    )


class Fits:
    """Stands for `fit`: scores a trial by its learning rate, and fails when told to."""

    def __init__(self, errors: dict[int, Exception] | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self._errors = errors or {}

    def __call__(self, model_config: object, training: object, **options: Any) -> FitResult:
        self.calls.append({"model_config": model_config, **options})
        if error := self._errors.get(len(self.calls) - 1):
            raise error
        return FitResult(model=None, best_epoch=1, best_miou=1 - options["learning_rate"], history=())  # type: ignore[arg-type]


def run(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    fits: Fits,
    *,
    seed: int = 0,
    training: Training = TRAINING,
    **options: object,
) -> tuple[searching.Choice, RecordingTracker, list[str]]:
    monkeypatch.setattr(searching, "fit", fits)
    monkeypatch.setattr(searching, "_free_memory", lambda: None)  # a second a trial, for nothing here
    tracker, lines = RecordingTracker(), []
    try:
        choice = searching.search(
            space(**options),
            training,
            classes=3,
            make_batches=lambda strength: (Train(strength=strength), Validation()),
            seed=seed,
            tracker=tracker,
            folder=folder / "search",
            report=lines.append,
        )
    except Exception as error:
        error.tracker = tracker  # type: ignore[attr-defined]
        raise
    return choice, tracker, lines


def test_trials_stay_within_the_space_and_differ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fits = Fits()
    choice, tracker, lines = run(monkeypatch, tmp_path, fits)
    assert len(fits.calls) == len(tracker.children) == len(lines) == 12
    for call, child in zip(fits.calls, tracker.children.values(), strict=True):
        assert call["model_config"].width in (4, 6, 8)
        assert call["model_config"].classes == 3
        assert call["epochs"] == 2
        assert 0.001 <= call["learning_rate"] <= 0.1
        assert 0.2 <= child.params["strength"] <= 0.7  # type: ignore[operator]
        assert child.status == "FINISHED"
    assert {call["model_config"].network for call in fits.calls} == {"unet", "xception_unet"}
    assert len({call["seed"] for call in fits.calls}) == 12
    assert sum(call["learning_rate"] < 0.01 for call in fits.calls) in range(2, 11)  # logarithmic: half of them
    assert choice.learning_rate == min(call["learning_rate"] for call in fits.calls)


def test_all_candidates_share_what_is_fixed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fits = Fits()
    run(monkeypatch, tmp_path, fits, trials=4, model={"batch_norm": False, "penultimate": 2})
    assert {(call["model_config"].batch_norm, call["model_config"].penultimate) for call in fits.calls} == {(False, 2)}


@pytest.mark.parametrize(
    ("crop", "options", "expected"),
    [
        ((32, 64), {"model": {"residual": True}}, r"xception_unet\.residual"),
        ((48, 64), {"depth": (2, 5), "networks": ("unet",)}, "multiples of 32"),
        ((48, 64), {"networks": ("deeplab_v3_plus",), "model": {"output_stride": 32}}, "multiples of 32"),
    ],
)
def test_a_candidate_that_cannot_be_is_named_before_a_trial(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, crop: tuple[int, int], options: dict[str, object], expected: str
) -> None:
    fits = Fits()
    with pytest.raises(ConfigError, match=expected):
        run(monkeypatch, tmp_path, fits, training=TRAINING.model_copy(update={"crop": crop}), **options)
    assert not fits.calls


def test_a_crop_need_suit_no_network_that_is_not_a_candidate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    narrow = TRAINING.model_copy(update={"crop": (48, 72)})
    run(monkeypatch, tmp_path, Fits(), training=narrow, trials=1, networks=("unet",), depth=(3,))


def test_it_prints_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch, tmp_path, Fits(), trials=2)
    run(monkeypatch, tmp_path, Fits(), trials=2)
    assert capsys.readouterr().out == ""


def test_a_finished_search_is_not_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fits = Fits()
    choice = run(monkeypatch, tmp_path, fits, trials=3)[0]
    again, tracker, lines = run(monkeypatch, tmp_path, fits, trials=3)
    assert again == choice
    assert len(fits.calls) == 3
    assert not tracker.children
    assert not lines


def test_the_seed_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first, again, other = (
        run(monkeypatch, tmp_path / str(place), Fits(), seed=seed, trials=3)[0] for place, seed in enumerate((0, 0, 1))
    )
    assert first == again != other


def test_a_trial_that_fails_is_marked_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fits = Fits({0: TrainingError("epoch 1", found="loss nan", remedy="lower it"), 2: RuntimeError("no")})
    choice, tracker, lines = run(monkeypatch, tmp_path, fits, trials=4)
    assert [child.status for child in tracker.children.values()] == ["FAILED", "FINISHED", "FAILED", "FINISHED"]
    assert choice.trial_id in {"1", "3"}
    assert "failed: epoch 1: loss nan" in lines[0]


def test_where_no_trial_completes_the_first_traceback_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fits = Fits({number: ZeroDivisionError(f"number {number}") for number in range(12)})
    with pytest.raises(TrainingError, match="all 3 trials failed") as caught:
        run(monkeypatch, tmp_path, fits)
    assert "Traceback" in str(caught.value)
    assert "ZeroDivisionError: number 0" in str(caught.value)
    assert "number 1" not in str(caught.value)
    assert len(fits.calls) == 3


def test_a_full_disk_is_no_failed_trial(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = StorageError("disk", found="full", remedy="free some")
    with pytest.raises(StorageError) as caught:
        run(monkeypatch, tmp_path, Fits({1: full}), trials=3)
    assert caught.value is full
    fits = Fits()
    run(monkeypatch, tmp_path, fits, trials=3)
    assert len(fits.calls) == 2


@pytest.mark.parametrize("moment", ["trial drawn", "trial ended"])
def test_a_kill_between_two_files_loses_no_trial(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moment: str) -> None:
    """The trial's own file is written first, then the oracle's: here only the first was."""
    expected = run(monkeypatch, tmp_path / "whole", Fits(), trials=3)[0]
    half = tmp_path / "half"
    run(monkeypatch, half, Fits(), trials=2)
    oracle = half / "search" / "oracle.json"
    state = json.loads(oracle.read_text())
    if moment == "trial drawn":
        run(monkeypatch, half, Fits(), trials=3)
        trial = half / "search" / "trial_2" / "trial.json"
        trial.write_text(json.dumps({**json.loads(trial.read_text()), "status": "RUNNING", "score": None}))
        oracle.write_text(json.dumps(state))
    else:
        state["ongoing_trials"], state["end_order"] = {"tuner0": "1"}, ["0"]
        oracle.write_text(json.dumps(state))
    fits = Fits()
    assert run(monkeypatch, half, fits, trials=3)[0] == expected
    assert len(fits.calls) == 1


def test_a_range_of_one_value_is_that_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fits = Fits()
    run(monkeypatch, tmp_path, fits, trials=2, learning_rate=(0.01, 0.01), augmentation=(0.0, 0.0))
    assert {call["learning_rate"] for call in fits.calls} == {0.01}
