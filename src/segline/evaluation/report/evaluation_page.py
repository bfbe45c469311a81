"""Render the page of one evaluation: scores, classes, confusion, confidence, cost and images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from segline.core.labels import LabelMap
from segline.core.metrics import table
from segline.core.metrics.confusion import mean_iou
from segline.core.metrics.table import Axis
from segline.evaluation.report import rendering
from segline.evaluation.results import Evaluation
from segline.evaluation.summary import Summary
from segline.pages import charts
from segline.pages.environment import percent

if TYPE_CHECKING:
    # Not at run time: it imports Keras, which the page does not need.
    from segline.evaluation.report.image_slider import Exhibit

_MIN_SHARE_SHOWN = 0.005  # below this, a cell of the confusion matrix is empty
_MIN_SHARE_DARK = 0.875  # above this, text is white: at this share, black and white both have a contrast of 4.5
_MAX_IMAGES_LISTED = 20


def page(
    evaluation: Evaluation,
    summary: Summary,
    *,
    labels: LabelMap,
    model: str,
    pictures: "Sequence[Exhibit]",
    cost: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
    origin: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
) -> str:
    """Render the evaluation as one HTML document that loads nothing else.

    Args:
        summary: the summary of `evaluation`.
        model: name of the network, or of the label maps, for a person.
        pictures: images to show; without any, the worst images are listed by name.
        cost: from `cost.measure.summarise_cost`.
        calibration: from `core.metrics.calibration.Calibration.as_json`.
        origin: further rows about what was scored, by their titles.
        warnings: what a reader of the scores should know, besides the summary's caveat.
    """
    _, *over_split = table.rows(axis="all", place="page")  # the main metric has a tile of its own
    return rendering.render(
        "evaluation.html",
        title=f"{' '.join(filter(None, (summary.dataset, summary.split)))}: mIoU {summary.miou:.3f}",
        model=model,
        summary=summary,
        swatches=rendering.swatches(labels),
        tiles=[row for row in over_split if not row.group and summary.value(row) is not None],
        declared=[row for row in over_split if row.group and summary.counted(row)],
        classes=_collect_figures(evaluation, summary, "class"),
        categories=_collect_figures(evaluation, summary, "category"),
        confusion=_lay_out_confusion(evaluation),
        pictures=pictures,
        images=[] if pictures else _list_worst_images(evaluation),
        cost=cost,
        calibration=calibration and _lay_out_calibration(calibration, evaluation.names),
        origin=origin or {},
        warnings=warnings,
    )


def _collect_figures(evaluation: Evaluation, summary: Summary, axis: Axis) -> dict[str, Any]:
    """Collect the metrics of each class or category, for one table of the page.

    Returns:
        metrics: the table's rows that were counted, the main one first. rows: one for each class or category with its
        values in the order of `metrics`, the interval of the first metric, and further columns.
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


def _lay_out_confusion(evaluation: Evaluation) -> dict[str, Any]:
    """Lay out the confusion matrix, each row in shares of its true class; an empty column "outside" is left out."""
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
                    "words": f"{100 * share:.0f}" if share >= _MIN_SHARE_SHOWN else "",
                    "title": f"{name} predicted as {head}: {percent(float(share))}, {int(shown[place, column])} pixels",
                    "right": place == column,
                    "dark": share > _MIN_SHARE_DARK,
                }
                for column, (head, share) in enumerate(zip(heads, shares[place], strict=True))
            ],
        }
        for place, name in enumerate(evaluation.names)
    ]
    return {"heads": heads, "rows": rows}


def _list_worst_images(evaluation: Evaluation) -> list[dict[str, Any]]:
    scores = mean_iou(evaluation.per_image)
    order = np.argsort(scores, kind="stable")[: int(np.isfinite(scores).sum())].tolist()
    return [{"id": evaluation.ids[index], "miou": float(scores[index])} for index in order[:_MAX_IMAGES_LISTED]]


def _lay_out_calibration(content: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    diagrams = [
        {
            "title": title,
            "temperature": content[key]["temperature"],
            "name": f"calibration.{key}",
            "log_loss": content[key]["log_loss"],
            "brier": content[key]["brier"],
            **charts.lay_out_reliability(content[key]["overall"]),
        }
        for key, title in (("before", "plain softmax"), ("after", "with the temperature"))
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
        "abstention": charts.lay_out_abstention(content["abstention"]),
    }
