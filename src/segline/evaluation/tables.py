"""Scores for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

_NAMES = 26  # characters of the widest name of a figure


def evaluated(summary: Mapping[str, Any]) -> tuple[Table, ...]:
    """One evaluation: a row a class, a row a category where there are some, then its scores and what they are bound to.

    Args:
        summary: of `results.summary`, or the whole of `score.document`.
    """
    tables = [_classes(summary)]
    if "per_category_iou" in summary:
        categories = Table("category", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        categories.add_column("IoU", justify="right")
        for name, value in summary["per_category_iou"].items():
            categories.add_row(escape(name), _figure(value, "absent"))
        tables.append(categories)
    figures = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    figures.add_column(min_width=_NAMES)
    for name, text in (_scores(summary) | _bound(summary)).items():
        if text:
            figures.add_row(name, text)
    return *tables, figures


def _classes(summary: Mapping[str, Any]) -> Table:
    boundary = summary.get("per_class_boundary_iou")
    table = Table("class", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("IoU", *(["boundary IoU"] if boundary else []), "labelled pixels"):
        table.add_column(head, justify="right")
    for (name, value), row in zip(summary["per_class_iou"].items(), summary["confusion"], strict=True):
        along = [_figure(boundary[name], "absent")] if boundary else []
        table.add_row(escape(name), _figure(value, "absent"), *along, f"{sum(row):,}")
    return table


def _scores(summary: Mapping[str, Any]) -> dict[str, str]:
    extra = {name: value for name, value in summary.items() if name.startswith("foreground_iou")}
    single = {
        "mIoU of the categories": "mean_category_iou",
        "boundary mIoU": "boundary_miou",
        "pixel accuracy": "pixel_accuracy",
        "always the commonest class": "baseline_miou",
    }
    road = summary.get("road_image_space", {})
    interval = _interval(summary["miou_low"], summary["miou_high"])

    def figure(key: str, value: float | None) -> str:
        bounds = summary["intervals"].get(key)
        return _figure(value) + (f"  {_interval(**bounds)}" if bounds and bounds["low"] is not None else "")

    return {
        "mIoU": f"{summary['miou']:.4f}  {interval} ({100 * summary['confidence']:g} %, {summary['interval_method']})",
        "caveat": escape(summary["caveat"]),
        **{title: figure(key, summary[key]) for title, key in single.items() if key in summary},
        **{
            name.replace("_", " "): figure(name, value)
            for name, value in (extra | dict(summary.get("extra_scores", {}))).items()
        },
        **{
            f"{title} in image space": figure(key, road[key])
            for title, key in (("MaxF", "max_f"), ("AP", "average_precision"))
            if road
        },
    }


def _bound(summary: Mapping[str, Any]) -> dict[str, str]:
    """What was scored, and under which rules."""
    task = f", task {summary['task']}" if "task" in summary else ""
    read = (
        f"{summary['prediction_ids']} ids: {summary['prediction_ids_because']}" if "prediction_ids" in summary else ""
    )
    named = {
        "images": images(summary),
        "pixels": f"{summary['labelled_pixels']:,} labelled, {summary['void_pixels']:,} void",
        "dataset": f"{summary['dataset']}{task}",
        "protocol": summary["protocol"],
        "split": f"{summary['split'] or 'none'}" + (f": {why}" if (why := summary.get("split_because")) else ""),
        "split digest": summary["split_digest"],
        "label map": f"digest {summary['label_map_digest']}",
        "predictions": read,
    }
    return {name: escape(text) for name, text in named.items()}


def _figure(value: float | None, undefined: str = "undefined") -> str:
    return undefined if value is None else f"{value:.4f}"


def compared(summary: Mapping[str, Any]) -> tuple[Table, Table]:
    """Runs side by side: scores with differences to the first, and the classes."""
    share = f"{100 * summary['confidence']:.0f} %"
    corrected = [f"p ({summary['correction']})"] if summary["correction"] else []
    said = (f"intervals: {summary['interval_method']}", summary["caveat"])
    scores = Table(
        "run",
        f"mean IoU ({share})",
        "pixel accuracy",
        "difference to the first",
        "p",
        *corrected,
        title=escape(f"{summary['dataset']}, {summary['split']} split, {images(summary)}"),
        title_justify="left",
        caption=escape("; ".join(filter(None, said))),
        caption_justify="left",
    )
    classes = Table("IoU", *(escape(run["name"]) for run in summary["runs"]))
    for run in summary["runs"]:
        against = run["against_first"]
        scores.add_row(
            escape(run["name"]),
            f"{run['miou']:.4f} {_interval(run['miou_low'], run['miou_high'])}",
            f"{run['pixel_accuracy']:.4f}",
            f"{against['difference']:+.4f} {_interval(against['low'], against['high'], sign='+')}" if against else "",
            f"{against['p']:.4f}" if against else "",
            *([f"{against['p_corrected']:.4f}" if against else ""] if corrected else []),
        )
    for place, name in enumerate(summary["classes"]):
        values = [run["per_class_iou"][place] for run in summary["runs"]]
        classes.add_row(escape(name), *("absent" if value is None else f"{value:.4f}" for value in values))
    return scores, classes


def images(summary: Mapping[str, Any]) -> str:
    """How many images were scored, and in how many groups where they are grouped."""
    return f"{summary['images']} images" + (f" in {summary['groups']} groups" if summary["groups"] else "")


def _interval(low: float, high: float, *, sign: str = "") -> str:
    # Rich would take plain brackets for markup.
    return f"\\[{low:{sign}.4f}, {high:{sign}.4f}]"
