"""What the page of an evaluation says, read as a browser would."""

import json
import re

import numpy as np
import pytest
from drawn_split import LABELS
from page_reader import Page, value_of
from scored_network import evaluated

from segline.core.labels import label_map
from segline.core.metrics.boundary import boundary_counts
from segline.core.metrics.confusion import confusion
from segline.core.metrics.road import confidence_histogram
from segline.evaluation import results
from segline.evaluation.report import evaluation_page as evaluated_page
from segline.evaluation.summary import Summary, summarise
from segline.project import Files
from segline.storage import size_text


def page_with(written, **changed):
    """The page of that evaluation with other calibration, without pictures."""
    content, judged = (json.loads((written / name).read_text()) for name in (Files.EVALUATION, Files.CALIBRATION))
    return evaluated_page.page(
        evaluated(), Summary.from_json(content), labels=LABELS, model="m", pictures=[], calibration=judged | changed
    )


@pytest.fixture(scope="module")
def page(written):
    return Page((written / Files.EVALUATION_PAGE).read_text(encoding="utf-8"))


def test_an_evaluations_page_asks_for_nothing_and_names_all_it_holds(page, written):
    page.check()
    text = " ".join(page.text)
    summary = json.loads((written / Files.EVALUATION).read_text())
    assert summary["caveat"] in text
    assert "drawn & quartered" in text
    assert "sample <8>" in text
    assert "Each range is the 90 % interval of the score (bootstrap over images)." in text
    assert text.count("90 % interval") == 2  # of the scores and of the classes
    for key in ("protocol", "split_digest", "label_map_digest", "counts_digest"):
        assert summary[key] in text
    assert {"scores", "classes", "confusion", "calibration", "cost", "pictures"} <= set(page.ids)
    assert (written / Files.EVALUATION_PAGE).stat().st_size < 1 << 20


def test_every_figure_on_it_is_the_summarys(page, written):
    summary = json.loads((written / Files.EVALUATION).read_text())
    whole = summary | {
        "cost": json.loads((written / Files.COST).read_text()),
        "calibration": json.loads((written / Files.CALIBRATION).read_text()),
    }
    checked = [name for name in page.figures if name.partition(".")[0] in whole]
    for name in checked:
        for value, shown in page.figures[name]:
            assert value == value_of(whole, name), name
            assert float(shown) == pytest.approx(value, abs=0.051 if name.startswith("cost.") else 0.00051)
    assert {"miou", "miou_low", "miou_high", "baseline_miou", "pixel_accuracy", "cost.whole.p95"} <= set(checked)
    errors = ("overall.ece", "overall.mce", "log_loss", "brier")
    assert {f"calibration.{when}.{error}" for when in ("before", "after") for error in errors} <= set(checked)
    assert {f"per_class_iou.{name}" for name in LABELS.names[:3]} <= set(checked)
    assert {f"per_class_{kind}.{name}" for kind in ("precision", "recall", "f1") for name in LABELS.names[:3]} <= set(
        checked
    )
    assert {"mean_class_accuracy", "frequency_weighted_iou", "macro_f1"} <= set(checked)
    assert set(checked) == set(page.figures)
    assert not {"categories", "extra-scores"} & set(page.ids)


def test_the_cost_says_how_busy_the_machine_was_and_leaves_out_a_percentile_of_few_calls(written):
    content = json.loads((written / Files.COST).read_text())
    summary, evaluation = Summary.from_json(json.loads((written / Files.EVALUATION).read_text())), evaluated()

    def shown(disturbed, p95):
        content["load"]["disturbed"], content["batched"]["p95"] = disturbed, p95
        html = evaluated_page.page(evaluation, summary, labels=LABELS, model="a", pictures=[], cost=content)
        page = Page(html)
        page.check()
        return page, " ".join(page.text)

    busy, words = shown(True, None)
    percentiles = words.count("at the 95th percentile")
    assert "other processes kept the machine busy, so these times are too long" in words
    assert "cost.batched.p95" not in busy.figures
    assert {"cost.batched.median", "cost.load.others"} <= set(busy.figures)
    for key in ("whole_memory", "batched_memory"):
        for name in ("tensor_bytes", "added_bytes", "resident_before_bytes", "resident_peak_bytes"):
            size = content[key][name]  # not every build of TensorFlow counts its tensors
            assert size is None or size_text(size).replace(" ", "\u00a0") in words, (key, name)
    assert "a GPU's memory is not counted" in words
    calm, words = shown(False, 12.5)
    assert "too long" not in words
    assert words.count("at the 95th percentile") == percentiles + 1
    assert [value for value, _ in calm.figures["cost.batched.p95"]] == [12.5]


@pytest.fixture(scope="module")
def fuller():
    """Summary and page of a road task with boundaries, whose two classes are given a category each."""
    labels = label_map(
        [(1, "not road", (70, 70, 70)), (2, "road", (128, 64, 128))],
        categories={"ground": ["road"], "<rest>": ["not road"]},
    )
    rng = np.random.default_rng(3)
    truth, answer = rng.integers(0, 2, (2, 5, 24, 40)).astype(np.uint8)
    answer = np.where(rng.random(truth.shape) < 0.7, truth, answer)
    confidence = (60 + 90 * answer + rng.integers(0, 60, truth.shape)).astype(np.uint8)
    evaluation = results.Evaluation(
        dataset="drawn",
        split="test",
        protocol="drawn/1",
        split_digest="0123456789abcdef",
        label_map=labels.digest,
        names=labels.names,
        ids=tuple("abcde"),
        groups=None,
        void_pixels=0,
        per_image=np.stack([confusion(*pair, classes=2) for pair in zip(truth, answer, strict=True)]),
        categories=labels.categories,
        extra_scores=("road",),
        boundary=np.stack([boundary_counts(*pair, classes=2) for pair in zip(truth, answer, strict=True)]),
        road=confidence_histogram(truth.reshape(-1, 40), confidence.reshape(-1, 40))[None],
    )
    summary = summarise(evaluation, resamples=100, confidence=0.9, baseline=None)
    return summary, evaluated_page.page(evaluation, summary, labels=labels, model="a model", pictures=[])


def test_categories_boundaries_and_road_scores_are_shown_where_there_are_some(fuller):
    summary = fuller[0].as_json()
    page = Page(fuller[1])
    page.check()
    assert {"classes", "categories", "extra-scores"} <= set(page.ids)
    for name, found in page.figures.items():
        for value, shown in found:
            assert value == value_of(summary, name), name
            assert float(shown) == pytest.approx(value, abs=0.00051)
    wanted = {"mean_category_iou", "boundary_miou", "per_category_iou.ground", "per_category_iou.<rest>"}
    wanted |= {f"per_class_boundary_iou.{name}" for name in ("road", "not road")}
    wanted |= {f"extra_scores.{name}" for name in summary["extra_scores"]}
    assert wanted <= set(page.figures)
    assert "bird's-eye view" in " ".join(page.text)


def test_the_abstention_curve_says_what_its_mean_is_over_and_where_the_first_class_is_lost(page, written):
    def marks(shown):
        return [found["d"] for found in shown.all("path") if found.get("class") == "lost"]

    text = " ".join(page.text)
    assert "always over the 3 classes" in text
    assert "ignored like void" in text
    assert marks(page) == []  # here all are answered somewhere with full confidence
    assert "first class lost" not in text
    rare = {"threshold": [0, 0.5, 0.9], "answered": [1, 0.8, 0.25], "classes": [3, 3, 2]}
    rare |= {"pixel_accuracy": [0.7, 0.8, 1], "miou_lost_as_0": [0.5, 0.6, 2 / 3]}
    shown = Page(page_with(written, abstention=rare))
    text = " ".join(shown.text)
    assert "counts as 0; the first class is lost where 25\u00a0% are predicted" in text
    assert "first class lost" in text
    assert marks(shown) == ["M25.0 0V100"]
    assert "100.00,50.00 80.00,40.00 25.00,33.33" in [found.get("points") for found in shown.all("polyline")]


def test_a_class_that_is_nowhere_has_a_dash_and_no_bar(page):
    assert "per_class_iou.rest" not in page.figures
    bars = [found["style"] for found in page.all("i") if "width" in found.get("style", "")]
    assert len(bars) == 3


def luminance(colour):
    """Of sRGB, 0..255, as WCAG 2 has it."""
    linear = [v / 12.92 if (v := value / 255) <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for value in colour]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("canvas", "text"), [((255, 255, 255), (0, 0, 0)), ((18, 18, 18), (255, 255, 255))], ids=["light", "dark"]
)
def test_the_text_of_every_cell_of_the_confusion_matrix_can_be_read(canvas, text):
    many = label_map([(place, f"class {place}", (place, 0, 0)) for place in range(101)])
    counts = np.zeros((1, 101, 102), np.int64)
    for place in range(101):  # of class n, n percent are found
        counts[0, place, place] += place
        counts[0, place, (place + 1) % 101] += 100 - place
    evaluation = results.Evaluation(
        dataset="drawn",
        split="test",
        protocol="drawn/1",
        split_digest="0123456789abcdef",
        label_map=many.digest,
        names=many.names,
        ids=("a",),
        groups=None,
        void_pixels=0,
        per_image=counts,
        categories={},
        boundary=None,
        road=None,
    )
    summary = summarise(evaluation, resamples=2, confidence=0.9, baseline=None)
    html = evaluated_page.page(evaluation, summary, labels=many, model="m", pictures=[])
    mix = r"color-mix\(in srgb, #(\w{6}) calc\(var\(--share\) \* 100%\), Canvas\)"
    blue = re.search(rf"\.confusion tbody td \{{[^}}]*background: {mix}", html)[1]
    white = re.search(r"\.confusion td\.dark \{ color: #(\w{3}) \}", html)[1]
    assert white == "fff"
    seen = set()
    for cell in (found for found in Page(html).all("td") if "--share" in found.get("style", "")):
        share = float(cell["style"].removeprefix("--share: "))
        mixed = share * np.array([int(blue[at : at + 2], 16) for at in (0, 2, 4)]) + (1 - share) * np.array(canvas)
        written = (255, 255, 255) if "dark" in cell.get("class", "").split() else text
        assert contrast(mixed, written) >= 4.5, share
        seen.add(share)
    assert seen == {place / 100 for place in range(101)}
