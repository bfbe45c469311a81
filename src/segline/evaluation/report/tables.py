"""Lay out scores as tables for a terminal."""

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from segline.core.metrics import table
from segline.core.metrics.table import Axis
from segline.core.statistics.trust import counted
from segline.errors import shown
from segline.evaluation.comparison_summary import AgainstFirst, ComparisonSummary, Difference
from segline.evaluation.figures import signed
from segline.evaluation.folders.document import ScoreDocument
from segline.evaluation.summary import Ends, Summary


def evaluated(summary: Summary) -> tuple[Table, ...]:
    """Lay out one evaluation: a table of classes, one of categories if there are some, and one of scores and split."""
    tables = [_table_by_name(summary, "class")]
    if summary.per_category:
        tables.append(_table_by_name(summary, "category"))
    figures = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    figures.add_column(min_width=max(len(row.title) for row in table.rows(axis="all", place="terminal")))
    for name, text in (_list_scores(summary) | _list_identity(summary)).items():
        if text:
            figures.add_row(name, text)
    return *tables, figures


def _table_by_name(summary: Summary, axis: Axis) -> Table:
    """Lay out the metrics of each class or category; the first metric has its interval."""
    shown_here = [row for row in table.rows(axis=axis, place="terminal") if summary.counted(row)]
    main, *others = shown_here
    found = Table(axis, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    extent = ["images", "labelled pixels"] if axis == "class" else []
    for head in (main.title, _write_level(summary), *(row.title for row in others), *extent):
        found.add_column(head, justify="right")
    for place, (name, value) in enumerate(summary.values(main).items()):
        cells = [_write_value(value, "absent"), _write_ends(summary.ends(main.key, name))]
        cells += [_write_value(summary.values(row)[name], "absent") for row in others]
        if axis == "class":
            cells += [f"{summary.per_class_images[name]:,}", f"{sum(summary.confusion[place]):,}"]
        found.add_row(_write_name(name), *cells)
    return found


def _list_scores(summary: Summary) -> dict[str, str]:
    main, *others = table.rows(axis="all", place="terminal")
    baseline, drawn = summary.baseline_miou, f"{_write_level(summary)}, {summary.interval_method}"
    return {
        main.title: f"{summary.miou:.4f}  {_write_interval(*summary.miou_ends)} ({drawn})",
        "caveat": escape(summary.caveat),
        **{
            row.title: f"{_write_value(summary.value(row))}  {_write_ends(summary.ends(row.key))}".rstrip()
            for row in others
            if summary.counted(row)
        },
        "baseline": "" if baseline is None else f"{_write_value(baseline)} (always the most frequent class)",
    }


def _list_identity(summary: Summary) -> dict[str, str]:
    """Describe what was scored, and under which rules."""
    named = {
        "images": images(summary),
        "pixels": f"{summary.labelled_pixels:,} labelled, {summary.void_pixels:,} void",
        "predicted void or no class": f"{outside:.2%}" if (outside := summary.outside_share) else "",
        "dataset": summary.dataset,
        "protocol": summary.protocol,
        "split": summary.split or "none",
        "split digest": summary.split_digest,
        "label map": f"digest {summary.label_map_digest}",
    }
    if isinstance(summary, ScoreDocument):
        named["dataset"] += f", task {summary.task}"
        named["split"] += f": {summary.split_because}" if summary.split_because else ""
        named["predictions"] = f"{summary.prediction_ids} ids: {summary.prediction_ids_because}"
    return {name: escape(text) for name, text in named.items()}


def _write_name(text: str) -> str:
    return escape(shown(text))


def _write_value(value: float | None, undefined: str = "undefined") -> str:
    return undefined if value is None else f"{value:.4f}"


def compared(summary: ComparisonSummary) -> tuple[Table, ...]:
    """Lay out runs side by side: mean IoU with differences to the first, all other scores, and the classes."""
    corrected = ["corrected p"] if summary.correction else []
    single = "not corrected" if corrected else ""
    said = (
        ", ".join(filter(None, (f"intervals: {summary.interval_method}", single))),
        f"corrected p: {summary.correction}" if corrected else "",
        f"better or worse: the interval excludes 0 and {'corrected p' if corrected else 'p'} is at most "
        f"{1 - summary.confidence:.2g}",
        summary.caveat,
    )
    scores = Table(
        "run",
        f"mean IoU ({_write_level(summary)})",
        "difference to the first",
        "p",
        *corrected,
        "verdict",
        title=escape(f"{summary.dataset}, {summary.split} split, {images(summary)}"),
        title_justify="left",
        caption=escape("; ".join(filter(None, said))),
        caption_justify="left",
    )
    for run in summary.runs:
        against = run.against_first
        cells = ["", "", *([""] if corrected else []), ""]
        if against:
            cells = [_write_difference(against), f"{against.p:.4f}", against.verdict]
            cells[2:2] = [f"{against.p_corrected:.4f}"] if corrected else []
        scores.add_row(_write_name(run.name), f"{run.miou:.4f} {_write_interval(run.miou_low, run.miou_high)}", *cells)
    return scores, _compared_figures(summary), _compared_classes(summary)


def _compared_figures(summary: ComparisonSummary) -> Table:
    """Lay out the scores over the split, with paired differences to the first."""
    found = Table("figure", *_list_run_names(summary))
    for row in table.rows(axis="all", place="comparison"):
        if any(row.key in run.figures for run in summary.runs):
            apart = [one.figures.get(row.key) if (one := run.against_first) else None for run in summary.runs]
            cells = (_write_cell(run.figures.get(row.key), own) for run, own in zip(summary.runs, apart, strict=True))
            found.add_row(row.title, *cells)
    return found


def _compared_classes(summary: ComparisonSummary) -> Table:
    starred = "* the interval of this difference excludes 0; among many differences, some do so by chance"
    found = Table("IoU", *_list_run_names(summary), caption=starred, caption_justify="left")
    for place, name in enumerate(summary.classes):
        apart = [one.per_class[place] if (one := run.against_first) else None for run in summary.runs]
        cells = (
            _write_cell(run.per_class_iou[place], own, "absent") for run, own in zip(summary.runs, apart, strict=True)
        )
        found.add_row(_write_name(name), *cells)
    return found


def _list_run_names(summary: ComparisonSummary) -> Iterable[str]:
    return (_write_name(run.name) for run in summary.runs)


def _write_cell(value: float | None, apart: Difference | None, undefined: str = "") -> str:
    """Write a score, and its difference to the first run's if that is defined."""
    if value is None:
        return undefined
    if apart is None or apart.difference is None:
        return f"{value:.4f}"
    return f"{value:.4f} ({signed(apart.difference, 4)}{'*' if apart.leaves_out_0 else ''})"


def images(summary: Summary | ComparisonSummary) -> str:
    """Write the number of images, and of their groups if they are grouped."""
    return counted(summary.images, "image") + (f" in {counted(summary.groups, 'group')}" if summary.groups else "")


def _write_level(summary: Summary | ComparisonSummary) -> str:
    return f"{100 * summary.confidence:g} %"


def _write_ends(ends: Ends) -> str:
    """Write an interval; empty if its score is undefined."""
    return "" if ends.low is None or ends.high is None else _write_interval(ends.low, ends.high)


def _write_interval(low: float, high: float) -> str:
    # Escaped, because Rich reads plain brackets as markup.
    return f"\\[{low:.4f}, {high:.4f}]"


def _write_difference(against: AgainstFirst) -> str:
    found, low, high = (signed(value, 4) for value in (against.difference, against.low, against.high))
    return f"{found} \\[{low}, {high}]"
