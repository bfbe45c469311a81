"""Successive halving: which trials go on, in which order, and the same after a kill and in any order of ends."""

from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from keras_tuner.engine.trial import Trial, TrialStatus
from recording_tracker import RecordingTracker
from synthetic import CLASSES, Train, Validation

from segline.config import Search, Training
from segline.errors import TrainingError
from segline.training.fit.fit import FitResult
from segline.training.fit.job import Job
from segline.training.rungs import count_epochs, list_rungs
from segline.training.search import search as searching
from segline.training.search import tuner
from segline.training.search.halving import HalvingOracle, get_drawn, get_first, get_round
from segline.training.search.hyperparameters import list_compositions, make_hyperparameters

# Keras Tuner 1.4.8 asks for the current thread and its name in ways that Python deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

TRAINING = Training(crop=(32, 64), batch=2, steps=2, epochs=4, weight_decay=0.01, warm_up=0.1, dropout=0.3, threads=1)


def space(**options: object) -> Search:
    return Search.model_validate(
        {
            "trials": 4,
            "epochs": 4,
            "halving": 2,
            "networks": ("composed",),
            "width": (2,),
            "learning_rate": (0.001, 0.1),
            "augmentation": (0.2, 0.7),
            "encoders": ("mini_xception", "mobilenet_v2"),
            "decoders": ("linknet", "fpn"),
            "output_stride": (8,),
            **options,
        }
    )


@pytest.mark.parametrize(
    ("trials", "epochs", "halving", "expected"),
    [
        (4, 4, 2, [(4, 1), (2, 2), (1, 4)]),
        (4, 9, 3, [(4, 3), (1, 9)]),
        (9, 9, 3, [(9, 1), (3, 3), (1, 9)]),
        (4, 2, 2, [(4, 1), (2, 2)]),  # epochs allow no third rung
        (4, 1, 2, [(4, 1)]),
        (1, 8, 2, [(1, 8)]),
        (3, 8, None, [(3, 8)]),
    ],
)
def test_each_rung_has_fewer_trials_and_more_epochs(
    trials: int, epochs: int, halving: int | None, expected: list[tuple[int, int]]
) -> None:
    rungs = list_rungs(space(trials=trials, epochs=epochs, halving=halving))
    assert [(rung.trials, rung.epochs) for rung in rungs] == expected
    if expected == [(4, 1), (2, 2), (1, 4)]:
        assert count_epochs(rungs) == 4 + 2 + 2


class Fits:
    """Stands for `fit`: scores a trial by its learning rate and epochs, and fails when told to."""

    def __init__(self, fails: Callable[[int, Job], bool] = lambda _, __: False) -> None:
        self.calls: list[dict[str, Any]] = []
        self._fails = fails

    def __call__(self, job: Job, **options: Any) -> FitResult:
        self.calls.append({**vars(job), **options})
        if self._fails(len(self.calls), job):
            raise TrainingError("epoch 1", found="loss nan", remedy="lower it")
        score = 1 - job.learning_rate + options["until"]
        return FitResult(model=None, best_epoch=1, best_miou=score, history=())  # type: ignore[arg-type]


def run(
    monkeypatch: pytest.MonkeyPatch, folder: Path, fits: Fits, **options: object
) -> tuple[searching.Choice, RecordingTracker, list[str]]:
    monkeypatch.setattr(searching, "fit", fits)
    monkeypatch.setattr(tuner, "_free_memory", lambda: None)
    tracker, lines = RecordingTracker(), []
    choice = searching.search(
        space(**options),
        TRAINING,
        classes=3,
        make_batches=lambda strength: (Train(strength=strength), Validation()),
        seed=0,
        tracker=tracker,
        folder=folder / "search",
        report=lines.append,
    )
    return choice, tracker, lines


def test_the_best_go_on_where_they_paused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fits = Fits()
    choice, tracker, lines = run(monkeypatch, tmp_path, fits)
    assert [call["until"] for call in fits.calls] == [1, 1, 1, 1, 2, 2, 4]
    assert {call["epochs"] for call in fits.calls} == {4}  # one schedule over all of them
    rates = [call["learning_rate"] for call in fits.calls]
    assert rates[4:] == [*sorted(rates[:4])[:2], min(rates)]
    for later in fits.calls[4:]:
        earlier = next(call for call in fits.calls if call["learning_rate"] == later["learning_rate"])
        for same in ("model_config", "seed", "checkpoint"):
            assert later[same] == earlier[same]
    assert len({call["checkpoint"] for call in fits.calls}) == 4
    assert (choice.trial_id, choice.learning_rate) == ("6", min(rates))
    assert [child.params["epochs"] for child in tracker.children.values()] == [1, 1, 1, 1, 2, 2, 4]
    assert tracker.children["trial-0"].params["continues"] == "none"
    assert tracker.children["trial-6"].params["continues"] == f"trial {rates.index(min(rates)) + 1}"
    assert lines[6].startswith("trial 7/7: network composed")


def test_every_composition_gets_a_trial_before_one_gets_two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Random draws may leave one out, and draw another twice."""
    fits = Fits()
    run(monkeypatch, tmp_path, fits, trials=5, networks=("composed", "unet"), depth=(2,))
    drawn = [(config.network, config.encoder, config.decoder) for config in (c["model_config"] for c in fits.calls[:5])]
    assert drawn[:4] == [
        ("composed", encoder, decoder)
        for encoder in ("mini_xception", "mobilenet_v2")
        for decoder in ("linknet", "fpn")
    ]
    assert drawn[4] == ("unet", None, None)


def test_a_search_that_ended_is_not_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    choice = run(monkeypatch, tmp_path, Fits())[0]
    fits = Fits()
    assert run(monkeypatch, tmp_path, fits)[0] == choice
    assert not fits.calls


@pytest.mark.parametrize("stopped", range(1, 8))
def test_killed_in_any_trial_it_makes_the_same_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stopped: int
) -> None:
    class Killed(Fits):
        def __call__(self, job: Job, **options: Any) -> FitResult:
            if len(self.calls) + 1 == stopped:
                raise KeyboardInterrupt
            return super().__call__(job, **options)

    whole, first, second = Fits(), Killed(), Fits()
    expected = run(monkeypatch, tmp_path / "whole", whole)[0]
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, tmp_path, first)
    assert run(monkeypatch, tmp_path, second)[0] == expected
    assert [call["until"] for call in first.calls + second.calls] == [call["until"] for call in whole.calls]
    rates = [[call["learning_rate"] for call in calls] for calls in (first.calls + second.calls, whole.calls)]
    assert rates[0] == rates[1]


def test_trials_that_fail_are_not_taken_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A failed last rung leaves the best of the one before."""
    choice, tracker, _ = run(monkeypatch, tmp_path, Fits(lambda number, _: number in (2, 3, 4)))
    assert [child.status for child in tracker.children.values()].count("FAILED") == 3
    assert choice.trial_id == "5"  # trials 5 and 6 alone are of the later rungs
    choice, _, _ = run(monkeypatch, tmp_path / "late", Fits(lambda number, _: number == 7))
    assert choice.trial_id in {"4", "5"}
    with pytest.raises(TrainingError, match="all 3 trials failed"):
        run(monkeypatch, tmp_path / "none", Fits(lambda *_: True))


def test_a_space_of_fewer_values_than_trials_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    point = {"learning_rate": (0.01, 0.01), "augmentation": (0.5, 0.5), "decoders": ("fpn",)}
    fits = Fits()
    choice, _, _ = run(monkeypatch, tmp_path, fits, **point)
    assert [call["until"] for call in fits.calls] == [1, 1, 2, 2, 4]
    assert choice.learning_rate == 0.01


def drive(folder: Path, order: Sequence[int]) -> tuple[list[dict[str, Any]], str]:
    """Run one search by four tuners at once, whose trials on the first rung end in `order`."""
    wanted = space()
    strata = [make_hyperparameters(wanted, only=each) for each in list_compositions(wanted)]
    oracle = HalvingOracle(make_hyperparameters(wanted), strata=strata, rungs=list_rungs(wanted), seed=0)
    oracle._set_project_dir(str(folder), "search")

    def end(trial: Trial) -> None:
        oracle.update_trial(trial.trial_id, {"val_miou": 1 - trial.hyperparameters.values["learning_rate"]})
        trial.status = TrialStatus.COMPLETED
        oracle.end_trial(trial)

    running = [oracle.create_trial(f"tuner{number}") for number in range(4)]
    for place, number in enumerate(order):
        assert oracle.create_trial("tuner4").status == TrialStatus.IDLE, f"promoted after {place} of 4"
        end(running[number])
    for size in (2, 1):
        running = [oracle.create_trial(f"tuner{number}") for number in range(size)]
        more = oracle.create_trial("tuner4").status
        assert more == (TrialStatus.IDLE if size > 1 else TrialStatus.STOPPED)  # there is no later rung
        for trial in reversed(running):
            end(trial)
    assert oracle.create_trial("tuner4").status == TrialStatus.STOPPED
    trials = [trial for _, trial in sorted(oracle.trials.items())]
    last = next(trial for trial in trials if get_round(trial) == 2)
    return [get_drawn(trial.hyperparameters.values) for trial in trials], get_first(last)


def test_the_order_in_which_trials_end_changes_nothing(tmp_path: Path) -> None:
    """Keras Tuner's Hyperband promotes the best of those that have ended so far."""
    found = [drive(tmp_path / str(place), order) for place, order in enumerate(permutations(range(4)))]
    assert all(each == found[0] for each in found)


def test_a_trial_in_three_parts_is_one_that_never_paused(tmp_path: Path) -> None:
    """With the real `fit`: the scores of the rungs are those of one fit at these epochs."""
    from segline.training.fit.fit import fit

    tracker = RecordingTracker()
    options: dict[str, Any] = {"encoders": ("mini_xception",), "decoders": ("linknet",), "trials": 2}
    choice = searching.search(
        space(**options),
        TRAINING,
        classes=CLASSES,
        make_batches=lambda strength: (Train(strength=strength), Validation()),
        seed=0,
        tracker=tracker,
        folder=tmp_path / "search",
    )
    last = tracker.children[f"trial-{choice.trial_id}"]
    first = int(str(last.params["continues"]).removeprefix("trial ")) - 1
    job = Job(
        model_config=choice.model_config,
        training=TRAINING,
        learning_rate=choice.learning_rate,
        epochs=4,
        seed=searching._derive_seed(0, str(first)),
    )
    whole = fit(job, train=Train(strength=choice.strength), validation=Validation(), tracker=RecordingTracker())
    assert whole.best_miou == choice.score
    parts = [*tracker.children[f"trial-{first}"].metrics.items(), *last.metrics.items()]
    assert [metrics["val_loss"] for _, metrics in sorted(parts)] == [one["val_loss"] for one in whole.history]
