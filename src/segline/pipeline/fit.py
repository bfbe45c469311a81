"""Train the network that the search chose; choose flips, threshold and temperature on validation; save a bundle."""

from dataclasses import replace
from typing import Any

from segline.config.fields import Flip
from segline.core.labels import BINARY
from segline.core.metrics.temperature import Fitted
from segline.pipeline.work import Work
from segline.project import Artifacts, Files, Scratch
from segline.storage import write_json
from segline.training.search.choice import Choice

_BATCHES_SHOWN = 2


def fit(work: Work, choice: Choice) -> None:
    """Train the network that the search chose, for more epochs than its trial; resume after the last complete epoch."""
    from segline import models
    from segline.data.batches import loader
    from segline.inference import bundle
    from segline.training.fit.fit import fit as run
    from segline.training.fit.job import Job
    from segline.training.fit.memory_estimate import budget, by_batch

    folder = work.scratch / Files.BUNDLE
    if (folder / Files.DESCRIPTION).is_file():
        work.report(f"train: already done, {folder}")
        return
    with loader.on_processes(work.loaders) as put:
        training_batches, validation_batches = work.batches(choice.strength, put)
        _show_batches(work, training_batches)
        job = Job(
            model_config=choice.model_config,
            training=work.training,
            learning_rate=choice.learning_rate,
            epochs=work.params.training.epochs,
            seed=work.params.seed,
            class_weights=work.class_weights,
        )
        result = run(
            job,
            train=training_batches,
            validation=validation_batches,
            tracker=work.tracker,
            checkpoint=work.scratch / Scratch.CHECKPOINT,
            report=work.report,
            memory=by_batch(job),
            budget=budget(work.training),
        )
    specification = work.scratch / Scratch.AUGMENTATION
    write_json(specification, training_batches.augmentation)
    work.tracker.log_artifact(specification, Artifacts.LINEAGE)
    dataset = work.dataset
    network = bundle.Bundle(
        network=result.model,
        dataset=dataset.name,
        family=choice.model_config.network,
        labels=dataset.label_map,
        short_side=work.params.prepare.pixels,
        stride=models.stride(choice.model_config),
        levels=dataset.levels,
    )
    network = replace(network, mirrors=_choose_mirrors(work, network))
    network = replace(network, threshold=_choose_threshold(work, network))
    bundle.save(replace(network, temperature=_fit_temperature(work, network)), folder)


def _choose_mirrors(work: Work, network: Any) -> tuple[Flip, ...]:
    """Choose the flips over which predictions are averaged."""
    wanted = work.params.training.mirrors
    if not (wanted and work.flips):
        return ()
    if wanted != "validation":
        return work.flips
    from segline.evaluation.bundles import choose_mirrors

    validation = work.prepared.split("validation")
    with work.progress as progress:
        advance = progress.start("mirror images", 2 * len(validation), unit="images")
        chosen = choose_mirrors.choose(network, validation, flips=work.flips, progress=advance)
    work.tracker.log_metrics({"mirrored_val_miou": chosen.miou, "unmirrored_val_miou": chosen.miou_without}, step=0)
    figures = f"validation mIoU {chosen.miou:.4f} with mirror images, {chosen.miou_without:.4f} without"
    work.report(f"mirrors {', '.join(chosen.flips) or 'none'}: {figures}")
    return chosen.flips


def _choose_threshold(work: Work, network: Any) -> float | None:
    """Choose the threshold of the foreground's probability; None if the task is not binary."""
    wanted = work.params.training.threshold
    if len(network.labels) != BINARY:
        return None
    if wanted != "validation":
        return wanted
    from segline.evaluation.bundles import choose_threshold

    validation = work.prepared.split("validation")
    with work.progress as progress:
        advance = progress.start("threshold", len(validation), unit="images")
        chosen = choose_threshold.choose(network, validation, progress=advance)
    figures = {"threshold": chosen.value, "threshold_val_miou": chosen.miou, "argmax_val_miou": chosen.miou_at_half}
    work.tracker.log_metrics(figures, step=0)
    work.report(f"threshold {chosen.value:.3f}: validation mIoU {chosen.miou:.4f}, with 0.5 {chosen.miou_at_half:.4f}")
    return chosen.value


def _fit_temperature(work: Work, network: Any) -> Fitted:
    """Fit the temperature of the confidences on validation, with the flips and the threshold that were chosen."""
    from segline.evaluation.bundles import confidence

    validation = work.prepared.split("validation")
    with work.progress as progress:
        fitted = confidence.fit(
            network, validation, progress=progress.start("fit a temperature", len(validation), unit="images")
        )
    work.tracker.log_metrics({"temperature": fitted.temperature}, step=0)
    work.report(f"temperature {fitted.temperature:.3f} of the confidences, fitted on {fitted.split}")
    return fitted


def _show_batches(work: Work, batches: Any) -> None:
    """Log the first training batches as pictures; a resumed run draws the same pictures."""
    from segline.training.fit.batch_pictures import batch_picture

    for number in range(_BATCHES_SHOWN):
        path = work.scratch / Scratch.BATCHES / f"batch_{number + 1}.png"
        if not path.is_file():
            batch_picture(batches.batch(number), work.dataset.label_map, path)
        work.tracker.log_artifact(path, Artifacts.BATCHES)
