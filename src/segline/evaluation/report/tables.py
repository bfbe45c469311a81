"""Show scores on a terminal."""

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from segline.core.metrics import table
from segline.core.metrics.table import Axis
from segline.core.statistics.trust import counted
from segline.errors import shown
from segline.evaluation.compare import AgainstFirst, ComparisonSummary, Difference
from segline.evaluation.figures import signed
from segline.evaluation.folders.document import ScoreDocument
from segline.evaluation.summary import Ends, Summary


def evaluated(summary: Summary) -> tuple[Table, ...]:
    """Show one evaluation: a row a class, a row a category where there are some, then its scores and its identity."""
    tables = [_own_figures(summary, "class")]
    if summary.per_category:
        tables.append(_own_figures(summary, "category"))
    figures = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    figures.add_column(min_width=max(len(row.title) for row in table.rows(axis="all", place="terminal")))
    for name, text in (_scores(summary) | _identity(summary)).items():
        if text:
            figures.add_row(name, text)
    return *tables, figures


def _own_figures(summary: Summary, axis: Axis) -> Table:
    """Show the metrics that each class or category has a value of; the main one with its interval."""
    shown_here = [row for row in table.rows(axis=axis, place="terminal") if summary.counted(row)]
    main, *others = shown_here
    found = Table(axis, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    extent = ["images", "labelled pixels"] if axis == "class" else []
    for head in (main.title, _level(summary), *(row.title for row in others), *extent):
        found.add_column(head, justify="right")
    for place, (name, value) in enumerate(summary.values(main).items()):
        cells = [_figure(value, "absent"), _bounds(summary.ends(main.key, name))]
        cells += [_figure(summary.values(row)[name], "absent") for row in others]
        if axis == "class":
            cells += [f"{summary.per_class_images[name]:,}", f"{sum(summary.confusion[place]):,}"]
        found.add_row(_name(name), *cells)
    return found


def _scores(summary: Summary) -> dict[str, str]:
    main, *others = table.rows(axis="all", place="terminal")
    baseline, drawn = summary.baseline_miou, f"{_level(summary)}, {summary.interval_method}"
    return {
        main.title: f"{summary.miou:.4f}  {_interval(*summary.miou_ends)} ({drawn})",
        "caveat": escape(summary.caveat),
        **{
            row.title: f"{_figure(summary.value(row))}  {_bounds(summary.ends(row.key))}".rstrip()
            for row in others
            if summary.counted(row)
        },
        "baseline": "" if baseline is None else f"{_figure(baseline)} (always the most frequent class)",
    }


def _identity(summary: Summary) -> dict[str, str]:
    """Say what was scored, and under which rules."""
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


def _name(text: str) -> str:
    return escape(shown(text))


def _figure(value: float | None, undefined: str = "undefined") -> str:
    return undefined if value is None else f"{value:.4f}"


def compared(summary: ComparisonSummary) -> tuple[Table, ...]:
    """Show runs side by side: mean IoU with differences to the first, all other figures, and the classes."""
    corrected = ["corrected p"] if summary.correction else []
    single = "of each comparison by itself" if corrected else ""
    said = (
        ", ".join(filter(None, (f"intervals: {summary.interval_method}", single))),
        f"corrected p: {summary.correction}" if corrected else "",
        f"better or worse: the interval leaves out 0 and {'corrected p' if corrected else 'p'} is at most "
        f"{1 - summary.confidence:.2g}",
        summary.caveat,
    )
    scores = Table(
        "run",
        f"mean IoU ({_level(summary)})",
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
            cells = [_difference(against), f"{against.p:.4f}", against.verdict]
            cells[2:2] = [f"{against.p_corrected:.4f}"] if corrected else []
        scores.add_row(_name(run.name), f"{run.miou:.4f} {_interval(run.miou_low, run.miou_high)}", *cells)
    return scores, _compared_figures(summary), _compared_classes(summary)


def _compared_figures(summary: ComparisonSummary) -> Table:
    """Show all but the mean IoU, with paired differences to the first."""
    found = Table("figure", *_run_names(summary))
    for row in table.rows(axis="all", place="comparison"):
        if any(row.key in run.figures for run in summary.runs):
            apart = [one.figures.get(row.key) if (one := run.against_first) else None for run in summary.runs]
            cells = (_cell(run.figures.get(row.key), own) for run, own in zip(summary.runs, apart, strict=True))
            found.add_row(row.title, *cells)
    return found


def _compared_classes(summary: ComparisonSummary) -> Table:
    starred = "* the interval of this difference by itself leaves out 0; of many such, some do so by chance"
    found = Table("IoU", *_run_names(summary), caption=starred, caption_justify="left")
    for place, name in enumerate(summary.classes):
        apart = [one.per_class[place] if (one := run.against_first) else None for run in summary.runs]
        cells = (_cell(run.per_class_iou[place], own, "absent") for run, own in zip(summary.runs, apart, strict=True))
        found.add_row(_name(name), *cells)
    return found


def _run_names(summary: ComparisonSummary) -> Iterable[str]:
    return (_name(run.name) for run in summary.runs)


def _cell(value: float | None, apart: Difference | None, undefined: str = "") -> str:
    """Write a figure, and its difference to the first's where that is defined."""
    if value is None:
        return undefined
    if apart is None or apart.difference is None:
        return f"{value:.4f}"
    return f"{value:.4f} ({signed(apart.difference, 4)}{'*' if apart.leaves_out_0 else ''})"


def images(summary: Summary | ComparisonSummary) -> str:
    """Say how many images were scored, and in how many groups where they are grouped."""
    return counted(summary.images, "image") + (f" in {counted(summary.groups, 'group')}" if summary.groups else "")


def _level(summary: Summary | ComparisonSummary) -> str:
    return f"{100 * summary.confidence:g} %"


def _bounds(ends: Ends) -> str:
    """Write an interval; nothing where its figure is undefined."""
    return "" if ends.low is None or ends.high is None else _interval(ends.low, ends.high)


def _interval(low: float, high: float) -> str:
    # Rich would take plain brackets for markup.
    return f"\\[{low:.4f}, {high:.4f}]"


def _difference(against: AgainstFirst) -> str:
    found, low, high = (signed(value, 4) for value in (against.difference, against.low, against.high))
    return f"{found} \\[{low}, {high}]"
