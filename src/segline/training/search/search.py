"""Choose a network and its learning rate by trials, each a short fit.

The search is random (Bergstra & Bengio 2012); with ``search.halving``, the best trials are trained further than the
others. It resumes exactly. If it was killed, call it again with the same folder. It repeats no finished trial. It runs
the interrupted trial again in the child run that was begun: from its start, or with ``search.halving`` from its last
complete epoch. It makes the same choice as a search that was not killed.
"""

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from keras_tuner.engine.trial import Trial
from keras_tuner.errors import FatalError

from segline.config import ModelConfig, Search, Training
from segline.training.fit.batch_sequence import Batches, ValidationBatches
from segline.training.fit.fit import FitResult, fit
from segline.training.fit.job import Job
from segline.training.fit.memory_estimate import budget, by_batch
from segline.training.rungs import Rung, list_rungs
from segline.training.search.choice import Choice
from segline.training.search.halving import HalvingOracle, get_drawn, get_first, get_round, rank
from segline.training.search.hyperparameters import (
    check_space,
    configure_network,
    list_compositions,
    make_hyperparameters,
)
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
    the trials before it, its weights on `seed` and its id. A trial that goes on is another child run, with the same
    hyperparameters and weights.

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
        tuner = Tuner(trials.run, _make_oracle(space, seed), folder)
    try:
        tuner.search(verbose=0)
    except FatalError as error:
        raise error.__cause__ or error from None
    return _choose_best(tuner.oracle.trials, trials)


def _make_oracle(space: Search, seed: int) -> ResumableOracle:
    parameters = make_hyperparameters(space)
    if space.halving is None:
        return ResumableOracle(parameters, trials=space.trials, seed=seed)
    strata = [make_hyperparameters(space, only=composition) for composition in list_compositions(space)]
    return HalvingOracle(parameters, strata=strata, rungs=list_rungs(space), seed=seed)


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
        rungs, number, first = list_rungs(self.space), int(trial.trial_id) + 1, get_first(trial)
        goes_on = first != trial.trial_id
        rung, name = rungs[get_round(trial)], f"trial {number}"
        values: dict[str, object] = get_drawn(trial.hyperparameters.values)
        if self.space.halving is not None:
            values |= {"epochs": rung.epochs, "continues": f"trial {int(first) + 1}" if goes_on else "none"}
        drawn = ", ".join(
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
        )
        line = f"{name}/{sum(each.trials for each in rungs)}: {drawn}"
        with self.tracker.child(f"trial-{trial.trial_id}", name=name) as child:
            child.log_params(values)
            try:
                result = self._fit(trial, child, rung)
            except Exception as error:
                self.report(f"{line}: failed: {error}")
                raise
            child.log_metrics({"score": result.best_miou}, step=rung.epochs)
        self.report(f"{line}: validation mIoU {result.best_miou:.4f}")
        return result.best_miou

    def _fit(self, trial: Trial, child: Tracker, rung: Rung) -> FitResult:
        values, first = trial.hyperparameters.values, get_first(trial)
        train, validation = self.make_batches(values["strength"])
        job = Job(
            model_config=self.model_config(trial),
            training=self.training,
            learning_rate=values["learning_rate"],
            epochs=self.space.epochs,
            seed=_derive_seed(self.seed, first),
            class_weights=self.class_weights,
        )
        return fit(
            job,
            train=train,
            validation=validation,
            tracker=child,
            checkpoint=None if self.space.halving is None else self.folder / f"trial-{first}.npz",
            until=rung.epochs,
            diverged=self.folder / f"trial-{trial.trial_id}.diverged.json",
            memory=by_batch(job),
            budget=budget(self.training),
        )


def _derive_seed(seed: int, trial_id: str) -> int:
    """Derive the seed of a trial, 31 bits, independent for each pair."""
    return int(np.random.SeedSequence([seed, int(trial_id)]).generate_state(1)[0] >> 1)


def _choose_best(trials: dict[str, Trial], runner: _Trials) -> Choice:
    """Choose the completed trial with the highest score, the earliest of equal ones, of those trained longest."""
    completed = rank(list(trials.values()))
    if not completed:
        raise report_all_failed(trials)
    last = max(map(get_round, completed))
    best = next(trial for trial in completed if get_round(trial) == last)
    values = best.hyperparameters.values
    return Choice(
        model_config=runner.model_config(best),
        learning_rate=values["learning_rate"],
        strength=values["strength"],
        score=best.score,
        trial_id=best.trial_id,
    )
