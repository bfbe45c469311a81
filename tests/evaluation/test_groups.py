"""Images of one group are drawn together wherever an interval or a p-value is published."""

import itertools
import json
import math
import random
import statistics
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from rich.console import Console

from segline.core.metrics.confusion import mean_iou
from segline.errors import ComparisonError, DataError
from segline.evaluation import compare as comparison
from segline.evaluation import counts_file, results
from segline.evaluation.comparison_summary import summarise_comparison
from segline.evaluation.report import comparison_page, tables
from segline.evaluation.results import Evaluation
from segline.evaluation.summary import summarise

ARRAYS = {"per_image", "boundary", "road"}
HOW = {"resamples": 4000, "confidence": 0.95}


def evaluation(per_image, groups=None, **changed):
    """Of `per_image` as nested lists (N, C, C + 1)."""
    classes = len(per_image[0])
    fields = {
        "dataset": "drawn",
        "split": "test",
        "protocol": "drawn/1",
        "split_digest": "0123456789abcdef",
        "label_map": "fedcba9876543210",
        "names": tuple("abc"[:classes]),
        "ids": tuple(f"image_{place}" for place in range(len(per_image))),
        "groups": groups,
        "void_pixels": 0,
        "per_image": np.array(per_image, dtype=np.int64),
    }
    return Evaluation(**fields | changed)


def drives(count, images):
    """Shares right of images (lists, one a drive) that are much alike within a drive, and names of the drives."""
    draw = random.Random(3)
    shares = [[drive + draw.uniform(-0.02, 0.02) for _ in range(images)] for drive in _uniform(draw, count)]
    return shares, tuple(f"drive {place}" for place in range(count) for _ in range(images))


def _uniform(draw, count):
    return [draw.uniform(0.3, 0.9) for _ in range(count)]


def one_class(shares):
    """Counts whose mean IoU is the mean of `shares`: 10,000 pixels an image, all of one class."""
    return [[[round(10_000 * share), 10_000 - round(10_000 * share)]] for share in shares]


def test_the_interval_of_a_mean_is_students_over_the_drives_and_not_over_the_images():
    """Worked without NumPy: `statistics` of the drives' own means."""
    shares, groups = drives(30, 8)
    per_image = one_class(itertools.chain(*shares))
    found = evaluation(per_image, groups).interval(**HOW)
    means = [statistics.fmean(drive) for drive in shares]
    reach = scipy.stats.t.ppf(0.975, 29) * statistics.stdev(means) / math.sqrt(30)
    expected = (statistics.fmean(means) - reach, statistics.fmean(means) + reach)
    assert (found.low, found.high) == pytest.approx(expected, abs=0.06 * reach)
    assert (found.images, found.groups, found.method) == (240, 30, "bootstrap over 30 groups")
    blind = evaluation(per_image).interval(**HOW)
    assert (blind.groups, blind.method) == (None, "bootstrap over images")
    assert blind.high - blind.low < 0.5 * (found.high - found.low)


def test_copies_of_an_image_in_its_group_add_nothing():
    draw = random.Random(1)
    once = [[[draw.randrange(1, 90) for _ in range(4)] for _ in range(3)] for _ in range(12)]
    alone = evaluation(once).interval(**HOW)
    copied = evaluation(once * 5, tuple(f"place {number}" for number in range(12)) * 5).interval(**HOW)
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
    assert (copied.images, copied.groups) == (60, 12)


def test_a_summary_says_how_many_groups_and_how_far_to_trust_them():
    shares, groups = drives(7, 40)
    grouped = evaluation(one_class(itertools.chain(*shares)), groups)
    summary = summarise(grouped, **HOW).as_json()
    assert (summary["images"], summary["groups"], summary["interval_method"]) == (280, 7, "bootstrap over 7 groups")
    assert summary["caveat"].startswith("280 images in 7 groups: treat the interval as approximate")
    alone = replace(grouped, groups=None)
    summary = summarise(alone, **HOW).as_json()
    assert (summary["groups"], summary["interval_method"], summary["caveat"]) == (None, "bootstrap over images", "")


def test_groups_survive_the_file_and_a_file_without_them_is_refused(tmp_path):
    shares, groups = drives(5, 4)
    grouped = evaluation(one_class(itertools.chain(*shares)), groups)
    results.save(grouped, tmp_path / "now.npz")
    again = results.load(tmp_path / "now.npz")
    assert again.groups == groups
    assert again.interval(**HOW) == grouped.interval(**HOW)

    fields = {key: value for key, value in vars(grouped).items() if key not in {*ARRAYS, "groups"}}
    np.savez_compressed(tmp_path / "old.npz", per_image=grouped.per_image, fields=np.array(json.dumps(fields)))
    with pytest.raises(DataError, match="it lacks groups"):
        counts_file.read(tmp_path / "old.npz")


def test_a_file_with_groups_of_other_images_is_refused(tmp_path):
    grouped = evaluation(one_class([0.2, 0.4, 0.5]), ("a", "a", "b"))
    fields = {key: value for key, value in vars(grouped).items() if key not in ARRAYS} | {"groups": ["a", "b"]}
    np.savez_compressed(tmp_path / "wrong.npz", per_image=grouped.per_image, fields=np.array(json.dumps(fields)))
    with pytest.raises(DataError, match="3 images, but 2 groups"):
        counts_file.read(tmp_path / "wrong.npz")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "a", ""], ("a", "a", "")),
        (["a", "b", "a"], ("a", "b", "a")),
        (["", "", ""], None),
        (["a", "b", "c"], None),
        (["a", "", "b"], None),
        ([], None),
    ],
)
def test_there_are_groups_only_where_two_images_share_one(names, expected):
    assert results.grouping(names) == expected


# --- comparisons ---


def unlike():
    """Two models on 6 drives of 5 images: the second is a little better on most drives, and its images agree on it."""
    draw = random.Random(8)
    first, second = [], []
    for better in (0.05, 0.04, 0.06, -0.01, 0.05, 0.03):
        for _ in range(5):
            share = draw.uniform(0.5, 0.8)
            first.append(share)
            second.append(share + better)
    names = tuple(f"drive {place // 5}" for place in range(30))
    return evaluation(one_class(first), names), evaluation(one_class(second), names)


def swapped_p(first, second, groups):
    """The p-value by going through every way to swap whole groups, without NumPy: all images are of one size."""
    names = list(dict.fromkeys(groups))
    gains = dict.fromkeys(names, 0)
    for ours, theirs, name in zip(first.per_image.tolist(), second.per_image.tolist(), groups, strict=True):
        gains[name] += ours[0][0] - theirs[0][0]
    found = abs(sum(gains.values()))
    sums = [
        abs(sum(sign * gain for sign, gain in zip(signs, gains.values(), strict=True)))
        for signs in itertools.product((1, -1), repeat=len(names))
    ]
    return sum(one >= found for one in sums) / len(sums)


def compare(*named):
    return comparison.compare(named, **HOW)


def test_a_comparison_swaps_and_draws_whole_groups():
    first, second = unlike()
    entry = compare(("a", first), ("b", second))[1]
    exact = swapped_p(first, second, first.groups)
    assert exact == pytest.approx(4 / 64)
    assert entry.against.p == pytest.approx(exact, abs=3 * math.sqrt(exact * (1 - exact) / 4000))
    assert entry.against.interval.groups == entry.interval.groups == 6
    blind = compare(("a", replace(first, groups=None)), ("b", replace(second, groups=None)))[1]
    assert blind.against.p < 0.005
    assert blind.against.interval.groups is None


def test_what_one_evaluation_knows_of_groups_counts_for_all():
    first, second = unlike()
    both = compare(("a", first), ("b", second))
    for known in (0, 1):
        pair = [
            replace(one, groups=one.groups if place == known else None) for place, one in enumerate((first, second))
        ]
        found = compare(("a", pair[0]), ("b", pair[1]))
        assert [entry.interval for entry in found] == [entry.interval for entry in both]
        assert found[1].against == both[1].against


def test_groups_are_the_images_whatever_they_are_called_and_wherever_the_images_stand():
    first, second = unlike()
    both = compare(("a", first), ("b", second))
    renamed = replace(second, groups=tuple(f"{name} of May" for name in second.groups))
    turned = replace(renamed, ids=second.ids[::-1], groups=renamed.groups[::-1], per_image=second.per_image[::-1])
    for other in (renamed, turned):
        assert compare(("a", first), ("b", other))[1].against == both[1].against


@pytest.mark.parametrize("other", [("x",) * 30, tuple("ab" * 15), ("", *["drive 0"] * 4, *"abcdeabcdeabcdeabcdeabcde")])
def test_other_groups_of_the_same_images_are_refused(other):
    first, second = unlike()
    with pytest.raises(
        ComparisonError, match=r"^b: other groups of the same images: for example, the group of image_\d+"
    ) as refused:
        compare(("a", first), ("b", replace(second, groups=other)))
    assert refused.value.expected == "the groups of a"
    with pytest.raises(ComparisonError, match="the groups of b"):
        compare(("a", replace(first, groups=None)), ("b", second), ("c", replace(second, groups=other)))


def told(summary):
    console = Console(record=True, width=200)
    for grid in tables.compared(summary):
        console.print(grid)
    return console.export_text()


def test_p_values_of_several_comparisons_are_corrected_and_said_to_be():
    first, second = unlike()
    middle = replace(second, per_image=(first.per_image + second.per_image) // 2)
    entries = compare(("a", first), ("b", second), ("c", middle), ("d", first))
    summary = summarise_comparison(entries)
    rows = [run.against_first for run in summary.runs[1:]]
    low, high = sorted(row.p for row in rows[:2])
    assert rows[2].p == rows[2].p_corrected == 1
    assert sorted(row.p_corrected for row in rows[:2]) == pytest.approx([3 * low, max(3 * low, 2 * high)])
    assert summary.correction == "Holm, 3 comparisons"
    assert "corrected p: Holm, 3 comparisons" in told(summary)
    assert f"{rows[0].p:.4f}" in told(summary)
    assert f"{rows[0].p_corrected:.4f}" in told(summary)
    page = comparison_page.page(summary)
    assert "corrected p" in page
    assert f'data-name="runs.1.against_first.p_corrected">{rows[0].p_corrected:.4f}<' in page
    assert [row.verdict for row in rows] == ["could be chance", "could be chance", "the same scores"]
    assert (
        page.count(">could be chance<") == told(summary).count("could be chance") == 2
    )  # though intervals leave out 0
    assert summary.runs[1].against_first.low > 0


def test_a_single_comparison_has_nothing_to_correct():
    first, second = unlike()
    summary = summarise_comparison(compare(("a", first), ("b", second)))
    row = summary.runs[1].against_first
    assert row.p == row.p_corrected
    assert row.p > 0.05
    assert row.verdict == "could be chance"
    assert summary.correction is None
    assert "Holm" not in told(summary)
    assert "corrected" not in comparison_page.page(summary)


def test_terminal_and_page_of_a_comparison_say_what_was_drawn_and_when_no_p_can_be_low():
    first, second = unlike()
    summary = summarise_comparison(compare(("a", first), ("b", second)))
    assert (summary.groups, summary.interval_method) == (6, "bootstrap over 6 groups")
    for shown in (told(summary), comparison_page.page(summary)):
        assert "30 images in 6 groups" in shown
        assert "bootstrap over 6 groups" in shown
        assert "with 6 groups no p can be below about 0.031" in " ".join(shown.split())  # 2 of 64 ways to swap them
    summary = summarise_comparison(compare(("a", first), ("b", second), ("c", second)))
    assert summary.caveat.endswith("with 6 groups no corrected p can be below about 0.062")
    fewer = tuple(name.replace("5", "4") for name in first.groups)
    summary = summarise_comparison(compare(("a", replace(first, groups=fewer)), ("b", replace(second, groups=None))))
    assert summary.caveat.endswith("with 5 groups no p can be below about 0.062")
    alone = summarise_comparison(compare(("a", replace(first, groups=None)), ("b", replace(second, groups=None))))
    assert (alone.groups, alone.interval_method) == (None, "bootstrap over images")
    assert "can be below" not in alone.caveat  # 30 images: 2 of 2^30
    assert "groups" not in told(alone)


def test_each_images_score_is_its_own_whatever_its_group():
    first, second = unlike()
    scores = comparison.image_scores(compare(("a", first), ("b", second)))
    np.testing.assert_array_equal(scores[:, 1], mean_iou(second.per_image))
