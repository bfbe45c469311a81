"""What the pages of scores say, read as a browser would, and once by a browser."""

import base64
import json
import re
import shutil
import subprocess
from dataclasses import replace

import cv2
import numpy as np
import pytest
from drawn_split import LABELS, Split, bundle
from page_reader import Page, value_of
from rich.console import Console

from segline.core.boundary import boundary_counts
from segline.core.confusion import confusion, mean_iou
from segline.core.labels import VOID, label_map
from segline.core.palette import safe_colours
from segline.core.road import confidence_histogram
from segline.errors import ComparisonError, DataError
from segline.evaluation import calibration, comparison, figures, record, results, tables
from segline.evaluation import evaluate as library
from segline.evaluation.page import compared, exhibits, rendering
from segline.evaluation.page import evaluated as evaluated_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def evaluated(bias=0.0):
    return library.evaluate(bundle(bias), Split(), progress=lambda *_: None)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of an evaluation with all that a page can hold."""
    folder, network, split, evaluation = tmp_path_factory.mktemp("report"), bundle(), Split(), evaluated()
    fitted = calibration.Fitted(temperature=1.5, split="validation", digest="another")
    judged = calibration.calibrate(network, split, fitted=fitted, progress=lambda *_: None)
    summary = figures.summary(evaluation, resamples=100, confidence=0.9, baseline=evaluation.baseline(commonest=1))
    record.write(
        folder,
        bundle=network,
        split=split,
        evaluation=evaluation,
        summary=summary,
        model="drawn & quartered",
        threads=2,
        calibration=judged,
    )
    return folder


def page_with(written, **changed):
    """The page of that evaluation with other calibration, without pictures."""
    summary, judged = (json.loads((written / name).read_text()) for name in (record.FIGURES, record.CONFIDENCE))
    return evaluated_page.page(
        evaluated(), summary, labels=LABELS, model="m", pictures=[], calibration=judged | changed
    )


@pytest.fixture(scope="module")
def page(written):
    return Page((written / record.PAGE).read_text(encoding="utf-8"))


def test_an_evaluations_page_asks_for_nothing_and_names_all_it_holds(page, written):
    page.check()
    text = " ".join(page.text)
    summary = json.loads((written / record.FIGURES).read_text())
    assert summary["caveat"] in text
    assert "drawn & quartered" in text
    assert "sample <8>" in text
    assert "Each range is the 90 % interval of the score (bootstrap over images)." in text
    assert text.count("90 % interval") == 2  # of the scores and of the classes
    for key in ("protocol", "split_digest", "label_map_digest", "counts_digest"):
        assert summary[key] in text
    assert {"scores", "classes", "confusion", "calibration", "cost", "pictures"} <= set(page.ids)
    assert (written / record.PAGE).stat().st_size < 1 << 20


def test_every_figure_on_it_is_the_summarys(page, written):
    summary = json.loads((written / record.FIGURES).read_text())
    whole = summary | {
        "cost": json.loads((written / record.COST).read_text()),
        "calibration": json.loads((written / record.CONFIDENCE).read_text()),
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
    assert not {"categories", "road"} & set(page.ids)


def test_the_cost_says_how_busy_the_machine_was_and_leaves_out_a_percentile_of_few_calls(written):
    content = json.loads((written / record.COST).read_text())
    summary, evaluation = json.loads((written / record.FIGURES).read_text()), evaluated()

    def shown(disturbed, p95):
        content["load"]["disturbed"], content["batched"]["p95"] = disturbed, p95
        html = evaluated_page.page(evaluation, summary, labels=LABELS, model="a", pictures=[], cost=content)
        page = Page(html)
        page.check()
        return page, " ".join(page.text)

    busy, words = shown(True, None)
    percentiles = words.count("at the 95th percentile")
    assert "busy with other work, so these times are too long" in words
    assert "cost.batched.p95" not in busy.figures
    assert {"cost.batched.median", "cost.load.others"} <= set(busy.figures)
    for key in ("whole_memory", "batched_memory"):
        for name in ("tensor_bytes", "added_bytes", "resident_before_bytes", "resident_peak_bytes"):
            size = content[key][name]  # not every build of TensorFlow counts its tensors
            assert size is None or rendering.mebibytes(size) in words, (key, name)
    assert "a GPU's is not counted" in words
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
        split_digest="0123",
        label_map=labels.digest,
        names=labels.names,
        ids=tuple("abcde"),
        groups=None,
        void_pixels=0,
        per_image=np.stack([confusion(*pair, classes=2) for pair in zip(truth, answer, strict=True)]),
        categories=labels.categories,
        boundary=np.stack([boundary_counts(*pair, classes=2) for pair in zip(truth, answer, strict=True)]),
        road=confidence_histogram(truth.reshape(-1, 40), confidence.reshape(-1, 40))[None],
    )
    summary = figures.summary(evaluation, resamples=100, confidence=0.9, baseline=None)
    return summary, evaluated_page.page(evaluation, summary, labels=labels, model="a model", pictures=[])


def test_categories_boundaries_and_road_scores_are_shown_where_there_are_some(fuller):
    summary, html = fuller
    page = Page(html)
    page.check()
    assert {"classes", "categories", "road"} <= set(page.ids)
    for name, found in page.figures.items():
        for value, shown in found:
            assert value == value_of(summary, name), name
            assert float(shown) == pytest.approx(value, abs=0.00051)
    wanted = {"mean_category_iou", "boundary_miou", "per_category_iou.ground", "per_category_iou.<rest>"}
    wanted |= {f"per_class_boundary_iou.{name}" for name in ("road", "not road")}
    wanted |= {f"road_image_space.{name}" for name in summary["road_image_space"]}
    assert wanted <= set(page.figures)
    assert "bird's-eye view" in " ".join(page.text)


def test_the_abstention_curve_says_what_its_mean_is_over_and_where_the_first_class_is_lost(page, written):
    def marks(shown):
        return [found["d"] for found in shown.all("path") if found.get("class") == "lost"]

    text = " ".join(page.text)
    assert "always over the 3 classes" in text
    assert "scored as void is" in text
    assert marks(page) == []  # here all are answered somewhere with full confidence
    assert "first class lost" not in text
    rare = {"threshold": [0, 0.5, 0.9], "answered": [1, 0.8, 0.25], "classes": [3, 3, 2]}
    rare |= {"pixel_accuracy": [0.7, 0.8, 1], "miou_lost_as_0": [0.5, 0.6, 2 / 3]}
    shown = Page(page_with(written, abstention=rare))
    text = " ".join(shown.text)
    assert "counts 0, the first where 25\u00a0% are answered" in text
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
        split_digest="0123",
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
    summary = figures.summary(evaluation, resamples=2, confidence=0.9, baseline=None)
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


def decoded(uri):
    content = base64.b64decode(uri.partition(",")[2])
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_worst_and_the_middle_images_are_shown_and_none_twice():
    evaluation = evaluated()
    order = np.argsort(mean_iou(evaluation.per_image), kind="stable").tolist()
    assert exhibits.chosen(evaluation, worst=2, median=3) == [
        ("worst", 1, order[0]),
        ("worst", 2, order[1]),
        *(("median", place + 1, order[place]) for place in (3, 4, 5)),
    ]
    few = library.evaluate(bundle(), Split(3), progress=lambda *_: None)
    places = [place for _, place, _ in exhibits.chosen(few, worst=5, median=3)]
    assert places == [1, 2, 3]


def test_the_layers_are_truth_answer_and_errors_in_both_sets_of_colours():
    network, split, evaluation = bundle(), Split(), evaluated()
    shown = exhibits.exhibits(network, split, evaluation, worst=1, median=0)[0]
    label = split.label(evaluation.ids.index(shown.id))
    assert (shown.height, shown.width) == label.shape  # small enough to be shown as it is
    for name, colours in (("official", [item.colour for item in LABELS.classes]), ("safe", safe_colours(4))):
        truth = decoded(shown.layers[f"truth_{name}"])[..., 2::-1]
        for train_id in range(3):
            assert (truth[label == train_id] == colours[train_id]).all()
        assert {tuple(colour) for colour in truth[label == VOID].reshape(-1, 3).tolist()} == {(96,) * 3, (176,) * 3}
    errors = decoded(shown.layers["errors"])
    red = (errors[..., 2] == 200) & (errors[..., 1] == 0)
    assert red.sum() == pytest.approx(shown.wrong * (label != VOID).sum())
    assert not red[label == VOID].any()
    assert shown.classes == (0, 1, 2)
    assert shown.void


def test_ids_beyond_the_colours_are_refused():
    with pytest.raises(ValueError, match="train id 4"):
        exhibits.mask_uri(np.array([[0, 4]], np.uint8), LABELS, safe_colours(4))
    with pytest.raises(ValueError, match="3 colours"):
        exhibits.mask_uri(np.array([[0, 1]], np.uint8), LABELS, safe_colours(3))


@pytest.fixture(scope="module")
def entries():
    named = [("first", evaluated()), ("biased <b>", evaluated(0.9)), ("again", evaluated())]
    return comparison.compare(named, resamples=200, confidence=0.9)


def test_a_comparisons_page_shows_the_summarys_figures(entries):
    summary = comparison.summary(entries)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    page = Page(compared.page(summary))
    page.check()
    for name, found in page.figures.items():
        for value, _ in found:
            assert value == value_of(summary, name), name
    wanted = {f"runs.{run}.{key}" for run in range(3) for key in ("miou", "miou_low", "miou_high")}
    wanted |= {f"runs.{run}.figures.{key}" for run in range(3) for key in ("pixel_accuracy", "macro_f1")}
    wanted |= {
        f"runs.{run}.against_first.{key}" for run in (1, 2) for key in ("difference", "low", "high", "p", "p_corrected")
    }
    wanted |= {f"runs.{run}.per_class_iou.{place}" for run in range(3) for place in range(3)}
    assert wanted <= set(page.figures)
    text = " ".join(page.text)
    assert "biased <b>" in text
    assert "bootstrap over images" in text
    assert "Holm, 2 comparisons" in text
    assert "the same scores" in text
    assert "worse than the first" in text


def test_differences_are_to_the_first_and_none_to_itself(entries):
    first, biased, again = comparison.summary(entries)["runs"]
    assert first["against_first"] is None
    assert biased["against_first"]["difference"] == pytest.approx(biased["miou"] - first["miou"])
    for theirs, own, apart in zip(
        biased["per_class_iou"], first["per_class_iou"], biased["against_first"]["per_class"], strict=True
    ):
        if own is None:
            assert (theirs, apart) == (None, {"difference": None, "low": None, "high": None, "leaves_out_0": False})
        else:
            assert apart["difference"] == pytest.approx(theirs - own)
            assert apart["low"] <= apart["difference"] <= apart["high"]
    found = biased["against_first"]["figures"]["pixel_accuracy"]
    assert found["difference"] == biased["figures"]["pixel_accuracy"] - first["figures"]["pixel_accuracy"]
    assert found["low"] <= found["difference"] <= found["high"]
    assert not any(each["leaves_out_0"] for each in again["against_first"]["figures"].values())
    assert again["against_first"]["difference"] == again["against_first"]["low"] == again["against_first"]["high"] == 0
    assert again["against_first"]["p"] == 1


def test_terminal_and_page_give_the_same_verdict_in_plain_words(entries):
    turned = comparison.compare([("biased", evaluated(0.9)), ("first", evaluated())], resamples=200, confidence=0.9)
    for compared_runs, expected in (
        (entries, ["worse than the first", "the same scores"]),
        (turned, ["better than the first"]),
    ):
        summary = comparison.summary(compared_runs)
        assert [run["against_first"]["verdict"] for run in summary["runs"][1:]] == expected
        console = Console(width=200)
        with console.capture() as capture:
            console.print(tables.compared(summary)[0])
        lines = [line for line in capture.get().splitlines() if line.startswith("│")][1:]
        words = [item for item in Page(compared.page(summary)).text if item in expected]
        assert words == expected
        assert all(line.rstrip(" │").endswith(said) for line, said in zip(lines, expected, strict=True))


def test_what_was_counted_for_one_run_alone_is_shown_without_a_difference():
    counted = library.evaluate(bundle(), Split(), progress=lambda *_: None, boundary=True)
    counted = replace(counted, categories={"all": tuple(range(len(counted.names)))})
    entries = comparison.compare([("plain", evaluated()), ("counted", counted)], resamples=100, confidence=0.9)
    summary = comparison.summary(entries)
    plain, other = summary["runs"]
    assert {"boundary_miou", "mean_category_iou"} <= other["figures"].keys() - plain["figures"].keys()
    assert other["against_first"]["figures"].keys() == plain["figures"].keys()
    page = Page(compared.page(summary))
    page.check()
    assert "runs.1.figures.boundary_miou" in page.figures


def test_a_difference_too_small_to_be_seen_has_no_sign(entries):
    assert [figures.signed(value, 3) for value in (0.0004, -0.0004, 0.0, -0.0)] == ["0.000"] * 4
    assert [figures.signed(value, 3) for value in (0.0006, -0.0006, 12.5)] == ["+0.001", "-0.001", "+12.500"]
    summary = comparison.summary(entries)
    summary["runs"][1]["against_first"]["figures"]["pixel_accuracy"]["difference"] = -1e-5
    shown = dict(Page(compared.page(summary)).figures["runs.1.against_first.figures.pixel_accuracy.difference"])
    assert shown == {-1e-5: "0.000"}
    console = Console(width=200)
    with console.capture() as capture:
        console.print(*tables.compared(summary))
    assert "0.0000" in capture.get()
    assert not re.search(r"[-+]0\.0000", capture.get())


def test_images_are_paired_by_their_id_whatever_their_order():
    evaluation, biased = evaluated(), evaluated(0.9)
    turned = replace(biased, ids=biased.ids[::-1], per_image=biased.per_image[::-1])
    plain = comparison.compare([("a", evaluation), ("b", biased)], resamples=100, confidence=0.9)
    other = comparison.compare([("a", evaluation), ("b", turned)], resamples=100, confidence=0.9)
    assert plain[1].against == other[1].against
    np.testing.assert_array_equal(comparison.image_scores(plain), comparison.image_scores(other))


@pytest.mark.parametrize("changed", [{"protocol": "drawn/2"}, {"split_digest": "ffff"}, {"label_map": "eeee"}])
def test_what_the_lock_refuses_is_not_compared(changed):
    evaluation = evaluated()
    with pytest.raises(ComparisonError, match=next(iter(changed.values()))):
        comparison.compare([("a", evaluation), ("b", replace(evaluation, **changed))], resamples=100, confidence=0.9)


def test_other_labels_other_images_one_run_and_one_name_twice_are_refused():
    evaluation = evaluated()

    def compare(*named):
        return comparison.compare(named, resamples=100, confidence=0.9)

    relabelled = evaluation.per_image.copy()
    relabelled[0, 0, 0] += 1
    with pytest.raises(ComparisonError, match="other labelled pixels"):
        compare(("a", evaluation), ("b", replace(evaluation, per_image=relabelled)))
    with pytest.raises(ComparisonError, match="without sample <0>"):
        compare(("a", evaluation), ("b", replace(evaluation, ids=("other", *evaluation.ids[1:]))))
    with pytest.raises(DataError, match="1 run"):
        compare(("a", evaluation))
    with pytest.raises(DataError, match="named twice"):
        compare(("a", evaluation), ("a", evaluation))


def test_counts_are_read_from_file_or_folder_and_other_files_refused(written, tmp_path):
    expected = evaluated().digest
    assert comparison.read(written).digest == expected
    assert comparison.read(written / comparison.COUNTS).digest == expected
    assert comparison.read(tmp_path / "nothing.npz") is None
    (tmp_path / "text.npz").write_text("no counts")
    with pytest.raises(DataError, match=r"text\.npz"):
        comparison.read(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", per_image=np.zeros(3))
    with pytest.raises(DataError, match="no counts"):
        comparison.read(tmp_path / "other.npz")


ERRORS = """<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("securitypolicyviolation", (event) => errors.push(event.blockedURI));
addEventListener("load", () => {
  const tell = (page, told) =>
    parent.postMessage({ page, errors, scroll: document.documentElement.scrollWidth, ...told }, "*");
"""
COMPARISON_PROBE = """
  const lines = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return new Set([...range.getClientRects()].map((box) => box.top)).size;
  };
  const inside = (mark) => {
    const at = mark.getBoundingClientRect(), track = mark.parentElement.getBoundingClientRect();
    return at.width > 0 && at.left >= track.left - 1 && at.right <= track.right + 1;
  };
  tell("comparison", {
    heads: [...document.querySelectorAll(".runs thead th")].map(lines),
    names: [...document.querySelectorAll("#scores tbody th")].map(lines),
    intervals: [...document.querySelectorAll(".whisker s")].map(inside),
  });
});
</script>"""
EVALUATION_PROBE = """
  const view = document.querySelector(".view"), slider = view.querySelector("input");
  const halves = () => [...view.querySelectorAll(".half")].map((half) => {
    const at = half.getBoundingClientRect(), picture = half.parentElement.getBoundingClientRect();
    const touches = ["left", "right"].map((side) => Math.abs(at[side] - picture[side]) < 1);
    return [half.textContent, ...touches, at.width / picture.width];
  });
  const opened = { halves: halves(), truth: getComputedStyle(view.querySelector(".truth")).clipPath };
  slider.value = 2.7;
  slider.dispatchEvent(new Event("input"));
  const later = halves();
  slider.value = 2;
  slider.dispatchEvent(new Event("input"));
  const clip = (name) => getComputedStyle(view.querySelector(name)).clipPath;
  const hidden = () => getComputedStyle(view.querySelector(".safe")).display;
  const before = hidden();
  document.getElementById("palette-safe").click();
  tell("evaluation", {
    words: slider.getAttribute("aria-valuetext"),
    opened, later, shown: getComputedStyle(view.querySelector(".half")).display,
    truth: clip(".truth"), answer: clip(".answer"), mask_errors: clip(".errors"), before, after: hidden(),
  });
});
</script>"""
FRAME = """<style>body { margin: 0 } iframe { display: block; border: 0 }</style>
<iframe width=WIDTH height=900 src=evaluation.html></iframe><iframe width=WIDTH height=900 src=comparison.html></iframe>
<pre></pre><script>
const told = {};
addEventListener("message", (event) => {
  told[event.data.page] = event.data;
  document.querySelector("pre").textContent = JSON.stringify(told);
});
</script>"""


def looked_at(folder, *, width):
    """What both pages in `folder` tell of themselves in a window that is `width` pixels wide, and a picture of each."""
    # In frames, because a window of Chromium is never narrower than 500 pixels.
    (folder / "frame.html").write_text(FRAME.replace("WIDTH", str(width)), "utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--window-size=1400,2000", "--hide-scrollbars", "--virtual-time-budget=5000", "--dump-dom"]
    command += [f"--screenshot={folder / 'page.png'}", (folder / "frame.html").as_uri()]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True)
    picture = cv2.imread(str(folder / "page.png"))
    return json.loads(re.search(r"<pre>(.*?)</pre>", answer.stdout)[1]), (picture[:900], picture[900:1800])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at the pages with")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_draws_both_pages_without_an_error_or_a_sideways_scroll(written, tmp_path, width):
    named = [("v1", evaluated()), ("f49e67e75518472ca040a4ad8ba36878", evaluated(0.9)), ("run", evaluated(0.3))]
    summary = comparison.summary(comparison.compare(named, resamples=100, confidence=0.9))
    pages = {
        "evaluation": ((written / record.PAGE).read_text(encoding="utf-8"), EVALUATION_PROBE),
        "comparison": (compared.page(summary), COMPARISON_PROBE),
    }
    for name, (html, probe) in pages.items():
        (tmp_path / f"{name}.html").write_text(html.replace("</title>", f"</title>{ERRORS}{probe}", 1), "utf-8")
    told, pictures = looked_at(tmp_path, width=width)
    assert told.keys() == pages.keys()
    for name, picture in zip(pages, pictures, strict=True):
        assert told[name]["errors"] == []
        assert told[name]["scroll"] <= width
        assert len(np.unique(picture.astype(np.int64) @ [1, 256, 65536])) > 100  # colours
    check_slider(told["evaluation"])
    assert told["comparison"]["heads"] == [1 if width > 640 else 0] * 9  # in one line; a phone has none
    assert told["comparison"]["names"][::2] == [1, 1]  # short ones are not broken
    assert told["comparison"]["intervals"] == [True] * 5


def check_slider(told):
    """Opened between truth and prediction, then moved by `EVALUATION_PROBE` towards the errors, then to a stop."""
    # Left is the earlier stop, as the buttons are ordered, and the halves say which is which.
    assert told["opened"]["halves"] == [["truth", True, False, 0.5], ["prediction", False, True, 0.5]]
    assert told["opened"]["truth"] == "inset(0px 50% 0px 0%)"  # not the right half
    assert [half[0] for half in told["later"]] == ["prediction", "errors"]
    assert told["later"][1][3] == pytest.approx(0.7, abs=0.01)  # of the way to the errors, they are that wide
    assert told["words"] == "prediction"
    assert told["shown"] == "none"
    assert told["answer"] == "inset(0px 0%)"  # whole
    assert told["truth"] != told["answer"] != told["mask_errors"]
    assert (told["before"], told["after"]) == ("none", "block")
