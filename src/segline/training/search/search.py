"""Choose a network and its learning rate by random search, each trial a short fit.

The search is random (Bergstra & Bengio 2012) and resumes exactly. If it was killed, call it again with the same
folder. It repeats no finished trial. It runs the interrupted trial again from its start, in the child run that was
begun. It makes the same choice as a search that was not killed.
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
from segline.training.fit.batch_sequence import Batches, ValidationBatches
from segline.training.fit.fit import FitResult, fit
from segline.training.fit.job import Job
from segline.training.fit.memory_estimate import budget, by_batch
from segline.training.search.choice import Choice
from segline.training.search.hyperparameters import check_space, configure_network, make_hyperparameters
from segline.training.search.tuner import ResumableOracle, Tuner, report_all_failed
from segline.training.tracker import Tracker

Splits = tuple[Batches, ValidationBatches]


def search(
    space: Search,
    training: Training,
    *,
    classes: int,
    make_batches: Callable[[float], Splits],
    seed: int,
    tracker: Tracker,
    folder: Path,
    weights: Mapping[str, str] | None = None,
    class_weights: tuple[float, ...] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Choice:
    """Run the trials that `folder` does not contain yet, and choose the best of all by validation mIoU.

    Each trial is a child run of `tracker` with the key ``trial-<id>``. Its hyperparameters depend on `seed` and
    the trials before it, its weights on `seed` and its id.

    Args:
        space: networks and ranges to choose from, number of trials, epochs of each.
        training: everything else about a trial's fit.
        classes: of the label map.
        make_batches: augmentation strength -> training and validation batches.
        seed: of the hyperparameters and the weights.
        tracker: the parent run of the trials.
        folder: folder for the state of this search. Use another folder for another space, seed or data.
        weights: initial weights of each encoder in `space`, as in `ModelConfig`; default: random weights.
        class_weights: as in `Job`.
        report: receives one line of text for each trial.

    Raises:
        ConfigError: `space` has an option that none of its networks has, or a network that the crops do not suit.
        TrainingError: no trial could be completed; the message contains the traceback of the first.
        SeglineError: an error that another trial would meet too, such as a full disk or no MLflow.
    """
    check_space(space, training, classes=classes)
    trials = _Trials(
        space=space,
        training=training,
        classes=classes,
        make_batches=make_batches,
        seed=seed,
        tracker=tracker,
        weights=weights or {},
        class_weights=class_weights,
        folder=folder,
        report=report,
    )
    with contextlib.redirect_stdout(io.StringIO()):  # hides "Reloading" with a path, the only line it prints
        tuner = Tuner(trials.run, ResumableOracle(make_hyperparameters(space), trials=space.trials, seed=seed), folder)
    try:
        tuner.search(verbose=0)
    except FatalError as error:
        raise error.__cause__ or error from None
    return _choose_best(tuner.oracle.trials, trials)


@dataclass(frozen=True, kw_only=True)
class _Trials:
    """The arguments of `search`, and one trial: a fit in a child run."""

    space: Search
    training: Training
    classes: int
    make_batches: Callable[[float], Splits]
    seed: int
    tracker: Tracker
    folder: Path
    weights: Mapping[str, str]
    class_weights: tuple[float, ...] | None
    report: Callable[[str], None]

    def model_config(self, trial: Trial) -> ModelConfig:
        """Configure the network that `trial` describes."""
        values = trial.hyperparameters.values
        config = configure_network(self.space, self.training, classes=self.classes, values=values)
        if config.encoder is None or config.encoder not in self.weights:
            return config
        first = {"weights": self.weights[config.encoder], "freeze": self.space.freeze}
        return config.model_copy(update=first)

    def run(self, trial: Trial) -> float:
        """Fit `trial`, and log its score to the trial's own child run."""
        values = trial.hyperparameters.values
        number = int(trial.trial_id) + 1
        drawn = ", ".join(
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
        )
        with self.tracker.child(f"trial-{trial.trial_id}", name=f"trial {number}") as child:
            child.log_params(values)
            try:
                result = self._fit(trial, child)
            except Exception as error:
                self.report(f"trial {number}/{self.space.trials}: {drawn}: failed: {error}")
                raise
            child.log_metrics({"score": result.best_miou}, step=self.space.epochs)
        self.report(f"trial {number}/{self.space.trials}: {drawn}: validation mIoU {result.best_miou:.4f}")
        return result.best_miou

    def _fit(self, trial: Trial, child: Tracker) -> FitResult:
        values = trial.hyperparameters.values
        train, validation = self.make_batches(values["strength"])
        job = Job(
            model_config=self.model_config(trial),
            training=self.training,
            learning_rate=values["learning_rate"],
            epochs=self.space.epochs,
            seed=_derive_seed(self.seed, trial.trial_id),
            class_weights=self.class_weights,
        )
        return fit(
            job,
            train=train,
            validation=validation,
            tracker=child,
            diverged=self.folder / f"trial-{trial.trial_id}.diverged.json",
            memory=by_batch(job),
            budget=budget(self.training),
        )


def _derive_seed(seed: int, trial_id: str) -> int:
    """Derive the seed of a trial, 31 bits, independent for each pair."""
    return int(np.random.SeedSequence([seed, int(trial_id)]).generate_state(1)[0] >> 1)


def _choose_best(trials: dict[str, Trial], runner: _Trials) -> Choice:
    """Choose the completed trial with the highest score, the earliest of equal ones."""
    completed = [trial for _, trial in sorted(trials.items()) if trial.status == TrialStatus.COMPLETED]
    if not completed:
        raise report_all_failed(trials)
    best = max(completed, key=lambda trial: trial.score)
    values = best.hyperparameters.values
    return Choice(
        model_config=runner.model_config(best),
        learning_rate=values["learning_rate"],
        strength=values["strength"],
        score=best.score,
        trial_id=best.trial_id,
    )
