"""The page of one evaluation: scores, classes, confusion, confidence, cost and pictures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from segline.core.labels import LabelMap
from segline.core.metrics import table
from segline.core.metrics.table import Axis
from segline.evaluation.report import rendering
from segline.evaluation.results import Evaluation
from segline.evaluation.summary import Summary
from segline.pages import charts
from segline.pages.environment import percent

if TYPE_CHECKING:
    from segline.evaluation.report.image_slider import Exhibit  # which needs Keras, and the page does not

_SMALLEST_SHARE_WRITTEN = 0.005
# On a cell of this share black and white text have the same contrast, 4.5; above it white has more.
_SHARE_OF_WHITE_TEXT = 0.875


def page(
    evaluation: Evaluation,
    summary: Summary,
    *,
    labels: LabelMap,
    model: str,
    pictures: "Sequence[Exhibit]",
    cost: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> str:
    """Write the page as one HTML document that loads nothing else.

    Args:
        summary: of `evaluation`, whose figures are the ones shown.
        model: what a person calls the network.
        cost: of `cost.summary`.
        calibration: of `core.metrics.calibration.Calibration.as_json`.
    """
    _, *over_split = table.rows(axis="all", place="page")  # the main one has a place of its own
    return rendering.render(
        "evaluation.html",
        title=f"{summary.dataset} {summary.split}: mIoU {summary.miou:.3f}",
        model=model,
        summary=summary,
        swatches=rendering.swatches(labels),
        tiles=[row for row in over_split if not row.group and summary.value(row) is not None],
        declared=[row for row in over_split if row.group and summary.counted(row)],
        classes=_own_figures(evaluation, summary, "class"),
        categories=_own_figures(evaluation, summary, "category"),
        confusion=_confusion(evaluation),
        pictures=pictures,
        cost=cost,
        calibration=calibration and _calibration(calibration, evaluation.names),
    )


def _own_figures(evaluation: Evaluation, summary: Summary, axis: Axis) -> dict[str, Any]:
    """Collect the metrics that each class or category has a value of, for one table.

    Returns:
        metrics: the table's rows that were counted, the main one first. rows: one for each class or category with its
        figures in the order of `metrics`, the main one's interval, and what else the table says of it.
    """
    metrics = [row for row in table.rows(axis=axis, place="page") if summary.counted(row)]
    names = evaluation.names if axis == "class" else tuple(evaluation.categories)
    counts = evaluation.counts
    true, total = counts.sum(axis=-1), counts.sum()
    return {
        "metrics": metrics,
        "rows": [
            {
                "name": name,
                "figures": [summary.values(row)[name] for row in metrics],
                "ends": summary.ends(metrics[0].key, name),
                **(
                    {
                        "share": percent(float(true[place] / total)) if total else percent(None),
                        "images": summary.per_class_images[name],
                    }
                    if axis == "class"
                    else {"places": evaluation.categories[name]}
                ),
            }
            for place, name in enumerate(names)
        ],
    }


def _confusion(evaluation: Evaluation) -> dict[str, Any]:
    """Compute rows of shares of each true class; the column of predictions outside the classes only if used."""
    counts = evaluation.counts
    outside = bool(counts[:, -1].any())
    shown = counts if outside else counts[:, :-1]
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(shown, totals, out=np.zeros(shown.shape), where=totals > 0)
    heads = [*evaluation.names, *(["outside"] if outside else [])]
    rows = [
        {
            "name": name,
            "pixels": int(totals[place, 0]),
            "cells": [
                {
                    "share": round(float(share), 4),
                    "words": f"{100 * share:.0f}" if share >= _SMALLEST_SHARE_WRITTEN else "",
                    "title": f"{name} taken for {head}: {percent(float(share))}, {int(shown[place, column])} pixels",
                    "right": place == column,
                    "dark": share > _SHARE_OF_WHITE_TEXT,
                }
                for column, (head, share) in enumerate(zip(heads, shares[place], strict=True))
            ],
        }
        for place, name in enumerate(evaluation.names)
    ]
    return {"heads": heads, "rows": rows}


def _calibration(content: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    diagrams = [
        {
            "title": title,
            "temperature": content[key]["temperature"],
            "name": f"calibration.{key}",
            "log_loss": content[key]["log_loss"],
            "brier": content[key]["brier"],
            **charts.reliability(content[key]["overall"]),
        }
        for key, title in (("before", "softmax as it is"), ("after", "with the temperature"))
        if content[key]
    ]
    return {
        "statement": content["statement"],
        "diagrams": diagrams,
        "classes": [
            {
                "name": name,
                "before": content["before"]["per_class"][place]["ece"],
                "after": content["after"] and content["after"]["per_class"][place]["ece"],
            }
            for place, name in enumerate(names)
        ],
        "fitted": bool(content["after"]),
        "abstention": charts.abstention(content["abstention"]),
    }
