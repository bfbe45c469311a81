"""Score a model on a split of prepared data: the trained model of a run, or any model by its name."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segline import config
from segline.data.prepare.prepared import Prepared
from segline.data.recorded import content, lock
from segline.errors import DataError
from segline.pipeline.choose_model import Chosen, chosen_model
from segline.pipeline.definition import load_definition
from segline.pipeline.work import Work
from segline.progress import Advance, Progress
from segline.project import Artifacts, Files, Project, Scratch, Tags
from segline.storage import atomic_file

if TYPE_CHECKING:
    from segline.core.metrics.calibration import Calibration
    from segline.evaluation.bundles.scored_split import ScoredSplit
    from segline.evaluation.results import Evaluation
    from segline.evaluation.summary import Summary
    from segline.inference.bundle import Bundle

_IMAGES_PER_EXTREME = 4


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """Result of an evaluation.

    Args:
        files: the written files; the page is the last.
        logged: id of the MLflow run that holds the files, and the folder there. None if the model is not a registered
            version. The id is empty if the version was registered without a run.
    """

    summary: "Summary"
    files: tuple[Path, ...]
    logged: tuple[str, str] | None


def evaluate_model(
    project: Project,
    model: str,
    *,
    dataset: str,
    split: str,
    output: Path | None = None,
    boundary: bool = False,
    confidence: bool = True,
    progress: Progress,
) -> Evaluated:
    """Score `model` on a split of `dataset`, and write scores, counts, cost and page.

    Args:
        model: a registered model, or a model folder or file.
        output: folder to write to; default: a folder below the project's reports.
        boundary: also compute the boundary IoU.
        confidence: also measure the calibration of the confidences.

    Raises:
        DataError: the data are not prepared, are not those of ``dvc.lock``, or have other classes than the model.
        TrackingError: no such model is registered.
    """
    from segline.evaluation.report import write
    from segline.inference import bundle

    wanted = config.load(project.params).evaluation
    prepared = Prepared(project.prepared(dataset))
    if not content.check_prepared(project, dataset, report=progress.report):
        progress.report(f"note: {Files.LOCK} has no stage prepare@{dataset}, so the data cannot be compared with it")
    with chosen_model(model) as chosen:
        network = _take_names(project, bundle.load(chosen.folder), prepared)

        def fitting(name: str) -> "ScoredSplit":
            return fitting_split(project, network, prepared, name)

        samples = fitting(split)
        found, judged = answer(network, samples, fitting if confidence else None, boundary=boundary, progress=progress)
        summary = summarise(found, prepared, wanted)
        files = write.write(
            output or project.evaluation_report(dataset, f"{chosen.name}-{split}"),
            bundle=network,
            split=samples,
            evaluation=found,
            summary=summary,
            model=f"{chosen.name} ({network.family})",
            file=chosen.folder / Files.NETWORK,
            cost_seconds=wanted.cost_seconds,
            calibration=judged,
        )
    logged = _keep_in_mlflow(project, chosen, files, name=f"{dataset}-{split}")
    return Evaluated(summary=summary, files=tuple(files), logged=logged)


def evaluate(work: Work) -> None:
    """Score the trained model on the test split at the labels' native size, and log scores, page and pictures."""
    from segline.evaluation.report import evaluation_pictures, write
    from segline.inference import bundle
    from segline.registry import run_summary

    _refuse_changed_data(work)
    split = work.prepared.split("test")
    folder = work.scratch / Files.BUNDLE
    network = bundle.load(folder)
    found, judged = answer(network, split, work.prepared.split, progress=work.progress)
    work.tracker.set_tags({Tags.NETWORK: network.family})
    figures = summarise(found, work.prepared, work.params.evaluation)
    work.tracker.log_metrics(run_summary.metrics(figures), step=0)
    confusion = work.scratch / Scratch.CONFUSION
    evaluation_pictures.confusion_picture(found, confusion)
    written = write.write(
        work.scratch,
        bundle=network,
        split=split,
        evaluation=found,
        summary=figures,
        model=f"{work.name}, run {work.tracker.run_id} ({network.family})",
        file=folder / Files.NETWORK,
        threads=work.params.training.threads,
        cost_seconds=work.params.evaluation.cost_seconds,
        calibration=judged,
    )
    for path in (*written, confusion):
        work.tracker.log_artifact(path, Artifacts.EVALUATION)
    _publish(work, written)
    for path in evaluation_pictures.example_pictures(network, split, found, work.scratch / Scratch.EXAMPLES):
        work.tracker.log_artifact(path, Artifacts.EXAMPLES)
    _show_validation(work, network)


def _refuse_changed_data(work: Work) -> None:
    """Check again that the data are those on which the run began; they may have changed while the network was trained.

    What was trained on other data must not be continued: the run loses its key and its scratch folder.

    Raises:
        DataError: they have changed. Or ``dvc.lock`` has no record of them, which leaves the run as it is.
    """
    dataset = work.params.dataset
    lock.read_current(work.project, work.params)
    try:
        _refuse_other_record(work, dataset)
        content.check_prepared(work.project, dataset, report=work.report)
    except DataError:
        work.tracker.set_tags({Tags.RUN_KEY: "none: the data changed during the training"})
        shutil.rmtree(work.scratch, ignore_errors=True)
        raise


def _refuse_other_record(work: Work, dataset: str) -> None:
    """Refuse data that a stage prepared anew during the training: they are those of ``dvc.lock``, but not the run's."""
    digest = lock.output_digest(work.project, "prepare", dataset, folder=work.project.prepared(dataset))
    began_with = work.tags[Tags.PREPARED_MD5]
    if digest != began_with:
        raise DataError(
            work.project.prepared(dataset),
            found=f"data with the digest {digest}, which were prepared during the training",
            expected=f"{began_with}, on which the training began",
            remedy="start the training again: it uses the new data",
        )


def _take_names(project: Project, network: "Bundle", prepared: Prepared) -> "Bundle":
    """Give `network` the names of the data's classes, if they were renamed after its training."""
    from segline.inference import bundle

    if network.labels.digest == prepared.meta["label_map"]:
        return network
    dataset = prepared.meta["dataset"]
    return bundle.renamed(network, load_definition(project, config.load(project.params), dataset).label_map)


def fitting_split(project: Project, network: "Bundle", prepared: Prepared, name: str) -> "ScoredSplit":
    """Load the split `name`, with images at the scale of `network`.

    Raises:
        DataError: there is no such split, or images of another scale cannot be made of the data of ``dvc.lock``.
    """
    from segline.evaluation.bundles import scored_split

    dataset = prepared.meta["dataset"]
    if network.short_side != prepared.meta["short_side"]:
        content.check_manifest(project, dataset)  # it holds the digests of the images that are decoded anew
    return scored_split.fitting(
        network, prepared, name=name, raw=project.raw(dataset), manifest_folder=project.manifest(dataset)
    )


def answer(
    network: "Bundle",
    split: "ScoredSplit",
    splits: "Callable[[str], ScoredSplit] | None",
    *,
    boundary: bool = False,
    progress: Progress,
) -> "tuple[Evaluation, Calibration | None]":
    """Evaluate `network` in one pass over `split`.

    Args:
        splits: loads a split by name, to fit a temperature on validation if `network` has none. None: calibration is
            not measured.
    """
    from segline.evaluation.bundles import confidence
    from segline.evaluation.bundles import evaluate as scoring

    def start(what: str, images: int) -> Advance:
        return progress.start(what, images, unit="images")

    with progress:
        if splits is None:
            advance = start("evaluate", len(split))
            return scoring.evaluate(network, split, progress=advance, boundary=boundary), None
        fitted = None
        if split.name != "validation":  # a temperature must not be measured on the split it was fitted on
            fitted = network.temperature
            if fitted is None or fitted.digest == split.digest:
                validation = splits("validation")
                fitted = confidence.fit(network, validation, progress=start("fit a temperature", len(validation)))
        judge = confidence.Judge(network, split, fitted=fitted)
        advance = start("evaluate", len(split))
        found = scoring.evaluate(network, split, progress=advance, boundary=boundary, also=judge.see)
    return found, judge.judged()


def summarise(found: "Evaluation", prepared: Prepared, wanted: config.EvaluationRules) -> "Summary":
    """Compute all scores from the counts; the baseline always predicts the training split's most frequent class."""
    from segline.evaluation import summary

    pixels = prepared.split("train").pixels
    return summary.summarise(
        found,
        resamples=wanted.resamples,
        confidence=wanted.confidence,
        baseline=found.baseline(commonest=pixels.index(max(pixels))),
    )


def _keep_in_mlflow(project: Project, chosen: Chosen, files: Iterable[Path], *, name: str) -> tuple[str, str] | None:
    """Log the files to the run of a registered version; return the run and the folder there."""
    if chosen.version is None:
        return None
    from segline.registry import evaluations, tracking

    run = evaluations.log(tracking.connect(project), chosen.version, files, name=name)
    return run or "", f"{Artifacts.EVALUATIONS}/{name}"


def _publish(work: Work, written: Iterable[Path]) -> None:
    """Copy the files to `reports/<dataset>/<run id>`, and report the path of the page."""
    folder = work.project.evaluation_report(work.params.dataset, work.tracker.run_id)
    for path in written:
        with atomic_file(folder / path.name) as partial:
            shutil.copyfile(path, partial)
        if path.suffix == ".html":
            work.report(f"report: {folder / path.name}")


def _show_validation(work: Work, network: "Bundle") -> None:
    """Log pictures of the validation images with the lowest and the highest scores."""
    from segline.evaluation.bundles import evaluate as scoring
    from segline.evaluation.bundles.scored_split import AtTrainingScale
    from segline.evaluation.report import evaluation_pictures

    split = AtTrainingScale(work.prepared.split("validation"))
    stored = work.scratch / Scratch.VALIDATION_COUNTS
    if not stored.is_file():
        with work.progress as progress:
            advance = progress.start("look at validation", len(split), unit="images")
            scoring.save(scoring.evaluate(network, split, progress=advance), stored)
    found, folder = scoring.load(stored), work.scratch / Scratch.VALIDATION
    for path in (
        stored,
        *evaluation_pictures.extreme_pictures(network, split, found, folder, count=_IMAGES_PER_EXTREME),
    ):
        work.tracker.log_artifact(path, Artifacts.VALIDATION)
