"""Keras Tuner's oracle and loop over trials, which resume exactly after a kill at any moment."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.errors import FatalError
from keras_tuner.oracles import RandomSearchOracle

from segline.errors import SeglineError, TrainingError
from segline.storage import atomic_file
from segline.training.fit.validation_score import OBJECTIVE

_ENDED = {TrialStatus.COMPLETED, TrialStatus.FAILED}
_FAILURES = 3  # trials that may fail before the first success; then the reason is common to all


class ResumableOracle(RandomSearchOracle):
    """Random search whose files are whole after a kill at any moment, and whose resume is exact."""

    trials: dict[str, Trial]
    start_order: list[str]
    end_order: list[str]
    _retry_queue: list[str]

    def __init__(self, parameters: keras_tuner.HyperParameters, *, trials: int, seed: int) -> None:
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "max"),
            max_trials=trials,
            hyperparameters=parameters,
            seed=seed + 1,  # it takes 0 for "draw one"
            allow_new_entries=False,
            max_consecutive_failed_trials=trials + 1,  # `Tuner` stops for failures, with a reason
        )
        self.verbose = 0

    def save(self) -> None:
        """Write the oracle's state, whole or not at all."""
        _write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Trial) -> None:
        _write_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    def reload(self) -> None:
        """Read the files, and mend what a kill between writing two of them leaves.

        A trial that its own file calls ended, but the oracle's file ongoing, is not run again; one
        that only its own file knows is drawn again, the same.
        """
        super().reload()
        ended = {key for key, trial in self.trials.items() if trial.status in _ENDED}
        self.end_order.extend(key for key in self._retry_queue if key in ended and key not in self.end_order)
        self._retry_queue = [key for key in self._retry_queue if key not in ended]
        self.trials = {key: self.trials[key] for key in self.start_order}
        for key in self._retry_queue:
            self.trials[key] = Trial(self.trials[key].hyperparameters, trial_id=key, status=TrialStatus.RUNNING)


class Tuner(BaseTuner):
    """Keras Tuner's loop over trials, telling what is wrong with a trial from what is wrong with the world.

    Args:
        run: takes a trial, gives its score.
    """

    def __init__(self, run: Callable[[Trial], float], oracle: ResumableOracle, folder: Path) -> None:
        self._run = run
        super().__init__(oracle, directory=str(folder.parent), project_name=folder.name)

    def run_trial(self, trial: Trial, *_: Any, **__: Any) -> dict[str, float]:
        """Run one trial; an error that is no property of the trial ends the search."""
        try:
            return {OBJECTIVE: self._run(trial)}
        except TrainingError:
            raise
        except SeglineError as error:
            raise FatalError(str(error)) from error
        finally:
            _free_memory()

    def on_trial_end(self, trial: Trial) -> None:
        """Keep the trial; end the search where all of the first few failed."""
        super().on_trial_end(trial)
        ended = self.oracle.trials.values()
        if len(ended) >= _FAILURES and all(other.status == TrialStatus.FAILED for other in ended):
            raise all_failed(self.oracle.trials)

    def save(self) -> None:
        """Write the states of oracle and tuner."""
        self.oracle.save()
        _write_json(Path(self._get_tuner_fname()), self.get_state())


def all_failed(trials: Mapping[str, Trial]) -> TrainingError:
    """Make the error that tells of trials none of which could be completed."""
    first = trials[min(trials)]
    return TrainingError(
        f"trial-{first.trial_id}",
        found=f"all {len(trials)} trials failed; the first one with\n{first.message or ''}".rstrip(),
        expected="one that can be completed",
        remedy="correct what the traceback names, delete the search's folder, then run the same command",
    )


def _free_memory() -> None:
    """Drop the trial's graphs and weights, collecting garbage; Keras forgets its dtype policy on the way."""
    policy = keras.config.dtype_policy()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(policy)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")
