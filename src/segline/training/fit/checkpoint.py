"""Where a fit stands after an epoch, in one file, complete enough to go on bit for bit.

Keras's own ``BackupAndRestore`` is not: what dropout draws next is not among a model's weights.
Here every variable of model and optimizer is kept, the seeds and step counts included, with the
best weights so far and the history.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from segline.errors import TrainingError
from segline.formats import arrays
from segline.storage import atomic_file

Weights = tuple[npt.NDArray[Any], ...]
History = tuple[Mapping[str, float], ...]

_DAMAGED = (ValueError, KeyError, TypeError, EOFError, RecursionError, zipfile.BadZipFile)  # what NumPy makes of it


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What happened up to the end of an epoch.

    Args:
        history: one mapping of metric name to value for each epoch.
        best: variables of the network after its best epoch; empty before the first.
        best_epoch: that epoch, counted from 1; 0 before the first.
    """

    history: History = ()
    best: Weights = ()
    best_epoch: int = 0

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return len(self.history)

    def is_stale(self, patience: int | None) -> bool:
        """Whether the last `patience` epochs brought nothing better; never where there is no patience to lose."""
        return patience is not None and self.epochs - self.best_epoch >= patience

    def after(self, metrics: Mapping[str, float], model: keras.Model, *, objective: str) -> "Progress":
        """With one more epoch; its weights become the best where its `objective` is above all before."""
        history = (*self.history, dict(metrics))
        if self.best and metrics[objective] <= self.history[self.best_epoch - 1][objective]:
            return replace(self, history=history)
        return Progress(history=history, best=values(model.variables), best_epoch=len(history))


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The file of one fit's progress.

    Args:
        path: an ``.npz`` file, there or not.
        identity: everything that the fit's result depends on and this package knows.
    """

    path: Path
    identity: Mapping[str, Any] = field(default_factory=dict)

    def write(self, progress: Progress, model: keras.Model) -> None:
        """Keep `progress` and all variables of the compiled `model` and its optimizer."""
        state = values(model.variables), values(model.optimizer.variables), progress.best
        arrays: dict[str, Any] = {
            f"{part}_{index}": value for part, group in enumerate(state) for index, value in enumerate(group)
        }
        header = {"identity": self.identity, "history": progress.history, "best_epoch": progress.best_epoch}
        with atomic_file(self.path) as partial, partial.open("wb") as handle:
            np.savez(handle, header=np.array(json.dumps(header)), **arrays)

    def restore(self, model: keras.Model) -> Progress:
        """Put `model` and its optimizer where the file says; untouched where there is no file.

        Raises:
            TrainingError: the file is that of another fit; or it is damaged, or of another architecture,
                and lies beside its place now.
        """
        if not self.path.exists():
            return Progress()
        groups = model.variables, model.optimizer.variables, model.variables
        try:
            header, state = self._read(groups)
        except _DAMAGED as error:
            raise self._put_aside(str(error) or type(error).__name__) from error
        assign(model.variables, state[0])
        assign(model.optimizer.variables, state[1])
        return Progress(history=tuple(header["history"]), best=state[2], best_epoch=header["best_epoch"])

    def _read(self, groups: Sequence[Sequence[Any]]) -> tuple[dict[str, Any], list[Weights]]:
        """Header and values, one group after the other; nothing is assigned before all of them fit."""
        arrays.shapes(self.path)
        with self.path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
            header = json.loads(str(content["header"]))
            self._check(header["identity"])
            if len(content.files) != 1 + sum(map(len, groups)):
                raise ValueError(f"it holds {len(content.files) - 1} arrays, not {sum(map(len, groups))}")
            state = [
                tuple(_fitting(content[f"{part}_{index}"], variable) for index, variable in enumerate(group))
                for part, group in enumerate(groups)
            ]
        return header, state

    def _put_aside(self, reason: str) -> TrainingError:
        aside = self.path.with_name(f"{self.path.name}.unusable")
        self.path.replace(aside)
        return TrainingError(
            self.path,
            found=f"no progress that this network can go on from ({reason}); the file is {aside.name} now",
            expected="what a fit of the same architecture has written",
            remedy="run the same command again: it begins anew",
        )

    def _check(self, found: Mapping[str, Any]) -> None:
        expected = json.loads(json.dumps(self.identity))
        if found != expected:
            keys = sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key))
            raise TrainingError(
                self.path,
                found=f"the progress of another fit: {', '.join(keys)} differ",
                expected="that of the fit to go on with",
                remedy="delete the file to begin anew",
            )


def _fitting(value: npt.NDArray[Any], variable: Any) -> npt.NDArray[Any]:
    if value.shape != tuple(variable.shape):
        raise ValueError(f"{variable.path} is {list(value.shape)} there and {list(variable.shape)} here")
    return value


def values(variables: Sequence[Any]) -> Weights:
    """Copies of the values of Keras variables."""
    return tuple(np.array(keras.ops.convert_to_numpy(keras.ops.copy(variable))) for variable in variables)


def assign(variables: Sequence[Any], weights: Weights) -> None:
    """Set Keras variables to `weights`, in the same order."""
    for variable, value in zip(variables, weights, strict=True):
        variable.assign(value)
