"""(pretrain ->) search -> train -> evaluate -> register -> gate -> promote.

Every step leaves its result whole in the run's scratch folder, or in MLflow, before the next one
starts; a run that was killed is found by its run key and goes on from there.

    python -m flows.training --dataset kitti
    prefect deployment run 'training/local' -p dataset=kitti
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from mlflow.entities.model_registry import ModelVersion
from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows import reporting
from segline import config, datasets, settings
from segline.core import gate
from segline.core.labels import BINARY
from segline.data.prepared import Prepared
from segline.datasets.base import Dataset
from segline.errors import TrainingError
from segline.registry import lineage, promotion, summary, tracking
from segline.storage import atomic_file

_EXTREMES = 4  # of the worst and of the best validation images, drawn
_BATCHES = 2  # training batches that are drawn

if TYPE_CHECKING:
    from segline.training.plan import Plan

_LOADERS = 8  # one makes some hundred crops a second; more than these wait for a GPU


@dataclass(frozen=True, kw_only=True)
class Work:
    """What all steps of one run share."""

    settings: settings.Settings
    params: config.Params
    prepared: Prepared
    tracker: tracking.MlflowTracker
    scratch: Path
    tags: dict[str, str]
    plan: "Plan | None" = None
    """What gave `params` its values, where params.yaml asks for one."""

    @property
    def name(self) -> str:
        """The registered model's name."""
        return promotion.model_name(self.dataset.model)

    @property
    def training(self) -> config.Training:
        """How networks are fitted, with the steps that an epoch has on these data."""
        return self.params.training.over(len(self.prepared.split("train")))

    @property
    def dataset(self) -> Dataset:
        """The definition, for the task and split of params.yaml."""
        return _dataset(self.settings, self.params)


@flow(name="training", log_prints=True)
def training(dataset: str | None = None, retrain: bool = False) -> dict[str, Any]:
    """Train a model for `dataset` (default: that of params.yaml), and promote it if it is better.

    Args:
        dataset: one of params.yaml's ``datasets``.
        retrain: train again although a finished run with the same data, code and parameters exists.

    Returns:
        The run's summary: figures, decision and champion.
    """
    reporting.without_tracebacks()
    places = settings.load()
    params = config.load(places.params, dataset=dataset)
    prepared = Prepared(places.prepared(params.dataset))
    prepared.check(_dataset(places, params), short_side=params.prepare.short_side)
    plan = _planned(places, params)
    params = plan.applied(params) if plan else params
    data = lineage.data_state(places, params)
    code = lineage.code_state(places.root)
    resolved = lineage.resolved(params, root=places.root)
    key = lineage.run_key(data, code, resolved)
    client = tracking.connect(places)
    experiment = tracking.experiment(client, places, promotion.model_name(_dataset(places, params).model))
    with tracking.reporting_tracking(places.tracking_uri), _alone(places, key):
        finished = [run for run in tracking.runs_with_key(client, experiment, key) if tracking.is_finished(run)]
        begun = tracking.unfinished(client, experiment, key)
        if finished and not retrain and begun is None:
            get_run_logger().info("run %s has the same data, code and parameters: reused", finished[0].info.run_name)
            return _show(summary.of_run(client, finished[0], reused=True))
        tracking.end_abandoned(client, experiment, places.runs)
        run = begun or tracking.open_parent(client, experiment, key=key, name=f"{params.dataset}-{key[:8]}")
        with tracking.closing(client, run) as tracker:
            work = Work(
                settings=places,
                params=params,
                prepared=prepared,
                tracker=tracker,
                scratch=places.runs / tracker.run_id,
                tags={
                    **lineage.tags(data, code, resolved, prepared.meta),
                    "segline.flow_run": str(runtime.flow_run.id),
                },
                plan=plan,
            )
            _run(work, client)
        shutil.rmtree(work.scratch, ignore_errors=True)
        return _show(summary.of_run(client, client.get_run(run.info.run_id), reused=False))


def _dataset(places: settings.Settings, params: config.Params) -> Dataset:
    name = params.dataset
    return datasets.load(name, params.options.get(name), raw=places.raw(name))


def _planned(places: settings.Settings, params: config.Params) -> "Plan | None":
    """The plan of `params`; None where they ask for none."""
    if params.training.plan is None:
        return None
    from segline.training import facts, plan
    from segline.training.backend import make_deterministic

    # Networks are built to count what they take, and the first thing that is computed fixes the threads.
    make_deterministic(seed=params.seed, threads=params.training.threads)
    found = facts.read(places.manifest(params.dataset), _dataset(places, params), short_side=params.prepare.short_side)
    return plan.make(found, short_side=params.prepare.short_side, training=params.training, search=params.search)


def _run(work: Work, client: Any) -> None:
    begin(work, client)
    with tracking.watching_machine(work.tracker):
        if work.params.search.weights == config.CLASSIFICATION:
            pretrain(work)
        choice = search(work)
        train(work, choice)
        evaluate(work)
    version = register(work, client)
    with FileLock(work.settings.runs / f"{work.name}.gate.lock"):  # two gates at once would both beat the old champion
        decision = judge(work, client, version)
        if decision["promote"]:
            promote(client, version)
    work.tracker.set_tags({tracking.DECISION: json.dumps(decision)})


@contextmanager
def _alone(places: settings.Settings, key: str) -> Iterator[None]:
    """Refuse to train the same thing twice at once."""
    try:
        with FileLock(places.runs / f"{key}.lock", timeout=0):
            yield
    except Timeout as error:
        raise TrainingError(
            places.runs / f"{key}.lock",
            found="another process is training with the same data, code and parameters",
            expected="one at a time",
            remedy="wait for it: its result will be reused",
        ) from error


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def begin(work: Work, client: Any) -> None:
    """Log what the run is asked to do and where it comes from."""
    work.scratch.mkdir(parents=True, exist_ok=True)  # it says that this run is this machine's
    work.tracker.set_tags(work.tags)
    work.tracker.log_params(lineage.flat(work.params.resolved()))
    tracking.log_dataset(client, work.tracker.run_id, work.params.dataset, work.tags["segline.prepared_md5"])
    if work.plan:
        work.plan.write(work.scratch / "plan.json")
        work.tracker.log_artifact(work.scratch / "plan.json", "plan")


@task(cache_policy=NO_CACHE)
def pretrain(work: Work) -> None:
    """Train the search's encoders on what the data say of whole images; each one goes on after a kill."""
    from segline.data import loader
    from segline.training import classify
    from segline.training import search as library
    from segline.training.backend import make_deterministic

    settings, fit = work.params.classification, work.params.training
    make_deterministic(seed=work.params.seed, threads=fit.threads)
    task, label = work.dataset.image_label(settings.task)
    ids = [name for split in ("train", "validation") for name in work.prepared.split(split).ids]
    classes = classify.image_classes(task, label, ids)
    with loader.on_processes(_loaders(work)) as put:
        train_batches, validation_batches = _batches(work, settings.augmentation, put, rare=0.0)
        for encoder in library.encoders_of(work.params.search):
            with work.tracker.child(f"classification-{encoder}", name=f"{task}: {encoder}") as child:
                classify.pretrain(
                    encoder,
                    fit,
                    settings,
                    classes=classes,
                    train=train_batches,
                    validation=validation_batches,
                    seed=work.params.seed,
                    tracker=child,
                    folder=work.scratch / "classification",
                    report=lambda line, encoder=encoder: print(f"{task}, {encoder}: {line}"),  # type: ignore[misc]
                )


def _weights(work: Work) -> dict[str, str]:
    """First weights of the search's encoders."""
    wanted = work.params.search
    if wanted.weights is None:
        return {}
    if wanted.weights == config.CLASSIFICATION:
        return {encoder: str(work.scratch / "classification" / f"{encoder}.npz") for encoder in wanted.encoders}
    first = str(work.settings.root / wanted.weights_file) if wanted.weights_file else wanted.weights
    return dict.fromkeys(wanted.encoders, first)


@task(cache_policy=NO_CACHE)
def search(work: Work) -> dict[str, Any]:
    """Let Keras Tuner choose network, sizes, learning rate and augmentation strength on validation."""
    from segline.data import loader
    from segline.training.backend import make_deterministic

    stored = work.scratch / "choice.json"
    make_deterministic(seed=work.params.seed, threads=work.params.training.threads)
    if stored.is_file():
        print(f"search: already done, {stored}")
        return _read(stored)
    from segline.training import search as library

    with loader.on_processes(_loaders(work)) as put:
        choice = library.search(
            work.params.search,
            work.training,
            classes=len(work.dataset.label_map),
            make_batches=lambda strength: _batches(work, strength, put),
            seed=work.params.seed,
            tracker=work.tracker,
            folder=work.scratch / "tuner",
            weights=_weights(work),
            class_weights=_class_weights(work),
            report=print,
        )
    found = asdict(choice) | {"model_config": choice.model_config.model_dump(mode="json")}
    _write(stored, found)
    return found


def _loaders(work: Work) -> int:
    """Processes that make batches: what the arithmetic leaves of the CPUs; it does not change a result.

    Where it leaves none, one is still worth it (5 % more images a second on two cores); two are not.
    """
    if work.settings.workers == 1:
        return 0
    return min(_LOADERS, max(1, work.settings.workers - work.params.training.threads))


def _class_weights(work: Work) -> tuple[float, ...] | None:
    """Of the loss, by the pixels of the training split; none for equal ones."""
    if work.params.training.loss.class_weights == "equal":
        return None
    from segline.training.losses import balanced_weights

    return balanced_weights(work.prepared.split("train").pixels)


def _batches(work: Work, strength: float, put: Any, *, rare: float | None = None) -> tuple[Any, Any]:
    """Batches of both splits, those to train on made where `put` puts them; `rare` other than params.yaml's."""
    from segline.data import loader
    from segline.data.augment import Augmenter

    fit = work.params.training
    flips = ("left_right",) * work.dataset.mirrored if fit.flips is None else fit.flips
    augmenter = Augmenter(
        crop=fit.crop,
        strength=strength,
        mirrored="left_right" in flips,
        upended="up_down" in flips,
        kind=fit.augmentation,
    )
    train_split, validation_split = work.prepared.split("train"), work.prepared.split("validation")
    share = fit.rare if rare is None else rare
    crops = loader.Crops(train_split, augmenter=augmenter, batch=fit.batch, seed=work.params.seed, rare=share)
    validated = fit.validation_batch or fit.batch
    return put(crops), loader.Whole(validation_split, batch=validated, multiple=config.MULTIPLE)


@task(cache_policy=NO_CACHE)
def train(work: Work, choice: dict[str, Any]) -> None:
    """Train the winner of the search, longer; resumes at the last whole epoch."""
    from segline import models
    from segline.data import loader
    from segline.inference import bundle
    from segline.training.fit import fit
    from segline.training.job import Job
    from segline.training.memory import budget, by_batch

    folder = work.scratch / "bundle"
    if (folder / bundle.DESCRIPTION).is_file():
        print(f"train: already done, {folder}")
        return
    model_config = config.ModelConfig.model_validate(choice["model_config"])
    with loader.on_processes(_loaders(work)) as put:
        training_batches, validation_batches = _batches(work, choice["strength"], put)
        _show_batches(work, training_batches)
        job = Job(
            model_config=model_config,
            training=work.training,
            learning_rate=choice["learning_rate"],
            epochs=work.params.training.epochs,
            seed=work.params.seed,
            class_weights=_class_weights(work),
        )
        result = fit(
            job,
            train=training_batches,
            validation=validation_batches,
            tracker=work.tracker,
            checkpoint=work.scratch / "checkpoint.npz",
            report=print,
            memory=by_batch(job),
            budget=budget(work.training),
        )
    specification = work.scratch / "augmentation.json"
    _write(specification, training_batches.augmentation)
    work.tracker.log_artifact(specification, "lineage")
    dataset = work.dataset
    network = bundle.Bundle(
        network=result.model,
        dataset=dataset.name,
        family=model_config.network,
        labels=dataset.label_map,
        short_side=work.params.prepare.short_side,
        stride=models.stride(model_config),
    )
    bundle.save(replace(network, threshold=_threshold(work, network)), folder)


def _threshold(work: Work, network: Any) -> float | None:
    """Of the foreground's probability, where the task is binary: the number of params.yaml, or validation's best."""
    wanted = work.params.training.threshold
    if len(network.labels) != BINARY:
        return None
    if wanted != "validation":
        return wanted
    from segline.evaluation import threshold

    chosen = threshold.choose(network, work.prepared.split("validation"), progress=_progress("threshold"))
    figures = {"threshold": chosen.value, "threshold_val_miou": chosen.miou, "argmax_val_miou": chosen.miou_at_half}
    work.tracker.log_metrics(figures, step=0)
    print(f"threshold {chosen.value:.3f}: validation mIoU {chosen.miou:.4f}, with 0.5 {chosen.miou_at_half:.4f}")
    return chosen.value


def _show_batches(work: Work, batches: Any) -> None:
    """Log the first training batches as pictures; a resumed run draws the same."""
    from segline.training.pictures import batch_picture

    for number in range(_BATCHES):
        path = work.scratch / "batches" / f"batch_{number + 1}.png"
        if not path.is_file():
            batch_picture(batches.batch(number), work.dataset.label_map, path)
        work.tracker.log_artifact(path, "batches")


@task(cache_policy=NO_CACHE)
def evaluate(work: Work) -> None:
    """Score the winner on the test split at the labels' native size, and draw the pictures."""
    from segline.evaluation import evaluate as library
    from segline.evaluation import report
    from segline.inference import bundle

    stored, split = work.scratch / "evaluation.npz", work.prepared.split("test")
    network = bundle.load(work.scratch / "bundle")
    if not stored.is_file():
        library.save(library.evaluate(network, split, progress=_progress("evaluate")), stored)
    evaluation = library.load(stored)
    work.tracker.set_tags({"segline.network": network.family})
    result = _summarise(work, evaluation)
    work.tracker.log_metrics(summary.metrics(result), step=0)
    _write(work.scratch / "evaluation.json", result)
    report.confusion_picture(evaluation, work.scratch / "confusion.png")
    for path in (work.scratch / "evaluation.json", stored, work.scratch / "confusion.png"):
        work.tracker.log_artifact(path, "evaluation")
    for path in report.example_pictures(network, split, evaluation, work.scratch / "examples"):
        work.tracker.log_artifact(path, "examples")
    _show_validation(work, network)


def _show_validation(work: Work, network: Any) -> None:
    """Log the validation images that the winner answers worst and best."""
    from segline.evaluation import evaluate as library
    from segline.evaluation import report

    split = library.AtTrainingScale(work.prepared.split("validation"))
    stored = work.scratch / "validation.npz"
    if not stored.is_file():
        library.save(library.evaluate(network, split, progress=_progress("look at validation")), stored)
    evaluation, folder = library.load(stored), work.scratch / "validation"
    for path in (stored, *report.extreme_pictures(network, split, evaluation, folder, count=_EXTREMES)):
        work.tracker.log_artifact(path, "validation")


def _summarise(work: Work, evaluation: Any) -> dict[str, Any]:
    from segline.evaluation import evaluate as library

    wanted = work.params.evaluation
    pixels = work.prepared.split("train").pixels
    return library.summary(
        evaluation,
        interval=evaluation.interval(resamples=wanted.resamples, confidence=wanted.confidence),
        baseline=evaluation.baseline(commonest=pixels.index(max(pixels))),
    )


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def register(work: Work, client: Any) -> ModelVersion:
    """Put the trained network into the registry as a new version, with its lineage."""
    version = promotion.register(
        client,
        run_id=work.tracker.run_id,
        name=work.name,
        bundle=work.scratch / "bundle",
        tags=work.tags | {"segline.augmentation": (work.scratch / "augmentation.json").read_text(encoding="utf-8")},
    )
    print(f"registered {version.name} version {version.version}")
    return version


@task(cache_policy=NO_CACHE)
def judge(work: Work, client: Any, version: ModelVersion) -> dict[str, Any]:
    """Compare with the champion, re-scored on the same test split.

    A decision made before a kill stays while it speaks of the present champion, or made this
    version the champion; after somebody else's promotion it is made anew.
    """
    champion = promotion.champion(client, work.name)
    made = json.loads(version.tags.get(tracking.DECISION, "null"))
    holder = champion.version if champion else None
    if made and holder in (made["champion"], version.version):
        return dict(made)
    challenger = _read(work.scratch / "evaluation.json")["miou"]
    decision = gate.decide(
        challenger,
        champion=_rescore(work, champion) if champion else None,
        floor=work.params.promotion.floor[work.params.dataset],
    )
    result = asdict(decision) | {"version": version.version, "champion": champion.version if champion else None}
    promotion.tag(client, version, {tracking.DECISION: json.dumps(result)})
    print(f"gate: {'promoted' if decision.promote else 'rejected'}: {decision.reason}")
    return result


def _rescore(work: Work, champion: ModelVersion) -> float:
    from segline.evaluation import evaluate as library
    from segline.inference import bundle

    network = bundle.load(promotion.download(champion, work.scratch / "champion"))
    split: Any = work.prepared.split("test")
    if network.short_side != split.short_side:
        places, name = work.settings, work.params.dataset
        split = split.rescaled(
            raw=places.raw(name), manifest_folder=places.manifest(name), short_side=network.short_side
        )
    return library.evaluate(network, split, progress=_progress(f"re-score version {champion.version}")).miou


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def promote(client: Any, version: ModelVersion) -> None:
    """Make `version` the champion."""
    promotion.promote(client, version)


def _show(result: dict[str, Any]) -> dict[str, Any]:
    """Leave the summary on the flow run's page."""
    create_markdown_artifact(summary.markdown(result), key=f"training-{result['dataset'].replace('_', '-')}")
    return result


def _progress(what: str) -> Any:
    def show(done: int, total: int) -> None:
        if done == total or done % max(1, total // 4) == 0:
            print(f"{what}: {done} of {total} images")

    return show


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _write(path: Path, content: Any) -> None:
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """``python -m flows.training``: run the flow here and print the table."""
    from argparse import ArgumentParser, Namespace

    from rich.console import Console

    parser = ArgumentParser(prog="python -m flows.training", description=training.description)
    parser.add_argument("--dataset", help="default: `dataset` of params.yaml")
    parser.add_argument("--retrain", action="store_true", help="train again even if this very run is finished")

    def action(options: Namespace) -> None:
        Console().print(summary.table(training(dataset=options.dataset, retrain=options.retrain)))

    reporting.run(parser, action)


if __name__ == "__main__":
    main()
