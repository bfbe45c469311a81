"""What a comparison and its page say, and what is not compared."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from drawn_split import Split, bundle
from page_reader import Page, value_of
from rich.console import Console
from scored_network import evaluated

from segline.errors import ComparisonError, DataError
from segline.evaluation import compare as comparison
from segline.evaluation import counts_file, figures
from segline.evaluation.bundles import evaluate as library
from segline.evaluation.comparison_summary import ComparisonSummary, summarise_comparison
from segline.evaluation.report import comparison_page, tables
from segline.project import Files


@pytest.fixture(scope="module")
def entries():
    named = [("first", evaluated()), ("biased <b>", evaluated(0.9)), ("again", evaluated())]
    return comparison.compare(named, resamples=200, confidence=0.9)


def test_a_comparisons_page_shows_the_summarys_figures(entries):
    summary = summarise_comparison(entries)
    content = summary.model_dump()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    page = Page(comparison_page.page(summary))
    page.check()
    for name, found in page.figures.items():
        for value, _ in found:
            assert value == value_of(content, name), name
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
    first, biased, again = summarise_comparison(entries).model_dump()["runs"]
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
        summary = summarise_comparison(compared_runs)
        assert [run.against_first.verdict for run in summary.runs[1:]] == expected
        console = Console(width=200)
        with console.capture() as capture:
            console.print(tables.compared(summary)[0])
        lines = [line for line in capture.get().splitlines() if line.startswith("│")][1:]
        words = [item for item in Page(comparison_page.page(summary)).text if item in expected]
        assert words == expected
        assert all(line.rstrip(" │").endswith(said) for line, said in zip(lines, expected, strict=True))


def test_what_was_counted_for_one_run_alone_is_shown_without_a_difference():
    counted = library.evaluate(bundle(), Split(), progress=lambda *_: None, boundary=True)
    counted = replace(counted, categories={"all": tuple(range(len(counted.names)))})
    entries = comparison.compare([("plain", evaluated()), ("counted", counted)], resamples=100, confidence=0.9)
    summary = summarise_comparison(entries)
    plain, other = summary.runs
    assert {"boundary_miou", "mean_category_iou"} <= other.figures.keys() - plain.figures.keys()
    assert other.against_first.figures.keys() == plain.figures.keys()
    page = Page(comparison_page.page(summary))
    page.check()
    assert "runs.1.figures.boundary_miou" in page.figures


def test_a_difference_too_small_to_be_seen_has_no_sign(entries):
    assert [figures.signed(value, 3) for value in (0.0004, -0.0004, 0.0, -0.0)] == ["0.000"] * 4
    assert [figures.signed(value, 3) for value in (0.0006, -0.0006, 12.5)] == ["+0.001", "-0.001", "+12.500"]
    summary = summarise_comparison(entries)
    content = summary.model_dump()
    content["runs"][1]["against_first"]["figures"]["pixel_accuracy"]["difference"] = -1e-5
    summary = ComparisonSummary.model_validate(content)
    shown = dict(Page(comparison_page.page(summary)).figures["runs.1.against_first.figures.pixel_accuracy.difference"])
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


@pytest.mark.parametrize(
    "changed", [{"protocol": "drawn/2"}, {"split_digest": "ffff"}, {"label_map": "eeee", "unnamed": "other ids"}]
)
def test_what_the_lock_refuses_is_not_compared(changed):
    evaluation = evaluated()
    with pytest.raises(ComparisonError, match=next(iter(changed.values()))):
        comparison.compare([("a", evaluation), ("b", replace(evaluation, **changed))], resamples=100, confidence=0.9)


def test_a_renamed_class_is_compared_under_its_first_name_and_exchanged_names_are_not():
    """Before, a corrected spelling made every earlier evaluation incomparable."""
    evaluation = evaluated()
    first, second, *rest = evaluation.names
    renamed = replace(evaluated(0.9), label_map="eeee", names=("another name", second, *rest))
    found = comparison.compare([("a", evaluation), ("b", renamed)], resamples=100, confidence=0.9)
    assert found[1].evaluation.names == evaluation.names
    assert (
        found[1].against
        == comparison.compare([("a", evaluation), ("b", evaluated(0.9))], resamples=100, confidence=0.9)[1].against
    )
    exchanged = replace(renamed, names=(second, first, *rest))
    with pytest.raises(ComparisonError, match="label-map digest"):
        comparison.compare([("a", evaluation), ("b", exchanged)], resamples=100, confidence=0.9)


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
    with pytest.raises(DataError, match="given twice"):
        compare(("a", evaluation), ("a", evaluation))


def test_counts_are_read_from_file_or_folder_and_other_files_refused(written, tmp_path):
    expected = evaluated().digest
    assert counts_file.read(written).digest == expected
    assert counts_file.read(written / Files.COUNTS).digest == expected
    assert counts_file.read(tmp_path / "nothing.npz") is None
    (tmp_path / "text.npz").write_text("no counts")
    with pytest.raises(DataError, match=r"text\.npz"):
        counts_file.read(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", per_image=np.zeros(3))
    with pytest.raises(DataError, match="no counts"):
        counts_file.read(tmp_path / "other.npz")
