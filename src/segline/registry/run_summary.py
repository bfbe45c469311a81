"""A finished run in a few lines: read back from MLflow, shown as table or page."""

import json
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from rich.markup import escape
from rich.table import Table

from segline.core.statistics.trust import caveat, method
from segline.project import Tags
from segline.registry import versions

_FIGURES = ("miou", "miou_low", "miou_high", "confidence", "baseline_miou", "pixel_accuracy", "images")
_FURTHER = ("mean_class_accuracy", "frequency_weighted_iou", "macro_f1", "mean_category_iou", "boundary_miou")
_ROAD = ("max_f", "average_precision")


def metrics(result: dict[str, Any]) -> dict[str, float]:
    """What of an evaluation's summary goes to MLflow as metrics; intervals of classes are in its artifacts alone."""
    figures = {f"test_{name}": float(result[name]) for name in _FIGURES}
    groups = {"groups": result["groups"]}
    further = {name: value for name, value in result.items() if name in _FURTHER or name.startswith("foreground_iou")}
    road = {f"{name}_image_space": result.get("road_image_space", {}).get(name) for name in _ROAD}
    ends = {
        f"{name}_image_space_{end}" if name in _ROAD else f"{name}_{end}": value
        for name, interval in result["intervals"].items()
        if name in (*further, *_ROAD, "pixel_accuracy")
        for end, value in interval.items()
    }
    classes = {f"iou/{name}": value for name, value in result["per_class_iou"].items()}
    categories = {f"category_iou/{name}": value for name, value in result.get("per_category_iou", {}).items()}
    found = groups | further | road | ends | classes | categories
    return figures | {f"test_{name}": float(value) for name, value in found.items() if value is not None}


def of_run(client: MlflowClient, run: Run, *, reused: bool) -> dict[str, Any]:
    """Figures, decision and present champion of a finished run."""
    decision = json.loads(run.data.tags[Tags.DECISION])
    dataset = run.data.tags[Tags.DATASET]
    model = client.get_experiment(run.info.experiment_id).name
    champion = versions.champion(client, model)
    groups = run.data.metrics.get("test_groups")
    return {
        "dataset": dataset,
        "model": model,
        "run": run.info.run_name,
        "run_id": run.info.run_id,
        "network": run.data.tags[Tags.NETWORK],
        "reused": reused,
        "decision": decision,
        "champion": champion.version if champion else None,
        **{name: run.data.metrics[f"test_{name}"] for name in _FIGURES},
        "groups": None if groups is None else round(groups),
    }


def rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    """What there is to tell of a run: name and value, as plain text."""
    drawn = f"{100 * result['confidence']:.0f} %, {method(result['groups'])}"
    interval = f"{result['miou']:.4f}  [{result['miou_low']:.4f}, {result['miou_high']:.4f}] ({drawn})"
    champion = f"version {result['champion']}" if result["champion"] else "none yet"
    decision = result["decision"]
    verdict = f"version {decision['version']} {'promoted' if decision['promote'] else 'not promoted'}"
    return [
        ("dataset", result["dataset"]),
        ("network", result["network"]),
        ("test mIoU", interval),
        ("always the commonest class", f"{result['baseline_miou']:.4f}"),
        ("test images", caveat(round(result["images"]), result["groups"]) or f"{result['images']:.0f}"),
        ("gate", f"{verdict}: {decision['reason']}"),
        ("champion", f"{result['model']}, {champion}"),
        (
            "run",
            f"{result['run']}" + (" (finished before, reused: same data, code and params)" if result["reused"] else ""),
        ),
    ]


def table(result: dict[str, Any]) -> Table:
    """The rows for a terminal."""
    grid = Table(show_header=False, title=f"Segline: {result['dataset']}", title_justify="left")
    for name, value in rows(result):
        grid.add_row(name, escape(value))
    return grid
