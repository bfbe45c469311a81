import importlib
import math
import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ROOT

from segline.core.metrics.confusion import confusion, iou, mean_iou, outcomes
from segline.core.statistics import resampling
from segline.core.statistics.bootstrap import bootstrap, bootstraps
from segline.core.statistics.permutation import compare, differences, holm, least_p
from segline.core.statistics.resampling import group_places
from segline.core.statistics.trust import method


@pytest.fixture(scope="module")
def simulation():
    """`benchmarks/intervals.py`, which runs the same in full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module("intervals")


def chance(share, trials):
    """What binomial chance adds to or takes from `share`, once in some 370 times more than this."""
    return 3 * math.sqrt(share * (1 - share) / trials)


def accuracy(counts):
    return outcomes(counts).true_positive.sum(axis=-1) / counts.sum(axis=(-2, -1))


def images(count, seed):
    return models(count, seed, skills=(8,))[0]


def models(count, seed, *, skills):
    """Counts of several models on the same images, some of which are hard for all of them."""
    generator = np.random.default_rng(seed)
    counts = [[] for _ in skills]
    for _ in range(count):
        truth = generator.integers(0, 3, (8, 11)).astype(np.uint8)
        easy = generator.beta(8, 2)
        for skill, own in zip(skills, counts, strict=True):
            right = generator.random(truth.shape) < easy ** (8 / skill)
            own.append(confusion(truth, np.where(right, truth, (truth + 1) % 3).astype(np.uint8), classes=3))
    return [np.stack(own) for own in counts]


def test_interval_is_reproducible_and_holds_the_score():
    per_image = images(60, seed=1)
    first = bootstrap(per_image, resamples=500, confidence=0.95, seed=3)
    assert first == bootstrap(per_image, resamples=500, confidence=0.95, seed=3)
    assert first.low < mean_iou(per_image.sum(axis=0)) < first.high


def test_interval_narrows_with_images_and_widens_with_confidence():
    few, many = images(40, seed=2), images(640, seed=2)
    width = lambda interval: interval.high - interval.low  # noqa: E731
    of = lambda counts, confidence: bootstrap(counts, resamples=400, confidence=confidence, seed=0)  # noqa: E731
    assert width(of(few, 0.95)) > 2 * width(of(many, 0.95))
    assert width(of(few, 0.99)) > width(of(few, 0.8))


@pytest.mark.lengthy
@pytest.mark.parametrize("scene", ["street", "pets"])
def test_95_percent_intervals_of_200_images_hold_the_truth_95_percent_of_the_time(simulation, scene):
    """Street scenes have classes that one image in twenty shows."""
    whole = simulation.draw_population(simulation.SCENES[scene], 4000, seed=1)
    held = simulation.coverage(whole, 200, trials=300, resamples=400)
    assert abs(held - 0.95) < 0.02 + chance(0.95, 300)


def test_of_few_images_too_they_hold_it_far_more_often_than_percentiles_do(simulation):
    whole = simulation.draw_population(simulation.STREET, 4000, seed=1)
    assert simulation.coverage(whole, 20, trials=300, resamples=300) > 0.92 - chance(0.92, 300)
    percentiles = simulation.coverage(whole, 20, trials=300, resamples=300, interval=simulation.percentile_interval)
    assert percentiles < 0.85


@pytest.mark.lengthy
def test_intervals_over_groups_hold_the_truth_where_those_over_images_do_not(simulation):
    group_of = simulation.draw_groups(400, seed=2)
    whole = simulation.draw_population(simulation.PETS, len(group_of), seed=1, group_of=group_of)
    held = simulation.coverage(whole, 40, trials=300, resamples=300, group_of=group_of)
    assert abs(held - 0.95) < 0.02 + chance(0.95, 300)
    truth, blind = mean_iou(whole[0].sum(axis=0)), 0
    for (counts,), _ in simulation.draw_samples(whole, 40, 200, group_of=group_of, seed=3):
        found = bootstrap(counts, resamples=200, confidence=0.95, seed=0)
        blind += found.low <= truth <= found.high
    assert blind / 200 < 0.85


def test_groups_are_drawn_whole_and_an_image_without_one_is_its_own():
    per_image = images(90, seed=7)
    names = [str(number // 3) for number in range(90)]
    by_group = per_image.reshape(30, 3, 3, 4).sum(axis=1)
    options = {"resamples": 300, "confidence": 0.95, "seed": 1}
    found, summed = bootstrap(per_image, groups=names, **options), bootstrap(by_group, **options)
    assert (found.low, found.high, found.images, found.groups) == (summed.low, summed.high, 90, 30)
    # Names, and where the images of a group are, do not matter.
    order = np.random.default_rng(0).permutation(90)
    mixed = bootstrap(per_image[order], groups=[f"drive {names[place]}" for place in order], **options)
    assert mixed.low == pytest.approx(found.low, abs=0.02)
    alone = bootstrap(per_image, groups=[""] * 90, **options)
    assert alone == bootstrap(per_image, **options)
    assert alone.groups is None
    assert bootstrap(per_image, groups=["", *["a"] * 2, *[""] * 87], **options).groups == 89
    with pytest.raises(ValueError, match="found 89 group names for 90 images"):
        bootstrap(per_image, groups=names[1:], **options)


def test_any_score_of_summed_counts_has_an_interval():
    per_image = images(150, seed=4)
    options = {"resamples": 500, "confidence": 0.95, "seed": 2}
    right = bootstrap(per_image, score=accuracy, **options)
    assert right.low < accuracy(per_image.sum(axis=0)) < right.high
    # All images are of one size, so this is a mean, whose interval Student (1908) gave.
    each = accuracy(per_image)
    expected = scipy.stats.t.interval(0.95, 149, each.mean(), scipy.stats.sem(each))
    assert (right.low, right.high) == pytest.approx(expected, abs=0.1 * (expected[1] - expected[0]))
    one_class = bootstrap(per_image, score=lambda counts: iou(counts)[..., 2], **options)
    assert one_class.low < iou(per_image.sum(axis=0))[2] < one_class.high


def test_a_single_image_says_nothing_of_others_and_images_all_alike_little_of_the_next():
    per_image = images(1, seed=3)
    options = {"resamples": 50, "confidence": 0.95, "seed": 0}
    found = bootstrap(per_image, **options)
    assert (found.low, found.high) == (0, 1)
    alike = bootstrap(per_image.repeat(30, axis=0), **options)
    score, room = float(mean_iou(per_image[0])), 1 - 0.05 ** (1 / 30)  # that the next is otherwise
    assert 0.09 < room < 0.1
    assert (alike.low, alike.high) == pytest.approx((score * (1 - room), score + room * (1 - score)))
    perfect = np.tile(np.diag([5, 3, 0, 0])[:3], (2, 1, 1))
    two = bootstrap(perfect, **options)
    assert (two.low, two.high) == pytest.approx((0.05**0.5, 1))
    nothing = np.zeros((5, 3, 4), np.int64)
    void = bootstrap(nothing, **options)
    assert math.isnan(void.low)
    assert math.isnan(void.high)
    found = compare(nothing, nothing, resamples=99, confidence=0.95, seed=0)
    assert all(math.isnan(value) for value in (found.difference, found.interval.low, found.interval.high, found.p))


def test_images_without_anything_labelled_are_no_evidence():
    per_image, options = images(40, seed=3), {"resamples": 200, "confidence": 0.95, "seed": 0}
    among = np.concatenate([np.zeros((300, *per_image.shape[1:]), np.int64), per_image])
    assert bootstrap(among, **options) == bootstrap(per_image, **options)
    assert "40 images" in bootstrap(among, **options).caveat
    names = [f"drive {number % 8}" for number in range(340)]
    assert bootstrap(among, groups=names, **options) == bootstrap(per_image, groups=names[300:], **options)
    alone = bootstrap(among[:301], **options)  # one that is labelled
    assert (alone.low, alone.high, alone.images) == (0, 1, 1)


@settings(deadline=None)
@given(st.integers(2, 12), st.integers(0, 1000))
def test_an_interval_holds_its_score_and_stays_within_0_and_1(count, seed):
    per_image = images(count, seed)
    per_image[:: seed % 3 + 1] = 0  # nothing is labelled
    found = bootstrap(per_image, resamples=40, confidence=0.95, seed=seed)
    score = mean_iou(per_image.sum(axis=0))
    assert math.isnan(score) == math.isnan(found.low)
    assert math.isnan(score) or 0 <= found.low <= score <= found.high <= 1


def test_memory_does_not_grow_with_resamples(monkeypatch):
    per_image = np.random.default_rng(0).integers(0, 50, (60, 12, 13))

    def peak(resamples):
        tracemalloc.start()
        found = bootstrap(per_image, resamples=resamples, confidence=0.95, seed=0)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most, found

    monkeypatch.setattr(resampling, "MAX_NUMBERS_AT_ONCE", 1 << 12)
    few, many = peak(200), peak(4000)
    assert many[0] < few[0] + 4000 * 8 * 4  # a few floats a resample
    monkeypatch.setattr(resampling, "MAX_NUMBERS_AT_ONCE", 1 << 22)
    whole = peak(4000)
    assert whole[0] > 5 * many[0]
    assert whole[1] == many[1]  # how much is held at a time changes nothing


def test_few_images_or_groups_carry_a_caveat():
    assert "60 images" in bootstrap(images(60, 1), resamples=100, confidence=0.95, seed=0).caveat
    assert bootstrap(images(200, 1), resamples=100, confidence=0.95, seed=0).caveat == ""
    names = [str(number // 20) for number in range(200)]
    grouped = bootstrap(images(200, 1), groups=names, resamples=100, confidence=0.95, seed=0)
    assert grouped.caveat.startswith("200 images in 10 groups: ")
    with pytest.raises(ValueError, match="at least one"):
        bootstrap(images(1, 1)[:0], resamples=100, confidence=0.95, seed=0)


@pytest.mark.parametrize("groups", [1, 4])
def test_images_are_drawn_where_groups_are_too_few_to_tell_of_others_and_that_is_said(groups):
    per_image, names = images(40, 1), [str(number % groups) for number in range(40)]
    options = {"resamples": 100, "confidence": 0.95, "seed": 0}
    found, alone = bootstrap(per_image, groups=names, **options), bootstrap(per_image, **options)
    assert (found.low, found.high, found.method) == (alone.low, alone.high, "bootstrap over images")
    assert (found.groups, found.units) == (groups, 40)
    assert found.caveat.startswith(f"40 images in {'1 group' if groups == 1 else '4 groups'}: too few groups")
    five = bootstrap(per_image, groups=[str(number % 5) for number in range(40)], **options)
    assert (five.units, five.method) == (5, "bootstrap over 5 groups")


def test_how_an_interval_was_made_is_told():
    assert (method(None), method(7)) == ("bootstrap over images", "bootstrap over 7 groups")
    names = ["a", "b", "a", "", "", "b"]
    assert group_places(names) == (0, 1, 0, 3, 4, 1)
    assert bootstrap(images(6, 1), groups=names, resamples=100, confidence=0.95, seed=0).method == method(4)


def test_intervals_of_classes_that_few_images_show_hold_their_iou(simulation):
    whole = simulation.draw_population(simulation.STREET, 4000, seed=1)
    found = simulation.class_coverage(whole, 50, trials=40, resamples=300)
    held, of = (sum(pair) for pair in zip(*(found[most] for most in (2, 5, 10, 20, 50)), strict=True))
    assert of > 600
    # Classes of one sample fail together, as images are hard for all of them: about a third of them count.
    assert held / of == pytest.approx(0.94, abs=chance(0.94, of / 3))
    for most in {0, 1} & found.keys():
        assert found[most][0] == found[most][1]  # from 0 to 1


def compared(first, second, seed=0):
    return compare(first, second, resamples=400, confidence=0.95, seed=seed)


def test_a_model_does_not_differ_from_itself():
    per_image = images(50, seed=1)
    found = compared(per_image, per_image)
    assert (found.difference, found.interval.low, found.interval.high, found.p) == (0, 0, 0, 1)


def test_a_better_model_is_told_from_a_worse_one_and_the_order_turns_the_sign():
    good, bad = models(100, 3, skills=(9, 7))
    found = compared(good, bad)
    assert found.difference == mean_iou(good.sum(axis=0)) - mean_iou(bad.sum(axis=0))
    assert 0 < found.interval.low < found.difference < found.interval.high
    assert found.p == pytest.approx(1 / 401)
    assert compared(bad, good).difference == -found.difference
    # Two intervals of their own, over images that are hard for both, overlap all the same.
    alone = [bootstrap(counts, resamples=400, confidence=0.95, seed=0) for counts in (good, bad)]
    assert alone[0].low < alone[1].high


@pytest.mark.parametrize("groups", [None, ["a", "b"] * 25])
def test_by_groups_too_a_model_does_not_differ_from_itself(groups):
    per_image = images(50, seed=1)
    found = compare(per_image, per_image, groups=groups, resamples=100, confidence=0.95, seed=0)
    assert (found.difference, found.interval.low, found.interval.high, found.p) == (0, 0, 0, 1)
    one = compare(per_image[:1], per_image[:1], resamples=100, confidence=0.95, seed=0)
    assert (one.difference, one.interval.low, one.interval.high, one.p) == (0, 0, 0, 1)


def test_a_comparison_is_reproducible_and_that_of_any_score():
    good, bad = models(40, 3, skills=(9, 7))
    assert compared(good, bad) == compared(good, bad)
    found = compare(good, bad, score=accuracy, resamples=400, confidence=0.95, seed=0)
    assert found.difference == pytest.approx(accuracy(good.sum(axis=0)) - accuracy(bad.sum(axis=0)))
    assert found.interval.low < found.difference < found.interval.high


def test_whole_groups_are_swapped():
    """Of 5 groups, the 32 ways to swap them leave a difference as large in at least 2, however many the images."""
    good, bad = models(60, 3, skills=(9, 6))
    by_group = compare(good, bad, groups=list("abcde") * 12, resamples=4000, confidence=0.95, seed=0)
    assert by_group.p == pytest.approx(1 / 16, abs=chance(1 / 16, 4000))
    assert least_p(5) == 1 / 16
    assert by_group.interval.groups == 5
    assert compared(good, bad).p < 0.01


@pytest.mark.parametrize(
    ("ps", "expected"),
    [
        # 4 x 0.005, 3 x 0.01, 2 x 0.03; 0.04 alone would be less than the 0.06 before it.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.2, 0.01, 0.6], [0.4, 0.03, 0.6]),
        ([0.5, 0.9], [1, 1]),
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([0.04], [0.04]),
        ([], []),
    ],
)
def test_p_values_of_a_family_are_holms(ps, expected):
    assert holm(ps) == pytest.approx(expected)


def test_of_families_of_comparisons_without_a_difference_one_in_twenty_has_a_low_p():
    generator = np.random.default_rng(5)
    ps = generator.random((4000, 5))
    assert sum(min(row) <= 0.05 for row in ps) / 4000 > 0.2  # so that there is something to correct
    called = sum(min(holm(row)) <= 0.05 for row in ps) / 4000
    assert called == pytest.approx(0.05, abs=chance(0.05, 4000))


@pytest.mark.parametrize("grouped", [False, True])
def test_equally_good_models_are_called_different_as_often_as_chance_says(simulation, grouped):
    group_of = simulation.draw_groups(300, seed=2) if grouped else None
    images = 3000 if group_of is None else len(group_of)
    whole = simulation.draw_population(simulation.PETS, images, seed=3, group_of=group_of, models=2)
    called, held = simulation.verdicts(whole, 30, trials=400, resamples=300, group_of=group_of)
    assert abs(called - 0.05) < chance(0.05, 400)
    assert abs(held - 0.95) < 0.03 + chance(0.95, 400)


def test_other_images_cannot_be_compared():
    with pytest.raises(ValueError, match="same images"):
        compared(images(20, seed=1), images(20, seed=2))
    with pytest.raises(ValueError, match="same images"):
        compared(images(20, seed=1), images(19, seed=1))


def test_many_scores_of_one_set_of_resamples_have_the_intervals_that_each_has_alone():
    first, second = (np.pad(own, ((0, 0), (0, 1), (0, 1))) for own in models(50, 8, skills=(9, 5)))  # an absent class
    both = lambda counts: np.concatenate([iou(counts), mean_iou(counts)[..., None]], axis=-1)  # noqa: E731
    defined = (0, 1, 2, 4)
    options = {"groups": [f"drive {number // 2}" for number in range(50)], "resamples": 300, "confidence": 0.9}
    found = bootstraps(first, scores=both, seed=2, **options)
    alone = [bootstrap(first, score=lambda counts, k=k: both(counts)[..., k], seed=2, **options) for k in defined]
    assert [found[k] for k in defined] == alone
    assert math.isnan(found[3].low)
    assert math.isnan(found[3].high)
    apart = differences(first, second, scores=both, seed=2, **options)
    pairs = [compare(first, second, score=lambda counts, k=k: both(counts)[..., k], seed=2, **options) for k in defined]
    assert [apart[k] for k in defined] == [each.interval for each in pairs]
    itself = differences(first, first, scores=both, seed=2, **options)
    assert [(each.low, each.high) for each in (itself[0], itself[4])] == [(0, 0)] * 2
    assert math.isnan(itself[3].low)
    with pytest.raises(ValueError, match="same images"):
        differences(first, second[:-1], scores=both, seed=2, **options)


def test_where_one_image_alone_has_all_there_is_to_score_nothing_is_known_of_others():
    counts = np.zeros((30, 2, 3), np.int64)
    counts[:, 0, 0] = np.arange(1, 31)
    counts[7, 1, 1] = 5
    second = lambda counts: iou(counts)[..., 1]  # noqa: E731
    alone = bootstrap(counts, score=second, resamples=100, confidence=0.95, seed=0)
    assert (alone.low, alone.high) == (0, 1)
    counts[9, 1, 0], counts[9, 1, 1] = 3, 2
    two = bootstrap(counts, score=second, resamples=100, confidence=0.95, seed=0)
    assert 0 <= two.low < 7 / 10 < two.high <= 1
