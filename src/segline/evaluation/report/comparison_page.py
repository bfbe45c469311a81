"""Render the page that compares evaluations."""

from segline.core.metrics import table
from segline.evaluation.comparison_summary import ComparisonSummary
from segline.evaluation.report import rendering
from segline.pages import charts


def page(summary: ComparisonSummary) -> str:
    """Render the comparison as one HTML document that loads nothing else."""
    runs = summary.runs
    against = [run.against_first for run in runs]
    ends = charts.find_axis([value for run in runs for value in (run.miou, run.miou_low, run.miou_high)])
    apart = charts.find_axis([value for one in against if one for value in (one.low, one.high)], include=(0.0,))
    changes = [
        abs(found.difference)
        for one in against
        if one
        for found in (*one.per_class, *one.figures.values())
        if found.difference is not None
    ]
    return rendering.render(
        "comparison.html",
        title=f"{summary.dataset} {summary.split}: {len(runs)} runs compared",
        summary=summary,
        titles={
            row.title: row.key
            for row in table.rows(axis="all", place="comparison")
            if any(row.key in run.figures for run in runs)
        },
        whiskers=[_place_interval(run.miou_low, run.miou, run.miou_high, ends) for run in runs],
        ends=ends,
        paired=[one and _place_interval(one.low, one.difference, one.high, apart) for one in against],
        zero=charts.locate(0.0, apart),
        largest=max(changes, default=0.0) or 1.0,
    )


def _place_interval(low: float, middle: float, high: float, ends: tuple[float, float]) -> dict[str, float]:
    return {name: charts.locate(value, ends) for name, value in (("low", low), ("middle", middle), ("high", high))}
