"""Render the page that compares evaluations."""

from collections.abc import Mapping
from typing import Any

from segline.evaluation.report import rendering
from segline.evaluation.summary import TITLES
from segline.pages import charts


def page(summary: Mapping[str, Any]) -> str:
    """Render the comparison as one HTML document that loads nothing else.

    Args:
        summary: from `compare.summary`.
    """
    runs = summary["runs"]
    ends = charts.find_axis([run[key] for run in runs for key in ("miou", "miou_low", "miou_high")])
    differences = [
        value
        for run in runs
        if run["against_first"]
        for value in (run["against_first"][key] for key in ("low", "high"))
    ]
    apart = charts.find_axis(differences, include=(0.0,))
    changes = [
        abs(found["difference"])
        for run in runs
        if run["against_first"]
        for found in (*run["against_first"]["per_class"], *run["against_first"]["figures"].values())
        if found["difference"] is not None
    ]
    return rendering.render(
        "comparison.html",
        title=f"{summary['dataset']} {summary['split']}: {len(runs)} runs compared",
        summary=summary,
        titles={title: name for name, title in TITLES.items() if any(name in run["figures"] for run in runs)},
        whiskers=[_place_interval(run, ("miou_low", "miou", "miou_high"), ends) for run in runs],
        ends=ends,
        paired=[
            run["against_first"] and _place_interval(run["against_first"], ("low", "difference", "high"), apart)
            for run in runs
        ],
        zero=charts.locate(0.0, apart),
        largest=max(changes, default=0.0) or 1.0,
    )


def _place_interval(
    values: Mapping[str, Any], keys: tuple[str, str, str], ends: tuple[float, float]
) -> dict[str, float]:
    low, middle, high = (charts.locate(values[key], ends) for key in keys)
    return {"low": low, "middle": middle, "high": high}
