"""Choose a network and its learning rate by random search, each trial a short fit.

Random search (Bergstra & Bengio 2012) resumes exactly. A search that was killed and is called again
with the same folder repeats no finished trial, runs the interrupted one afresh in the child run it
had begun, and makes the same choice as one that was left alone.
"""

import contextlib
import io
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.errors import FatalError
from keras_tuner.oracles import RandomSearchOracle

from segline import models
from segline.config import ModelConfig, Search, Training, network_names
from segline.errors import ConfigError, SeglineError, TrainingError
from segline.storage import atomic_file
from segline.training.fit.batches import TrainBatches, ValidationBatches
from segline.training.fit.fit import FitResult, fit
from segline.training.fit.job import Job
from segline.training.fit.memory_estimate import budget, by_batch
from segline.training.fit.validation_score import OBJECTIVE
from segline.training.tracker import Tracker

Batches = tuple[TrainBatches, ValidationBatches]

_FAILURES = 3  # trials that may fail before the first success; then the reason is common to all


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
    _check(space, training, classes=classes)
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
        tuner = _Tuner(trials, _Oracle(_space(space), trials=space.trials, seed=seed), folder)
    try:
        tuner.search(verbose=0)
    except FatalError as error:
        raise error.__cause__ or error from None
    return _choice(tuner.oracle.trials, trials)


def _check(space: Search, training: Training, *, classes: int) -> None:
    """See, before a trial is spent, that every candidate can be built and takes the crops."""
    offered = {"network": space.networks, "width": space.width[:1], **_options(space)}
    for drawn in itertools.product(*offered.values()):
        config = _candidate(space, training, classes=classes, values=dict(zip(offered, drawn, strict=True)))
        stride = models.stride(config)
        if any(side % stride for side in training.crop):
            raise ConfigError(
                "training.crop",
                found=str(list(training.crop)),
                expected=f"multiples of {stride}, since search.networks has {config.network}",
                remedy="change the crop, or leave that network out",
            )


def _candidate(space: Search, training: Training, *, classes: int, values: Mapping[str, Any]) -> ModelConfig:
    """The network that drawn `values` describe, with those options alone that it has."""
    options = {
        name: next(value for value in offered if value == values[name])  # Keras Tuner makes 0 of False
        for name, offered in _options(space).items()
        if models.has_option(values["network"], name)
    }
    return ModelConfig(
        network=values["network"],
        classes=classes,
        width=values["width"],
        dropout=training.dropout,
        **options,
    )


def _space(space: Search) -> keras_tuner.HyperParameters:
    parameters, options = keras_tuner.HyperParameters(), _options(space)

    def offer(name: str) -> None:
        if takers := _takers(space.networks, name):
            with parameters.conditional_scope("network", takers):
                parameters.Choice(name, list(options[name]))

    parameters.Choice("network", list(space.networks))
    parameters.Choice("width", list(space.width))
    offer("depth")  # here, because the place of a choice decides what is drawn for it
    parameters.Float("learning_rate", *space.learning_rate, sampling="log")
    parameters.Float("strength", *space.augmentation)
    for name in options:
        if name != "depth":
            offer(name)
    return parameters


def _options(space: Search) -> dict[str, tuple[Any, ...]]:
    """The choices that only some networks have, without those that leave none but the default.

    Raises:
        ConfigError: no network of `space` has one of them.
    """
    offered = space.offered
    asked = {
        name: values
        for name, values in offered.items()
        if name != "encoder" and values != (ModelConfig.model_fields[name].default,)
    }
    for name in (*asked, *(["weights"] if space.weights is not None else [])):
        if not _takers(space.networks, name):
            raise ConfigError(
                f"params.yaml search.{name}",
                found=f"asked for, but {', '.join(space.networks)} cannot have it",
                expected=f"a network that can: {', '.join(_takers(network_names(), name))}",
                remedy="add one of them to search.networks, or delete the line",
            )
    return {"depth": space.depth, "encoder": space.encoders, **asked}


def encoders_of(space: Search) -> tuple[str, ...]:
    """The encoders that trials may begin with; none where no network of `space` begins with one."""
    return space.encoders if _takers(space.networks, "encoder") else ()


def _takers(networks: Sequence[str], option: str) -> list[str]:
    return [network for network in networks if models.has_option(network, option)]


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
        """The network that `trial` describes."""
        values = trial.hyperparameters.values
        config = _candidate(self._space, self._training, classes=self._classes, values=values)
        if config.encoder is None or config.encoder not in self._weights:
            return config
        first = {"weights": self._weights[config.encoder], "freeze": self._space.freeze}
        return config.model_copy(update=first)

    def run(self, trial: Trial) -> float:
        """The score of `trial`, which it logs to the trial's own child run."""
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
    """Independent seeds for all pairs, 31 bits."""
    return int(np.random.SeedSequence([seed, int(trial_id)]).generate_state(1)[0] >> 1)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


class _Oracle(RandomSearchOracle):
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
            max_consecutive_failed_trials=trials + 1,  # `_Tuner` stops for failures, with a reason
        )
        self.verbose = 0

    def save(self) -> None:
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


_ENDED = {TrialStatus.COMPLETED, TrialStatus.FAILED}


class _Tuner(BaseTuner):
    """Keras Tuner's loop over trials, telling what is wrong with a trial from what is wrong with the world."""

    def __init__(self, trials: _Trials, oracle: _Oracle, folder: Path) -> None:
        self._trials = trials
        super().__init__(oracle, directory=str(folder.parent), project_name=folder.name)

    def run_trial(self, trial: Trial, *_: Any, **__: Any) -> dict[str, float]:
        try:
            return {OBJECTIVE: self._trials.run(trial)}
        except TrainingError:
            raise
        except SeglineError as error:
            raise FatalError(str(error)) from error
        finally:
            _free_memory()

    def on_trial_end(self, trial: Trial) -> None:
        super().on_trial_end(trial)
        ended = self.oracle.trials.values()
        if len(ended) >= _FAILURES and all(other.status == TrialStatus.FAILED for other in ended):
            raise _all_failed(self.oracle.trials)

    def save(self) -> None:
        self.oracle.save()
        _write_json(Path(self._get_tuner_fname()), self.get_state())


def _free_memory() -> None:
    """Drop the trial's graphs and weights, collecting garbage; Keras forgets its dtype policy on the way."""
    policy = keras.config.dtype_policy()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(policy)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")


def _choice(trials: dict[str, Trial], runner: _Trials) -> Choice:
    """The completed trial with the highest score, the earliest of equals."""
    completed = [trial for _, trial in sorted(trials.items()) if trial.status == TrialStatus.COMPLETED]
    if not completed:
        raise _all_failed(trials)
    best = max(completed, key=lambda trial: trial.score)
    values = best.hyperparameters.values
    return Choice(
        model_config=runner.model_config(best),
        learning_rate=values["learning_rate"],
        strength=values["strength"],
        score=best.score,
        trial_id=best.trial_id,
    )


def _all_failed(trials: dict[str, Trial]) -> TrainingError:
    first = trials[min(trials)]
    return TrainingError(
        f"trial-{first.trial_id}",
        found=f"all {len(trials)} trials failed; the first one with\n{first.message or ''}".rstrip(),
        expected="one that can be completed",
        remedy="correct what the traceback names, delete the search's folder, then run the same command",
    )
