"""Scores for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from segline.core.statistics.trust import counted
from segline.errors import shown
from segline.evaluation.summary import TITLES, signed

_NAMES = max(map(len, TITLES.values()))


def evaluated(summary: Mapping[str, Any]) -> tuple[Table, ...]:
    """One evaluation: a row a class, a row a category where there are some, then its scores and what they are bound to.

    Args:
        summary: of `evaluation.summary.summary`, or the whole of `folders.score.document`.
    """
    tables = [_classes(summary)]
    if "per_category_iou" in summary:
        categories = Table("category", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for head in ("IoU", _share(summary)):
            categories.add_column(head, justify="right")
        for name, value in summary["per_category_iou"].items():
            bounds = summary["intervals"]["per_category_iou"][name]
            categories.add_row(_name(name), _figure(value, "absent"), _bounds(bounds))
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
    for head in ("IoU", _share(summary), *(["boundary IoU"] if boundary else []), "images", "labelled pixels"):
        table.add_column(head, justify="right")
    for (name, value), row in zip(summary["per_class_iou"].items(), summary["confusion"], strict=True):
        bounds = summary["intervals"]["per_class_iou"][name]
        along = [_figure(boundary[name], "absent")] if boundary else []
        shown = f"{summary['per_class_images'][name]:,}"
        table.add_row(_name(name), _figure(value, "absent"), _bounds(bounds), *along, shown, f"{sum(row):,}")
    return table


def _scores(summary: Mapping[str, Any]) -> dict[str, str]:
    found = {**summary, **summary.get("extra_scores", {}), **summary.get("road_image_space", {})}
    interval = _interval(summary["miou_low"], summary["miou_high"])
    baseline = summary.get("baseline_miou")
    return {
        "mIoU": f"{summary['miou']:.4f}  {interval} ({_share(summary)}, {summary['interval_method']})",
        "caveat": escape(summary["caveat"]),
        **{
            title: f"{_figure(found[name])}  {_bounds(summary['intervals'][name])}".rstrip()
            for name, title in TITLES.items()
            if name in found and name != "miou"
        },
        "always the commonest class": "" if baseline is None else _figure(baseline),
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
        "predicted void or no class": f"{outside:.2%}" if (outside := summary["outside_share"]) else "",
        "dataset": f"{summary['dataset']}{task}",
        "protocol": summary["protocol"],
        "split": f"{summary['split'] or 'none'}" + (f": {why}" if (why := summary.get("split_because")) else ""),
        "split digest": summary["split_digest"],
        "label map": f"digest {summary['label_map_digest']}",
        "predictions": read,
    }
    return {name: escape(text) for name, text in named.items()}


def _name(text: str) -> str:
    return escape(shown(text))


def _figure(value: float | None, undefined: str = "undefined") -> str:
    return undefined if value is None else f"{value:.4f}"


def compared(summary: Mapping[str, Any]) -> tuple[Table, ...]:
    """Runs side by side: mean IoU with differences to the first, all other figures, and the classes."""
    corrected = ["corrected p"] if summary["correction"] else []
    single = "of each comparison by itself" if corrected else ""
    said = (
        ", ".join(filter(None, (f"intervals: {summary['interval_method']}", single))),
        f"corrected p: {summary['correction']}" if corrected else "",
        f"better or worse: the interval leaves out 0 and {'corrected p' if corrected else 'p'} is at most "
        f"{1 - summary['confidence']:.2g}",
        summary["caveat"],
    )
    scores = Table(
        "run",
        f"mean IoU ({_share(summary)})",
        "difference to the first",
        "p",
        *corrected,
        "verdict",
        title=escape(f"{summary['dataset']}, {summary['split']} split, {images(summary)}"),
        title_justify="left",
        caption=escape("; ".join(filter(None, said))),
        caption_justify="left",
    )
    for run in summary["runs"]:
        against = run["against_first"]
        scores.add_row(
            _name(run["name"]),
            f"{run['miou']:.4f} {_interval(run['miou_low'], run['miou_high'])}",
            _difference(against) if against else "",
            f"{against['p']:.4f}" if against else "",
            *([f"{against['p_corrected']:.4f}" if against else ""] if corrected else []),
            against["verdict"] if against else "",
        )
    return scores, _figures(summary), _compared_classes(summary)


def _figures(summary: Mapping[str, Any]) -> Table:
    """All but the mean IoU, with paired differences to the first."""
    runs = summary["runs"]
    table = Table("figure", *(_name(run["name"]) for run in runs))
    for name, title in TITLES.items():
        if any(name in run["figures"] for run in runs):
            apart = [(run["against_first"] or {"figures": {}})["figures"].get(name) for run in runs]
            cells = (_cell(run["figures"].get(name), own) for run, own in zip(runs, apart, strict=True))
            table.add_row(title, *cells)
    return table


def _compared_classes(summary: Mapping[str, Any]) -> Table:
    runs = summary["runs"]
    starred = "* the interval of this difference by itself leaves out 0; of many such, some do so by chance"
    table = Table("IoU", *(_name(run["name"]) for run in runs), caption=starred, caption_justify="left")
    for place, name in enumerate(summary["classes"]):
        apart = [run["against_first"] and run["against_first"]["per_class"][place] for run in runs]
        cells = (_cell(run["per_class_iou"][place], own, "absent") for run, own in zip(runs, apart, strict=True))
        table.add_row(_name(name), *cells)
    return table


def _cell(value: float | None, apart: Mapping[str, Any] | None, undefined: str = "") -> str:
    """A figure, and its difference to the first's where that is defined."""
    if value is None:
        return undefined
    if apart is None or apart["difference"] is None:
        return f"{value:.4f}"
    return f"{value:.4f} ({signed(apart['difference'], 4)}{'*' if apart['leaves_out_0'] else ''})"


def images(summary: Mapping[str, Any]) -> str:
    """How many images were scored, and in how many groups where they are grouped."""
    number, groups = summary["images"], summary["groups"]
    return counted(number, "image") + (f" in {counted(groups, 'group')}" if groups else "")


def _share(summary: Mapping[str, Any]) -> str:
    return f"{100 * summary['confidence']:g} %"


def _bounds(interval: Mapping[str, float | None]) -> str:
    """An interval; empty where its figure is undefined."""
    low, high = interval["low"], interval["high"]
    return "" if low is None or high is None else _interval(low, high)


def _interval(low: float, high: float) -> str:
    # Rich would take plain brackets for markup.
    return f"\\[{low:.4f}, {high:.4f}]"


def _difference(against: Mapping[str, Any]) -> str:
    found, low, high = (signed(against[key], 4) for key in ("difference", "low", "high"))
    return f"{found} \\[{low}, {high}]"
