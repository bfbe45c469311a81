"""Successive halving as an oracle of Keras Tuner, with synchronous rungs.

A rung begins when all trials of the rung before have ended. So neither the trials that are drawn nor the choice depend
on the order in which trials end. Keras Tuner's own Hyperband promotes a trial as soon as it is among the best that
have ended so far.

A trial on a later rung is a new trial of Keras Tuner, which names the trial that it continues. The names of the values
that say so are Hyperband's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from segline.training.rungs import Rung
from segline.training.search.tuner import ENDED, ResumableOracle

_PREFIX = "tuner/"  # begins the names of values that are no hyperparameters
_ROUND = f"{_PREFIX}round"
_FIRST = f"{_PREFIX}trial_id"


class HalvingOracle(ResumableOracle):
    """Successive halving that resumes exactly.

    Args:
        parameters: the hyperparameters of all trials.
        strata: hyperparameters of the first trial, of the second, and so on, from the first again after the last.
        rungs: as `list_rungs` returns them.
        seed: of the drawn values.
    """

    def __init__(
        self,
        parameters: keras_tuner.HyperParameters,
        *,
        strata: Sequence[keras_tuner.HyperParameters],
        rungs: Sequence[Rung],
        seed: int,
    ) -> None:
        super().__init__(parameters, trials=sum(rung.trials for rung in rungs), seed=seed)
        self._strata, self._rungs = strata, rungs
        self._is_exhausted = False

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Draw a trial of the first rung, or continue one of the best of a rung that has ended."""
        for number in range(len(self._rungs)):
            members = self._list_members(number)
            values = self._draw(trial_id, len(members)) if number == 0 else self._promote(number, len(members))
            if values is not None:
                return {"status": TrialStatus.RUNNING, "values": values}
            if any(trial.status not in ENDED for trial in members):
                return {"status": TrialStatus.IDLE}
        return {"status": TrialStatus.STOPPED}

    def _list_members(self, number: int) -> list[Trial]:
        """List the trials of a rung in the order in which they were begun."""
        return [trial for _, trial in sorted(self.trials.items()) if get_round(trial) == number]

    def _draw(self, trial_id: str, drawn: int) -> dict[str, Any] | None:
        """Draw the values of the next trial of the first rung; None if it is complete, or there are no other values."""
        if drawn == self._rungs[0].trials or self._is_exhausted:
            return None
        whole, self.hyperparameters = self.hyperparameters, self._strata[drawn % len(self._strata)]
        try:
            values = self._random_values()
        finally:
            self.hyperparameters = whole
        self._is_exhausted = values is None
        return None if values is None else {**values, _ROUND: 0, _FIRST: trial_id}

    def _promote(self, number: int, promoted: int) -> dict[str, Any] | None:
        """Return the values of the next trial that a rung takes from the one before; None if it has taken all."""
        best = rank(self._list_members(number - 1))[: self._rungs[number].trials]
        if promoted >= len(best):
            return None
        return {**best[promoted].hyperparameters.values, _ROUND: number}

    def _compute_values_hash(self, values: Mapping[str, Any]) -> str:
        return str(super()._compute_values_hash(get_drawn(values)))


def rank(trials: Sequence[Trial]) -> list[Trial]:
    """Sort the completed ones of `trials`, the best first, and the earliest first of equal ones."""
    completed = [trial for trial in trials if trial.status == TrialStatus.COMPLETED]
    return sorted(completed, key=lambda trial: (-trial.score, trial.trial_id))


def get_drawn(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters among the `values` of a trial."""
    return {name: value for name, value in values.items() if not name.startswith(_PREFIX)}


def get_round(trial: Trial) -> int:
    """Return the number of a trial's rung, counted from 0."""
    return int(trial.hyperparameters.values.get(_ROUND, 0))


def get_first(trial: Trial) -> str:
    """Return the id of the trial that `trial` continues; its own id on the first rung."""
    return str(trial.hyperparameters.values.get(_FIRST, trial.trial_id))
