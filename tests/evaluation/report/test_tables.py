"""What a terminal shows of one evaluation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from segline import datasets
from segline.core.metrics.boundary import boundary_counts
from segline.core.metrics.confusion import confusion
from segline.evaluation import results
from segline.evaluation.folders.document import document
from segline.evaluation.folders.score import FolderScore
from segline.evaluation.report import tables
from segline.evaluation.summary import summarise

TRUTH = np.array([[0, 0, 0, 1, 1, 2]] * 4, np.uint8)
ANSWER = np.array([[0, 0, 1, 1, 1, 1]] * 4, np.uint8)


def shown(summary):
    console = Console(width=160)
    with console.capture() as capture:
        for table in tables.evaluated(summary):
            console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.fixture
def evaluation():
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
        extra_scores=("road",),
        road=np.zeros((1, 2, 256), np.int64),
    )
    return evaluation


@pytest.fixture
def summary(evaluation):
    return summarise(evaluation, resamples=100, confidence=0.9)


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
    assert f"{'boundary mIoU':30}  {summary.scores['boundary_miou']:.4f}  {alone}" in lines
    assert f"{'MaxF in image space':30}  undefined" in lines
    assert f"{'split':30}  none" in lines
    assert f"{'split digest':30}  {'0' * 16}" in lines


def test_it_stays_short_where_there_is_nothing_more_to_say(evaluation):
    plain = replace(evaluation, categories={}, boundary=None, road=None)
    lines = shown(summarise(plain, resamples=100, confidence=0.9))
    assert lines[0].split() == ["class", "IoU", "90", "%", "images", "labelled", "pixels"]
    assert len(lines) == 5 + 13
    assert not any(word in line for line in lines for word in ("boundary", "categor", "MaxF", "predictions"))


def test_a_score_document_adds_its_task_and_how_ids_were_read(evaluation):
    names = ("foreground", "background", "border", "rest")
    void = replace(
        evaluation, names=names, per_image=np.zeros((1, 4, 5), np.int64), road=None, extra_scores=("foreground",)
    )
    void.per_image[0, 1, 1] = 9
    pets = FolderScore(evaluation=void, split=None, split_why="no list names it", ids="raw", why="said so", warnings=())
    content = document(
        pets, datasets.load("oxford_pets"), truth=Path("a"), prediction=Path("b"), resamples=100, confidence=0.9
    )
    lines = shown(content)
    assert f"{'dataset':30}  drawn, task semantics" in lines
    assert f"{'split':30}  none: no list names it" in lines
    assert f"{'predictions':30}  raw ids: said so" in lines
    assert f"{'foreground IoU, border as void':30}  undefined" in lines
