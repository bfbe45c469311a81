"""The steps of a training run that score the winner: evaluate -> judge."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion
from prefect import task
from prefect.cache_policies import NO_CACHE

from flows import reporting
from flows.work import Work, progress, read
from segline.registry import tracking, versions
from segline.registry.gate import rules
from segline.storage import atomic_file

_EXTREMES = 4  # of the worst and of the best validation images, drawn


@task(cache_policy=NO_CACHE)
@reporting.without_secrets
def evaluate(work: Work) -> None:
    """Score the winner on the test split at the labels' native size, and draw the pictures."""
    from segline.evaluation.report import pictures, write
    from segline.inference import bundle

    split = work.prepared.split("test")
    network = bundle.load(work.scratch / "bundle")
    evaluation, calibration = _answered(work, network, split)
    work.tracker.set_tags({"segline.network": network.family})
    result = _summarise(work, evaluation)
    work.tracker.log_metrics(summary.metrics(result), step=0)
    pictures.confusion_picture(evaluation, work.scratch / "confusion.png")
    written = write.write(
        work.scratch,
        bundle=network,
        split=split,
        evaluation=evaluation,
        summary=result,
        model=f"{work.name}, run {work.tracker.run_id} ({network.family})",
        file=work.scratch / "bundle" / bundle.NETWORK,
        threads=work.params.training.threads,
        cost_seconds=work.params.evaluation.cost_seconds,
        calibration=calibration,
    )
    for path in (*written, work.scratch / "confusion.png"):
        work.tracker.log_artifact(path, "evaluation")
    _publish(work, written)
    for path in pictures.example_pictures(network, split, evaluation, work.scratch / "examples"):
        work.tracker.log_artifact(path, "examples")
    _show_validation(work, network)


def _answered(work: Work, network: Any, split: Any) -> tuple[Any, Any]:
    """What the winner counts on `split`, and how far its confidences are probabilities there.

    One pass for both; the temperature is fitted on validation before it.
    """
    from segline.evaluation.bundles import confidence as calibration
    from segline.evaluation.bundles import evaluate as library

    fitted = calibration.fit(network, work.prepared.split("validation"), progress=progress("fit a temperature"))
    judge = calibration.Judge(network, split, fitted=fitted)
    evaluation = library.evaluate(network, split, progress=progress("evaluate"), also=judge.see)
    return evaluation, judge.judged()


def _publish(work: Work, written: Iterable[Path]) -> None:
    """Copy the files to `reports/<dataset>/<run id>`, and say where the page is."""
    folder = work.settings.reports / work.params.dataset / work.tracker.run_id
    for path in written:
        with atomic_file(folder / path.name) as partial:
            shutil.copyfile(path, partial)
        if path.suffix == ".html":
            print(f"report: {folder / path.name}")


def _show_validation(work: Work, network: Any) -> None:
    """Log the validation images that the winner answers worst and best."""
    from segline.evaluation.bundles import evaluate as library
    from segline.evaluation.report import pictures

    split = library.AtTrainingScale(work.prepared.split("validation"))
    stored = work.scratch / "validation.npz"
    if not stored.is_file():
        library.save(library.evaluate(network, split, progress=progress("look at validation")), stored)
    evaluation, folder = library.load(stored), work.scratch / "validation"
    for path in (stored, *pictures.extreme_pictures(network, split, evaluation, folder, count=_EXTREMES)):
        work.tracker.log_artifact(path, "validation")


def _summarise(work: Work, evaluation: Any) -> dict[str, Any]:
    from segline.evaluation import summary as figures

    wanted = work.params.evaluation
    pixels = work.prepared.split("train").pixels
    return figures.summary(
        evaluation,
        resamples=wanted.resamples,
        confidence=wanted.confidence,
        baseline=evaluation.baseline(commonest=pixels.index(max(pixels))),
    )


@task(cache_policy=NO_CACHE)
@reporting.without_secrets
def judge(work: Work, client: Any, version: ModelVersion) -> dict[str, Any]:
    """Compare with the champion, re-scored on the same test split.

    A decision made before a kill stays while it speaks of the present champion, or made this
    version the champion; after somebody else's promotion it is made anew.
    """
    champion = versions.champion(client, work.name)
    made = json.loads(version.tags.get(tracking.DECISION, "null"))
    holder = champion.version if champion else None
    if made and holder in (made["champion"], version.version):
        return dict(made)
    challenger = read(work.scratch / "evaluation.json")["miou"]
    decision = rules.decide(
        challenger,
        champion=_rescore(work, champion) if champion else None,
        floor=work.params.promotion.floor[work.params.dataset],
    )
    result = asdict(decision) | {"version": version.version, "champion": champion.version if champion else None}
    versions.tag(client, version, {tracking.DECISION: json.dumps(result)})
    print(f"gate: {'promoted' if decision.promote else 'rejected'}: {decision.reason}")
    return result


def _rescore(work: Work, champion: ModelVersion) -> float:
    """The champion's mean IoU on the split that the challenger was scored on."""
    from segline.evaluation.bundles import evaluate as library
    from segline.evaluation.bundles import splits
    from segline.evaluation.lock import lock_of, refuse_differences
    from segline.inference import bundle

    network = bundle.load(versions.download(champion, work.scratch / "champion"))
    places, name = work.settings, work.params.dataset
    split = splits.fitting(
        network, work.prepared, name="test", raw=places.raw(name), manifest_folder=places.manifest(name)
    )
    rescored = library.evaluate(network, split, progress=progress(f"re-score version {champion.version}"))
    challenger = read(work.scratch / "evaluation.json")
    refuse_differences({"the challenger": lock_of(challenger), f"version {champion.version}": lock_of(rescored)})
    return rescored.miou
