"""Summarise a finished run: read its metrics from MLflow into a frozen record, and show it as a table or rows."""

from dataclasses import dataclass

from mlflow import MlflowClient
from rich.markup import escape
from rich.table import Table

from segline.core.metrics import table as metric_table
from segline.core.statistics.trust import caveat, method
from segline.errors import TrackingError
from segline.evaluation.summary import Ends, Summary
from segline.project import Tags
from segline.registry import tracking, versions
from segline.registry.gate.rules import Decision

_IDENTITY = ("confidence", "baseline_miou", "images", "groups")
"""Fields of an evaluation's summary, beside its metrics, that MLflow keeps as metrics."""


def metrics(summary: Summary) -> dict[str, float]:
    """Select the scores that are logged to MLflow, without undefined scores and intervals of classes."""
    found: dict[str, float | None] = {f"test_{name}": getattr(summary, name) for name in _IDENTITY}
    for row in metric_table.rows(place="mlflow"):
        if row.axis != "all":
            found |= {f"{row.tracked_name}/{name}": value for name, value in summary.values(row).items()}
        elif summary.counted(row):
            ends = summary.ends(row.key)
            found[row.tracked_name] = summary.value(row)
            found |= {f"{row.tracked_name}_low": ends.low, f"{row.tracked_name}_high": ends.high}
    return {name: float(value) for name, value in found.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """Summary of a finished run, for a person to read.

    Args:
        run: name of the run in MLflow.
        reused: whether it was finished before, with the same data, code and parameters.
        champion: version that is the champion now; None if there is none.
        miou: mean IoU on the test split, with its interval `ends` at `confidence`.
        baseline_miou: mean IoU of always predicting the most frequent class.
        groups: number of groups of the images; None if images are not grouped.
    """

    dataset: str
    model: str
    run: str
    run_id: str
    network: str
    reused: bool
    decision: Decision
    champion: str | None
    miou: float
    ends: Ends
    confidence: float
    baseline_miou: float
    images: int
    groups: int | None


def find_finished(client: MlflowClient, experiment_id: str, key: str) -> RunSummary | None:
    """Summarise the newest finished run of this key; None if there is none."""
    finished = [run for run in tracking.runs_with_key(client, experiment_id, key) if tracking.is_finished(run)]
    return of_run(client, finished[0].info.run_id, reused=True) if finished else None


def of_run(client: MlflowClient, run_id: str, *, reused: bool) -> RunSummary:
    """Read scores, decision and present champion of a finished run.

    Raises:
        TrackingError: a metric or tag is missing, or has another format than this version of Segline writes.
    """
    run = client.get_run(run_id)
    model = client.get_experiment(run.info.experiment_id).name
    champion = versions.champion(client, model)
    figures, tags = run.data.metrics, run.data.tags
    groups = figures.get("test_groups")
    try:
        return RunSummary(
            dataset=tags[Tags.DATASET],
            model=model,
            run=run.info.run_name,
            run_id=run.info.run_id,
            network=tags[Tags.NETWORK],
            reused=reused,
            decision=Decision.from_tag(tags[Tags.DECISION]),
            champion=champion.version if champion else None,
            miou=figures["test_miou"],
            ends=Ends(low=figures["test_miou_low"], high=figures["test_miou_high"]),
            confidence=figures["test_confidence"],
            baseline_miou=figures["test_baseline_miou"],
            images=round(figures["test_images"]),
            groups=None if groups is None else round(groups),
        )
    except (KeyError, ValueError) as error:
        raise TrackingError(
            f"MLflow run {run.info.run_name}",
            found=f"the run cannot be summarised ({error})",
            expected="the metrics and tags that this version of Segline writes",
            remedy="train again with --retrain; MLflow's page of the run (`make up`) shows its metrics and tags",
        ) from error


def rows(summary: RunSummary) -> list[tuple[str, str]]:
    """Write the summary as pairs of name and value, in plain text."""
    low, high = summary.ends.low, summary.ends.high
    drawn = f"{100 * summary.confidence:.0f} %, {method(summary.groups)}"
    champion = f"version {summary.champion}" if summary.champion else "none yet"
    decision = summary.decision
    reused = " (finished before, reused: same data, code and params)" if summary.reused else ""
    return [
        ("dataset", summary.dataset),
        ("network", summary.network),
        ("test mIoU", f"{summary.miou:.4f}  [{low:.4f}, {high:.4f}] ({drawn})"),
        ("baseline", f"{summary.baseline_miou:.4f} (always the most frequent class)"),
        ("test images", caveat(summary.images, summary.groups) or str(summary.images)),
        ("gate", f"version {decision.version} {decision.outcome}: {decision.reason}"),
        ("champion", f"{summary.model}, {champion}"),
        ("run", f"{summary.run}{reused}"),
    ]


def table(summary: RunSummary) -> Table:
    """Show the rows as a table for a terminal."""
    grid = Table(show_header=False, title=f"Segline: {summary.dataset}", title_justify="left")
    for name, value in rows(summary):
        grid.add_row(name, escape(value))
    return grid
