"""What a terminal shows of one evaluation."""

import re

import numpy as np
import pytest
from rich.console import Console

from segline.core.metrics.boundary import boundary_counts
from segline.core.metrics.confusion import confusion
from segline.evaluation import results
from segline.evaluation import summary as figures
from segline.evaluation.report import tables

TRUTH = np.array([[0, 0, 0, 1, 1, 2]] * 4, np.uint8)
ANSWER = np.array([[0, 0, 1, 1, 1, 1]] * 4, np.uint8)


def shown(summary):
    console = Console(width=160)
    with console.capture() as capture:
        for table in tables.evaluated(summary):
            console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.fixture
def summary():
    evaluation = results.Evaluation(
        dataset="drawn",
        split="",
        protocol="drawn/1",
        split_digest="0" * 16,
        label_map="1" * 16,
        names=("road", "[b]path[/b]", "car", "tram"),
        ids=("one",),
        groups=None,
        void_pixels=1234,
        per_image=confusion(TRUTH, ANSWER, classes=4)[None],
        categories={"flat": (0, 1), "vehicle": (2,), "rail": (3,)},
        boundary=boundary_counts(TRUTH, ANSWER, classes=4)[None],
        road=np.zeros((1, 2, 256), np.int64),
    )
    return figures.summary(evaluation, resamples=100, confidence=0.9, baseline=None)


def test_a_row_a_class_and_a_row_a_category_say_what_is_absent(summary):
    lines = shown(summary)
    alone = "[0.0000, 1.0000]"  # a single image says nothing of others
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert rows["class"] == ["IoU", "90", "%", "boundary", "IoU", "images", "labelled", "pixels"]
    assert rows["road"][0] == f"{8 / 12:.4f}"
    assert rows["road"][1:3] == alone.split()
    assert rows["road"][4:] == ["1", "12"]
    assert rows["[b]path[/b]"][0] == f"{8 / 16:.4f}"  # as it is called, not as markup
    assert rows["car"] == ["0.0000", *alone.split(), "0.0000", "1", "4"]
    assert rows["tram"] == ["absent", "absent", "0", "0"]
    assert rows["flat"] == [f"{20 / 24:.4f}", *alone.split()]
    assert rows["rail"] == ["absent"]
    assert f"{'mIoU of the categories':30}  {(20 / 24 + 0) / 2:.4f}  {alone}" in lines
    assert f"{'boundary mIoU':30}  {summary['boundary_miou']:.4f}  {alone}" in lines
    assert f"{'MaxF in image space':30}  undefined" in lines
    assert f"{'split':30}  none" in lines
    assert f"{'split digest':30}  {'0' * 16}" in lines


def test_it_stays_short_where_there_is_nothing_more_to_say(summary):
    gone = r"(boundary|category|road_image)"
    plain = {name: value for name, value in summary.items() if not re.search(gone, name)}
    lines = shown(plain)
    assert lines[0].split() == ["class", "IoU", "90", "%", "images", "labelled", "pixels"]
    assert len(lines) == 5 + 13
    assert not any(word in line for line in lines for word in ("boundary", "categor", "MaxF", "predictions"))


def test_a_score_document_adds_its_task_and_how_ids_were_read(summary):
    document = summary | {
        "task": "semantics",
        "prediction_ids": "raw",
        "prediction_ids_because": "said so",
        "extra_scores": {"foreground_iou_border_void": None},
        "intervals": summary["intervals"] | {"foreground_iou_border_void": {"low": None, "high": None}},
    }
    lines = shown(document)
    assert f"{'dataset':30}  drawn, task semantics" in lines
    assert f"{'predictions':30}  raw ids: said so" in lines
    assert f"{'foreground IoU, border as void':30}  undefined" in lines
