"""Score a folder of label maps, from any tool, and write its scores, its counts and its page."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from segline import config
from segline.data.recorded import content as recorded
from segline.errors import ConfigError, StorageError
from segline.pipeline.definition import load_definition
from segline.progress import Report
from segline.project import Files, Project, workers
from segline.storage import write_json, write_text

if TYPE_CHECKING:
    from segline.datasets.base import Dataset, Split
    from segline.evaluation.folders.document import ScoreDocument
    from segline.evaluation.folders.score import FolderScore

_WITHOUT_PROJECT = config.EvaluationRules(resamples=1000, confidence=0.95)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The scores of a folder.

    Args:
        page: path of the page; None if no path was given and there is no project, or if it was not written.
        page_problem: why the default page was not written; empty if it was.
    """

    document: "ScoreDocument"
    page: Path | None
    page_problem: str


def score_folder(
    project: Project | None,
    dataset: str,
    *,
    truth: Path,
    prediction: Path,
    task: str | None = None,
    split: "Split | None" = None,
    ids: Literal["raw", "train"] | None = None,
    truth_ids: Literal["raw", "train"] | None = None,
    resamples: int | None = None,
    boundary: bool = False,
    json: Path | None = None,
    counts: Path | None = None,
    page: Path | None = None,
    report: Report,
) -> Scored:
    """Score the label maps under `prediction` against the labels under `truth`.

    Args:
        project: None outside a project: the published definition is used, and no splits are known.
        split: score only the images of this split.
        json: file for all scores.
        counts: file for the counts of each image.
        page: file for the page; default in a project: a file below its reports.

    Raises:
        ConfigError: the dataset, task or split is unknown, or two outputs have the same path.
        DataError: something is wrong with the folders (the error lists all problems), or with the manifest.
    """
    from segline.parallel import forking

    outputs = {"--json": json, "--counts": counts, "--page": page}
    _refuse_one_file(outputs)
    _refuse_inputs(outputs, folders=(truth, prediction))
    if _has_many_files(truth):
        forking.begin("segline.evaluation.folders.count_pairs")
    found, content, definition = _score(
        project,
        dataset,
        truth=truth,
        prediction=prediction,
        task=task,
        split=split,
        ids=ids,
        truth_ids=truth_ids,
        resamples=resamples,
        boundary=boundary,
        report=report,
    )
    if counts:
        from segline.evaluation import results

        results.save(found.evaluation, counts)
    if json:
        write_json(json, content.as_json())
    place = page or (_default_page(project, content) if project else None)
    problem = ""
    if place:
        try:
            _write_page(place, found, content, definition)
        except StorageError as error:
            if page:
                raise
            # Nobody asked for it: a project on a disk that is full or read-only still gets its scores.
            place, problem = None, str(error)
    return Scored(document=content, page=place, page_problem=problem)


def _score(
    project: Project | None,
    dataset: str,
    *,
    truth: Path,
    prediction: Path,
    task: str | None,
    split: "Split | None",
    ids: Literal["raw", "train"] | None,
    truth_ids: Literal["raw", "train"] | None,
    resamples: int | None,
    boundary: bool,
    report: Report,
) -> "tuple[FolderScore, ScoreDocument, Dataset]":
    """Count the label maps under the project's rules, and summarise the counts."""
    from segline.evaluation.folders import published_splits, score
    from segline.evaluation.folders.document import document

    params = config.load(project.params) if project else None
    config.refuse_unknown("--dataset", dataset, [*config.dataset_names(), *(params.own if params else ())])
    definition = load_definition(project, params, dataset, task=task)
    rules = params.evaluation if params else _WITHOUT_PROJECT
    if project and project.manifest(dataset).is_dir():
        recorded.check_manifest(project, dataset, report=report)
    published = (
        published_splits.read(project.manifest(dataset), raw=project.raw(dataset))
        if project
        else published_splits.Published()
    )
    found = score.score_folders(
        definition,
        truth=truth,
        prediction=prediction,
        ids=ids,
        truth_ids=truth_ids,
        only=split,
        published=published,
        workers=project.workers if project else workers(),
        report=report,
        boundary=boundary,
    )
    content = document(
        found,
        definition,
        truth=truth,
        prediction=prediction,
        resamples=resamples or rules.resamples,
        confidence=rules.confidence,
    )
    return found, content, definition


def _default_page(project: Project, content: "ScoreDocument") -> Path:
    """Name the page after task, folder and split; a digest tells folders of one name apart."""
    folder = Path(content.prediction).absolute()
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:6]
    parts = ("score", content.task, folder.name or "predictions", digest, content.split)
    return project.evaluation_report(content.dataset, "-".join(filter(None, parts))) / Files.EVALUATION_PAGE


def _write_page(place: Path, found: "FolderScore", content: "ScoreDocument", dataset: "Dataset") -> None:
    from segline.evaluation.report import evaluation_page

    prediction = Path(content.prediction).absolute()
    html = evaluation_page.page(
        found.evaluation,
        content,
        labels=dataset.label_map,
        model=f"Label maps of the folder {prediction.name or prediction}",
        pictures=[],
        origin={
            "task": content.task,
            "split note": content.split_because,
            "prediction ids": f"{content.prediction_ids}: {content.prediction_ids_because}",
            "predictions": content.prediction,
            "labels": content.truth,
        },
        warnings=content.warnings,
    )
    write_text(place, html)


def _refuse_one_file(files: Mapping[str, Path | None]) -> None:
    """Refuse two outputs in one file, where the second would overwrite the first; the null device may be repeated."""
    seen: dict[str, str] = {}
    for option, path in files.items():
        if path is None or (real := os.path.realpath(path)) == os.path.realpath(os.devnull):
            continue
        if real in seen:
            raise ConfigError(
                f"{seen[real]} {option} {path}",
                found="the same file for both",
                expected="a different file for each output",
                remedy="give another file: .json for the scores, .npz for the counts, .html for the page",
            )
        seen[real] = f"{option} {path}"


def _refuse_inputs(files: Mapping[str, Path | None], *, folders: tuple[Path, Path]) -> None:
    """Refuse an output that would overwrite a label map of either folder."""
    from segline.evaluation.folders.label_folders import SUFFIXES

    for option, path in files.items():
        if path is None or not path.is_file() or path.suffix.lower() not in SUFFIXES:
            continue
        if any(path.resolve().is_relative_to(folder.resolve()) for folder in folders):
            raise ConfigError(
                f"{option} {path}",
                found="a file that is there, in a folder that is scored",
                expected="a new file, or one outside of the folders of labels and predictions",
                remedy="name another file: .json for the scores, .npz for the counts, .html for the page",
            )


def _has_many_files(folder: Path) -> bool:
    """Return whether a folder has so many files that several processes are faster than one."""
    from segline.parallel.forking import FEW

    return next(islice(folder.rglob("*"), FEW, None), None) is not None
