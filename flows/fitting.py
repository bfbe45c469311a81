"""The steps of a training run that fit networks: pretrain -> search -> train."""

from dataclasses import asdict, replace
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows import reporting
from flows.work import Work, batches_of, class_weights_of, flips_of, loaders_of, progress, read, write
from segline import config
from segline.config.fields import Flip
from segline.core.labels import BINARY

_BATCHES = 2  # training batches that are drawn


@task(cache_policy=NO_CACHE)
@reporting.without_secrets
def pretrain(work: Work) -> None:
    """Train the search's encoders on what the data say of whole images; each one goes on after a kill."""
    from segline.data.batches import loader
    from segline.training.classification import pretrain as classify
    from segline.training.fit.backend import make_deterministic
    from segline.training.search import search as library

    settings, fit = work.params.classification, work.training
    make_deterministic(seed=work.params.seed, threads=fit.threads)
    task, label = work.dataset.image_label(settings.task)
    ids = [name for split in ("train", "validation") for name in work.prepared.split(split).ids]
    classes = classify.image_classes(task, label, ids)
    with loader.on_processes(loaders_of(work)) as put:
        train_batches, validation_batches = batches_of(work, settings.augmentation, put, rare=0.0)
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
@reporting.without_secrets
def search(work: Work) -> dict[str, Any]:
    """Let Keras Tuner choose network, sizes, learning rate and augmentation strength on validation."""
    from segline.data.batches import loader
    from segline.training.fit.backend import make_deterministic

    stored = work.scratch / "choice.json"
    make_deterministic(seed=work.params.seed, threads=work.params.training.threads)
    if stored.is_file():
        print(f"search: already done, {stored}")
        return read(stored)
    from segline.training.search import search as library

    with loader.on_processes(loaders_of(work)) as put:
        choice = library.search(
            work.params.search,
            work.training,
            classes=len(work.dataset.label_map),
            make_batches=lambda strength: batches_of(work, strength, put),
            seed=work.params.seed,
            tracker=work.tracker,
            folder=work.scratch / "tuner",
            weights=_weights(work),
            class_weights=class_weights_of(work),
            report=print,
        )
    found = asdict(choice) | {"model_config": choice.model_config.model_dump(mode="json")}
    write(stored, found)
    return found


@task(cache_policy=NO_CACHE)
@reporting.without_secrets
def train(work: Work, choice: dict[str, Any]) -> None:
    """Train the winner of the search, longer; resumes at the last whole epoch."""
    from segline import models
    from segline.data.batches import loader
    from segline.inference import bundle
    from segline.training.fit.fit import fit
    from segline.training.fit.job import Job
    from segline.training.fit.memory_estimate import budget, by_batch

    folder = work.scratch / "bundle"
    if (folder / bundle.DESCRIPTION).is_file():
        print(f"train: already done, {folder}")
        return
    model_config = config.ModelConfig.model_validate(choice["model_config"])
    with loader.on_processes(loaders_of(work)) as put:
        training_batches, validation_batches = batches_of(work, choice["strength"], put)
        _show_batches(work, training_batches)
        job = Job(
            model_config=model_config,
            training=work.training,
            learning_rate=choice["learning_rate"],
            epochs=work.params.training.epochs,
            seed=work.params.seed,
            class_weights=class_weights_of(work),
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
    write(specification, training_batches.augmentation)
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
    network = replace(network, mirrors=_mirrors(work, network))
    bundle.save(replace(network, threshold=_threshold(work, network)), folder)


def _mirrors(work: Work, network: Any) -> tuple[Flip, ...]:
    """The flips whose mirror images predictions average."""
    wanted, flips = work.params.training.mirrors, flips_of(work)
    if not (wanted and flips):
        return ()
    if wanted != "validation":
        return flips
    from segline.evaluation.bundles import choose_mirrors

    chosen = choose_mirrors.choose(
        network, work.prepared.split("validation"), flips=flips, progress=progress("mirror images")
    )
    work.tracker.log_metrics({"mirrored_val_miou": chosen.miou, "unmirrored_val_miou": chosen.miou_without}, step=0)
    figures = f"validation mIoU {chosen.miou:.4f} with mirror images, {chosen.miou_without:.4f} without"
    print(f"mirrors {', '.join(chosen.flips) or 'none'}: {figures}")
    return chosen.flips


def _threshold(work: Work, network: Any) -> float | None:
    """Of the foreground's probability, where the task is binary: the number of params.yaml, or validation's best."""
    wanted = work.params.training.threshold
    if len(network.labels) != BINARY:
        return None
    if wanted != "validation":
        return wanted
    from segline.evaluation.bundles import choose_threshold

    chosen = choose_threshold.choose(network, work.prepared.split("validation"), progress=progress("threshold"))
    figures = {"threshold": chosen.value, "threshold_val_miou": chosen.miou, "argmax_val_miou": chosen.miou_at_half}
    work.tracker.log_metrics(figures, step=0)
    print(f"threshold {chosen.value:.3f}: validation mIoU {chosen.miou:.4f}, with 0.5 {chosen.miou_at_half:.4f}")
    return chosen.value


def _show_batches(work: Work, batches: Any) -> None:
    """Log the first training batches as pictures; a resumed run draws the same."""
    from segline.training.fit.batch_pictures import batch_picture

    for number in range(_BATCHES):
        path = work.scratch / "batches" / f"batch_{number + 1}.png"
        if not path.is_file():
            batch_picture(batches.batch(number), work.dataset.label_map, path)
        work.tracker.log_artifact(path, "batches")
