"""A metric is one row of the table: nothing else has to be touched to see it everywhere."""

import io
from contextlib import redirect_stdout

import numpy as np
import pytest
from drawn_split import LABELS
from page_reader import Page
from scored_network import evaluated

from segline.console import console
from segline.core.metrics import table
from segline.core.metrics.confusion import iou
from segline.core.metrics.table import Metric
from segline.evaluation import compare
from segline.evaluation.folders.document import ScoreDocument
from segline.evaluation.report import comparison_page, evaluation_page, tables
from segline.evaluation.summary import Summary, summarise
from segline.registry import run_summary

LOWEST = Metric(
    name="lowest_iou",
    title="lowest IoU",
    meaning="IoU of the class that is found worst",
    function=lambda counts: np.nanmin(iou(counts), axis=-1),
)
SQUARED = Metric(
    name="squared_iou",
    title="squared IoU",
    meaning="IoU times itself",
    axis="class",
    function=lambda counts: iou(counts) ** 2,
)


@pytest.fixture(scope="module")
def evaluation():
    return evaluated(0.5)


def shown(*grids):
    stream = io.StringIO()
    with redirect_stdout(stream):
        for grid in grids:
            console().print(grid)
    return stream.getvalue()


def seen_at(evaluation):
    """Where each of the two is found: in JSON, schema, terminal, page, comparison and MLflow."""
    summary = summarise(evaluation, resamples=100, confidence=0.9)
    content, schema = summary.as_json(), ScoreDocument.json_schema()
    compared = compare.summary(compare.compare([("a", evaluation), ("b", evaluated())], resamples=100, confidence=0.9))
    page = Page(evaluation_page.page(evaluation, summary, labels=LABELS, model="m", pictures=[]))
    assert Summary.from_json(content) == summary
    places = {
        "json": content.keys(),
        "intervals": content["intervals"].keys(),
        "schema": schema["properties"].keys(),
        "terminal": shown(*tables.evaluated(summary)),
        "page": {name.partition(".")[0] for name in page.figures},
        "comparison": shown(*tables.compared(compared)),
        "comparison page": " ".join(Page(comparison_page.page(compared)).text),
        "mlflow": {name.partition("/")[0] for name in run_summary.metrics(summary)},
    }
    names = {
        "lowest": {LOWEST.key, LOWEST.title, LOWEST.tracked_name},
        "squared": {SQUARED.key, SQUARED.title, SQUARED.tracked_name},
    }
    return {
        metric: {place for place, held in places.items() if any(name in held for name in known)}
        for metric, known in names.items()
    }


def test_a_row_is_all_that_a_new_metric_needs(evaluation, monkeypatch):
    assert seen_at(evaluation) == {"lowest": set(), "squared": set()}
    monkeypatch.setattr(table, "TABLE", (*table.TABLE, LOWEST, SQUARED))
    everywhere = {"json", "intervals", "schema", "terminal", "page", "mlflow"}
    assert seen_at(evaluation) == {"lowest": everywhere | {"comparison", "comparison page"}, "squared": everywhere}


def test_names_are_unique_and_the_main_metrics_come_first():
    keys = [row.key for row in table.TABLE]
    assert len(set(keys)) == len(keys)
    assert [table.rows(axis=axis)[0].key for axis in ("all", "class", "category")] == [
        "miou",
        "per_class_iou",
        "per_category_iou",
    ]
