"""Choose a network and its learning rate by random search, each trial a short fit.

Random search (Bergstra & Bengio 2012) resumes exactly. A search that was killed and is called again
with the same folder repeats no finished trial, runs the interrupted one afresh in the child run it
had begun, and makes the same choice as one that was left alone.
"""

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.errors import FatalError

from segline.config import ModelConfig, Search, Training
from segline.training.fit.batch_sequence import TrainBatches, ValidationBatches
from segline.training.fit.fit import FitResult, fit
from segline.training.fit.job import Job
from segline.training.fit.memory_estimate import budget, by_batch
from segline.training.search.hyperparameters import candidate, check_space, make_hyperparameters
from segline.training.search.tuner import ResumableOracle, Tuner, all_failed
from segline.training.tracker import Tracker

Batches = tuple[TrainBatches, ValidationBatches]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The best trial of a search.

    Args:
        model_config: the network it fitted.
        learning_rate: the peak of its schedule.
        strength: its augmentation strength, 0..1.
        score: its best validation mIoU, after ``search.epochs`` epochs at most.
        trial_id: Keras Tuner's name of it: ``"0"``, or ``"07"`` of a dozen.
    """

    model_config: ModelConfig
    learning_rate: float
    strength: float
    score: float
    trial_id: str


def search(
    space: Search,
    training: Training,
    *,
    classes: int,
    make_batches: Callable[[float], Batches],
    seed: int,
    tracker: Tracker,
    folder: Path,
    weights: Mapping[str, str] | None = None,
    class_weights: tuple[float, ...] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Choice:
    """Run the trials that `folder` does not hold yet, and choose the best of all by validation mIoU.

    Each trial is a child run of `tracker` with the key ``trial-<id>``. Its draw of hyperparameters
    depends on `seed` and the trials before it, its weights on `seed` and its id.

    Args:
        space: what to choose from, how many trials, how many epochs each.
        training: everything else about a trial's fit.
        classes: of the data's label map.
        make_batches: augmentation strength -> training and validation batches.
        seed: of the draws and the weights.
        tracker: the run whose children the trials are.
        folder: scratch of this search; another space, seed or data needs another folder.
        weights: first weights of each encoder in `space`, as `ModelConfig` takes them; drawn ones if not given.
        class_weights: as of a `Job`.
        report: takes one line of text a trial.

    Raises:
        ConfigError: `space` offers what none of its networks has, or one of them cannot take the crops.
        TrainingError: no trial could be completed; it holds the first one's traceback.
        SeglineError: what made a trial impossible is no property of the trial (disk full, MLflow gone).
    """
    check_space(space, training, classes=classes)
    trials = _Trials(
        space,
        training,
        classes,
        make_batches=make_batches,
        seed=seed,
        tracker=tracker,
        weights=weights or {},
        class_weights=class_weights,
        folder=folder,
        report=report,
    )
    with contextlib.redirect_stdout(io.StringIO()):  # it says "Reloading" with a path; nothing else is lost
        tuner = Tuner(trials.run, ResumableOracle(make_hyperparameters(space), trials=space.trials, seed=seed), folder)
    try:
        tuner.search(verbose=0)
    except FatalError as error:
        raise error.__cause__ or error from None
    return _choice(tuner.oracle.trials, trials)


class _Trials:
    """Runs one trial: a fit in a child run."""

    def __init__(
        self,
        space: Search,
        training: Training,
        classes: int,
        *,
        make_batches: Callable[[float], Batches],
        seed: int,
        tracker: Tracker,
        weights: Mapping[str, str],
        class_weights: tuple[float, ...] | None,
        folder: Path,
        report: Callable[[str], None],
    ) -> None:
        self._space, self._training, self._classes = space, training, classes
        self._weights, self._class_weights = weights, class_weights
        self._make_batches, self._seed = make_batches, seed
        self._tracker, self._folder, self._report = tracker, folder, report

    def model_config(self, trial: Trial) -> ModelConfig:
        """Configure the network that `trial` describes."""
        values = trial.hyperparameters.values
        config = candidate(self._space, self._training, classes=self._classes, values=values)
        if config.encoder is None or config.encoder not in self._weights:
            return config
        first = {"weights": self._weights[config.encoder], "freeze": self._space.freeze}
        return config.model_copy(update=first)

    def run(self, trial: Trial) -> float:
        """Fit `trial`, and log its score to the trial's own child run."""
        values = trial.hyperparameters.values
        number = int(trial.trial_id) + 1
        summary = ", ".join(f"{key} {_short(value)}" for key, value in values.items())
        with self._tracker.child(f"trial-{trial.trial_id}", name=f"trial {number}") as child:
            child.log_params(values)
            try:
                result = self._fit(trial, child)
            except Exception as error:
                self._report(f"trial {number}/{self._space.trials}: {summary}: failed: {error}")
                raise
            child.log_metrics({"score": result.best_miou}, step=self._space.epochs)
        self._report(f"trial {number}/{self._space.trials}: {summary}: validation mIoU {result.best_miou:.4f}")
        return result.best_miou

    def _fit(self, trial: Trial, child: Tracker) -> FitResult:
        values = trial.hyperparameters.values
        train, validation = self._make_batches(values["strength"])
        job = Job(
            model_config=self.model_config(trial),
            training=self._training,
            learning_rate=values["learning_rate"],
            epochs=self._space.epochs,
            seed=_trial_seed(self._seed, trial.trial_id),
            class_weights=self._class_weights,
        )
        return fit(
            job,
            train=train,
            validation=validation,
            tracker=child,
            diverged=self._folder / f"trial-{trial.trial_id}.diverged.json",
            memory=by_batch(job),
            budget=budget(self._training),
        )


def _trial_seed(seed: int, trial_id: str) -> int:
    """Derive independent seeds for all pairs, 31 bits."""
    return int(np.random.SeedSequence([seed, int(trial_id)]).generate_state(1)[0] >> 1)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _choice(trials: dict[str, Trial], runner: _Trials) -> Choice:
    """Choose the completed trial with the highest score, the earliest of equals."""
    completed = [trial for _, trial in sorted(trials.items()) if trial.status == TrialStatus.COMPLETED]
    if not completed:
        raise all_failed(trials)
    best = max(completed, key=lambda trial: trial.score)
    values = best.hyperparameters.values
    return Choice(
        model_config=runner.model_config(best),
        learning_rate=values["learning_rate"],
        strength=values["strength"],
        score=best.score,
        trial_id=best.trial_id,
    )
