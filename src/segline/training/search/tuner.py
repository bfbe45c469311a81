"""Keras Tuner's oracle and loop over trials, made to resume exactly after a kill at any moment."""

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
from segline.storage import write_json
from segline.training.fit.validation_score import OBJECTIVE

ENDED = {TrialStatus.COMPLETED, TrialStatus.FAILED}
"""States of trials that will not be run again."""

_MAX_FAILURES = 3  # failures before the first success that end the search: more trials would probably fail too


class ResumableOracle(RandomSearchOracle):
    """Random search whose files are complete after a kill at any moment, and which resumes exactly."""

    hyperparameters: keras_tuner.HyperParameters
    trials: dict[str, Trial]
    start_order: list[str]
    end_order: list[str]
    _retry_queue: list[str]

    def __init__(self, parameters: keras_tuner.HyperParameters, *, trials: int, seed: int) -> None:
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "max"),
            max_trials=trials,
            hyperparameters=parameters,
            seed=seed + 1,  # 0 would mean a random seed
            allow_new_entries=False,
            max_consecutive_failed_trials=trials + 1,  # never reached, because `Tuner` stops first, with a reason
        )
        self.verbose = 0

    def save(self) -> None:
        """Write the oracle's state, completely or not at all."""
        write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Trial) -> None:
        write_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    def reload(self) -> None:
        """Read the files, and repair the state that a kill between writing two of them leaves.

        If a trial's own file says that it has ended, but the oracle's file does not, the trial is not run again. If
        the oracle's file does not know a trial, it is drawn again, with the same values.
        """
        super().reload()
        ended = {key for key, trial in self.trials.items() if trial.status in ENDED}
        self.end_order.extend(key for key in self._retry_queue if key in ended and key not in self.end_order)
        self._retry_queue = [key for key in self._retry_queue if key not in ended]
        self.trials = {key: self.trials[key] for key in self.start_order}
        for key in self._retry_queue:
            self.trials[key] = Trial(self.trials[key].hyperparameters, trial_id=key, status=TrialStatus.RUNNING)


class Tuner(BaseTuner):
    """Keras Tuner's loop over trials. An error ends one trial; one that every trial would meet ends all.

    These are the errors of the operating system, such as a full disk, and each `SeglineError` but `TrainingError`. A
    trial that ended as failed would not be run again, and another network could be chosen.

    Args:
        run: runs a trial and returns its score.
        oracle: draws the trials.
        folder: keeps their files.
    """

    def __init__(self, run: Callable[[Trial], float], oracle: ResumableOracle, folder: Path) -> None:
        self._run = run
        super().__init__(oracle, directory=str(folder.parent), project_name=folder.name)

    def run_trial(self, trial: Trial, *_: Any, **__: Any) -> dict[str, float]:
        """Run one trial."""
        try:
            return {OBJECTIVE: self._run(trial)}
        finally:
            _free_memory()

    def _run_and_update_trial(self, trial: Trial, *arguments: Any, **options: Any) -> None:
        """Run one trial and write its score. Errors that every trial would meet, in either, end the search."""
        try:
            super()._run_and_update_trial(trial, *arguments, **options)
        except TrainingError:
            raise
        except (SeglineError, OSError) as error:
            raise FatalError(str(error)) from error

    def on_trial_end(self, trial: Trial) -> None:
        """Write the trial; end the search if all of the first few have failed."""
        super().on_trial_end(trial)
        ended = self.oracle.trials.values()
        if len(ended) >= _MAX_FAILURES and all(other.status == TrialStatus.FAILED for other in ended):
            raise report_all_failed(self.oracle.trials)

    def save(self) -> None:
        """Write the states of oracle and tuner."""
        self.oracle.save()
        write_json(Path(self._get_tuner_fname()), self.get_state())


def report_all_failed(trials: Mapping[str, Trial]) -> TrainingError:
    """Make the error for a search in which no trial could be completed."""
    first = trials[min(trials)]
    return TrainingError(
        f"trial-{first.trial_id}",
        found=f"all {len(trials)} trials failed; the first one with\n{first.message or ''}".rstrip(),
        expected="at least one trial that completes",
        remedy="correct the cause that the traceback names, delete the search's folder, then run the same command",
    )


def _free_memory() -> None:
    """Free the trial's graphs and weights. Restore the dtype policy, because Keras resets it too."""
    policy = keras.config.dtype_policy()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(policy)
