"""Compare evaluations: MLflow runs, registered models, or files."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segline import config
from segline.project import Files, Project
from segline.storage import write_json, write_text

if TYPE_CHECKING:
    from segline.evaluation.comparison_summary import ComparisonSummary
    from segline.evaluation.results import Evaluation


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The scores of a comparison, and the path of its page."""

    summary: "ComparisonSummary"
    page: Path


def compare(project: Project, runs: list[str], *, output: Path | None = None) -> Compared:
    """Compare each of `runs` with the first, and write the page and the JSON.

    Args:
        runs: MLflow runs by id or name, models (``name@champion``, ``name/3``), or files and folders of counts.
        output: folder to write to; default: a folder below the project's reports.

    Raises:
        ComparisonError: their scoring rules, splits or classes differ.
        TrackingError: no run or model has this name.
    """
    from segline.evaluation import compare as comparison
    from segline.evaluation.comparison_summary import summarise_comparison
    from segline.evaluation.report import comparison_page

    wanted = config.load(project.params).evaluation
    entries = comparison.compare(
        _read_evaluations(project, runs), resamples=wanted.resamples, confidence=wanted.confidence
    )
    summary = summarise_comparison(entries)
    folder = output or project.comparison_report(summary.dataset)
    write_json(folder / Files.COMPARISON, summary.model_dump())
    write_text(folder / Files.COMPARISON_PAGE, comparison_page.page(summary))
    return Compared(summary=summary, page=folder / Files.COMPARISON_PAGE)


def _read_evaluations(project: Project, runs: list[str]) -> "list[tuple[str, Evaluation]]":
    """Read the evaluations and give each a distinct name; MLflow is used only for runs that are not files."""
    from segline.evaluation import counts_file

    read = {run: counts_file.read(Path(run)) for run in runs}
    files = [run for run, found in read.items() if found is not None]
    names = dict(zip(files, counts_file.short_names([Path(run) for run in files]), strict=True))
    if len(files) < len(read):
        from segline.registry import evaluations, tracking

        client = tracking.connect(project)
        for run in read.keys() - names.keys():
            with tempfile.TemporaryDirectory() as folder:
                names[run], file = evaluations.fetch(client, run, Path(folder))
                read[run] = counts_file.read(file)
    return [(names[run], found) for run in runs if (found := read[run]) is not None]
