"""The search without training: what is drawn, what is told, what is done about failing trials."""

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording_tracker import RecordingTracker
from synthetic import Train, Validation

from segline import models
from segline.config import Search, Training
from segline.errors import ConfigError, StorageError, TrainingError
from segline.training.fit.fit import FitResult
from segline.training.fit.job import Job
from segline.training.search import search as searching
from segline.training.search import tuner

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

    def __call__(self, job: Job, **options: Any) -> FitResult:
        self.calls.append({**vars(job), **options})
        if error := self._errors.get(len(self.calls) - 1):
            raise error
        return FitResult(model=None, best_epoch=1, best_miou=1 - job.learning_rate, history=())  # type: ignore[arg-type]


def run(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    fits: Fits,
    *,
    seed: int = 0,
    files: dict[str, str] | None = None,
    training: Training = TRAINING,
    **options: object,
) -> tuple[searching.Choice, RecordingTracker, list[str]]:
    monkeypatch.setattr(searching, "fit", fits)
    monkeypatch.setattr(tuner, "_free_memory", lambda: None)  # a second a trial, for nothing here
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
            weights=files,
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


WEIGHTS = {"mobilenet_v2": "there.npz", "mini_xception": "here.npz"}


def test_only_networks_with_an_encoder_get_one_and_its_first_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fits = Fits()
    options: dict[str, Any] = {
        "networks": ("unet", "deeplab_v3_plus"),
        "encoders": tuple(WEIGHTS),
        "output_stride": (8, 16),
        "residual": (False, True),
        "weights": "classification",
        "trials": 24,
        "freeze": True,
    }
    _, tracker, _ = run(monkeypatch, tmp_path, fits, files=WEIGHTS, **options)
    configs = [call["model_config"] for call in fits.calls]
    assert {config.network for config in configs} == {"unet", "deeplab_v3_plus"}
    for config, child in zip(configs, tracker.children.values(), strict=True):
        models._load_family(config)  # it has every option that it is given
        for name in ("depth", "encoder", "output_stride", "residual"):
            assert child.params.get(name, getattr(config, name)) == getattr(config, name)
        if config.network == "unet":
            assert (config.encoder, config.weights, config.freeze, config.output_stride) == (None, None, False, 16)
            assert not {"encoder", "output_stride"} & set(child.params)
        else:
            assert config.weights == WEIGHTS[config.encoder]
            assert config.freeze
            assert not {"depth", "residual"} & set(child.params)
    of_deeplab = [config for config in configs if config.network == "deeplab_v3_plus"]
    assert {config.encoder for config in of_deeplab} == set(WEIGHTS)
    assert {config.output_stride for config in of_deeplab} == {8, 16}
    assert {config.residual for config in configs if config.network == "unet"} == {False, True}
    again = Fits()
    run(monkeypatch, tmp_path, again, files=WEIGHTS, **options)
    assert not again.calls


def test_choices_that_only_others_have_change_no_draw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A search of before these choices existed draws the same trials still."""
    plain, other = Fits(), Fits()
    run(monkeypatch, tmp_path / "plain", plain, trials=4)
    run(monkeypatch, tmp_path / "other", other, trials=4, encoders=("xception", "mobilenet_v2"))
    drawn = [[(call["model_config"], call["learning_rate"]) for call in fits.calls] for fits in (plain, other)]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("options", "place", "expected"),
    [
        ({"weights": "imagenet"}, "search.weights", "deeplab_v3_plus"),
        ({"networks": ("xception_unet",), "residual": (True,)}, "search.residual", "unet, unet_plus_plus"),
    ],
)
def test_a_choice_that_no_network_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: dict[str, Any], place: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        run(monkeypatch, tmp_path, Fits(), **options)
    assert place in str(caught.value)
    assert expected in str(caught.value)


def test_all_candidates_share_what_is_fixed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fits = Fits()
    run(monkeypatch, tmp_path, fits, trials=4, batch_norm=(False,), penultimate=(2,))
    assert {(call["model_config"].batch_norm, call["model_config"].penultimate) for call in fits.calls} == {(False, 2)}


@pytest.mark.parametrize(
    ("crop", "options", "expected"),
    [
        ((48, 64), {"depth": (2, 5), "networks": ("unet",)}, "multiples of 32"),
        ((48, 64), {"networks": ("deeplab_v3_plus",), "output_stride": (16, 32)}, "multiples of 32"),
        (
            (32, 64),
            {"networks": ("deeplab_v3_plus",), "output_stride": (32,)},
            "at least 64 with search.output_stride 32",
        ),
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
    narrow, fits = TRAINING.model_copy(update={"crop": (48, 72)}), Fits()
    run(monkeypatch, tmp_path, fits, training=narrow, trials=1, networks=("unet",), depth=(3,))
    assert [call["model_config"].depth for call in fits.calls] == [3]


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


def test_a_trial_that_diverges_leaves_its_samples_in_its_own_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="all 1 trials failed"):
        searching.search(
            space(trials=1, networks=("unet",), width=(2,), depth=(2,), learning_rate=(1.0, 1.0)),
            TRAINING,
            classes=3,
            make_batches=lambda strength: (NoNumbers(), Validation()),
            seed=0,
            tracker=RecordingTracker(artifacts=tmp_path / "logged"),
            folder=tmp_path / "search",
        )
    kept = json.loads((tmp_path / "logged" / "trial-0" / "trial-0.diverged.json").read_text())
    assert kept["ids"] == ["band_0_0", "band_0_1"]


class NoNumbers(Train):
    """Images as a broken loader may give them."""

    def batch(self, step: int) -> tuple[Any, Any]:
        images, masks = super().batch(step)
        return np.full(images.shape, np.nan), masks


def test_where_no_trial_completes_the_first_traceback_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fits = Fits({number: ZeroDivisionError(f"number {number}") for number in range(12)})
    with pytest.raises(TrainingError, match="all 3 trials failed") as caught:
        run(monkeypatch, tmp_path, fits)
    assert "Traceback" in str(caught.value)
    assert "ZeroDivisionError: number 0" in str(caught.value)
    assert "number 1" not in str(caught.value)
    assert len(fits.calls) == 3


@pytest.mark.parametrize(
    "full", [StorageError("disk", found="full", remedy="free some"), OSError(errno.ENOSPC, "No space left on device")]
)
def test_a_full_disk_is_no_failed_trial(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, full: Exception) -> None:
    """Before, an error of the operating system itself failed the trial for good, and a rerun chose without it."""
    with pytest.raises(type(full)) as caught:
        run(monkeypatch, tmp_path, Fits({1: full}), trials=3)
    assert caught.value is full
    fits = Fits()
    run(monkeypatch, tmp_path, fits, trials=3)
    assert len(fits.calls) == 2


def test_a_full_disk_while_a_score_is_written_is_no_failed_trial(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before, the trial failed for good, with a traceback, although it had a score."""
    full = StorageError("disk", found="full", remedy="free some")
    write_json, filled = tuner.write_json, []

    def fill_disk_once(path: Path, content: Any) -> None:
        if path.name == "trial.json" and content["metrics"]["metrics"] and not filled:
            filled.append(path)
            raise full
        write_json(path, content)

    monkeypatch.setattr(tuner, "write_json", fill_disk_once)
    with pytest.raises(StorageError) as caught:
        run(monkeypatch, tmp_path, Fits(), trials=3)
    assert caught.value is full
    fits = Fits()
    run(monkeypatch, tmp_path, fits, trials=3)
    assert len(fits.calls) == 3  # the first one again: its score was not kept


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
