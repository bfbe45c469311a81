"""The state of a fit after an epoch, in one file, complete enough to resume bit for bit.

Keras's own ``BackupAndRestore`` is not complete: it does not keep the state of dropout. Here every variable
of model and optimizer is kept, seeds and step counts included, with the best weights so far and the history.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
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

_ERRORS_OF_DAMAGED_FILES = (ValueError, KeyError, TypeError, EOFError, RecursionError, zipfile.BadZipFile)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a fit up to the end of an epoch.

    Args:
        history: one mapping of metric name to value for each epoch.
        best: variables of the network after its best epoch; empty before the first epoch.
        best_epoch: that epoch, counted from 1; 0 before the first epoch.
    """

    history: History = ()
    best: Weights = ()
    best_epoch: int = 0

    @property
    def epochs(self) -> int:
        """Count the epochs that are done."""
        return len(self.history)

    def is_stale(self, patience: int | None) -> bool:
        """Return whether none of the last `patience` epochs was the best; always False if `patience` is None."""
        return patience is not None and self.epochs - self.best_epoch >= patience

    def after(self, metrics: Mapping[str, float], model: keras.Model, *, objective: str) -> "Progress":
        """Return the progress after one more epoch; its weights become the best if its `objective` is a new maximum."""
        history = (*self.history, dict(metrics))
        if self.best and metrics[objective] <= self.history[self.best_epoch - 1][objective]:
            return replace(self, history=history)
        return Progress(history=history, best=values(model.variables), best_epoch=len(history))


@dataclass(frozen=True, kw_only=True)
class _Header:
    """The metadata of a checkpoint file: the identity of the fit, and its `Progress` without weights."""

    identity: Mapping[str, object]
    history: History
    best_epoch: int


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The file that keeps the progress of one fit.

    Args:
        path: an ``.npz`` file, which need not exist.
        identity: everything that the fit's result depends on, except the data; JSON values. A file with another
            identity is refused.
    """

    path: Path
    identity: Mapping[str, object] = field(default_factory=dict)

    def write(self, progress: Progress, model: keras.Model) -> None:
        """Write `progress` and all variables of the compiled `model` and its optimizer."""
        groups = values(model.variables), values(model.optimizer.variables), progress.best
        header = _Header(identity=self.identity, history=progress.history, best_epoch=progress.best_epoch)
        content: dict[str, Any] = {"header": np.array(json.dumps(asdict(header)))}
        content |= {f"{part}_{index}": value for part, group in enumerate(groups) for index, value in enumerate(group)}
        with atomic_file(self.path) as partial, partial.open("wb") as handle:
            np.savez(handle, **content)

    def count_epochs(self) -> int:
        """Count the epochs that the file has; 0 without a file, or with one that `restore` will refuse."""
        try:
            arrays.shapes(self.path)
            with np.load(self.path, allow_pickle=False) as content:
                return len(_Header(**json.loads(str(content["header"]))).history)
        except (OSError, *_ERRORS_OF_DAMAGED_FILES):
            return 0

    def restore(self, model: keras.Model) -> Progress:
        """Restore `model` and its optimizer from the file; change nothing if there is no file.

        Raises:
            TrainingError: the file belongs to another fit. Or it is damaged or of another architecture; then it is
                renamed.
        """
        if not self.path.exists():
            return Progress()
        groups = model.variables, model.optimizer.variables, model.variables
        try:
            header, (weights, optimizer, best) = self._read(groups)
        except _ERRORS_OF_DAMAGED_FILES as error:
            raise self._put_aside(str(error) or type(error).__name__) from error
        assign(model.variables, weights)
        assign(model.optimizer.variables, optimizer)
        return Progress(history=tuple(header.history), best=best, best_epoch=header.best_epoch)

    def _read(self, groups: Sequence[Sequence[Any]]) -> tuple[_Header, list[Weights]]:
        """Read the header and the values of each group; nothing is assigned before all of them fit."""
        arrays.shapes(self.path)
        with self.path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
            header = _Header(**json.loads(str(content["header"])))
            self._check_identity(header.identity)
            if len(content.files) != 1 + sum(map(len, groups)):
                raise ValueError(f"it holds {len(content.files) - 1} arrays, not {sum(map(len, groups))}")
            return header, [
                tuple(_check_shape(content[f"{part}_{index}"], variable) for index, variable in enumerate(group))
                for part, group in enumerate(groups)
            ]

    def _put_aside(self, reason: str) -> TrainingError:
        aside = self.path.with_name(f"{self.path.name}.unusable")
        self.path.replace(aside)
        return TrainingError(
            self.path,
            found=f"a file that this network cannot resume from ({reason}); it was renamed to {aside.name}",
            expected="the checkpoint of a fit of the same architecture",
            remedy="run the same command again: it starts from the beginning",
        )

    def _check_identity(self, found: Mapping[str, object]) -> None:
        expected = json.loads(json.dumps(self.identity))
        if found != expected:
            keys = sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key))
            raise TrainingError(
                self.path,
                found=f"the progress of another fit (different: {', '.join(keys)})",
                expected="the progress of the same fit",
                remedy="delete the file to start from the beginning",
            )


def _check_shape(value: npt.NDArray[Any], variable: Any) -> npt.NDArray[Any]:
    if value.shape != tuple(variable.shape):
        raise ValueError(f"{variable.path} is {list(value.shape)} in the file and {list(variable.shape)} here")
    return value


def values(variables: Sequence[Any]) -> Weights:
    """Copy the values of Keras variables."""
    return tuple(np.array(keras.ops.convert_to_numpy(keras.ops.copy(variable))) for variable in variables)


def assign(variables: Sequence[Any], weights: Weights) -> None:
    """Set Keras variables to `weights`, which have the same order."""
    for variable, value in zip(variables, weights, strict=True):
        variable.assign(value)
