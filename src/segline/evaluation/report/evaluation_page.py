"""The page of one evaluation: scores, classes, confusion, confidence, cost and pictures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from segline.core.labels import LabelMap
from segline.evaluation.report import rendering
from segline.evaluation.results import Evaluation
from segline.pages import charts
from segline.pages.environment import percent

if TYPE_CHECKING:
    from segline.evaluation.report.image_slider import Exhibit  # which needs Keras, and the page does not

_TILES = {
    "mean_category_iou": "mean IoU of the categories",
    "boundary_miou": "mean boundary IoU: how well the edges fit",
    "pixel_accuracy": "pixel accuracy",
    "mean_class_accuracy": "mean class accuracy, which is the mean recall",
    "frequency_weighted_iou": "IoU weighted by how frequent classes are",
    "macro_f1": "mean F1 (Dice) of the classes",
    "foreground_iou_border_rest": "foreground IoU against the rest",
    "foreground_iou_border_void": "foreground IoU, border not scored",
    "baseline_miou": "mean IoU of always answering the commonest class",
}
"""Scores of the summary, and what they are called on the page; those there are of are shown."""

_COLUMNS = ("iou", "precision", "recall", "f1", "boundary_iou")
_SEEN = 0.005  # share below which a cell of the confusion matrix stays empty
_DARK = 0.875  # share above which its text is white: on white, black and white both have a contrast of 4.5 there


def page(
    evaluation: Evaluation,
    summary: Mapping[str, Any],
    *,
    labels: LabelMap,
    model: str,
    pictures: "Sequence[Exhibit]",
    cost: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> str:
    """The page, as one HTML document that asks for nothing else.

    Args:
        summary: of `evaluation`, whose figures are the ones shown.
        model: what a person calls the network.
        cost: of `cost.summary`.
        calibration: of `core.metrics.calibration.Calibration.as_json`.
    """
    return rendering.render(
        "evaluation.html",
        title=f"{summary['dataset']} {summary['split']}: mIoU {summary['miou']:.3f}",
        model=model,
        summary=summary,
        swatches=rendering.swatches(labels),
        tiles={title: (key, value) for key, title in _TILES.items() if (value := summary.get(key)) is not None},
        classes=_classes(evaluation, summary),
        categories=_categories(evaluation, summary),
        confusion=_confusion(evaluation),
        pictures=pictures,
        cost=cost,
        calibration=calibration and _calibration(calibration, evaluation.names),
    )


def _classes(evaluation: Evaluation, summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    counts = evaluation.counts
    true, total = counts.sum(axis=-1), counts.sum()
    columns = {key: summary[f"per_class_{key}"] for key in _COLUMNS if f"per_class_{key}" in summary}
    bounds = summary["intervals"]["per_class_iou"]
    return [
        {
            "name": name,
            "share": percent(float(true[place] / total)) if total else percent(None),
            "images": summary["per_class_images"][name],
            **bounds[name],
            **{key: values[name] for key, values in columns.items()},
        }
        for place, name in enumerate(evaluation.names)
    ]


def _categories(evaluation: Evaluation, summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "iou": value,
            **summary["intervals"]["per_category_iou"][name],
            "places": evaluation.categories[name],
        }
        for name, value in summary.get("per_category_iou", {}).items()
    ]


def _confusion(evaluation: Evaluation) -> dict[str, Any]:
    """Rows of shares of a true class; the column of answers outside the classes only where there are some."""
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
                    "words": f"{100 * share:.0f}" if share >= _SEEN else "",
                    "title": f"{name} taken for {head}: {percent(float(share))}, {int(shown[place, column])} pixels",
                    "right": place == column,
                    "dark": share > _DARK,
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
