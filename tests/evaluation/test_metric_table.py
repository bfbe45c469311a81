"""A metric is one row of the table: nothing else has to be touched to see it everywhere."""

import io
from contextlib import redirect_stdout
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from drawn_split import LABELS
from page_reader import Page
from scored_network import evaluated

from segline.console import console
from segline.core.metrics import table
from segline.core.metrics.confusion import iou
from segline.core.metrics.table import BESIDE_COMPARISONS, Metric
from segline.evaluation import compare
from segline.evaluation.comparison_summary import summarise_comparison
from segline.evaluation.report import comparison_page, evaluation_page, tables
from segline.evaluation.summary import Summary, summarise
from segline.registry import run_summary

LOWEST = Metric(
    name="lowest_iou",
    title="lowest IoU",
    meaning="IoU of the class that is found worst",
    function=lambda counts: np.nanmin(iou(counts), axis=-1),
)
DECLARED = replace(LOWEST, name="declared_iou", title="declared IoU", group="drawn")
UNDECLARED = replace(LOWEST, name="undeclared_iou", title="undeclared IoU", group="others")
BARE = replace(LOWEST, name="bare_iou", title="bare IoU", interval=False, places=frozenset({"page"}))
SQUARED = Metric(
    name="squared_iou",
    title="squared IoU",
    meaning="IoU times itself",
    axis="class",
    places=BESIDE_COMPARISONS,
    function=lambda counts: iou(counts) ** 2,
)
OF_CATEGORIES = replace(SQUARED, name="joined_iou", title="joined IoU", axis="category", source="categories")

EVERYWHERE = {"json", "intervals", "schema", "terminal", "page", "mlflow"}
COMPARED = {"comparison", "comparison page"}
EXPECTED = {
    LOWEST: EVERYWHERE | COMPARED,
    DECLARED: EVERYWHERE | COMPARED,
    UNDECLARED: {"schema"},
    BARE: {"json", "schema", "page"},
    SQUARED: EVERYWHERE,
    OF_CATEGORIES: EVERYWHERE,
}


def of_categories(found):
    return replace(found, categories={"all": tuple(range(len(found.names)))}, extra_scores=("drawn",))


@pytest.fixture(scope="module")
def evaluation():
    return of_categories(evaluated(0.5))


def shown(*grids):
    stream = io.StringIO()
    with redirect_stdout(stream):
        for grid in grids:
            console().print(grid)
    return stream.getvalue()


def keys_of(part):
    """All keys at any depth, as a JSON document or a schema holds them."""
    if isinstance(part, list):
        return set().union(*map(keys_of, part))
    return set(part).union(*map(keys_of, part.values())) if isinstance(part, dict) else set()


def seen_at(evaluation):
    """The places where each metric is found."""
    summary = summarise(evaluation, resamples=100, confidence=0.9)
    content, schema = summary.as_json(), Summary.json_schema()
    jsonschema.validate(content, schema)
    assert Summary.from_json(content) == summary
    other = of_categories(evaluated())
    compared = summarise_comparison(compare.compare([("a", evaluation), ("b", other)], resamples=100, confidence=0.9))
    page = Page(evaluation_page.page(evaluation, summary, labels=LABELS, model="m", pictures=[]))
    places = {
        "json": keys_of({name: part for name, part in content.items() if name != "intervals"}),
        "intervals": content["intervals"].keys(),
        "schema": keys_of({name: part for name, part in schema["properties"].items() if name != "intervals"}),
        "terminal": shown(*tables.evaluated(summary)),
        "page": {part for name in page.figures for part in name.split(".")},
        "comparison": shown(*tables.compared(compared)),
        "comparison page": " ".join(Page(comparison_page.page(compared)).text),
        "mlflow": {name.partition("/")[0] for name in run_summary.metrics(summary)},
    }
    return {
        row: {
            place
            for place, held in places.items()
            if any(name in held for name in (row.key, row.title, row.tracked_name))
        }
        for row in EXPECTED
    }


def test_a_row_is_all_that_a_new_metric_needs(evaluation, monkeypatch):
    assert set().union(*seen_at(evaluation).values()) == set()
    monkeypatch.setattr(table, "TABLE", (*table.TABLE, *EXPECTED))
    assert seen_at(evaluation) == EXPECTED


def test_a_metric_of_classes_is_not_promised_to_comparisons_which_would_not_show_it():
    with pytest.raises(ValueError, match="BESIDE_COMPARISONS"):
        replace(SQUARED, places=table.EVERYWHERE)


def test_names_are_unique_and_the_main_metrics_come_first():
    keys = [row.key for row in table.TABLE]
    assert len(set(keys)) == len(keys)
    assert [table.rows(axis=axis)[0].key for axis in ("all", "class", "category")] == [
        "miou",
        "per_class_iou",
        "per_category_iou",
    ]
