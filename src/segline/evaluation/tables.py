"""Scores for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table


def evaluated(summary: Mapping[str, Any]) -> Table:
    """One evaluation: its score with interval, caveat and what it is bound to, then a row a class."""
    share = f"{100 * summary['confidence']:.0f} %"
    grid = Table(
        show_header=False, title=escape(f"{summary['dataset']}, {summary['split']} split"), title_justify="left"
    )
    interval = f"{_interval(summary['miou_low'], summary['miou_high'])} ({share}, {summary['interval_method']})"
    grid.add_row("mean IoU", f"{summary['miou']:.4f}  {interval}")
    if summary["caveat"]:
        grid.add_row("caution", escape(summary["caveat"]))
    grid.add_row("pixel accuracy", f"{summary['pixel_accuracy']:.4f}")
    for name, value in summary.items():
        if name.startswith("foreground_iou"):
            grid.add_row(name.replace("_", " "), f"{value:.4f}")
    if "baseline_miou" in summary:
        grid.add_row("always the commonest class", f"{summary['baseline_miou']:.4f}")
    for name, value in summary["per_class_iou"].items():
        grid.add_row(f"IoU {escape(name)}", "absent" if value is None else f"{value:.4f}")
    grid.add_row("images", images(summary))
    grid.add_row("protocol", escape(summary["protocol"]))
    grid.add_row("digests", f"split {summary['split_digest']}, label map {summary['label_map_digest']}")
    return grid


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
